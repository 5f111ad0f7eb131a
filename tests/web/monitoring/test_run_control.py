"""``GET /runs`` and ``DELETE /runs/<id>``: who sees which runs, and how a cancelled run ends."""

from __future__ import annotations

import json
import logging
import re
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from flask import Request
from werkzeug.test import TestResponse

from flask_braintrust_evals import EvalHooks, Evaluator, Session
from flask_braintrust_evals.concurrency.cancellation import Cancellation
from flask_braintrust_evals.concurrency.places import Places
from flask_braintrust_evals.runs.call_room import CallRoom
from flask_braintrust_evals.runs.peers import run_table
from flask_braintrust_evals.runs.prepared import PreparedRun
from tests.standin import StandIn
from tests.support import PATIENCE, eventually
from tests.web.support import (
    HOSTILE_PAGE,
    PLAYGROUND,
    Api,
    api_of,
    cloud_app,
    error_of,
    make_app,
    parse_events,
)

DATA = {"data": [{"input": 1, "expected": 1}, {"input": 2}]}


def patient(input: Any, hooks: EvalHooks) -> Any:
    """Return at once, or when the run is cancelled."""
    if input != "quick":
        hooks.cancel_event.wait(PATIENCE)
    return input


PATIENT = Evaluator("patient", patient, max_concurrency=2)


class Started:
    """A run whose stream is read as far as its first event."""

    def __init__(self, api: Api, data: Any = DATA, **body: Any) -> None:
        # The client returns when it has the first event, which is that a case has started.
        self.response = api.eval(name="patient", data=data, case_results=True, **body)
        assert self.response.status_code == 200, self.response.text
        self._chunks: Iterator[bytes] = self.response.iter_encoded()
        self._read: list[bytes] = []
        self._thread = threading.Thread(target=lambda: self._read.extend(self._chunks), daemon=True)
        self._thread.start()

    def events(self) -> list[Any]:
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive()
        return list(parse_events(b"".join(self._read)))


def runs(api: Api, **options: Any) -> list[dict[str, Any]]:
    answer = api.get("/runs", **options)
    assert answer.status_code == 200, answer.text
    listing = answer.get_json()
    assert listing["silent_processes"] == listing["omitted"] == 0
    found = listing["runs"]
    assert isinstance(found, list)
    return found


def cancel(api: Api, id: str) -> TestResponse:
    return api.open("DELETE", f"/runs/{id}")


def only_run(api: Api) -> dict[str, Any]:
    (run,) = eventually(lambda: runs(api))
    return run


@pytest.fixture
def ada(cloud: StandIn) -> Api:
    cloud.add_user("token-of-bob")
    return api_of(cloud, PATIENT)


@pytest.fixture
def bob(ada: Api) -> Api:
    return Api(ada.client.application, token="token-of-bob")


def test_a_caller_sees_what_its_own_runs_are_doing(cloud: StandIn, ada: Api) -> None:
    stream = Started(ada, {"data": [{"input": "quick"}, {"input": 1}]}, parent=PLAYGROUND)
    run = eventually(lambda: next((each for each in runs(ada) if each["cases"] == 1), None))
    assert run is not None
    assert re.fullmatch("[0-9a-f]{32}", run.pop("id"))
    assert re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00", run.pop("started"))
    assert 0 <= run.pop("duration") < PATIENCE
    assert run == {
        "evaluator": "patient",
        "organization": "acme",
        "project": "patient",
        "experiment": "patient",
        "state": "running",
        "cases": 1,
        "failed_cases": 0,
        "total_cases": 2,
    }
    assert cancel(ada, only_run(ada)["id"]).status_code == 200
    stream.events()


def test_a_cancelled_run_ends_as_cancelled_for_its_client_and_its_spans_arrive(
    cloud: StandIn, ada: Api, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "flask_braintrust_evals")
    stream = Started(ada, {"data": [{"input": 1}, {"input": "quick"}]}, parent=PLAYGROUND)
    eventually(lambda: any(each["cases"] == 1 for each in runs(ada)))
    id = only_run(ada)["id"]
    answer = cancel(ada, id)
    assert (answer.status_code, answer.get_json()) == (200, {"id": id, "state": "cancelled"})
    events = stream.events()
    assert [each.type for each in events[-2:]] == ["error", "done"]
    assert events[-2].json == "the run was cancelled by its caller; done by then: 1 case"
    failed = [each.json for each in events if each.type == "progress"]
    assert [each["data"] for each in failed if each["event"] == "error"] == [
        "RunCancelledError: the run was cancelled by its caller"
    ]
    eventually(lambda: not runs(ada))
    assert len(cloud.spans_named("eval")) == 2
    # A run of an earlier test may end meanwhile, by its time-out.
    ended = [each for each in caplog.records if hasattr(each, "outcome")]
    (record,) = [each for each in ended if "'patient'" in each.getMessage()]
    assert vars(record)["outcome"] == "cancelled"
    assert record.levelname == "INFO"
    assert record.getMessage().endswith("(the run was cancelled by its caller)")


