"""``flask evals check``: a healthy server, and each thing that may be wrong with one."""

from __future__ import annotations

import gzip
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import requests
from click.testing import Result

from flask_braintrust_evals.cli.servers.finding import new_session
from flask_braintrust_evals.cli.servers.server_check import FOREIGN_PAGE
from flask_braintrust_evals.cli.servers.stream_check import StreamCheck
from flask_braintrust_evals.runs.probe import NAME
from tests.cli.test_run import app_of, echo, evals
from tests.server import Gunicorn
from tests.standin import StandIn

pytestmark = pytest.mark.live

Change = Callable[["Proxy", requests.Response], tuple[int, dict[str, str], Iterator[bytes]]]


@pytest.fixture(scope="module")
def cloud() -> Iterator[StandIn]:
    with StandIn() as cloud:
        cloud.add_user("token-ada", orgs=("acme",))
        cloud.add_user("token-eve", orgs=("acme", "globex"))
        yield cloud


@pytest.fixture(scope="module")
def server(cloud: StandIn) -> Iterator[Gunicorn]:
    environ = {"BRAINTRUST_APP_URL": cloud.url, "CONTROL_URL": cloud.url}
    with Gunicorn(environ=environ) as server:
        yield server


def check(url: str, *arguments: str, token: str | None = "token-ada") -> Result:
    given = () if token is None else ("--token", token)
    return evals(app_of(echo()), "check", url, *given, *arguments)


def lines(result: Result) -> list[str]:
    return [line for line in result.stdout.splitlines() if not line.startswith("     ")]


class Proxy(BaseHTTPRequestHandler):
    """Passes everything on to a server, changing the answers."""

    protocol_version = "HTTP/1.0"
    target = ""
    change: Change
    distance = 0.0

    def _pass_on(self) -> None:
        time.sleep(self.distance)
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        headers = {k: v for k, v in self.headers.items() if k.lower() != "host"}
        with requests.request(
            self.command,
            self.target + self.path,
            headers=headers,
            data=body,
            stream=True,
            timeout=20,
            allow_redirects=False,
        ) as answer:
            status, sent, chunks = type(self).change(self, answer)
            self.send_response(status)
            for name, value in sent.items():
                if name.lower() not in ("transfer-encoding", "connection", "server", "date"):
                    self.send_header(name, value)
            self.end_headers()
            with suppress(OSError):  # either side may disconnect, and requests' errors are OSErrors
                for chunk in chunks:
                    self.wfile.write(chunk)

    do_GET = do_POST = do_OPTIONS = _pass_on

    def log_message(self, format: str, *arguments: Any) -> None:
        pass


@contextmanager
def proxy(server: Gunicorn, change: Change, distance: float = 0.0) -> Iterator[str]:
    members = {"target": server.url, "change": staticmethod(change), "distance": distance}
    handler = type("Changing", (Proxy,), members)
    between = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=between.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{between.server_port}/evals"
    finally:
        between.shutdown()
        thread.join()
        between.server_close()


def answers_preflights(request: Proxy, answer: requests.Response) -> Any:
    if request.command == "OPTIONS":
        return 401, {"Content-Length": "0"}, iter(())
    return answer.status_code, dict(answer.headers), answer.iter_content(None)


def refuses_preflights(status: int, **sent: str) -> Change:
    def change(request: Proxy, answer: requests.Response) -> Any:
        if request.command == "OPTIONS":
            return status, {"Content-Length": "0", **sent}, iter(())
        return answer.status_code, dict(answer.headers), answer.iter_content(None)

    return change


def ends_lines_with_crlf(request: Proxy, answer: requests.Response) -> Any:
    chunks = (chunk.replace(b"\n", b"\r\n") for chunk in answer.iter_content(None))
    headers = {k: v for k, v in answer.headers.items() if k.lower() != "content-length"}
    return answer.status_code, headers, chunks


def adds_cors(request: Proxy, answer: requests.Response) -> Any:
    headers = dict(answer.headers)
    own = headers.get("Access-Control-Allow-Origin")
    headers["Access-Control-Allow-Origin"] = f"{own}, *" if own else "*"
    return answer.status_code, headers, answer.iter_content(None)


def buffers(request: Proxy, answer: requests.Response) -> Any:
    return answer.status_code, dict(answer.headers), iter([answer.content])


def compresses(request: Proxy, answer: requests.Response) -> Any:
    headers = dict(answer.headers)
    if headers.get("Content-Type", "").startswith("text/event-stream"):
        headers["Content-Encoding"] = "gzip"
        return answer.status_code, headers, iter([gzip.compress(answer.content)])
    return answer.status_code, headers, answer.iter_content(None)


