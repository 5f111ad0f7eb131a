"""Who gets in when Braintrust is not asked: this machine, or whom the application itself knows."""

from __future__ import annotations

import logging
import select
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask, Request
from werkzeug.test import EnvironBuilder

from flask_braintrust_evals import ConfigurationError, EvalsBlueprint, Session
from flask_braintrust_evals.web.answers import watch
from flask_braintrust_evals.web.monitoring.run_control import RunControl
from flask_braintrust_evals.web.requests.connections import client_has_left
from tests.standin import StandIn
from tests.support import eventually

POLL = select.poll


@pytest.fixture(scope="module")
def shared_cloud() -> Iterator[StandIn]:
    with StandIn() as cloud:
        yield cloud


@pytest.fixture
def cloud(shared_cloud: StandIn) -> StandIn:
    shared_cloud.reset()
    shared_cloud.add_user("company-key", orgs=("acme", "globex"))
    return shared_cloud


def make_app(**config: Any) -> Flask:
    bp = EvalsBlueprint("evals", __name__)

    @bp.evaluator("echo")
    def echo(input: Any) -> Any:
        return input

    app = Flask(__name__)
    app.config.update(config)
    app.register_blueprint(bp, url_prefix="/evals")
    return app


BODY = {"name": "echo", "data": [{"input": 1}], "stream": False}


@pytest.mark.parametrize(
    ("headers", "address"),
    [
        ({"Host": "evil.example"}, "127.0.0.1"),
        ({"Host": "evil.example:8300"}, "127.0.0.1"),
        ({"Host": "localhost.evil.example"}, "127.0.0.1"),
        ({"Host": "10.0.0.5"}, "127.0.0.1"),
        ({"Host": "[::1"}, "127.0.0.1"),
        ({}, "10.0.0.7"),
        ({}, "::ffff:10.0.0.7"),
        ({}, ""),
        ({"X-Forwarded-For": "203.0.113.9"}, "127.0.0.1"),
        ({"X-Forwarded-For": "127.0.0.1, 203.0.113.9"}, "127.0.0.1"),
        ({"X-Forwarded-For": "unknown"}, "127.0.0.1"),
        ({"X-Real-IP": "203.0.113.9"}, "127.0.0.1"),
        ({"Forwarded": "for=203.0.113.9;proto=https"}, "127.0.0.1"),
        ({"Forwarded": 'for="[2001:db8::7]"'}, "127.0.0.1"),
        ({"Origin": "https://evil.example"}, "127.0.0.1"),
        ({"Origin": "null"}, "127.0.0.1"),
    ],
)
def test_no_auth_mode_refuses_other_machines(headers: dict[str, str], address: str) -> None:
    client = make_app(BRAINTRUST_EVALS_AUTH="none").test_client()
    for method, path in (("GET", "/evals/list"), ("POST", "/evals/eval")):
        answer = client.open(
            path,
            method=method,
            json=BODY if method == "POST" else None,
            headers=headers,
            environ_overrides={"REMOTE_ADDR": address},
        )
        assert answer.status_code == 403
        assert "error" in answer.get_json()


@pytest.mark.parametrize("host", ["localhost", "localhost:8300", "127.0.0.1:1", "[::1]:8300"])
@pytest.mark.parametrize("address", ["127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1"])
def test_no_auth_mode_serves_this_machine(host: str, address: str) -> None:
    client = make_app(BRAINTRUST_EVALS_AUTH="none").test_client()
    answer = client.post(
        "/evals/eval", json=BODY, headers={"Host": host}, environ_overrides={"REMOTE_ADDR": address}
    )
    assert answer.status_code == 200


def test_no_auth_mode_serves_other_machines_if_configured_but_not_foreign_pages() -> None:
    app = make_app(
        BRAINTRUST_EVALS_AUTH="none",
        BRAINTRUST_EVALS_NO_AUTH_REMOTE=True,
        BRAINTRUST_EVALS_HOSTS="evals.internal",
    )
    client = app.test_client()
    elsewhere = {"REMOTE_ADDR": "10.0.0.7"}
    host = {"Host": "evals.internal"}
    answer = client.get("/evals/list", headers=host, environ_overrides=elsewhere)
    assert answer.status_code == 200
    foreign = {**host, "Origin": "http://evals.internal"}
    answer = client.post("/evals/eval", json=BODY, headers=foreign, environ_overrides=elsewhere)
    assert answer.status_code == 403


def test_no_auth_mode_warns_when_the_application_starts(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "flask_braintrust_evals"):
        make_app(BRAINTRUST_EVALS_AUTH="none")
    assert "BRAINTRUST_EVALS_AUTH is 'none'" in caplog.text


