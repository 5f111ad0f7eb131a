"""Trials, cases at a time, time-outs, and when events are sent.

From https://www.braintrust.dev/docs/evaluate/run-evaluations, .../evaluate/advanced-evaluations and
the reference of ``Eval`` (https://www.braintrust.dev/docs/sdks/python/versions/0.48.1):

- ``trial_count`` runs each input several times; a case's own takes the place of the evaluator's;
  ``hooks.trial_index`` counts from 0, and scores are means over all trials;
- ``max_concurrency`` limits how many cases run at a time; without it there is no limit;
- ``timeout`` is how many seconds a run may take; then ``hooks.cancel_event`` is set;
- plain functions may run beside each other, and results are shown as they come.
"""

from __future__ import annotations

import json

import pytest
import requests

from tests.standin import Gate, StandIn

from .outcome import PLAYGROUND, Outcome, Pair, cases

pytestmark = pytest.mark.official


# --- Trials ---


def test_each_input_is_run_as_often_as_the_evaluator_says(pair: Pair) -> None:
    official, ours = pair.run("trials", [{"input": 1, "expected": 0}])
    assert official.cases == ours.cases
    assert official.outputs == [0, 1, 2]
    assert official.scores == pytest.approx(ours.scores) == {"exact": pytest.approx(1 / 3)}


def test_a_cases_own_trials_take_the_place_of_the_evaluators(pair: Pair) -> None:
    two, one = {"input": 1, "expected": 0, "trial_count": 2}, {"input": 2, "trial_count": 1}
    official, ours = pair.run("trials", [two, one])
    assert official.cases == ours.cases
    assert official.outputs == [0, 0, 1]
    assert official.scores == pytest.approx(ours.scores)


def test_no_trials_at_all_skip_a_case_officially_and_are_refused_by_ours(pair: Pair) -> None:
    data = {"data": [{"input": 1, "trial_count": 0}]}
    official = Outcome(pair.official.run("trials", data, parent=PLAYGROUND))
    assert (official.cases, official.kinds) == ([], ["summary", "done"])
    assert pair.ours.post({"name": "trials", "data": data}).status_code == 400


def test_trials_that_the_request_asks_for_are_run_by_ours_alone(pair: Pair) -> None:
    official, ours = pair.run("trials", [{"input": 1}], trial_count=2)
    assert official.outputs == [0, 1, 2]
    assert ours.outputs == [0, 1]


# --- Cases at a time ---


def wait_until_held(cloud: StandIn, gate: Gate, calls: int) -> None:
    cloud.wait_for(lambda: gate.waiting == calls)


def test_async_cases_run_at_most_as_many_at_a_time_as_the_evaluator_says(
    pair: Pair, cloud: StandIn
) -> None:
    for client in (pair.official, pair.ours):
        with cloud.gate("GET", "/control/pairs") as gate:
            stream = client.stream("in pairs", {"data": cases(*range(6))}, parent=PLAYGROUND)
            wait_until_held(cloud, gate, 2)
            gate.release()
            most = Outcome(list(stream)).outputs
        assert max(most) == 2
        assert len(most) == 6


def test_without_a_limit_all_async_cases_run_officially_and_ten_at_a_time_under_ours(
    pair: Pair, cloud: StandIn
) -> None:
    at_a_time = []
    for client, expected in ((pair.official, 12), (pair.ours, 10)):
        with cloud.gate("GET", "/control/crowd") as gate:
            stream = client.stream("crowded", {"data": cases(*range(12))}, parent=PLAYGROUND)
            inside = [stream.next().json["data"] for _ in range(expected)]
            assert inside == ["inside"] * expected
            gate.release()
            at_a_time.append(max(Outcome(list(stream)).outputs))
    assert at_a_time == [12, 10]


def test_plain_cases_run_one_after_another_officially_and_beside_each_other_under_ours(
    pair: Pair, cloud: StandIn
) -> None:
    pair.official.run("stepped", {"data": cases("a", "b", "c")}, parent=PLAYGROUND)
    steps = [call.path.removeprefix("/control/") for call in cloud.calls_to("GET", "/control/.*")]
    assert steps == ["start/a", "end/a", "start/b", "end/b", "start/c", "end/c"]
    with cloud.gate("GET", "/control/start/.*") as gate:
        stream = pair.ours.stream("stepped", {"data": cases("a", "b", "c")}, parent=PLAYGROUND)
        wait_until_held(cloud, gate, 3)
        gate.release()
        assert Outcome(list(stream)).outputs == ["a", "b", "c"]


# --- When events are sent ---