def limits_bodies(request: Proxy, answer: requests.Response) -> Any:
    if int(request.headers.get("Content-Length", "0")) > 1024**2:
        return 413, {"Content-Length": "0"}, iter(())
    return answer.status_code, dict(answer.headers), answer.iter_content(None)


def redirects(request: Proxy, answer: requests.Response) -> Any:
    return 301, {"Location": "https://elsewhere.example/", "Content-Length": "0"}, iter(())


@pytest.mark.parametrize(
    ("change", "said", "advice"),
    [
        (answers_preflights, "FAIL the preflight of /list fails: status 401", "before_request"),
        (
            refuses_preflights(404),
            "FAIL the preflight of /list fails: status 404",
            "forwards every",
        ),
        (refuses_preflights(500), "FAIL the preflight of /list fails: status 500", "see the logs"),
        (refuses_preflights(502), "FAIL the preflight of /list fails: status 502", "server runs"),
        (
            refuses_preflights(302, Location="https://login.example/"),
            "FAIL the preflight of /list fails: status 302",
            "redirecting it to https://login.example/",
        ),
        (
            refuses_preflights(
                204, **{"Access-Control-Allow-Origin": "https://www.braintrust.dev"}
            ),
            "FAIL the preflight of /list fails: headers are not allowed",
            "another CORS extension",
        ),
        (adds_cors, "FAIL the preflight of /list fails: it has several allowed", "add_header"),
        (adds_cors, "FAIL pages of any site may use it", "CORS headers from the proxy"),
        (buffers, "FAIL events do not come when they happen", "proxy_buffering off"),
        (compresses, "FAIL the stream is compressed (gzip)", "gzip_types"),
        (limits_bodies, "FAIL a body of 2 MiB is answered with status 413", "client_max_body_size"),
        (redirects, "redirects to https://elsewhere.example/", "that address"),
    ],
)
def test_what_a_proxy_may_do_wrong_is_reported_with_advice(
    server: Gunicorn, change: Change, said: str, advice: str
) -> None:
    with proxy(server, change) as url:
        result = check(url)
    assert result.exit_code == 1
    assert said in result.stdout
    assert advice in result.stdout
    assert "if the page is yours" not in result.stdout


def test_lines_that_end_otherwise_are_events_as_well(server: Gunicorn) -> None:
    with proxy(server, ends_lines_with_crlf) as url:
        result = check(url)
    assert result.exit_code == 0, result.stdout


def test_a_healthy_server_is_healthy(server: Gunicorn, cloud: StandIn) -> None:
    before = len(cloud.calls)
    result = check(server.url + "/evals/")
    found = lines(result)
    assert result.exit_code == 0, result.stdout
    assert all(line.startswith("ok  ") for line in found)
    assert found[-2].startswith("ok   events come when they happen, the first result after 0.")
    assert found[-1] == "ok   other requests are answered while a run is under way"
    assert "ok   everybody who has an account of Braintrust may run them" in found
    assert len(found) == 10
    assert "token-ada" not in result.stdout
    assert {call.path for call in cloud.calls[before:]} <= {"/api/apikey/login"}, "unrecorded"


def test_a_server_for_others_that_is_open_to_the_world_is_reported(server: Gunicorn) -> None:
    # An address that is not one of this machine, and still reaches it.
    result = check(server.url.replace("127.0.0.1", "0.0.0.0") + "/evals")
    assert result.exit_code == 1
    assert "FAIL everybody who has an account of Braintrust may run them" in lines(result)
    assert "set BRAINTRUST_EVALS_ORG_NAME to the id of your organisation" in result.stdout


def test_without_a_token_only_what_needs_none_is_checked(server: Gunicorn) -> None:
    result = check(server.url + "/evals", token=None)
    assert result.exit_code == 0
    assert lines(result)[-1] == "ok   skipped: checks that need a token"
    assert "set BRAINTRUST_API_KEY" in result.stdout.splitlines()[-1]


@pytest.mark.parametrize(
    ("token", "said"),
    [("wrong", "refused with status 401"), ("token-eve", "refused with status 400")],
)
def test_a_token_that_is_refused_is_reported_with_the_reason(
    server: Gunicorn, token: str, said: str
) -> None:
    result = check(server.url + "/evals", token=token)
    assert result.exit_code == 1
    assert said in result.stdout
    assert check(server.url + "/evals", "--org", "acme", token="token-eve").exit_code == 0