def single_sign_on(request: Request) -> Session | None:
    """As behind a company's proxy, which has checked the user and names them in a header."""
    team = request.headers.get("X-Company-Team")
    return Session(token="company-key", org_name=team) if team else None


def test_a_function_may_choose_the_user_of_a_request(cloud: StandIn) -> None:
    app = make_app(BRAINTRUST_EVALS_AUTH=single_sign_on, BRAINTRUST_APP_URL=cloud.url)
    client = app.test_client()
    # The caller's own token counts for nothing here, and neither does the organisation it names.
    headers = {"x-bt-auth-token": "other", "x-bt-org-name": "acme", "X-Company-Team": "globex"}
    answer = client.post("/evals/eval", json=BODY, headers=headers)
    assert answer.status_code == 200
    assert {call.token for call in cloud.calls} == {"company-key"}
    (experiment,) = cloud.calls_to("POST", "/v1/experiment")
    assert experiment.headers["x-bt-org-name"] == "globex"


def test_a_request_without_a_user_of_the_function_is_refused(cloud: StandIn) -> None:
    app = make_app(BRAINTRUST_EVALS_AUTH=single_sign_on, BRAINTRUST_APP_URL=cloud.url)
    answer = app.test_client().get("/evals/list", headers={"x-bt-auth-token": "company-key"})
    assert answer.status_code == 401
    assert answer.get_json() == {"error": "this server does not know you; sign in first"}
    assert not cloud.calls


def test_the_function_may_admit_a_request_without_braintrust(cloud: StandIn) -> None:
    app = make_app(BRAINTRUST_EVALS_AUTH=lambda request: Session())
    answer = app.test_client().post("/evals/eval", json=BODY)
    assert answer.status_code == 200


@pytest.mark.parametrize("returned", [True, "company-key", {"token": "company-key"}])
def test_a_function_that_returns_something_else_admits_no_request(returned: Any) -> None:
    app = make_app(BRAINTRUST_EVALS_AUTH=lambda request: returned)
    answer = app.test_client().get("/evals/list")
    assert answer.status_code == 500
    assert f"must return a Session or None, not {type(returned).__name__}" in answer.text
    assert "company-key" not in answer.text


def test_a_function_that_fails_admits_no_request_and_shows_no_details() -> None:
    def fail(request: Request) -> Session | None:
        raise RuntimeError("the directory's password is 1234")

    answer = make_app(BRAINTRUST_EVALS_AUTH=fail).test_client().get("/evals/list")
    assert answer.status_code == 500
    assert "1234" not in answer.text


def test_anything_else_is_refused_as_a_setting() -> None:
    with pytest.raises(ConfigurationError, match="BRAINTRUST_EVALS_AUTH is 'open'"):
        make_app(BRAINTRUST_EVALS_AUTH="open")


def test_a_session_does_not_show_its_token() -> None:
    assert "company-key" not in repr(Session("company-key", "acme"))


def test_every_run_is_one_line_of_log_with_its_facts(
    cloud: StandIn, caplog: pytest.LogCaptureFixture
) -> None:
    app = make_app(BRAINTRUST_APP_URL=cloud.url)
    headers = {"x-bt-auth-token": "company-key", "x-bt-org-name": "acme"}
    with caplog.at_level(logging.INFO, "flask_braintrust_evals"):
        app.test_client().post("/evals/eval", json=BODY, headers=headers)
    (record,) = [each for each in caplog.records if hasattr(each, "outcome")]
    facts = vars(record)
    assert record.name == "flask_braintrust_evals"
    assert (facts["evaluator"], facts["organization"], facts["outcome"]) == (
        "echo",
        "acme",
        "finished",
    )
    assert (facts["cases"], facts["failed_cases"], facts["lost_spans"]) == (1, 0, 0)


@pytest.mark.parametrize("key", ["gunicorn.socket", "werkzeug.socket"])
@pytest.mark.parametrize("family", ["AF_INET", "AF_INET6", "AF_UNIX"])
def test_a_client_that_hangs_up_is_noticed_though_its_body_was_not_read(
    family: str, key: str, tmp_path: Path
) -> None:
    kind = getattr(socket, family)
    address: Any = {"AF_INET": ("127.0.0.1", 0), "AF_INET6": ("::1", 0)}.get(
        family, str(tmp_path / "socket")
    )
    with socket.socket(kind) as listener, socket.socket(kind) as client:
        try:
            listener.bind(address)
        except OSError:
            pytest.skip(f"this machine has no {family}")
        listener.listen()
        client.connect(listener.getsockname())
        connection, _ = listener.accept()
        with connection:
            client.sendall(b"a part of the body")
            request = Request(EnvironBuilder().get_environ() | {key: connection})
            assert not client_has_left(request)
            client.close()
            eventually(lambda: client_has_left(request))
        assert not client_has_left(request), "of a connection that is closed here, nothing is known"