def test_a_cancelled_run_makes_none_of_the_calls_that_its_scorers_wait_for(
    monkeypatch: pytest.MonkeyPatch, cloud: StandIn, ada: Api
) -> None:
    calls, rooms, go_on = list[Any](), list[CallRoom](), threading.Event()

    def room_for_one(size: int, cancellation: Cancellation, places: Places | None) -> CallRoom:
        rooms.append(CallRoom(10_000, cancellation, places))
        return rooms[-1]

    monkeypatch.setattr("flask_braintrust_evals.runs.remote_scorers.CallRoom", room_for_one)

    def judge(input: Any) -> int:
        calls.append(input)
        go_on.wait(PATIENCE)
        return 1

    scores = [{"name": "far", "function_id": cloud.add_function(judge)}]
    quick = {"data": [{"input": "quick"}] * 2}
    stream = Started(ada, quick, parent=PLAYGROUND, scores=scores)
    eventually(lambda: calls and rooms[0]._waiting)
    assert cancel(ada, only_run(ada)["id"]).status_code == 200
    go_on.set()
    stream.events()
    eventually(lambda: not runs(ada) and not rooms[0]._waiting)
    assert len(calls) == 1


def test_a_run_without_a_stream_is_answered_with_what_happened(ada: Api) -> None:
    answers: list[TestResponse] = []
    thread = threading.Thread(
        target=lambda: answers.append(
            Api(ada.client.application).eval(name="patient", data=DATA, stream=False)
        )
    )
    thread.start()
    assert cancel(ada, only_run(ada)["id"]).status_code == 200
    thread.join(PATIENCE)
    assert error_of(answers[0], 409).startswith("the run was cancelled by its caller")


def test_nobody_else_sees_or_cancels_a_run(ada: Api, bob: Api) -> None:
    stream = Started(ada)
    id = only_run(ada)["id"]
    assert runs(bob) == []
    unknown = "f" * 32
    foreign, missing = error_of(cancel(bob, id), 404), error_of(cancel(bob, unknown), 404)
    assert foreign == missing.replace(unknown, id)
    assert only_run(ada)["state"] == "running"
    assert cancel(ada, id).status_code == 200
    stream.events()


def test_the_runs_of_one_caller_are_listed_whichever_organisation_is_named(
    cloud: StandIn,
) -> None:
    cloud.add_user("token-of-eve", orgs=("acme", "globex"))
    eve = Api(cloud_app(cloud, PATIENT), token="token-of-eve")
    stream = Started(eve, headers={"x-bt-org-name": "acme"})
    (run,) = eventually(lambda: runs(eve, headers={"x-bt-org-name": "globex"}))
    assert run["organization"] == "acme"
    answer = eve.open("DELETE", f"/runs/{run['id']}", headers={"x-bt-org-name": "globex"})
    assert answer.status_code == 200
    stream.events()


@pytest.mark.parametrize(("method", "path"), [("GET", "/runs"), ("DELETE", "/runs/" + "f" * 32)])
def test_who_may_not_come_in_gets_nothing(ada: Api, method: str, path: str) -> None:
    anonymous = Api(ada.client.application, token=None)
    error_of(anonymous.open(method, path), 401)
    error_of(ada.open(method, path, headers={"Origin": HOSTILE_PAGE}), 403)
    local = Api(make_app(PATIENT, BRAINTRUST_EVALS_AUTH="none"), token=None)
    error_of(local.open(method, path, headers={"Host": "rebound.example.com"}), 403)
    error_of(local.open(method, path, headers={"X-Forwarded-For": "127.0.0.1"}), 403)
    error_of(local.open(method, path, environ_base={"REMOTE_ADDR": "192.0.2.1"}), 403)