@pytest.mark.parametrize("token", ["secret\nvalue", "secr\u00e9t value"])
def test_a_token_that_no_header_can_carry_is_not_repeated(token: str) -> None:
    result = check("http://127.0.0.1:1/evals", token=token)
    assert result.exit_code == 2
    assert "the API key (BRAINTRUST_API_KEY or --token) must be a text of visible ASCII" in (
        result.stderr
    )
    assert "secr" not in result.output


@pytest.mark.parametrize("origin", ["example.com", "https://example.com/", "file:///x", ""])
def test_what_is_no_origin_is_refused(origin: str) -> None:
    result = check("http://127.0.0.1:1/evals", "--origin", origin)
    assert result.exit_code == 2
    assert f"--origin: {origin!r} is not an origin such as https://example.com" in result.stderr


def test_a_token_may_end_with_the_newline_of_its_file(server: Gunicorn) -> None:
    assert check(server.url + "/evals", token="token-ada\n").exit_code == 0


def test_a_page_that_is_not_allowed_is_reported(server: Gunicorn) -> None:
    result = check(server.url + "/evals", "--origin", FOREIGN_PAGE)
    assert result.exit_code == 1
    assert f"add {FOREIGN_PAGE} to BRAINTRUST_EVALS_ORIGINS" in result.stdout


def test_a_wrong_prefix_or_address_is_reported(server: Gunicorn) -> None:
    assert "check the blueprint's prefix" in check(server.url + "/other").stdout
    dead = check("http://127.0.0.1:1/evals")
    assert dead.exit_code == 1
    assert "FAIL no answer: ConnectionRefusedError" in dead.stdout
    assert check("tools.example.com/evals").exit_code == 2


@pytest.fixture(scope="module")
def own_app() -> Iterator[Gunicorn]:
    with Gunicorn(
        "tests.cli.checked_app:create_app()", environ={"BRAINTRUST_EVALS_AUTH": "none"}
    ) as server:
        yield server


def test_a_named_evaluator_is_watched_until_the_result_is_clear(own_app: Gunicorn) -> None:
    result = check(own_app.url + "/evals", "--evaluator", "long", token=None)
    assert result.exit_code == 0, result.stdout
    assert lines(result)[-2].startswith("ok   events come when they happen")
    with proxy(own_app, holds_back_for_a_while) as url:
        result = check(url, "--evaluator", "long", token=None)
    assert result.exit_code == 1
    assert "FAIL events do not come when they happen" in result.stdout


def holds_back_for_a_while(request: Proxy, answer: requests.Response) -> Any:
    def chunks() -> Iterator[bytes]:
        held = b""
        for chunk in answer.iter_content(None):
            held += chunk
            if held.count(b"case_result") > 4:
                yield held
                held = b""
        yield held

    return answer.status_code, dict(answer.headers), chunks()


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("quick", "does not show whether events come when they happen"),
        ("bare", "status 400: data.own: evaluator 'bare' has no cases of its own"),
        ("nobody", "status 404: "),
    ],
)
def test_an_evaluator_that_shows_nothing_is_reported(
    own_app: Gunicorn, name: str, said: str
) -> None:
    result = check(own_app.url + "/evals", "--evaluator", name, token=None)
    assert result.exit_code == 1
    assert said in lines(result)[-1]
    assert "name a" in result.stdout.splitlines()[-1]


def test_a_worker_that_serves_one_request_at_a_time_is_reported() -> None:
    with Gunicorn(
        "tests.cli.checked_app:create_app()",
        worker_class="sync",
        environ={"BRAINTRUST_EVALS_AUTH": "none"},
    ) as server:
        result = check(server.url + "/evals", token=None)
    assert result.exit_code == 1
    assert lines(result)[-1] == "FAIL while a run is under way, no other request is answered"
    assert "--worker-class gevent" in result.stdout
    assert "Start uWSGI with --threads, and an ASGI server with a2wsgi" in result.stdout


def test_a_stream_of_which_nothing_comes_is_reported(
    own_app: Gunicorn,
) -> None:
    with proxy(own_app, buffers) as url:
        result = check(url, "--timeout", "0.5", token=None)
    assert result.exit_code == 1
    assert "FAIL the stream sent nothing for 0.5 s" in result.stdout
    assert "proxy_buffering off" in result.stdout


