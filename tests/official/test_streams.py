"""The order and form of the events of a whole stream, and the parents that are accepted.

From the tests of the Python SDK (``test_server_integration.py``), of the ``bt`` command line
(``eval_dev_server.rs``) and of the server in Java (``DevserverTest``).
"""

from __future__ import annotations

from typing import Any

import pytest
from braintrust.span_identifier_v3 import SpanObjectTypeV3
from braintrust.span_identifier_v4 import SpanComponentsV4

from tests.standin import StandIn

from .outcome import ABSENT, PLAYGROUND, Pair, cases

pytestmark = pytest.mark.official

ROW = {"id": "row", "span_id": "00" * 8, "root_span_id": "00" * 16}


def test_a_stream_has_one_start_then_cases_then_one_summary_and_one_end_alike(pair: Pair) -> None:
    for each in pair.run("echo", cases("a", "b"), parent=ABSENT):
        assert each.kinds == ["start", "summary", "done"]
        types = [event.event for event in each.events]
        assert types[0] == "start"
        assert types[-2:] == ["summary", "done"]
        assert set(types[1:-2]) == {"progress"}
        assert each.outputs == ["a", "b"]
        assert len({event["id"] for event in each.progress}) == 2


def keys(value: dict[str, Any]) -> set[str]:
    return {key for key, each in value.items() if each is not None}


def test_start_and_summary_have_the_same_keys_in_camel_case(pair: Pair) -> None:
    official, ours = pair.run("echo", cases("a"), parent=ABSENT)
    created = {"projectName", "projectId", "projectUrl"}
    created |= {"experimentName", "experimentId", "experimentUrl"}
    # Of two experiments of a project, the second is compared with the first.
    created_second = created | {"comparisonExperimentName"}
    assert keys(official.start) - {"scores", "metrics"} == created
    assert keys(ours.start) - {"scores", "metrics"} == created
    assert keys(official.summary) == created | {"scores", "metrics"}
    assert keys(ours.summary) == created_second | {"scores", "metrics"}


def test_below_a_playground_a_summary_names_project_and_experiment_alike(pair: Pair) -> None:
    official, ours = pair.run("echo", cases("a"))
    assert keys(official.summary) - {"metrics"} == keys(ours.summary) - {"metrics"}
    assert keys(ours.summary) >= {"projectName", "experimentName", "scores"}


def test_a_score_in_a_summary_has_name_and_mean_alike(pair: Pair) -> None:
    official, ours = pair.run("echo", cases("a", "b"))
    assert official.summary["scores"] == ours.summary["scores"]


@pytest.mark.parametrize(
    "parent",
    [
        pytest.param(PLAYGROUND, id="object"),
        pytest.param({**PLAYGROUND, "row_ids": ROW}, id="object with a row"),
        pytest.param(
            {**PLAYGROUND, "propagated_event": {"span_attributes": {"generation": "g"}}},
            id="object with a generation",
        ),
        pytest.param(
            {**PLAYGROUND, "row_ids": None, "propagated_event": None}, id="object with nulls"
        ),
        pytest.param(
            SpanComponentsV4(
                object_type=SpanObjectTypeV3.PLAYGROUND_LOGS, object_id="playground-1"
            ).to_str(),
            id="exported span",
        ),
    ],
)
def test_a_parent_is_accepted_and_makes_no_experiment_alike(
    pair: Pair, cloud: StandIn, parent: Any
) -> None:
    for each in pair.run("echo", cases("a", "b"), parent=parent):
        assert each.kinds == ["summary", "done"]
        assert each.outputs == ["a", "b"]
    assert not cloud.experiments
    official, ours = pair.recorded("eval")
    assert (len(official), len(ours)) == (2, 2)


def test_all_spans_have_arrived_when_the_stream_ends_under_ours(pair: Pair, cloud: StandIn) -> None:
    # The command line ``bt`` defers its last event for the same reason.
    stream = pair.ours.stream("echo", {"data": cases("a", "b")}, parent=PLAYGROUND)
    for event in stream:
        if event.event == "summary":
            assert len(cloud.spans_named("eval")) == 2


def test_runs_of_one_evaluator_do_not_add_up_alike(pair: Pair) -> None:
    first = pair.run("echo", cases("a", "b"))
    second = pair.run("echo", [{"input": "a", "expected": "no"}])
    for before, after in zip(first, second, strict=True):
        assert (before.outputs, after.outputs) == (["a", "b"], ["a"])
        assert set(before.scores.values()) <= {1}
        assert set(after.scores.values()) <= {0}
