"""Prompts as parameters: declared, listed, checked, and built as the braintrust SDK builds them."""

from __future__ import annotations

import copy
from typing import Any

import autoevals.llm
import pytest
from braintrust.logger import Prompt as SdkPrompt
from braintrust.prompt import PromptData as SdkPromptData

from flask_braintrust_evals import EvalHooks, Evaluator
from flask_braintrust_evals.engine.parameters import template_limits
from flask_braintrust_evals.engine.parameters.declare import declare
from flask_braintrust_evals.engine.parameters.prompts import Prompt
from flask_braintrust_evals.engine.parameters.values import ParameterSet
from flask_braintrust_evals.errors import RegistrationError, RequestError
from flask_braintrust_evals.serialization.json_writing import plain
from flask_braintrust_evals.web.descriptions.manifest import manifest
from tests.example_model import EXAMPLE_MODEL

# Importing it turns off the escaping for HTML that the SDK's renderer has by default.
assert autoevals.llm


def chat(*messages: Any, model: str | None = EXAMPLE_MODEL, **more: Any) -> dict[str, Any]:
    prompt = {"type": "chat", "messages": list(messages), **more}
    return {"prompt": prompt, "options": {} if model is None else {"model": model}}


def user(content: Any) -> dict[str, Any]:
    return {"role": "user", "content": content}


def with_params(data: dict[str, Any], **params: Any) -> dict[str, Any]:
    return {**data, "options": {**data["options"], "params": params}}


def response_schema(schema: Any) -> dict[str, Any]:
    return {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}}


PROMPTS = {
    "messages": chat({"role": "system", "content": "You are {{role}} & co"}, user("{{question}}")),
    "sections": chat(user("{{#list}}\n- {{.}}\n{{/list}}\n{{^none}}nobody{{/none}}")),
    "unescaped": chat(user("{{{role}}} {{&role}} {{role}}")),
    "completion": {
        "prompt": {"type": "completion", "content": "{{{role}}}: {{role}}"},
        "options": {"model": "m"},
    },
    "params": with_params(chat(user("x")), temperature=0, max_tokens=5, use_cache=True),
    "tools": chat(
        user("x"),
        tools='[{"type": "function", "function": {"name": "{{tool}}", "parameters": {}}}]',
    ),
    "no tools": chat(user("x"), tools="  "),
    "parts": chat(
        user(
            [
                {"type": "text", "text": "hi {{role}}"},
                {"type": "image_url", "image_url": {"url": "https://x/{{tool}}"}},
                {
                    "type": "file",
                    "file": {"file_data": "data:{{tool}}", "filename": "{{tool}}.pdf"},
                },
            ]
        )
    ),
    "response schema": with_params(
        chat(user("x")),
        response_format={
            "type": "json_schema",
            "json_schema": {"name": "s", "schema": {"enum": ["{{role}}", "{{number}}", 5, True]}},
        },
    ),
    "response schema as text": with_params(
        chat(user("x")),
        response_format={
            "type": "json_schema",
            "json_schema": {"name": "s", "schema": '{"enum": {{list}}}'},
        },
    ),
    "response as object": with_params(chat(user("x")), response_format={"type": "json_object"}),
    "no content": chat({"role": "assistant", "content": None, "name": None}),
    "position": {**chat(user("x")), "options": {"model": "m", "position": "0|"}},
}

VARIABLES: dict[str, Any] = {
    "role": 'a "b" <c>',
    "question": {"a": [1, None]},
    "list": ["x", "y"],
    "none": None,
    "tool": "look_up",
    "number": 3,
}


