"""What tasks get is of the SDK's types in all that code written for the SDK does with it."""

from __future__ import annotations

import copy
import json
import pickle
from typing import Any

import braintrust
import pytest
from braintrust.framework import DictEvalHooks
from braintrust.prompt import PromptCompletionBlock, PromptData

from flask_braintrust_evals import EvalCase, EvalHooks, Evaluator, Prompt
from flask_braintrust_evals.contrib import braintrust_spans
from flask_braintrust_evals.contrib.braintrust.evaluators import from_sdk
from flask_braintrust_evals.engine.parameters.prompts import without_nulls
from flask_braintrust_evals.engine.tracing.eval_tracer import EvalTracer
from flask_braintrust_evals.errors import RegistrationError
from tests.engine.support import Spans, attribute, run_case
from tests.example_model import EXAMPLE_MODEL

from .support import echo, sdk_evaluator

SdkPrompt: Any = braintrust.Prompt  # mypy takes it for another type of the same name
CHAT = {
    "prompt": {
        "type": "chat",
        "messages": [
            {"role": "system", "content": "Be {{mood}}."},
            {"role": "user", "content": [{"type": "text", "text": "{{input}}"}]},
        ],
    },
    "options": {"model": EXAMPLE_MODEL, "params": {"temperature": 0}},
}


def hooks_of(case: Any, **fields: Any) -> EvalHooks:
    seen: list[EvalHooks] = []

    def task(input: Any, hooks: EvalHooks) -> None:
        seen.append(hooks)

    run_case(Evaluator("e", task, **fields), EvalCase.of(case))
    return seen[0]


def edited_prompt() -> Prompt:
    declared = {"main": {"type": "prompt", "default": {"options": {"model": "default"}}}}
    evaluator = Evaluator("e", echo, parameters=declared)
    prompt: Prompt = evaluator.parameter_set.validate({"main": CHAT})["main"]
    return prompt


def test_hooks_are_a_dict_with_the_items_that_the_sdks_have() -> None:
    case: dict[str, Any] = {"input": 1, "expected": 2, "metadata": {"a": 1}, "tags": ["t"]}
    hooks = hooks_of(braintrust.EvalCase(**case))
    theirs = DictEvalHooks({"a": 1}, 2, 0, ["t"])
    assert isinstance(hooks, dict)
    assert {**hooks} == {**theirs}
    assert hooks["metadata"] is hooks.metadata
    assert hooks.get("nothing", 5) == 5
    assert json.loads(json.dumps(hooks)) == {**hooks}


def test_without_an_expectation_hooks_have_no_such_item_as_in_the_sdk() -> None:
    hooks = hooks_of({"input": 1})
    assert "expected" not in hooks
    assert hooks.expected is hooks.get("expected") is None
    assert {**hooks} == {"metadata": {}, "tags": [], "trial_index": 0}


@pytest.mark.parametrize("by", ["attribute", "item", "in place"])
def test_what_a_task_sets_as_attribute_or_item_is_recorded(by: str) -> None:
    def task(input: Any, hooks: EvalHooks) -> None:
        if by == "attribute":
            hooks.metadata, hooks.tags = {"b": 2}, ["x"]
        elif by == "item":
            hooks["metadata"], hooks["tags"] = {"b": 2}, ["x"]
        else:
            hooks["metadata"].update(b=2)
            hooks["tags"].append("x")

    result, _ = run_case(Evaluator("e", task), EvalCase(1))
    assert (result.metadata, result.tags) == ({"b": 2}, ["x"])


@pytest.mark.parametrize("value", [None, 5, "text"], ids=repr)
def test_metadata_that_a_task_replaces_by_something_else_costs_no_case(value: Any) -> None:
    def task(input: Any, hooks: EvalHooks) -> str:
        hooks["metadata"], hooks["tags"] = value, "one"
        return "done"

    result, _ = run_case(Evaluator("e", task), EvalCase(1))
    assert (result.output, result.metadata, result.tags) == ("done", {}, ["one"])