def test_pages_of_other_servers_are_not_let_cancel_runs(ada: Api) -> None:
    headers = {
        "Origin": "https://www.braintrust.dev",
        "Access-Control-Request-Method": "DELETE",
    }
    answer = ada.open("OPTIONS", "/runs/" + "f" * 32, headers=headers)
    assert answer.status_code == 204
    assert "DELETE" not in answer.headers.get("Access-Control-Allow-Methods", "")


def test_without_authentication_everybody_on_this_machine_sees_all_runs() -> None:
    app = make_app(PATIENT, BRAINTRUST_EVALS_AUTH="none")
    one, other = Api(app, token=None), Api(app, token=None)
    stream = Started(one)
    run = only_run(other)
    assert run["organization"] is None
    assert cancel(other, run["id"]).status_code == 200
    assert stream.events()[-2].json.startswith("the run was cancelled")


def who(request: Request) -> Session | None:
    name = request.headers.get("X-User")
    return Session(caller=name) if name != "anonymous" else Session()


def test_callers_of_an_own_authentication_are_known_by_their_names() -> None:
    api = Api(make_app(PATIENT, BRAINTRUST_EVALS_AUTH=who), token=None)
    stream = Started(api, headers={"X-User": "ada"})
    (run,) = eventually(lambda: runs(api, headers={"X-User": "ada"}))
    assert runs(api, headers={"X-User": "bob"}) == []
    error_of(api.open("DELETE", f"/runs/{run['id']}", headers={"X-User": "bob"}), 404)
    # Of all that are not known apart, none sees the runs of another.
    text = error_of(api.get("/runs", headers={"X-User": "anonymous"}), 403)
    assert "Session(caller=...)" in text
    unknown = api.open("DELETE", f"/runs/{run['id']}", headers={"X-User": "anonymous"})
    error_of(unknown, 403)
    answer = api.open("DELETE", f"/runs/{run['id']}", headers={"X-User": "ada"})
    assert answer.status_code == 200
    stream.events()


def test_a_run_that_has_ended_cannot_be_cancelled(ada: Api, cloud: StandIn) -> None:
    with cloud.gate("POST", "/otel/v1/traces") as gate:
        stream = Started(ada, {"data": [{"input": "quick"}]}, parent=PLAYGROUND)
        cloud.wait_for(lambda: gate.waiting)
        run = only_run(ada)
        assert run["state"] == "ending"
        assert "has ended already" in error_of(cancel(ada, run["id"]), 409)
        gate.release()
    assert [each.type for each in stream.events()[-2:]] == ["summary", "done"]
    eventually(lambda: not runs(ada))


def test_an_id_may_be_any_text(ada: Api) -> None:
    for id in ("x", "%00", "..%2f", "é", "'", "a" * 5000):
        assert len(error_of(cancel(ada, id), 404)) < 500


def test_other_methods_are_refused_and_slashes_are_not(ada: Api) -> None:
    error_of(ada.open("DELETE", "/runs"), 405)
    error_of(ada.get("/runs/abc"), 405)
    error_of(ada.post("/runs/abc"), 405)
    assert ada.get("//runs/").status_code == 200
    assert ada.open("DELETE", "//runs/abc/").status_code == 404


def test_runs_of_the_check_are_not_listed(ada: Api) -> None:
    name = "flask-braintrust-evals:slow"
    response = ada.eval(name=name, data={"own": True})
    assert response.status_code == 200
    assert runs(ada) == []
    response.close()


def test_a_list_is_bounded(monkeypatch: pytest.MonkeyPatch, ada: Api) -> None:
    monkeypatch.setattr(run_table, "MAX_LISTED", 2)
    streams = [Started(ada, experiment_name="n" * 5000, parent=PLAYGROUND) for _ in range(3)]
    listing = ada.get("/runs").get_json()
    assert (len(listing["runs"]), listing["omitted"]) == (2, 1)
    assert len(json.dumps(listing)) < 2000
    monkeypatch.undo()
    for run in runs(ada):
        assert cancel(ada, run["id"]).status_code == 200
    for stream in streams:
        stream.events()


def test_what_is_kept_of_a_run_has_no_token(ada: Api, cloud: StandIn) -> None:
    stream = Started(ada)
    id = only_run(ada)["id"]
    text = ada.get("/runs").text
    assert "token-of-ada" not in text
    table = ada.client.application.extensions["braintrust_evals"].runtime.runs._table
    (entry,) = table._entries.values()
    assert isinstance(entry.prepared, PreparedRun)
    assert entry.caller is not None
    assert b"token-of-ada" not in entry.caller
    assert cancel(ada, id).status_code == 200
    stream.events()