@pytest.mark.parametrize("name", PROMPTS)
@pytest.mark.parametrize("variables", [VARIABLES, {}, {**VARIABLES, "strict": True}])
def test_a_prompt_is_built_as_the_sdk_builds_it(name: str, variables: dict[str, Any]) -> None:
    theirs = SdkPrompt.from_prompt_data("p", SdkPromptData.from_dict_deep(PROMPTS[name]))
    try:
        expected = theirs.build(**variables)
    except ValueError:  # half a JSON text is left where a variable is missing
        with pytest.raises(ValueError, match="prompt 'p' cannot be built: "):
            Prompt("p", PROMPTS[name]).build(**variables)
        return
    assert Prompt("p", PROMPTS[name]).build(**variables) == expected


@pytest.mark.parametrize("name", PROMPTS)
def test_strict_asks_for_what_the_sdk_asks_for(name: str) -> None:
    theirs = SdkPrompt.from_prompt_data("p", SdkPromptData.from_dict_deep(PROMPTS[name]))
    with_names = "{{" in str(PROMPTS[name])
    if not with_names:
        assert Prompt("p", PROMPTS[name]).build(strict=True) == theirs.build(strict=True)
        return
    with pytest.raises(ValueError):
        theirs.build(strict=True)
    with pytest.raises(ValueError, match="has no value"):
        Prompt("p", PROMPTS[name]).build(strict=True)


def test_what_the_sdk_loses_or_fails_on_is_kept() -> None:
    data = chat(
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {
                    "id": "c{{n}}",
                    "type": "function",
                    "function": {"name": "f", "arguments": "{{n}}"},
                }
            ],
        },
        {"role": "tool", "tool_call_id": "c{{n}}", "content": "done"},
        user([{"type": "input_audio", "input_audio": {"data": "…"}}]),
    )
    first, second, third = Prompt("p", data).build(n=3)["messages"]
    assert first["tool_calls"] == [
        {"id": "c3", "type": "function", "function": {"name": "f", "arguments": "3"}}
    ]
    assert (second["tool_call_id"], second["content"]) == ("c3", "done")
    assert third["content"] == [{"type": "input_audio", "input_audio": {"data": "…"}}]


def test_a_template_may_be_nunjucks_or_none() -> None:
    data = {**chat(user("{% if n %}{{n + 1}}{% endif %}")), "template_format": "nunjucks"}
    assert Prompt("p", data).build(n=1)["messages"] == [user("2")]
    data = {**chat(user("{{n}}")), "template_format": "none"}
    assert Prompt("p", data).build(n=1)["messages"] == [user("{{n}}")]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (chat(user("x"), model=None), "prompt 'p' names no model: set one in its options"),
        ({"options": {"model": "m"}}, "prompt 'p' is empty"),
    ],
)
def test_a_prompt_that_cannot_be_built_says_what_is_missing(data: Any, message: str) -> None:
    with pytest.raises(ValueError) as error:
        Prompt("p", data).build()
    assert str(error.value) == message


def test_building_changes_neither_the_prompt_nor_the_variables() -> None:
    data, variables = copy.deepcopy(PROMPTS["response schema"]), copy.deepcopy(VARIABLES)
    prompt = Prompt("p", data)
    first = prompt.build(**variables)
    first["messages"][0]["content"] = "changed"
    first["response_format"]["json_schema"]["name"] = "changed"
    assert (data, variables) == (PROMPTS["response schema"], VARIABLES)
    second = prompt.build(**variables)
    assert second["messages"] == [user("x")]
    assert second["response_format"]["json_schema"]["name"] == "s"


def test_a_prompt_shows_its_parts() -> None:
    prompt = Prompt("p", PROMPTS["messages"])
    assert (prompt.name, prompt.slug, prompt.version) == ("p", "p", None)
    assert prompt.options["model"] == prompt.options.model == EXAMPLE_MODEL
    assert prompt.prompt is not None
    assert prompt.prompt.messages[0]["role"] == "system"
    assert repr(prompt) == f"Prompt('p', model={EXAMPLE_MODEL!r})"


def listed(declaration: Any) -> Any:
    evaluator = Evaluator("e", lambda input: input, parameters={"main": declaration})
    return manifest([evaluator])["e"]["parameters"]["schema"]["main"]


