"""Defaults of prompts in the answer of ``/list``: one that the page refuses hides everything."""

from __future__ import annotations

from typing import Any

import pytest

from flask_braintrust_evals import Evaluator
from flask_braintrust_evals.web.descriptions.listed_prompts import is_listed
from tests.web.support import Api, echo, make_app


def listed(evaluator: Evaluator, path: str = "/list") -> Any:
    api = Api(make_app(evaluator, BRAINTRUST_EVALS_AUTH="none"), token=None)
    return api.get(path).get_json()["e"]["parameters"]["schema"]


def chat(*messages: Any, **fields: Any) -> dict[str, Any]:
    return {"prompt": {"type": "chat", "messages": list(messages)}, **fields}


def parts(*content: Any) -> dict[str, Any]:
    return chat({"role": "user", "content": list(content)})


def calls(**call: Any) -> dict[str, Any]:
    return chat({"role": "assistant", "tool_calls": [call]})


def with_options(**options: Any) -> dict[str, Any]:
    return chat(options=options)


FUNCTION = {"name": "look_up", "arguments": "{}"}


# What the schema of the SDK in JavaScript takes and refuses, from which the page has its own.
@pytest.mark.parametrize(
    "default",
    [
        {},
        {"prompt": {"type": "completion", "content": "{{x}}"}},
        chat(
            *({"role": role, "content": "x"} for role in ("system", "developer", "tool", "model"))
        ),
        chat({"role": "assistant", "reasoning": [{"content": "x"}]}, {"role": "model"}),
        parts({"type": "text"}, {"type": "text", "cache_control": {"type": "ephemeral"}}),
        parts({"type": "image_url", "image_url": {"url": "x"}}, {"type": "file", "file": {}}),
        parts({"type": "input_audio", "input_audio": {"data": "x", "format": "mp3"}}),
        calls(id="1", type="function", function=FUNCTION),
        chat(further=1, parser={"type": "llm_classifier", "use_cot": True}),
        chat(tool_functions=[{"type": "function", "id": "x"}, {"type": "global", "name": "x"}]),
        chat(mcp={"a": {"type": "url", "url": "x"}}, preprocessor={"type": "inline", "code": "x"}),
        with_options(model="m", endpoint_name="e", params={"temperature": "0", "stop": "x"}),
    ],
)
def test_the_default_of_a_prompt_is_listed(default: Any) -> None:
    declared = {"p": {"type": "prompt", "default": default}}
    assert listed(Evaluator("e", echo, parameters=declared))["p"]["default"] == default


@pytest.mark.parametrize(
    ("default", "place"),
    [
        ({"prompt": {"type": "chat"}}, "'messages' is a required property"),
        (chat({"role": "human", "content": "x"}), "['messages'][0]['role']: 'human'"),
        (chat({"role": "system"}), "['messages'][0]: 'content'"),
        (chat({"role": "function", "content": "x"}), "['messages'][0]: 'name'"),
        (chat({"role": "assistant", "reasoning": "x"}), "[0]['reasoning']: 'x'"),
        (parts("x"), "['content'][0]: 'x'"),
        (parts({"type": "image", "source": {}}), "['content'][0]['type']: 'image'"),
        (calls(type="function", function=FUNCTION), "['tool_calls'][0]: 'id'"),
        (calls(id="1", type="function", function={**FUNCTION, "arguments": {}}), "['arguments']"),
        (chat(tool_functions=["look_up"]), "['tool_functions'][0]: 'look_up'"),
        (chat(mcp={"a": {"type": "id", "id": "x"}}), "['mcp']['a']['id']: 'x'"),
        (with_options(position=3), "['options']['position']: 3"),
        (with_options(params={"use_cache": "yes"}), "['use_cache']: 'yes'"),
    ],
)
def test_a_default_of_a_prompt_that_the_page_refuses_is_left_out_with_one_warning(
    default: Any, place: str, caplog: pytest.LogCaptureFixture
) -> None:
    is_listed.cache_clear()
    prompt = {"type": "prompt", "default": default, "description": "d"}
    evaluator = Evaluator("e", echo, parameters={"p": prompt, "m": {"type": "model"}})
    for _ in range(2):
        assert listed(evaluator) == {
            "p": {"type": "prompt", "description": "d"},
            "m": {"type": "model"},
        }
    (warning,) = (each for each in caplog.messages if "'p'" in each)
    assert place in warning
    assert listed(evaluator, "/list?details=true")["p"]["default"] == default  # the local page's
