"""What user code changes is seen by no other trial, case or run."""

from __future__ import annotations

import copy
import threading
from dataclasses import dataclass, field
from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict

from flask_braintrust_evals import EvalCase, Evaluator, Prompt
from flask_braintrust_evals.engine.running.sources.case_source import CaseSource
from flask_braintrust_evals.engine.values.copies import own_copy


def outputs(evaluator: Evaluator, *arguments: Any, **options: Any) -> list[Any]:
    return [each.output for each in evaluator.run(*arguments, **options).results]


def grow(input: Any, hooks: Any) -> list[int]:
    input["messages"].append("x")
    hooks.expected.append("x")
    hooks.metadata["list"].append("x")
    hooks.tags.append("x")
    lists = (input["messages"], hooks.expected, hooks.metadata["list"], hooks.tags)
    return [len(each) for each in lists]


def growing(input: Any, output: Any, expected: Any, metadata: Any, tags: Any) -> float:
    for each in (input["messages"], expected, metadata["list"], tags):
        each.append("scorer")
    return 1


def on_error(span: Any, case: EvalCase, failed: list[str]) -> None:
    assert case.tags is not None and case.origin is not None
    case.tags.append("handler")
    case.origin["id"] = "handler"
    case.input = None


def fields() -> dict[str, Any]:
    return {
        "input": {"messages": []},
        "expected": [],
        "metadata": {"list": []},
        "tags": [],
        "origin": {"object_type": "dataset", "object_id": "d", "id": "r"},
    }


KINDS: dict[str, Any] = {"dict": dict, "case": lambda fields: EvalCase(**fields)}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("trials", [1, 3])
def test_own_data_is_the_same_for_every_trial_and_every_run(kind: str, trials: int) -> None:
    own = [KINDS[kind](fields()), KINDS[kind](fields())]
    before = copy.deepcopy(own)

    def failing(output: Any) -> float:
        raise ValueError

    for data in (own, tuple(own), lambda: own, lambda: iter(own)):
        evaluator = Evaluator(
            "e",
            grow,
            data=data,
            scores=[growing, failing],
            error_score_handler=on_error,
            trial_count=trials,
            max_concurrency=1,
        )
        for _ in range(2):
            result = evaluator.run()
            assert [each.output for each in result.results] == [[1, 1, 1, 1]] * trials * 2
    assert own == before


@pytest.mark.parametrize("kind", KINDS)
def test_cases_that_are_passed_to_a_run_stay_as_they_were(kind: str) -> None:
    given = [KINDS[kind](fields())]
    before = copy.deepcopy(given)
    evaluator = Evaluator("e", grow, max_concurrency=1)
    assert outputs(evaluator, given, trial_count=2) == [[1, 1, 1, 1]] * 2
    assert outputs(evaluator, given) == [[1, 1, 1, 1]]
    assert given == before


def test_a_generator_that_is_kept_gives_every_run_the_same() -> None:
    evaluator = Evaluator("e", grow, data=(fields() for _ in range(2)), max_concurrency=1)
    for _ in range(3):
        assert outputs(evaluator) == [[1, 1, 1, 1]] * 2


@pytest.mark.parametrize(
    ("trials", "case_trials", "outlives", "copied"),
    [(1, None, False, False), (2, None, False, True), (1, 2, False, True), (1, None, True, True)],
)
def test_a_case_is_copied_only_where_somebody_else_gets_it(
    trials: int, case_trials: int | None, outlives: bool, copied: bool
) -> None:
    case = EvalCase({"a": []}, expected=[], trial_count=case_trials)
    job = CaseSource([case], trials, outlive_run=outlives).take()
    assert job is not None
    assert (job.case is not case) == copied
    assert (job.case.input is not case.input) == copied
    assert job.case == case


# --- Parameters ---


class Model(BaseModel):
    items: list[int] = []


class Frozen(BaseModel):
    model_config = ConfigDict(frozen=True)
    held: Any = None


HELD = Frozen(held={"k": []})


class All(BaseModel):
    xs: list[int] = []
    inner: Model = Model()
    frozen: Frozen = HELD


PROMPT: dict[str, Any] = {
    "prompt": {"type": "chat", "messages": [{"role": "user", "content": "{{input}}"}]},
    "options": {"model": "m", "params": {"temperature": 0}},
}