def test_a_prompt_is_listed_without_schema_and_without_nulls() -> None:
    assert listed({"type": "prompt"}) == {"type": "prompt"}
    default = {
        "prompt": {"type": "chat", "messages": [{**user("x"), "name": None}], "tools": None},
        "options": {"model": "m", "params": None},
    }
    assert listed({"type": "prompt", "default": default, "description": "Main"}) == {
        "type": "prompt",
        "default": {
            "prompt": {"type": "chat", "messages": [user("x")]},
            "options": {"model": "m"},
        },
        "description": "Main",
    }


def test_a_default_may_be_the_sdks_own_object() -> None:
    default = SdkPromptData.from_dict_deep(PROMPTS["messages"])
    assert listed({"type": "prompt", "default": default})["default"] == PROMPTS["messages"]


def values(declaration: dict[str, Any], given: dict[str, Any]) -> Any:
    declared = declare({"main": {"type": "prompt", **declaration}}, "e")
    assert isinstance(declared, ParameterSet)
    return declared.validate(given)["main"]


def test_a_task_gets_what_was_chosen_or_else_the_default() -> None:
    declaration = {"default": chat(user("Hi {{name}}"), model="small"), "name": "greeting"}
    prompt = values(declaration, {})
    assert isinstance(prompt, Prompt)
    assert prompt.name == "greeting"
    assert prompt.build(name="Ada")["messages"] == [user("Hi Ada")]
    assert values(declaration, {"main": None}).build(name="Ada")["model"] == "small"
    chosen = values(declaration, {"main": chat(user("Bye {{name}}"), model="large")})
    assert (chosen.build(name="Ada")["messages"], chosen.name) == ([user("Bye Ada")], "greeting")


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("Hi", "parameter 'main': not a prompt: input should be an object (got string)"),
        (
            {"prompt": {"type": "poem"}},
            "parameter 'main'['prompt']: not a prompt: input tag 'poem'",
        ),
        (
            {"prompt": {"messages": []}},
            "parameter 'main'['prompt']: not a prompt: it needs a 'type', which is 'chat' or"
            " 'completion'",
        ),
        (
            {"prompt": {"type": "chat", "messages": [{"content": "x"}]}},
            "parameter 'main'['prompt']['messages'][0]['role']: not a prompt: field required",
        ),
        (
            {"prompt": {"type": "chat", "messages": "x"}},
            "parameter 'main'['prompt']['messages']: not a prompt: input should be a valid list"
            " (got string)",
        ),
        (
            {"prompt": {"type": "completion", "content": 5}},
            "parameter 'main'['prompt']['content']: not a prompt: input should be a valid string"
            " (got integer)",
        ),
        (
            {"prompt": {"type": "chat", "messages": [{"role": "user", "content": 5}]}},
            "parameter 'main'['prompt']['messages'][0]['content']: not a prompt: input should be a"
            " valid string (got integer)",
        ),
        (
            {"options": {"model": 5}},
            "parameter 'main'['options']['model']: not a prompt: input should be a valid string",
        ),
        ({"template_format": "jinja"}, "parameter 'main'['template_format']: not a prompt: "),
    ],
)
def test_what_is_no_prompt_is_refused(value: Any, message: str) -> None:
    with pytest.raises(RequestError) as refused:
        values({}, {"main": value})
    assert str(refused.value).startswith(message)


def test_a_prompt_without_default_is_required() -> None:
    for given in ({}, {"main": None}):
        with pytest.raises(RequestError) as refused:
            values({}, given)
        assert str(refused.value) == (
            "parameter 'main' is required and has no default; expected a prompt"
        )


