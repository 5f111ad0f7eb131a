"""Evaluators of the ``braintrust`` SDK are taken over whole."""

from __future__ import annotations

import inspect
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import braintrust
import pydantic
import pytest
from braintrust import framework
from braintrust.git_fields import GitMetadataSettings
from flask import Flask

from flask_braintrust_evals import (
    DuplicateEvaluatorError,
    EvalCase,
    EvalsBlueprint,
    RegistrationError,
)
from flask_braintrust_evals.contrib.braintrust.evaluators import is_sdk_evaluator
from tests.web.support import Api

from .support import CASES, added, echo, exact, sdk_evaluator


def here() -> int:
    """The number of the line on which it is called."""
    frame = inspect.currentframe()
    assert frame is not None and frame.f_back is not None
    return frame.f_back.f_lineno


def topic(output: Any) -> dict[str, Any]:
    return {"id": "any"}


def zero(span: Any, case: Any, names: list[str]) -> dict[str, float]:
    return {name: 0 for name in names}


def test_every_field_is_taken_over(bp: EvalsBlueprint) -> None:
    bp.add(
        sdk_evaluator(
            eval_name="named [experiment_name=e]",
            project_name="p",
            project_id="p-id",
            scores=[exact],
            classifiers=[topic],
            parameters={"mood": {"type": "string", "default": "good"}},
            data=CASES,
            experiment_name="e",
            metadata={"model": "m"},
            tags=["x", "y"],
            trial_count=3,
            max_concurrency=4,
            timeout=5.5,
            description="what it is for",
            error_score_handler=zero,
            base_experiment_name="before",
            base_experiment_id="before-id",
            is_public=True,
        )
    )
    ours = added(bp)
    assert ours.name == "named [experiment_name=e]"
    assert (ours.project, ours.project_id) == ("p", "p-id")
    assert ours.task is echo
    assert [call.name for call in ours.plan.scorers] == ["exact"]
    assert [call.name for call in ours.plan.classifiers] == ["topic"]
    assert dict(ours.parameter_set.validate({})) == {"mood": "good"}
    assert ours.data == CASES
    assert ours.experiment_name == "e"
    assert ours.metadata == {"model": "m"}
    assert ours.tags == ["x", "y"]
    assert (ours.trial_count, ours.max_concurrency, ours.timeout) == (3, 4, 5.5)
    assert ours.description == "what it is for"
    assert ours.error_score_handler is not None
    assert ours.error_score_handler(None, EvalCase(1), ["a"]) == {"a": 0}
    assert (ours.base_experiment_name, ours.base_experiment_id) == ("before", "before-id")
    assert ours.is_public is True


def test_no_field_of_the_sdks_evaluator_is_unknown_to_these_tests() -> None:
    # A new one of a later version must be taken over, or be named here as left aside.
    taken = {"eval_name", "project_name", "project_id", "task", "scores", "classifiers", "data"}
    taken |= {"parameters", "experiment_name", "metadata", "tags", "trial_count", "timeout"}
    taken |= {"max_concurrency", "description", "error_score_handler", "is_public"}
    taken |= {"base_experiment_name", "base_experiment_id", "git_metadata_settings"}
    taken |= {"repo_info"}
    aside = {"update", "summarize_scores", "cancel_event"}
    aside |= {"parameter_values"}  # what a run of the SDK's was given
    assert framework.Evaluator.__dataclass_fields__.keys() <= taken | aside


def test_fields_that_an_evaluator_of_the_sdk_omits_have_our_defaults(bp: EvalsBlueprint) -> None:
    bp.add(sdk_evaluator(scores=None))
    ours = added(bp)
    assert (ours.plan.scorers, ours.plan.classifiers) == ((), ())
    assert (ours.project_id, ours.experiment_name, ours.metadata) == (None, None, None)
    assert (ours.tags, ours.trial_count, ours.max_concurrency) == (None, 1, None)
    assert (ours.timeout, ours.description, ours.error_score_handler) == (None, None, None)
    assert (ours.base_experiment_name, ours.base_experiment_id) == (None, None)
    assert ours.is_public is False
    assert dict(ours.parameter_set.validate({})) == {}


