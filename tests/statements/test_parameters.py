"""Parameters, from a request to tasks and scorers.

From the specification of parameters (``remote-evals/params/validation.md``) and the tests of the
SDKs in Ruby (``runner_test.rb``), Go (``register_test.go``) and Java (``ParametersTest``,
``DevserverTest``). They disagree on parameters that are not declared: the specification, Ruby and
Go pass them on, Java and this server drop them.
"""

from __future__ import annotations

from typing import Any

import pytest

from flask_braintrust_evals import EvalHooks, Evaluator
from tests.standin import StandIn
from tests.web.support import Api, api_of, last_json, make_app

SUFFIX = {"suffix": {"type": "string", "default": "."}, "times": {"type": "integer", "default": 1}}


def suffixed(input: str, hooks: EvalHooks) -> str:
    return input + str(hooks.parameters["suffix"]) * int(hooks.parameters["times"])


def shown(input: Any, hooks: EvalHooks) -> dict[str, Any]:
    """A task that returns its parameters."""
    return dict(hooks.parameters)


def without(input: str) -> str:
    """A task that knows nothing of parameters."""
    return input


def at_least(output: str, parameters: dict[str, Any]) -> bool:
    return len(output) >= int(parameters["times"])


def anything(output: str) -> bool:
    return True


@pytest.fixture
def api() -> Api:
    evaluators = [
        Evaluator("suffixed", suffixed, parameters=SUFFIX, scores=[at_least, anything]),
        Evaluator("shown", shown, parameters=SUFFIX),
        Evaluator("without", without, parameters=SUFFIX, scores=[at_least, anything]),
        Evaluator("none declared", shown),
    ]
    return Api(make_app(*evaluators, BRAINTRUST_EVALS_AUTH="none"), token=None)


DEFAULTS = {"suffix": ".", "times": 1}


@pytest.mark.parametrize(
    ("body", "seen"),
    [
        pytest.param({}, DEFAULTS, id="absent"),
        pytest.param({"parameters": None}, DEFAULTS, id="null"),
        pytest.param({"parameters": {}}, DEFAULTS, id="empty"),
        pytest.param({"parameters": {"suffix": "!"}}, {"suffix": "!", "times": 1}, id="one"),
        pytest.param(
            {"parameters": {"suffix": "", "times": 0}}, {"suffix": "", "times": 0}, id="falsy"
        ),
        pytest.param({"parameters": {"other": 1}}, DEFAULTS, id="not declared"),
    ],
)
def test_a_task_gets_the_values_of_the_request_over_the_defaults(
    api: Api, body: dict[str, Any], seen: dict[str, Any]
) -> None:
    assert api.outputs(name="shown", data=[{"input": "x"}], **body) == [seen]


@pytest.mark.parametrize("parameters", [None, {}, {"other": 1}], ids=["null", "empty", "some"])
def test_an_evaluator_without_parameters_runs_and_has_an_empty_mapping(
    api: Api, parameters: Any
) -> None:
    body: dict[str, Any] = {
        "name": "none declared",
        "data": [{"input": "x"}],
        "parameters": parameters,
    }
    assert api.outputs(**body) == [{}]


@pytest.mark.parametrize(
    ("value", "found"), [("text", "string"), ([], "array"), (1, "integer"), (True, "boolean")]
)
def test_parameters_that_are_no_object_are_refused_before_anything_runs(
    api: Api, value: Any, found: str
) -> None:
    text = api.refusal(400, name="shown", data=[{"input": "x"}], parameters=value)
    assert text.startswith(f"parameters: got {found}")


def test_the_streamed_output_shows_the_parameters(api: Api) -> None:
    body: dict[str, Any] = {"data": [{"input": "hello"}], "parameters": {"suffix": "!", "times": 2}}
    assert api.outputs(name="suffixed", **body) == ["hello!!"]


def test_scorers_with_and_without_an_argument_for_parameters_both_score(api: Api) -> None:
    cases = [{"input": "abc"}, {"input": "abcdefgh"}]
    for name in ("suffixed", "without"):
        body: dict[str, Any] = {
            "name": name,
            "data": cases,
            "parameters": {"times": 5, "suffix": ""},
        }
        scores = last_json(api.events(**body), "summary")["scores"]
        assert {key: score["score"] for key, score in scores.items()} == {
            "at_least": 0.5,
            "anything": 1,
        }


def test_a_task_without_an_argument_for_parameters_is_not_given_any(api: Api) -> None:
    body: dict[str, Any] = {
        "name": "without",
        "data": [{"input": "hello"}],
        "parameters": {"suffix": "!"},
    }
    assert api.outputs(**body) == ["hello"]


def test_cases_that_run_at_the_same_time_have_the_same_parameters(api: Api) -> None:
    body: dict[str, Any] = {"data": [{"input": each} for each in range(20)], "max_concurrency": 5}
    outputs = api.outputs(name="shown", parameters={"suffix": "?"}, **body)
    assert outputs == [{"suffix": "?", "times": 1}] * 20


def test_parameters_do_not_change_the_form_of_the_summary(api: Api) -> None:
    body: dict[str, Any] = {"name": "suffixed", "data": [{"input": "x"}]}
    with_some, without = (
        last_json(api.events(**given, **body), "summary")
        for given in ({"parameters": {"suffix": "!"}}, {})
    )
    for summary in (with_some, without):  # how long the task took is never the same
        assert summary["metrics"].pop("duration").keys() >= {"name", "metric", "unit"}
        assert summary["comparison"]["metrics"].pop("duration")
    assert with_some == without


def test_the_list_has_evaluators_with_and_without_parameters(api: Api) -> None:
    manifest = api.get("/list").get_json()
    assert {name: "parameters" in entry for name, entry in manifest.items()} == {
        "suffixed": True,
        "shown": True,
        "without": True,
        "none declared": False,
    }


@pytest.mark.parametrize(
    ("parameters", "sent"),
    [(None, DEFAULTS), ({"suffix": "!"}, {"suffix": "!", "times": 1})],
    ids=["defaults", "of the request"],
)
def test_hosted_scorers_are_sent_the_same_parameters(
    cloud: StandIn, parameters: Any, sent: dict[str, Any]
) -> None:
    function = cloud.add_function(lambda input: 1)
    api = api_of(cloud, Evaluator("shown", shown, parameters=SUFFIX))
    scores = [{"name": "far", "function_id": {"function_id": function}}]
    api.events(name="shown", data=[{"input": "x"}], scores=scores, parameters=parameters)
    (call,) = cloud.calls_to("POST", "/function/invoke")
    assert call.json["input"]["parameters"] == sent