@pytest.mark.parametrize(
    ("declaration", "message"),
    [
        ({"default": "Hi"}, "wrong default: parameter 'main': not a prompt: "),
        ({"default": {"messages": [user("x")]}}, "wrong default: 'messages' belongs in 'prompt'"),
        (
            {"default": {"slug": "s", "prompt_data": chat(user("x"))}},
            "wrong default: it is a whole saved prompt; give its 'prompt_data'",
        ),
        ({"default": {"model": "m"}}, "wrong default: 'model' belongs in 'options'"),
        ({"default": {"promt": {}}}, "wrong default: no key 'promt'; did you mean 'prompt'?"),
        (
            {"default": {"prompt": {"type": "chat", "message": []}}},
            "wrong default: no key 'message'; did you mean 'messages'?",
        ),
        (
            {"default": {"options": {"modle": "m"}}},
            "wrong default: no key 'modle'; did you mean 'model'?",
        ),
        ({"default": {"prompt": {"type": "poem"}}}, "wrong default: parameter 'main'['prompt']: "),
        ({"name": 5}, "'name' must be a string, not 5"),
        ({"description": 5}, "'description' must be a string, not 5"),
    ],
)
def test_a_declaration_that_makes_no_sense_is_refused(declaration: Any, message: str) -> None:
    with pytest.raises(RegistrationError) as refused:
        declare({"main": {"type": "prompt", **declaration}}, "e")
    assert str(refused.value).startswith(f"evaluator 'e', parameter 'main': {message}")


@pytest.mark.parametrize(
    "default",
    [
        *PROMPTS.values(),
        chat(user('Answer as {"a":{"b":[]}}, about {{topic}}. An {empty} {}}} text')),
        chat(user("Hi"), tools='[{"name": "f", "parameters": {{schema}}}]'),
        with_params(chat(user("Hi")), response_format=response_schema("{{schema}}")),
        {**chat(user("{{ a + 1 }} {{ b | first | upper }}")), "template_format": "nunjucks"},
        {**chat(user("{{#if a}}")), "template_format": "none"},
        chat(user('{{=<% %>=}}{{"a": 1}} <%topic%>')),
        {"prompt": {"type": "completion", "content": "Hi", "messages": "x", "tools": "{{"}},
        {"prompt": {"type": "completion", "content": "Hi", "messages": [{"content": 5}]}},
        {"prompt": {"type": "chat", "messages": [user("Hi")], "content": "{{"}},
        {**chat(user("Hi")), "options": {"model": "m", "models": ["m", "n"]}, "prompts": 1},
    ],
)
def test_a_default_whose_templates_can_be_rendered_is_taken(
    default: Any, caplog: pytest.LogCaptureFixture
) -> None:
    declare({"main": {"type": "prompt", "default": default}}, "e")
    assert caplog.messages == []


