"""``POST /eval``: what is streamed, and when the answer is JSON."""

from __future__ import annotations

from typing import Any

import pytest
from flask import current_app, has_request_context

from flask_braintrust_evals import EvalHooks, Evaluator
from flask_braintrust_evals.web.answers import eval_answer
from tests.standin import StandIn
from tests.support import TOKEN
from tests.web.support import (
    CASES,
    PLAYGROUND,
    Api,
    api_of,
    cloud_app,
    error_of,
    events_of,
    last_json,
    make_app,
    scored,
    types_of,
)

# --- Options ---


def test_trials_and_what_a_task_reports_are_streamed(local: Api) -> None:
    def task(input: Any, hooks: EvalHooks) -> int:
        hooks.report_progress({"event": "text_delta", "data": "…"})
        return hooks.trial_index

    api = Api(make_app(Evaluator("t", task), BRAINTRUST_EVALS_AUTH="none"), None)
    events = api.events(name="t", data=[{"input": 1}], trial_count=3)
    bodies = [event.json for event in events if event.type == "progress"]
    assert [(b["event"], b["data"]) for b in bodies] == [
        pair
        for trial in "012"
        for pair in (("text_delta", "…"), ("json_delta", trial), ("done", ""))
    ]
    assert len({body["id"] for body in bodies}) == 3


def test_parameters_are_checked_and_given_to_the_task(local: Api) -> None:
    def task(input: Any, hooks: EvalHooks) -> Any:
        return dict(hooks.parameters)

    parameters = {"mood": {"type": "string", "default": "calm"}, "count": {"type": "integer"}}
    evaluator = Evaluator("t", task, parameters=parameters)
    api = Api(make_app(evaluator, BRAINTRUST_EVALS_AUTH="none"), None)
    given = {"count": 3, "unknown": 1}
    assert api.outputs(name="t", data=[{"input": 1}], parameters=given) == [
        {"mood": "calm", "count": 3}
    ]
    assert "'count' is required" in api.refusal(400, name="t", data=[])
    wrong = {"count": "3"}
    assert "'count': '3' is not of type 'integer'" in api.refusal(
        400, name="t", data=[], parameters=wrong
    )


# --- Stream or JSON ---


ACCEPTED: list[tuple[bool | None, str | None, bool]] = [
    (True, None, True),
    (True, "application/json", True),
    (False, None, False),
    (False, "text/event-stream", False),
    (None, None, True),
    (None, "*/*", True),
    (None, "text/event-stream", True),
    (None, "text/html", True),
    (None, "application/json", False),
    (None, "application/json, */*", False),
    (None, "application/json;q=0.1, text/html", False),
    (None, "Application/JSON", False),
    (None, "application/json; charset=utf-8", False),
    (None, "application/json;q=0", True),
    (None, "application/json, text/event-stream", True),
    (None, "text/event-stream;q=0.1, application/json", True),
    (None, "text/event-stream;q=0, application/json", False),
    (None, "", True),
    (None, "application/json" + " " * 4080, False),
    (None, "application/json" + " " * 4081, True),  # such a list is not read
]
"""What a body says of ``stream``, the header, and whether the answer is a stream."""


def test_the_answer_is_a_stream_unless_body_or_accept_header_ask_for_json(local: Api) -> None:
    for stream, accept, streamed in ACCEPTED:
        headers = {} if accept is None else {"Accept": accept}
        expected = "text/event-stream" if streamed else "application/json"
        bodies: list[dict[str, Any]] = [{"stream": stream}, *([{}] if stream is None else [])]
        for body in bodies:
            response = local.eval(headers, **{"data": [{"input": 1}], **body})
            assert (response.status_code, response.mimetype) == (200, expected), (accept, body)
            if streamed:
                ends = types_of(events_of(response))[-2:]
                assert ends == ["summary", "done"], (accept, body)
            else:
                assert response.get_json()["scores"] == {}, (accept, body)


@pytest.mark.parametrize("stream", [True, False, None])
def test_what_is_wrong_before_a_stream_starts_is_json_either_way(
    local: Api, stream: bool | None
) -> None:
    headers = {"Accept": "text/event-stream"}
    error_of(local.eval(headers, name="other", stream=stream), 404)


def test_summary_and_stream_say_the_same(cloud: StandIn) -> None:
    api = api_of(cloud, scored())
    streamed = last_json(api.events(name="greeter", data=CASES, parent=PLAYGROUND), "summary")
    summary = api.summary(name="greeter", data=CASES, parent=PLAYGROUND)
    for each in (streamed, summary):
        assert each["metrics"].pop("duration")["metric"] >= 0
        assert each["comparison"]["metrics"].pop("duration")["unit"] == "s"
    assert summary == streamed


def test_tasks_run_in_the_applications_context_and_not_in_the_requests() -> None:
    def task(input: Any) -> Any:
        return [current_app.config["COLOUR"], has_request_context()]

    app = make_app(Evaluator("t", task), BRAINTRUST_EVALS_AUTH="none", COLOUR="blue")
    assert Api(app, None).outputs(name="t", data=[{"input": 1}]) == [["blue", False]]


# --- No case ---


def test_a_run_of_no_case_warns_in_the_summary_and_in_the_log(
    local: Api, caplog: pytest.LogCaptureFixture
) -> None:
    warning = "there was no case: the data is empty"
    with caplog.at_level("INFO", "flask_braintrust_evals"):
        assert local.summary(data=[])["warning"] == warning
        assert last_json(local.events(data={"data": []}), "summary")["warning"] == warning
        assert "warning" not in local.summary(data=[{"input": 1}])
    empty, streamed, usual = [each for each in caplog.records if "run of 'echo'" in each.message]
    assert {empty.levelname, streamed.levelname} == {"WARNING"}
    assert warning in empty.message
    assert usual.levelname == "INFO"


def test_a_run_that_fails_by_an_unexpected_error_is_logged_as_failed(
    local: Api, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(eval_answer, "summary_body", lambda *_: 1 / 0)
    assert "internal error" in local.events()[0].data
    assert "internal error" in local.refusal(500, stream=False)
    logged = [each for each in caplog.records if "run of 'echo'" in each.message]
    assert [vars(each)["outcome"] for each in logged] == ["failed", "failed"]
    assert all("ZeroDivisionError" in each.message for each in logged)


def test_a_dataset_without_rows_warns(cloud: StandIn, api: Api) -> None:
    id = cloud.add_dataset("acme", "Geo", "empty", [])
    assert "no case" in api.summary(data={"dataset_id": id})["warning"]


@pytest.mark.parametrize("path", ["/", "/list", "/list?details=true", "/openapi.json", "/nothing"])
@pytest.mark.parametrize("token", [TOKEN, "nobody's"])
def test_no_cache_keeps_json_and_no_browser_takes_it_for_html(
    cloud: StandIn, path: str, token: str
) -> None:
    api = Api(cloud_app(cloud, BRAINTRUST_EVALS_OPENAPI=True), token=token)
    response = api.get(path)
    assert response.headers["Cache-Control"] == "no-store"
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["Vary"] == "Origin"


def test_an_answer_of_a_run_is_neither_kept_nor_taken_for_html(cloud: StandIn) -> None:
    api = Api(cloud_app(cloud))
    for stream, kept in ((True, "no-cache"), (False, "no-store")):
        response = api.eval(stream=stream, parent=PLAYGROUND)
        assert response.headers["Cache-Control"] == kept
        assert response.headers["X-Content-Type-Options"] == "nosniff"