def test_fields_for_the_command_line_are_ignored(bp: EvalsBlueprint) -> None:
    bp.add(
        sdk_evaluator(
            update=True,
            summarize_scores=False,
            parameter_values={"mood": "bad"},
        )
    )
    assert added(bp).name == "the evaluator"


@pytest.mark.parametrize(
    "given",
    [braintrust.RepoInfo(commit="c", dirty=False), {"commit": "c", "dirty": False}],
    ids=["RepoInfo", "dict"],
)
def test_what_an_evaluator_says_of_its_code_is_taken_over(bp: EvalsBlueprint, given: Any) -> None:
    bp.add(sdk_evaluator(repo_info=given))
    info = added(bp).repo_info
    assert info is not None
    assert {name: value for name, value in info.items() if value is not None} == {
        "commit": "c",
        "dirty": False,
    }


@pytest.mark.parametrize(
    ("settings", "fields"),
    [
        (None, None),
        (GitMetadataSettings(), None),
        (GitMetadataSettings(collect="none"), set()),
        (GitMetadataSettings(collect="none", fields=["commit"]), set()),
        (GitMetadataSettings(collect="some", fields=["commit", "tag"]), {"commit", "tag"}),
        (GitMetadataSettings(collect="some", fields=None), set()),
        ({"collect": "some", "fields": ["commit"]}, {"commit"}),
    ],
)
def test_what_an_evaluator_does_not_want_of_git_is_not_recorded(
    bp: EvalsBlueprint, settings: Any, fields: set[str] | None
) -> None:
    bp.add(sdk_evaluator(git_metadata_settings=settings))
    assert added(bp).git_fields == fields


def test_the_metadata_may_be_a_model_of_pydantic(bp: EvalsBlueprint) -> None:
    class Model(pydantic.BaseModel):
        name: str
        path: Path

    bp.add(sdk_evaluator(metadata=Model(name="m", path=Path("/data"))))
    assert added(bp).metadata == {"name": "m", "path": "/data"}


def test_a_part_of_the_metadata_that_has_no_json_form_costs_that_part_alone(
    bp: EvalsBlueprint,
) -> None:
    circular: dict[str, Any] = {"a": 1}
    circular["itself"] = circular
    bp.add(sdk_evaluator(metadata=circular))
    reason = "<not serializable: a dict contains itself>"
    assert added(bp).metadata == {"a": 1, "itself": reason}


def test_metadata_that_has_no_json_form_is_an_error_that_names_the_evaluator(
    bp: EvalsBlueprint,
) -> None:
    with pytest.raises(RegistrationError, match="'the evaluator'"):
        bp.add(sdk_evaluator(metadata=iter([])))


def test_changing_the_evaluator_afterwards_changes_nothing_here(bp: EvalsBlueprint) -> None:
    metadata: dict[str, Any] = {"a": 1}
    scores: list[Any] = [exact]
    evaluator = sdk_evaluator(metadata=metadata, scores=scores)
    bp.add(evaluator)
    metadata["b"] = 2
    scores.append(topic)
    evaluator.eval_name = "another"
    ours = added(bp)
    assert (ours.name, ours.metadata, len(ours.plan.scorers)) == ("the evaluator", {"a": 1}, 1)


def test_an_evaluator_of_a_class_below_the_sdks_is_one(bp: EvalsBlueprint) -> None:
    class Special(framework.Evaluator[Any, Any, Any]):
        pass

    plain = sdk_evaluator()
    bp.add(Special(**{name: getattr(plain, name) for name in plain.__dataclass_fields__}))
    assert added(bp).name == "the evaluator"
    assert is_sdk_evaluator(plain) and not is_sdk_evaluator(added(bp))