def change_prompt(input: Any, hooks: Any) -> Any:
    prompt = hooks.parameters.p
    prompt.options["params"]["temperature"] += 1
    prompt.prompt["messages"][0]["content"] += "!"
    prompt.prompt_data["prompt"]["messages"].append({"role": "user", "content": "more"})
    prompt.defaults["n"] = prompt.defaults.get("n", 0) + 1
    prompt.version = "changed" if prompt.version is None else "seen"
    built = prompt.build(input="hi")
    return [built["temperature"], prompt.version, built["n"], len(prompt.prompt["messages"])]


@pytest.mark.parametrize("given", [None, {"p": PROMPT}])
def test_a_prompt_that_a_task_changes_is_its_own(given: Any) -> None:
    evaluator = Evaluator(
        "e", change_prompt, parameters={"p": {"type": "prompt", "default": PROMPT}}
    )
    before = copy.deepcopy(PROMPT)
    for _ in range(2):
        found = outputs(evaluator, [{"input": 1}] * 2, given, max_concurrency=1)
        assert found[0] == found[1]
        assert found[0][:3] == [1, "changed", 1]
    assert before == PROMPT


def test_a_copy_of_a_prompt_has_what_was_changed_and_changes_no_more() -> None:
    first = Prompt("p", PROMPT)
    params = first.options["params"]
    params["temperature"] = 5
    second = copy.deepcopy(first)
    params["temperature"] = 6
    assert second.options["params"] == {"temperature": 5}
    assert first.build(input="x")["temperature"] == 6
    assert PROMPT["options"]["params"] == {"temperature": 0}


def test_models_and_lists_that_a_task_changes_are_its_own() -> None:
    def task(input: Any, hooks: Any) -> Any:
        parameters = hooks.parameters
        lists = [parameters.xs, parameters.inner.items, parameters.frozen.held["k"]]
        for each in lists:
            each.append(1)
        return [len(each) for each in lists]

    evaluator = Evaluator("e", task, parameters=All, max_concurrency=1)
    for _ in range(2):
        assert outputs(evaluator, [{"input": 1}] * 3) == [[1, 1, 1]] * 3
    assert HELD.held == {"k": []}


def test_an_instance_of_a_model_is_its_own_for_each_case() -> None:
    class Settings(BaseModel):
        items: list[int] = []
        name: str = ""

    def task(input: Any, hooks: Any) -> int:
        hooks.parameters.settings.items.append(1)
        return len(hooks.parameters.settings.items)

    evaluator = Evaluator("e", task, parameters={"settings": Settings}, max_concurrency=1)
    given = {"settings": {"items": [7], "name": "n"}}
    assert outputs(evaluator, [{"input": 1}] * 3, given) == [2, 2, 2]


# --- What cannot be copied ---


@dataclass
class Holder:
    items: list[int] = field(default_factory=list)


class Connection:
    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.items: list[int] = []


def test_objects_of_any_class_are_copied_if_they_can_be() -> None:
    holder = Holder([1])
    copied = own_copy({"h": holder})
    assert copied["h"] == holder and copied["h"] is not holder
    assert copied["h"].items is not holder.items


def test_what_cannot_be_copied_is_shared_and_all_around_it_is_not() -> None:
    connection = Connection()
    value = {"c": connection, "xs": [1], "t": (connection, [2])}
    copied = own_copy(value)
    assert copied["c"] is connection is copied["t"][0]
    copied["xs"].append(2)
    copied["t"][1].append(3)
    assert value == {"c": connection, "xs": [1], "t": (connection, [2])}


def test_a_value_that_contains_itself_is_copied() -> None:
    value: dict[str, Any] = {"xs": [1]}
    value["self"] = value
    copied = own_copy(value)
    assert copied is not value and copied["self"] is copied
    value["c"] = connection = Connection()
    copied = own_copy(value)
    assert copied is not value and copied["self"] is copied
    assert copied["xs"] == [1] and copied["xs"] is not value["xs"]
    assert copied["c"] is connection


def test_a_task_may_have_an_input_that_cannot_be_copied() -> None:
    evaluator = Evaluator(
        "e",
        lambda input: (input["xs"].append(1), len(input["xs"]))[1],
        data=[{"input": {"xs": [], "c": Connection()}}],
    )
    assert [outputs(evaluator), outputs(evaluator)] == [[1], [1]]
