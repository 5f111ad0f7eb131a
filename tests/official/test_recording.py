"""Where cases come from, and where runs are recorded.

From https://www.braintrust.dev/docs/evaluate/remote-evals, .../evaluate/run-evaluations and the
reference of ``Eval`` (https://www.braintrust.dev/docs/sdks/python/versions/0.48.1):

- the data of the ``Eval()`` is passed over: the cases are the request's, or a dataset's in a
  version, an environment or a selection;
- a run of a Playground is recorded there, any other in a new experiment of the evaluator's project;
- ``experiment_name``, ``description``, ``metadata``, ``tags``, ``is_public`` and ``project_id`` say
  what the experiment is, ``base_experiment_name`` what it is compared with.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.standin import StandIn

from .outcome import ABSENT, PLAYGROUND, Pair, Recorded, cases

pytestmark = pytest.mark.official


@pytest.fixture
def dataset(cloud: StandIn) -> str:
    rows = [{"input": n, "expected": n, "tags": ["t"], "metadata": {"n": n}} for n in range(3)]
    return cloud.add_dataset(
        "acme",
        "golden",
        "numbers",
        rows,
        versions={"41": [{"input": "old", "expected": "old"}]},
        environments={"production": "41"},
    )


# --- Cases ---


def test_the_evaluators_own_data_is_passed_over(pair: Pair) -> None:
    official, ours = pair.run("echo", cases("of the request"))
    assert official.outputs == ours.outputs == ["of the request"]


@pytest.mark.parametrize(
    ("source", "outputs"),
    [
        pytest.param({"dataset_id": ...}, [0, 1, 2], id="id"),
        pytest.param({"project_name": "golden", "dataset_name": "numbers"}, [0, 1, 2], id="name"),
        pytest.param({"dataset_id": ..., "dataset_version": "41"}, ["old"], id="version"),
        pytest.param(
            {"dataset_id": ..., "dataset_environment": "production"}, ["old"], id="environment"
        ),
        pytest.param({"dataset_id": ..., "_internal_btql": {"limit": 2}}, [0, 1], id="limit"),
    ],
)
def test_rows_of_a_dataset_are_run_alike(
    pair: Pair, cloud: StandIn, dataset: str, source: dict[str, Any], outputs: list[Any]
) -> None:
    cloud.page_size = 2
    data = {key: dataset if value is ... else value for key, value in source.items()}
    official, ours = pair.run("echo", data)
    assert official.cases == ours.cases
    assert official.outputs == outputs
    of_official = {each["origin"]["id"]: each["origin"] for each in official.progress}
    of_ours = {each["origin"]["id"]: each["origin"] for each in ours.progress}
    assert of_official == of_ours
    assert {each["object_id"] for each in of_ours.values()} == {dataset}


def test_a_bare_list_of_cases_is_taken_alike(pair: Pair) -> None:
    body = {"name": "echo", "data": cases("a"), "parent": PLAYGROUND, "stream": False}
    assert pair.post(body) == (200, 200)


def test_no_cases_at_all_are_an_empty_run_alike(pair: Pair) -> None:
    official, ours = pair.run("echo", [])
    assert official.kinds == ours.kinds == ["summary", "done"]
    assert official.scores == ours.scores == {}


@pytest.mark.parametrize(
    ("data", "status"),
    [
        ({"dataset_id": "unknown"}, 404),
        ({"data": [{"expected": "no input"}]}, 400),
        ({"data": ["no case"]}, 400),
        ({"data": "no list"}, 400),
        ({"experiment_name": "unknown"}, 404),
    ],
    ids=["dataset", "case without input", "no case", "no list", "experiment"],
)
def test_wrong_data_is_an_error_of_the_stream_officially_and_a_status_under_ours(
    pair: Pair, data: Any, status: int
) -> None:
    body = {"name": "echo", "data": data, "parent": PLAYGROUND, "stream": True}
    assert pair.post(body) == (200, status)
    assert [each.event for each in pair.official.run("echo", data)][-2:] == ["error", "done"]


def test_a_dataset_that_is_not_there_is_made_officially_and_missed_by_ours(
    pair: Pair, cloud: StandIn
) -> None:
    data = {"project_name": "golden", "dataset_name": "new"}
    body = {"name": "echo", "data": data, "parent": PLAYGROUND}
    assert pair.ours.post(body).status_code == 404
    assert not cloud.calls_to("POST", "/v1/dataset")
    assert pair.official.post(body).status_code == 200
    assert len(cloud.calls_to("POST", "/v1/dataset")) == 1


def test_the_cases_of_an_experiment_and_datasets_of_the_own_project_are_run_by_ours_alone(
    pair: Pair, cloud: StandIn
) -> None:
    cloud.add_experiment("acme", "echo", "earlier", [{"input": "a", "expected": "a"}])
    cloud.add_dataset("acme", "echo", "numbers", [{"input": "b", "expected": "b"}])
    for data, output in (({"experiment_name": "earlier"}, "a"), ({"dataset_name": "numbers"}, "b")):
        official, ours = pair.run("echo", data)
        assert official.kinds == ["error", "done"]
        assert ours.outputs == [output]


# --- Where runs are recorded ---


def tree(recorded: list[Recorded]) -> list[Any]:
    return sorted((each.name, each.type, each.above, each.parent) for each in recorded)


def test_below_a_playground_both_record_the_same_tree(pair: Pair, cloud: StandIn) -> None:
    generation = {"span_attributes": {"generation": "g-7"}}
    pair.run("echo", cases("a"), parent={**PLAYGROUND, "propagated_event": generation})
    official, ours = pair.recorded()
    assert tree(official) == tree(ours)
    assert {each.parent for each in official} == {"playground_id:playground-1"}
    assert {each["generation"] for each in [*official, *ours]} == {"g-7"}
    assert not cloud.calls_to("POST", "/v1/experiment")


@pytest.mark.parametrize("kind", ["experiment", "project_logs"])
def test_below_an_experiment_and_a_project_both_record_the_same_tree(
    pair: Pair, cloud: StandIn, kind: str
) -> None:
    project = cloud.add_project("acme", "golden")
    experiment = cloud.add_experiment("acme", "golden", "run")
    id = experiment if kind == "experiment" else project
    pair.run("echo", cases("a"), parent={"object_type": kind, "object_id": id})
    official, ours = pair.recorded()
    assert tree(official) == tree(ours)
    assert len(official) == 3


@pytest.mark.parametrize(
    ("evaluator", "traced"),
    [
        ("traced", [("outer", "task"), ("inner", "outer"), ("judge", "judged")]),
        ("async traced", [("awaited", "task"), ("judge", "judged")]),
    ],
)
def test_what_tasks_and_scorers_trace_with_the_sdk_is_lost_officially_and_recorded_by_ours(
    pair: Pair, evaluator: str, traced: list[tuple[str, str]]
) -> None:
    pair.run(evaluator, cases("a"))
    official, ours = pair.recorded()
    assert sorted(each.name for each in official) == ["eval", "judged", "task"]
    added = {(each.name, each.above) for each in ours} - {(e.name, e.above) for e in official}
    assert added == set(traced)


@pytest.mark.parametrize("field", ["input", "expected", "output", "metadata", "origin"])
def test_the_root_of_a_case_has_the_same_fields(pair: Pair, dataset: str, field: str) -> None:
    pair.run("echo", {"dataset_id": dataset})
    official, ours = (
        sorted(json.dumps(each[field], sort_keys=True) for each in recorded)
        for recorded in pair.recorded("eval")
    )
    assert official == ours
    assert len(set(official)) == 3


def test_without_a_parent_both_make_an_experiment_and_say_so_first(
    pair: Pair, cloud: StandIn
) -> None:
    official, ours = pair.run("echo", cases("a"), parent=ABSENT, experiment_name="run")
    assert official.kinds == ours.kinds == ["start", "summary", "done"]
    assert official.events[0].event == ours.events[0].event == "start"
    for each in (official, ours):
        start, summary = each.start, each.summary
        assert start["projectName"] == "echo"
        # The second one of its name gets another.
        assert start["experimentName"].startswith("run")
        page = f"{cloud.url}/app/acme/p/echo"
        assert start["projectUrl"] == page
        assert start["experimentUrl"] == f"{page}/experiments/{start['experimentName']}"
        for field in start.keys() - {"scores", "metrics"}:
            assert start[field] == summary[field]
        assert summary["scores"]["exact"]["score"] == 1
    # The official server's start has the empty scores of a summary.
    assert official.start.keys() - ours.start.keys() == {"scores", "metrics"}


def test_a_run_of_a_dataset_is_linked_to_it_and_to_its_version_by_the_official_server_alone(
    pair: Pair, cloud: StandIn, dataset: str
) -> None:
    pair.run("echo", {"dataset_id": dataset}, parent=ABSENT)
    official, ours = (call.json for call in cloud.calls_to("POST", "/v1/experiment"))
    assert official["dataset_id"] == ours["dataset_id"] == dataset
    assert official["dataset_version"].isdigit()
    assert "dataset_version" not in ours


DESCRIBED = "described [experiment_name=of the evaluator]"


def test_experiments_have_the_evaluators_description_metadata_and_tags(
    pair: Pair, cloud: StandIn
) -> None:
    pair.run(DESCRIBED, cases("a"), parent=ABSENT)
    for call in cloud.calls_to("POST", "/v1/experiment"):
        assert call.json["description"] == "What it is for"
        assert call.json["metadata"] == {"model": "m"}
        assert call.json["tags"] == ["nightly"]
        assert call.json["public"] is True


def test_a_named_experiment_of_an_evaluator_keeps_name_and_project_under_ours_alone(
    pair: Pair,
) -> None:
    official, ours = pair.run(DESCRIBED, cases("a"), parent=ABSENT)
    assert official.start["projectName"] == DESCRIBED
    assert official.start["experimentName"] != "of the evaluator"
    assert ours.start["projectName"] == "described"
    assert ours.start["experimentName"] == "of the evaluator"


def test_metadata_and_tags_of_the_request_reach_the_experiment_under_ours_alone(
    pair: Pair, cloud: StandIn
) -> None:
    pair.run("echo", cases("a"), parent=ABSENT, metadata={"a": 1}, tags=["t"])
    official, ours = (call.json for call in cloud.calls_to("POST", "/v1/experiment"))
    assert "metadata" not in official
    assert (ours["metadata"], ours["tags"]) == ({"a": 1}, ["t"])


def test_the_evaluators_project_is_used_unless_the_request_names_one(
    pair: Pair, cloud: StandIn
) -> None:
    other = cloud.add_project("acme", "of the request")
    for fields, name in (({}, "of its own"), ({"project_id": other}, "of the request")):
        official, ours = pair.run("of a project", cases("a"), parent=ABSENT, **fields)
        assert official.start["projectName"] == ours.start["projectName"] == name


def test_an_experiment_is_compared_with_its_base_alike(pair: Pair, cloud: StandIn) -> None:
    earlier = [{"input": "a", "scores": {"exact": 0}}, {"input": "b", "scores": {"exact": 1}}]
    cloud.add_experiment("acme", "based", "earlier", earlier)
    official, ours = pair.run("based", cases("a", "b"), parent=ABSENT)
    for each in (official, ours):
        assert each.summary["comparisonExperimentName"] == "earlier"
    assert official.summary["scores"] == ours.summary["scores"]
    assert official.summary["scores"]["exact"]["improvements"] == 1
    assert official.comparison["status"] == ours.comparison["status"] == "success"
    for each in (official, ours):
        assert each.comparison["scores"]["exact"]["improvements"] == 1


def test_an_evaluator_runs_before_its_base_experiment_exists_alike(
    pair: Pair, cloud: StandIn
) -> None:
    official, ours = pair.run("based", cases("a"), parent=ABSENT)
    assert official.scores == ours.scores == {"exact": 1}
    for call in cloud.calls_to("POST", "/v1/experiment"):
        assert "base_exp_id" not in call.json


@pytest.mark.parametrize("parent", [PLAYGROUND, ABSENT], ids=["playground", "experiment"])
def test_the_rows_of_a_rerun_have_the_same_ids_alike(
    pair: Pair, cloud: StandIn, parent: Any
) -> None:
    case = {"input": "a", "upsert_id": "row-1", "trial_count": 3}
    official, ours = pair.run("echo", [case], parent=parent)
    ids = [{each["id"] for each in outcome.progress} for outcome in (official, ours)]
    assert ids[0] == ids[1]
    assert len(ids[0]) == 3
    for experiment in cloud.experiments:
        rows = cloud.recorded(f"experiment_id:{experiment['id']}")
        assert {row["id"] for row in rows if row["is_root"]} == ids[0]


def test_metrics_of_an_experiment_have_the_same_form(pair: Pair) -> None:
    official, ours = pair.run("echo", cases("a", "b"), parent=ABSENT)
    (theirs,), (mine,) = official.summary["metrics"].values(), ours.summary["metrics"].values()
    own = {"_longest_metric_name", "diff"}
    assert theirs.keys() - own == mine.keys() - own
    assert (theirs["name"], theirs["unit"]) == (mine["name"], mine["unit"]) == ("duration", "s")


def test_a_comparison_that_fails_says_so_alike_but_ours_keeps_the_scores(
    pair: Pair, cloud: StandIn
) -> None:
    cloud.add_experiment("acme", "based", "earlier")
    cloud.fault("GET", "/v1/experiment/.*/summarize", status=400, times=None)
    official, ours = pair.run("based", cases("a", "b"), parent=ABSENT)
    for each in (official, ours):
        assert each.comparison.keys() == {"status", "reason"}
        assert each.comparison["status"] == "skipped"
    assert official.scores == {}
    assert ours.scores == {"exact": 1}