def test_evaluators_of_the_sdk_may_be_given_to_the_constructor() -> None:
    bp = EvalsBlueprint("evals", __name__, evaluators=[sdk_evaluator()])
    assert added(bp).name == "the evaluator"


@pytest.mark.parametrize(
    "wrong",
    [
        braintrust.Evaluator,
        framework.EvaluatorInstance(sdk_evaluator(), None),
        framework.EvalCase("x"),
        framework.Reporter("r", lambda *args: 1, lambda *args: True),
        braintrust.Score("s", 1),
        SimpleNamespace(eval_name="e", task=echo),
    ],
)
def test_nothing_else_of_the_sdks_may_be_added(bp: EvalsBlueprint, wrong: Any) -> None:
    with pytest.raises(RegistrationError) as caught:
        bp.add(wrong)
    assert str(caught.value) == (
        f"add() takes an Evaluator, not {wrong!r}; for a function, use @bp.evaluator()"
    )
    assert len(bp.registry) == 0


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"eval_name": ""}, "an evaluator's name must be a text that is not empty"),
        ({"task": None}, "a task must be callable, not None"),
        ({"task": lambda: 1}, "takes no argument"),
        ({"scores": [5]}, "a scorer must be callable, not 5"),
        ({"classifiers": ["topic"]}, "a classifier must be callable, not 'topic'"),
        ({"scores": exact}, "scores must be a list"),
        ({"classifiers": topic}, "classifiers must be a list"),
        ({"trial_count": 0}, "trial_count must be a whole number from 1, not 0"),
        ({"max_concurrency": -1}, "max_concurrency must be a whole number from 1, not -1"),
        ({"timeout": 0}, "timeout must be seconds above 0, not 0"),
        ({"error_score_handler": 5}, "error_score_handler must be a function, not 5"),
        ({"parameters": 5}, "parameters must be a mapping"),
    ],
)
def test_what_makes_no_sense_is_an_error_that_names_the_place(
    bp: EvalsBlueprint, fields: dict[str, Any], text: str
) -> None:
    evaluator = sdk_evaluator(**fields)
    line = here() + 2
    with pytest.raises(RegistrationError) as caught:
        bp.add(evaluator)
    assert text in str(caught.value)
    assert f"{__file__}:{line}" in str(caught.value)
    assert len(bp.registry) == 0


def test_the_place_is_where_it_was_added(bp: EvalsBlueprint) -> None:
    line = here() + 1
    bp.add(sdk_evaluator())
    assert added(bp).location == f"{__file__}:{line}"


def test_another_evaluator_of_the_name_is_an_error_that_names_both_places(
    bp: EvalsBlueprint,
) -> None:
    bp.evaluator("the evaluator")(echo)
    line = here() + 2
    with pytest.raises(DuplicateEvaluatorError) as caught:
        bp.add(sdk_evaluator())
    code = echo.__code__
    assert f"{code.co_filename}:{code.co_firstlineno}" in str(caught.value)
    assert f"{__file__}:{line}" in str(caught.value)


def test_an_evaluator_of_the_sdk_is_served_like_any_other(
    bp: EvalsBlueprint,
) -> None:
    bp.add(
        sdk_evaluator(
            task=lambda question, context: [question, context.parameters["mood"]],
            scores=[exact],
            parameters={"mood": {"type": "string", "default": "good"}},
        )
    )
    app = Flask(__name__)
    app.config["BRAINTRUST_EVALS_AUTH"] = "none"
    app.register_blueprint(bp, url_prefix="/evals")
    api = Api(app, token=None)
    listed = api.get("/list").get_json()["the evaluator"]
    assert [each["name"] for each in listed["scores"]] == ["exact"]
    assert listed["parameters"]["schema"]["mood"]["default"] == "good"
    outputs = api.outputs(name="the evaluator", data=CASES)
    assert outputs == [["a", "good"], ["b", "good"]]
