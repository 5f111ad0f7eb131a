"""The fields of ``POST /eval``: what each may be, and how a mistake is reported."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flask_braintrust_evals.errors import BodyTooLargeError, RequestError
from flask_braintrust_evals.runs.requests.request import EvalRequest

OPTIONAL = (
    "data parameters scores parent experiment_name project_id stream trial_count max_concurrency"
    " timeout metadata tags base_experiment_name base_experiment_id is_public strict"
).split()


def refusal(**body: Any) -> str:
    with pytest.raises(RequestError) as caught:
        EvalRequest.of({"name": "echo", **body})
    assert caught.value.status == 400
    return str(caught.value)


@pytest.mark.parametrize(
    ("field", "value", "text"),
    [
        ("name", None, "name: got null; input should be a valid string"),
        ("name", 1, "name: got integer; input should be a valid string"),
        ("name", ["echo"], "name: got array; input should be a valid string"),
        ("parameters", [], "parameters: got array; input should be a valid dictionary"),
        ("parameters", "a", "parameters: got string; input should be a valid dictionary"),
        ("scores", {}, "scores: got object; input should be a valid list"),
        ("scores", "exact", "scores: got string; input should be a valid list"),
        ("scores", [{"function_id": "f"}], "scores[0].name: required, but missing"),
        ("scores", [{"name": "a"}], "scores[0].function_id: required, but missing"),
        (
            "scores",
            [{"name": "a", "function_id": "f"}, {"name": 1, "function_id": "f"}],
            "scores[1].name: got integer; input should be a valid string",
        ),
        (
            "scores",
            [{"name": "", "function_id": "f"}],
            "scores[0].name: got string; string should have at least 1 character",
        ),
        (
            "scores",
            [{"name": "a", "function_id": 5}],
            "scores[0].function_id: got integer; input should be a valid dictionary or input"
            " should be a valid string",
        ),
        (
            "parent",
            5,
            "parent: got integer; input should be a valid dictionary or input should be a valid"
            " string",
        ),
        ("experiment_name", 1, "experiment_name: got integer; input should be a valid string"),
        ("project_id", {}, "project_id: got object; input should be a valid string"),
        ("stream", "false", "stream: got string; input should be a valid boolean"),
        ("stream", 0, "stream: got integer; input should be a valid boolean"),
        ("trial_count", "3", "trial_count: got string; input should be a valid integer"),
        ("trial_count", 1.5, "trial_count: got number; input should be a valid integer"),
        ("trial_count", True, "trial_count: got boolean; input should be a valid integer"),
        (
            "trial_count",
            0,
            "trial_count: got integer; input should be greater than or equal to 1",
        ),
        (
            "max_concurrency",
            0,
            "max_concurrency: got integer; input should be greater than or equal to 1",
        ),
        ("max_concurrency", 2.0, "max_concurrency: got number; input should be a valid integer"),
        ("timeout", "1", "timeout: got string; input should be a valid number"),
        ("timeout", 0, "timeout: got integer; input should be greater than 0"),
        ("timeout", -1.5, "timeout: got number; input should be greater than 0"),
        ("metadata", [], "metadata: got array; input should be a valid dictionary"),
        ("tags", "a", "tags: got string; input should be a valid list"),
        ("tags", ["a", 1], "tags[1]: got integer; input should be a valid string"),
        (
            "base_experiment_name",
            1,
            "base_experiment_name: got integer; input should be a valid string",
        ),
        ("base_experiment_id", [], "base_experiment_id: got array; input should be a valid string"),
        ("is_public", "no", "is_public: got string; input should be a valid boolean"),
        ("strict", 1, "strict: got integer; input should be a valid boolean"),
    ],
)
def test_a_field_of_the_wrong_type_is_named_with_what_was_found_and_what_is_expected(
    field: str, value: Any, text: str
) -> None:
    assert refusal(**{field: value}) == text


@pytest.mark.parametrize("scorer", [None, "f", 1, []])
def test_a_scorer_that_is_not_an_object_is_named(scorer: Any) -> None:
    assert refusal(scores=[scorer]).startswith("scores[0]: got ")


def test_a_missing_name_is_reported_as_missing() -> None:
    with pytest.raises(RequestError) as caught:
        EvalRequest.of({"data": []})
    assert str(caught.value) == "name: required, but missing"


def test_several_mistakes_are_reported_at_once_up_to_a_limit() -> None:
    text = refusal(stream="x", tags="x", metadata="x")
    assert [part.split(":")[0] for part in text.split("; ")[::2]] == ["stream", "metadata", "tags"]
    fields = ("stream", "strict", "timeout", "metadata", "experiment_name", "project_id")
    assert refusal(**{name: [] for name in fields}).count(": got array; ") == 5


def test_a_body_may_name_only_so_many_scorers() -> None:
    scorers = [{"name": "a", "function_id": "f"}] * 101
    assert EvalRequest.of({"name": "echo", "scores": scorers[:100]}).scores is not None
    assert refusal(scores=scorers).startswith("scores: got array; list should have at most 100 ")


@pytest.mark.parametrize("field", ["tags", "scores"])
def test_of_a_list_only_the_first_mistake_is_reported(field: str) -> None:
    text = refusal(**{field: list(range(100))})
    assert text.startswith(f"{field}[0]: got integer; ")
    assert text.count(f"{field}[") == 1


@pytest.mark.parametrize(
    "fields",
    [
        {"tags": ["a"] * 20_000},
        {"parameters": {"p": [[]] * 20_000}},
        {"metadata": {"m": [{"a": [0] * 10}] * 2_000}},
        {"unknown": dict.fromkeys(map(str, range(20_000)))},
        {"parameters": {"p": [0] * 10_000}, "metadata": {"m": [0] * 10_000}},
    ],
    ids=["flat", "lists", "nested", "unknown", "together"],
)
def test_a_body_may_have_only_so_many_values_besides_its_cases(fields: dict[str, Any]) -> None:
    with pytest.raises(BodyTooLargeError, match="more than 20000 JSON values outside of 'data'"):
        EvalRequest.of({"name": "echo", **fields})


def test_cases_do_not_count_as_values_besides_them() -> None:
    data = {"data": [{"input": [0] * 60_000}]}
    body = {"name": "echo", "data": data, "metadata": {"m": [0] * 15_000}}
    assert EvalRequest.of(body).data == data


@pytest.mark.parametrize(
    "field",
    ["name", "experiment_name", "project_id", "base_experiment_name", "base_experiment_id"],
)
def test_names_and_ids_have_a_length(field: str) -> None:
    EvalRequest.of({"name": "echo", field: "x" * 10_000})
    expected = f"{field}: got string; string should have at most 10000 characters"
    assert refusal(**{field: "x" * 10_001}) == expected


def test_the_name_of_a_scorer_is_short() -> None:
    EvalRequest.of({"name": "echo", "scores": [{"name": "x" * 500, "function_id": "f"}]})
    expected = "scores[0].name: got string; string should have at most 500 characters"
    assert refusal(scores=[{"name": "x" * 501, "function_id": "f"}]) == expected


@pytest.mark.parametrize(
    "function_id",
    [
        {},
        {"id": "f"},
        {"slug": "exact"},
        {"project_name": "Geo"},
        {"project_name": "Geo", "slug": None},
        {"prompt_session_id": "s"},
        {"inline_context": {"runtime": "python"}},
        {"code": "def handler(): ..."},
        {"version": "1"},
        {"function_id": None},
        {"function_id": ""},
    ],
)
def test_an_object_of_no_known_form_is_no_function(function_id: dict[str, Any]) -> None:
    assert refusal(scores=[{"name": "a", "function_id": function_id}]) == (
        "scores[0].function_id: got object; should have one of: function_id, project_name and slug,"
        " global_function, prompt_session_id and prompt_session_function_id, inline_context and"
        " code, inline_function, inline_prompt"
    )


def test_an_empty_string_is_no_function() -> None:
    assert refusal(scores=[{"name": "a", "function_id": ""}]).startswith("scores[0].function_id: ")


@pytest.mark.parametrize(
    "function_id",
    [
        {"function_id": "f"},
        {"function_id": "f", "version": "12"},
        {"function_id": "f", "version": None, "unknown": [1, {"a": None}]},
        {"project_name": "Geo", "slug": "exact", "version": "12"},
        {"global_function": "Factuality"},
        {"global_function": "Factuality", "function_type": "scorer"},
        {"prompt_session_id": "s", "prompt_session_function_id": "f", "version": "12"},
        {"inline_context": {"runtime": "python", "version": "3.12"}, "code": "x", "name": None},
        {"inline_prompt": {"prompt": {}}, "inline_function": {"type": "facet"}},
        {"inline_function": {"type": "facet"}, "function_type": "scorer"},
        {"inline_prompt": {"prompt": {"type": "chat", "messages": []}}},
    ],
    ids=lambda value: "-".join(value),
)
def test_a_function_of_any_known_form_is_passed_on_untouched(function_id: dict[str, Any]) -> None:
    request = EvalRequest.of(
        {"name": "echo", "scores": [{"name": "a", "function_id": dict(function_id)}]}
    )
    assert request.scores is not None
    assert request.scores[0].function_id == function_id


def test_a_plain_string_stands_for_a_functions_id() -> None:
    request = EvalRequest.of({"name": "echo", "scores": [{"name": "a", "function_id": "f"}]})
    assert request.scores is not None
    assert request.scores[0].function_id == {"function_id": "f"}


@pytest.mark.parametrize("field", OPTIONAL)
def test_every_optional_field_may_be_null(field: str) -> None:
    request = EvalRequest.of({"name": "echo", field: None})
    assert getattr(request, field) is None
    assert request == EvalRequest.of({"name": "echo"})


def test_unknown_fields_are_ignored_at_every_level() -> None:
    scorer = {"name": "a", "function_id": "f", "new": 1}
    request = EvalRequest.of({"name": "echo", "new": {"a": 1}, "scores": [scorer]})
    assert request.name == "echo"
    assert not hasattr(request, "new")


def test_every_field_is_read() -> None:
    body: dict[str, Any] = {
        "name": "echo",
        "data": {"data": []},
        "parameters": {"mood": None},
        "parent": "an exported span",
        "experiment_name": "e",
        "project_id": "p",
        "stream": False,
        "trial_count": 3,
        "max_concurrency": 1000,
        "timeout": 5000,
        "metadata": {"a": [1]},
        "tags": ["x"],
        "base_experiment_name": "b",
        "base_experiment_id": "c",
        "is_public": True,
        "strict": False,
        "case_results": True,
        "case_spans": True,
        "scores": [],
    }
    assert EvalRequest.of(body).model_dump() == body


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.slow
@given(st.dictionaries(st.sampled_from(["name", *OPTIONAL]), json_values))
@settings(max_examples=100, deadline=None)
def test_whatever_is_sent_is_read_or_refused_with_a_short_text(body: dict[str, Any]) -> None:
    try:
        EvalRequest.of(body)
    except RequestError as error:
        assert len(str(error)) < 2000