def test_a_site_that_answers_everything_alike_is_no_server_of_this_kind(server: Gunicorn) -> None:
    def greets(request: Proxy, answer: requests.Response) -> Any:
        health = request.path.rstrip("/") == "/evals"
        text = b'{"status": "ok"}' if health else b"<h1>Hello</h1>"
        allowed = {"Access-Control-Allow-Origin": "*"}
        return 200, {"Content-Length": str(len(text)), **allowed}, iter([text])

    with proxy(server, greets) as url:
        result = check(url)
    assert lines(result)[-1].endswith("/list does not answer with evaluators")


def test_a_run_that_fails_is_reported_with_its_reason(own_app: Gunicorn) -> None:
    result = check(own_app.url + "/evals", "--evaluator", "failing", token=None)
    assert result.exit_code == 1
    assert "FAIL the run failed: " in lines(result)[-1]
    assert "the disk is gone" in lines(result)[-1]


@pytest.mark.parametrize("token", [None, "token-ada"])
def test_a_server_that_refuses_everybody_is_reported_with_its_reason(
    own_app: Gunicorn, token: str | None
) -> None:
    result = check(own_app.url.replace("127.0.0.1", "0.0.0.0") + "/evals", token=token)
    assert result.exit_code == 1
    assert "/list answers with status 403: " in lines(result)[-1]
    assert "BRAINTRUST_EVALS_HOSTS" in lines(result)[-1]
    assert "check the token" not in result.stdout


def test_a_netrc_does_not_take_the_place_of_the_token(
    server: Gunicorn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("default login somebody password secret\n")
    monkeypatch.setenv("NETRC", str(netrc))
    result = check(server.url + "/evals")
    assert result.exit_code == 0, result.stdout


def test_an_organisation_without_a_token_is_no_token(server: Gunicorn) -> None:
    result = check(server.url + "/evals", "--org", "acme", token=None)
    assert result.exit_code == 0, result.stdout


@pytest.mark.parametrize("url", ["http://[", "http://u:p@127.0.0.1/evals", "http://a/evals?x=1"])
def test_an_invalid_address_is_an_error(url: str) -> None:
    result = check(url)
    assert result.exit_code == 2
    assert "u:p" not in result.stderr


def test_a_large_body_is_not_sent_elsewhere(server: Gunicorn) -> None:
    def moves_runs(request: Proxy, answer: requests.Response) -> Any:
        if request.path.endswith("/eval") and request.command == "POST":
            return (
                307,
                {"Location": "http://127.0.0.1:1/evals/eval", "Content-Length": "0"},
                iter(()),
            )
        return answer.status_code, dict(answer.headers), answer.iter_content(None)

    with proxy(server, moves_runs) as url:
        result = check(url)
    assert "FAIL a body of 2 MiB is answered with status 307" in result.stdout


def test_an_answer_that_comes_in_drops_is_not_waited_for(
    server: Gunicorn,
) -> None:
    def drips(request: Proxy, answer: requests.Response) -> Any:
        def drops() -> Iterator[bytes]:
            while True:
                time.sleep(0.05)
                yield b" "

        return 200, {}, drops()

    with proxy(server, drips) as url:
        result = check(url, "--timeout", "0.5")
    assert lines(result) == ["FAIL no answer: Timeout: the answer was not complete after 0.5 s"]


@pytest.mark.parametrize(
    ("worker", "distance", "said"),
    [
        ("gevent", 0.2, "ok   other requests are answered while a run is under way"),
        ("sync", 0.2, "FAIL while a run is under way, no other request is answered"),
        ("sync", 0.9, "ok   it is not clear whether a run blocks other requests"),
    ],
)
def test_a_distant_server_is_distinguished_from_one_that_serves_one_at_a_time(
    worker: str, distance: float, said: str
) -> None:
    def far_away(request: Proxy, answer: requests.Response) -> Any:
        return answer.status_code, dict(answer.headers), answer.iter_content(None)

    environ = {"BRAINTRUST_EVALS_AUTH": "none"}
    app = "tests.cli.checked_app:create_app()"
    with (
        Gunicorn(app, worker_class=worker, environ=environ) as server,
        proxy(server, far_away, distance) as url,
    ):
        findings = [*StreamCheck(new_session(), url, {}, None).findings()]
    marks = [f"{'ok  ' if each.good else 'FAIL'} {each.what}" for each in findings]
    assert marks[-1].startswith(said)


def test_no_list_has_the_slow_evaluator(server: Gunicorn) -> None:
    headers = {"x-bt-auth-token": "token-ada"}
    assert NAME not in requests.get(server.url + "/evals/list", headers=headers, timeout=10).json()