class PollOfMacOS:
    """Reports nothing of a descriptor of which nothing is asked for."""

    def __init__(self) -> None:
        self._poll = POLL()

    def register(self, descriptor: int, events: int) -> None:
        if events:
            self._poll.register(descriptor, events)

    def poll(self, timeout: int) -> list[tuple[int, int]]:
        return self._poll.poll(timeout)


def test_a_client_that_hangs_up_is_noticed_on_macos(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(select, "poll", PollOfMacOS)
    connection, client = socket.socketpair()
    with connection:
        request = Request(EnvironBuilder().get_environ() | {"gunicorn.socket": connection})
        assert not client_has_left(request)
        client.close()
        assert client_has_left(request)


def test_where_nothing_is_known_of_the_connection_the_client_is_there() -> None:
    assert not client_has_left(Request(EnvironBuilder().get_environ()))


def test_the_space_around_a_token_from_a_file_is_taken_away() -> None:
    assert Session("sk-1\n").token == "sk-1"


@pytest.mark.parametrize("token", ["sk 1", "sk\n1", "schlüssel", "", "\x00"])
def test_a_token_that_no_header_can_carry_is_refused_and_not_repeated(token: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        Session(token)
    assert str(refused.value) == "a Session's token must be a text of visible ASCII characters"


def test_an_answer_that_the_application_discards_ends_its_run(cloud: StandIn) -> None:
    app = make_app(BRAINTRUST_EVALS_AUTH="none", BRAINTRUST_EVALS_MAX_RUNS=1)

    @app.after_request
    def fail(response: Any) -> Any:
        raise RuntimeError("no")

    client = app.test_client()
    for _ in range(3):
        assert client.post("/evals/eval", json={**BODY, "stream": True}).status_code == 500
    assert app.extensions["braintrust_evals"].runtime.run_slots.runs.taken == 0


@pytest.mark.parametrize("what", [(watch, "call_later"), (RunControl, "add")])
def test_a_run_whose_answer_cannot_be_begun_is_ended(
    cloud: StandIn, monkeypatch: pytest.MonkeyPatch, what: tuple[Any, str]
) -> None:
    def refuse(*arguments: Any) -> None:
        raise RuntimeError("can't start new thread")

    app = make_app(BRAINTRUST_EVALS_AUTH="none", BRAINTRUST_EVALS_MAX_RUNS=1)
    monkeypatch.setattr(*what, refuse)
    client = app.test_client()
    for stream in (True, False, True):
        assert client.post("/evals/eval", json={**BODY, "stream": stream}).status_code == 500
    assert app.extensions["braintrust_evals"].runtime.run_slots.runs.taken == 0


def test_an_address_in_capitals_allows_the_page_that_browsers_write_small() -> None:
    app = make_app(BRAINTRUST_EVALS_AUTH="none", BRAINTRUST_APP_URL="https://Evals.Acme.com")
    origin = "https://evals.acme.com"
    answer = app.test_client().get("/evals/list", headers={"Origin": origin})
    assert answer.headers["Access-Control-Allow-Origin"] == origin


def test_too_many_trials_are_refused() -> None:
    client = make_app(BRAINTRUST_EVALS_AUTH="none").test_client()
    answer = client.post("/evals/eval", json={**BODY, "trial_count": 2**64 - 1})
    assert answer.status_code == 400
    assert "trial_count" in answer.get_json()["error"]


def test_an_experiment_whose_answer_is_lost_is_not_made_twice(cloud: StandIn) -> None:
    cloud.fault("POST", "/v1/experiment", half=True, times=None)
    app = make_app(BRAINTRUST_APP_URL=cloud.url)
    headers = {"x-bt-auth-token": "company-key", "x-bt-org-name": "acme"}
    answer = app.test_client().post("/evals/eval", json=BODY, headers=headers)
    assert answer.status_code == 502
    assert len(cloud.calls_to("POST", "/v1/experiment")) == 1


def test_an_intake_that_answers_in_protobuf_has_taken_the_spans(cloud: StandIn) -> None:
    cloud.fault("POST", "/otel/v1/traces", body="\n\x02\x12\x00", status=200, times=None)
    app = make_app(BRAINTRUST_APP_URL=cloud.url)
    headers = {"x-bt-auth-token": "company-key", "x-bt-org-name": "acme"}
    answer = app.test_client().post("/evals/eval", json=BODY, headers=headers)
    assert "lostSpans" not in answer.get_json()