def test_while_a_plain_task_runs_the_official_server_is_blocked_and_ours_streams_and_lists(
    pair: Pair, cloud: StandIn
) -> None:
    data = {"data": cases("a", "b")}
    with cloud.gate("GET", "/control/start/b") as gate:
        stream = pair.ours.stream("stepped", data, parent=PLAYGROUND)
        assert gate.reached.wait(10)
        assert stream.next().json["data"] == '"a"'
        assert "stepped" in pair.ours.manifest()
        gate.release()
        assert Outcome(list(stream)).kinds == ["summary", "done"]
    # The official server has not even sent the head of its answer by then.
    with cloud.gate("GET", "/control/start/b") as gate:
        body = {"name": "stepped", "data": data, "stream": True, "parent": PLAYGROUND}
        session = requests.Session()
        with pytest.raises(requests.ReadTimeout):
            session.post(
                f"{pair.official.url}/eval", json=body, headers=pair.official.headers, timeout=0.5
            )
        assert gate.reached.is_set()
        with pytest.raises(requests.ReadTimeout):
            session.get(f"{pair.official.url}/", timeout=0.2)
        session.close()
        gate.release()
    assert requests.get(f"{pair.official.url}/", timeout=10).text == "Hello, world!"


def test_progress_of_an_async_task_is_sent_while_it_runs_alike(pair: Pair, cloud: StandIn) -> None:
    reported = [{"event": "text_delta", "data": "x"}]
    for client in (pair.official, pair.ours):
        with cloud.gate("GET", "/control/pairs") as gate:
            data = {"data": [{"input": reported}]}
            stream = client.stream("paused", data, parent=PLAYGROUND)
            assert stream.next().json["data"] == "x"
            assert gate.reached.wait(10)
            gate.release()
            assert Outcome(list(stream)).kinds == ["summary", "done"]


# --- Time ---


def test_a_run_that_takes_too_long_ends_with_an_error_and_what_was_done_by_then(
    pair: Pair, cloud: StandIn
) -> None:
    official, ours = pair.run("late", cases("quick", "slow"))
    for each in (official, ours):
        assert each.kinds == ["error", "done"]
        assert each.outputs == ["quick"]
    # Clients parse the data as a JSON string, which the official one is not.
    assert official.failure == "Evaluator timed out"
    assert json.loads(ours.failure).startswith("the run's time-out of 0.5 seconds was reached")
    assert ours.errors == ["TimeoutError: the run's time-out of 0.5 seconds was reached"]
    # Tasks that are cancelled can see it.
    cloud.wait_for(lambda: len(cloud.calls_to("GET", "/control/told/True")) == 2)


def test_a_plain_task_is_cancelled_at_the_end_of_its_time_by_ours_alone(
    pair: Pair, cloud: StandIn
) -> None:
    for client in (pair.official, pair.ours):
        outcome = Outcome(client.run("waiting", {"data": cases("x")}, parent=PLAYGROUND))
        assert outcome.kinds == ["error", "done"]
    cloud.wait_for(lambda: len(cloud.calls_to("GET", "/control/cancelled/.*")) == 2)
    answers = [call.path for call in cloud.calls_to("GET", "/control/cancelled/.*")]
    assert answers == ["/control/cancelled/False", "/control/cancelled/True"]


def test_without_a_stream_a_time_out_is_an_error_of_the_server_alike(
    pair: Pair, cloud: StandIn
) -> None:
    body = {"name": "late", "data": {"data": cases("slow")}, "parent": PLAYGROUND}
    assert pair.post({**body, "stream": False}) == (500, 500)
    cloud.wait_for(lambda: len(cloud.calls_to("GET", "/control/told/True")) == 2)


def test_the_time_out_of_a_request_is_ignored_officially_and_milliseconds_under_ours(
    pair: Pair,
) -> None:
    # 500 are the evaluator's own half a second, and no request can have more.
    for asked, seconds in ((20, "0.02"), (60_000, "0.5")):
        official, ours = pair.run("late", cases("slow"), timeout=asked)
        assert official.failure == "Evaluator timed out"
        assert json.loads(ours.failure).startswith(
            f"the run's time-out of {seconds} seconds was reached"
        )


def test_a_request_lowers_the_cases_at_a_time_of_ours_alone_and_raises_them_nowhere(
    pair: Pair, cloud: StandIn
) -> None:
    for client in (pair.official, pair.ours):
        data = {"data": cases(*range(6))}
        events = client.run("in pairs", data, parent=PLAYGROUND, max_concurrency=6)
        assert max(Outcome(events).outputs) == 2
    before = len(cloud.calls_to("GET", "/control/.*"))
    pair.ours.run("stepped", {"data": cases("a", "b")}, parent=PLAYGROUND, max_concurrency=1)
    calls = cloud.calls_to("GET", "/control/.*")[before:]
    steps = [call.path.removeprefix("/control/") for call in calls]
    assert steps == ["start/a", "end/a", "start/b", "end/b"]