@pytest.mark.parametrize("kind", ["mustache", "nunjucks"])
def test_no_other_greenlet_runs_while_a_default_is_checked(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(template_limits, "let_others_run", lambda: pytest.fail("waits"))
    default = {**chat(user("{{a}} " * 100)), "template_format": kind}
    declare({"main": {"type": "prompt", "default": default}}, "e")


MUSTACHE = (
    "build() fails with its default, whose language is mustache ('template_format' can be"
    " 'mustache', 'nunjucks' or 'none'): the template is malformed: "
)


@pytest.mark.parametrize(
    ("default", "message"),
    [
        (
            chat(user("{{#if a}}b{{/if}}")),
            f"{MUSTACHE}Unopened section '{{{{/if}}}}' at line 1 column 11",
        ),
        (chat(user([{"type": "text", "text": "{{a"}])), f"{MUSTACHE}Unclosed token '{{{{a'"),
        (
            {"prompt": {"type": "completion", "content": "{{#a}}"}},
            f"{MUSTACHE}Unclosed section '{{{{#a}}}}'",
        ),
        (
            chat(user("Hi"), tools='[{"name": "{{a"}]'),
            f"{MUSTACHE}Unclosed token '{{{{a",
        ),
        (
            with_params(chat(user("Hi")), response_format=response_schema("{{a")),
            f"{MUSTACHE}Unclosed token '{{{{a",
        ),
        (
            {**chat(user("Hi\n{% if a %}")), "template_format": "nunjucks"},
            MUSTACHE.replace("is mustache", "is nunjucks").partition("the template")[0]
            + "the template cannot be rendered, in line 2: TemplateSyntaxError: ",
        ),
        (
            {**chat(user("{{ a() }}")), "template_format": "nunjucks"},
            "build() fails with its default: the template cannot be rendered: TemplateLimitError:"
            " a call is not supported in prompts",
        ),
        (
            chat(user("a" * 201_000)),
            "build() fails with its default: the template cannot be rendered: the template has"
            " 201000 characters, and may have 200000",
        ),
        (
            {**chat(user("Hi")), "options": {"model": "m", "temperature": 0, "top_p": 1}},
            "build() ignores 'temperature', 'top_p' in the 'options' of its default; params for the"
            " model belong in the 'params' of 'options'",
        ),
    ],
)
def test_a_default_that_build_cannot_use_is_warned_of_and_can_be_read(
    default: Any, message: str, caplog: pytest.LogCaptureFixture
) -> None:
    prompt = values({"default": default}, {})
    (warning,) = caplog.messages
    assert warning.startswith(f"evaluator 'e', parameter 'main': {message}")
    assert prompt.prompt_data.as_dict() == {"options": {}, **default}


def test_an_object_in_double_braces_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    declare({"main": {"type": "prompt", "default": chat(user('As {{ "a": 1 }}.'))}}, "e")
    (message,) = caplog.messages
    assert message == (
        "evaluator 'e', parameter 'main': in its default, '{{ \"a\": 1 }}' is a variable, for which"
        " empty text is written; if it is meant as text, write '{ {', or set other delimiters, as"
        " in {{=<< >>=}}"
    )


def test_a_model_without_a_choice_is_its_default_or_asked_for() -> None:
    declared = declare({"model": {"type": "model", "default": "small"}}, "e")
    assert declared.validate({"model": None}) == {"model": "small"}
    declared = declare({"model": {"type": "model", "default": None}}, "e")
    with pytest.raises(RequestError, match="'model' is required"):
        declared.validate({"model": None})


def test_a_prompt_is_written_as_its_data_wherever_values_become_json() -> None:
    prompt = Prompt("main", PROMPTS["position"])
    assert plain({"parameters": {"main": prompt}}) == {"parameters": {"main": PROMPTS["position"]}}


def test_a_task_renders_its_prompt_per_case() -> None:
    def task(input: str, hooks: EvalHooks) -> Any:
        return hooks.parameters.main.build(name=input)["messages"][0]["content"]

    evaluator = Evaluator(
        "e",
        task,
        parameters={"main": {"type": "prompt", "default": chat(user("Hi {{name}}"))}},
    )
    results = evaluator.run([{"input": "Ada"}, {"input": "Bob"}]).results
    assert [each.output for each in results] == ["Hi Ada", "Hi Bob"]


@pytest.mark.parametrize("kind", ["none", "mustache"])
def test_json_that_a_text_becomes_has_a_limit(kind: str) -> None:
    many = "[" + "[]," * 20_000 + "[]]"
    tools = many if kind == "none" else "{{many}}"
    prompt = Prompt("p", {**chat(user("x"), tools=tools), "template_format": kind})
    with pytest.raises(ValueError, match="its tools may have 20000 JSON values, in 254 levels"):
        prompt.build(many=many)
    schema = {"type": "json_schema", "json_schema": {"name": "s", "schema": "{{many}}"}}
    prompt = Prompt("p", with_params(chat(user("x")), response_format=schema))
    with pytest.raises(ValueError, match="the schema of its response may have 20000 JSON values"):
        prompt.build(many="[" * 255 + "]" * 255)