def test_an_edited_prompt_is_one_for_code_that_checks_types() -> None:
    prompt = edited_prompt()

    def helper(value: Any) -> str:
        if isinstance(value, SdkPrompt):
            return str(value.build(mood="kind", input="hi")["model"])
        return "the default"

    assert helper(prompt) == EXAMPLE_MODEL
    assert isinstance(prompt, Prompt)
    assert type(prompt) is Prompt
    pickled = pickle.loads(pickle.dumps(prompt))
    for other in (copy.copy(prompt), copy.deepcopy(prompt), pickled):
        assert type(other) is Prompt
        assert other.build(mood="a", input="b") == prompt.build(mood="a", input="b")


def test_a_prompts_messages_are_read_by_attribute_and_by_item_and_its_options_are_dicts() -> None:
    prompt = edited_prompt()
    theirs = SdkPrompt.from_prompt_data("main", PromptData.from_dict_deep(CHAT))
    assert prompt.prompt is not None and theirs.prompt is not None
    first = prompt.prompt.messages[0]
    assert first.content == first["content"] == theirs.prompt.messages[0].content
    assert first.role == theirs.prompt.messages[0].role
    assert first.tool_calls is None  # absent, as in the SDK
    assert prompt.prompt.type == theirs.prompt.type == "chat"
    for part, other in (
        (first, theirs.prompt.messages[0]),
        (prompt.prompt, theirs.prompt),
        (prompt.prompt_data, theirs.prompt_data),
    ):
        assert part.as_dict() == without_nulls(other.as_dict())
        assert json.loads(part.as_json(indent=1)) == part.as_dict()
    assert isinstance(prompt.options, dict)
    assert prompt.options == theirs.options
    assert {**prompt.options["params"], "seed": 1} == {"temperature": 0, "seed": 1}
    assert [*prompt] == [*theirs]
    assert len(prompt) == len(theirs)
    assert prompt["model"] == theirs["model"] == prompt.options["model"]
    assert prompt["chat"][0]["role"] == theirs["chat"][0].role
    for name in ("id", "version", "slug", "name", "description", "tags", "project_id"):
        assert getattr(prompt, name) == getattr(theirs, name), name
    assert (prompt.defaults, prompt.no_trace) == ({}, False)
    assert prompt.build(mood="kind", input="hi") == theirs.build(mood="kind", input="hi")


def test_a_prompt_of_a_completion_has_its_text_as_attribute_and_item() -> None:
    data = {"prompt": {"type": "completion", "content": "Hi"}, "options": {"model": "m"}}
    declared = {"main": {"type": "prompt"}}
    prompt = Evaluator("e", echo, parameters=declared).parameter_set.validate({"main": data})[
        "main"
    ]
    assert prompt.prompt.content == prompt["prompt"] == "Hi"
    assert [*prompt] == ["model", "prompt"]


def test_a_traced_task_logs_its_hooks_in_a_readable_form() -> None:
    spans = Spans()
    span_class = braintrust_spans()

    @braintrust.traced
    def task(input: Any, hooks: EvalHooks) -> Any:
        return hooks.parameters["mood"]

    evaluator = from_sdk(
        sdk_evaluator(task=task, parameters={"mood": {"type": "string", "default": "calm"}})
    )
    run_case(
        evaluator,
        EvalCase("in", expected="out"),
        tracer=EvalTracer(spans.tracer),
        span_class=span_class,
    )
    logged = attribute(spans.named("task")[0], "input_json")
    assert logged["input"] == "in"
    hooks = {"metadata": {}, "tags": [], "trial_index": 0, "expected": "out"}
    assert logged["hooks"] == hooks


def test_a_loaded_prompt_is_no_default_but_its_data_is() -> None:
    loaded = braintrust.load_prompt(project="p", slug="s")  # which has asked nobody yet
    with pytest.raises(RegistrationError, match=r"has as its prompt_data \('e' is defined"):
        Evaluator("e", str, parameters={"main": {"type": "prompt", "default": loaded}})
    block = PromptCompletionBlock(type="completion", content="Greet {{name}}.")
    data = PromptData(prompt=block, options={"model": "m"})
    default = SdkPrompt.from_prompt_data("s", data).prompt_data
    evaluator = Evaluator("e", str, parameters={"main": {"type": "prompt", "default": default}})
    built = evaluator.parameter_set.validate({})["main"].build(name="Ada")
    assert (built["model"], built["prompt"]) == ("m", "Greet Ada.")
