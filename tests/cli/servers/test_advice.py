"""What ``flask evals check`` advises where an application does more than serve evaluators."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from flask import Flask, Response, abort, redirect, request
from flask_limiter import Limiter
from flask_wtf import CSRFProtect
from werkzeug.exceptions import NotFound
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.serving import make_server

from flask_braintrust_evals.cli.servers.advice import is_foreign
from flask_braintrust_evals.cli.servers.finding import Answer
from tests.web.support import make_app

from .test_check import check, lines

pytestmark = pytest.mark.live

LET_PASS = 'if request.blueprint == "braintrust_evals": return'


def with_login(app: Flask) -> None:
    app.before_request(lambda: redirect("/login"))


def with_login_elsewhere(app: Flask) -> None:
    app.before_request(lambda: redirect("https://login.example.com/authorize?client_id=1"))


def with_https(app: Flask) -> None:
    app.before_request(lambda: redirect(request.url.replace("http://", "https://")))


def unauthorized(app: Flask) -> None:
    app.before_request(lambda: abort(401))


def forbidden_as_html(app: Flask) -> None:
    app.before_request(lambda: ("<h1>Forbidden</h1>", 403))


def protected(app: Flask) -> None:
    app.config["SECRET_KEY"] = "secret"
    CSRFProtect(app)


def limited(app: Flask) -> None:
    limits: Any = ["1 per hour"]
    Limiter(lambda: "everybody", app=app, default_limits=limits, storage_uri="memory://")


def with_any_origin(app: Flask) -> None:
    """What is around the application adds a header to all answers."""
    inner = app.wsgi_app

    def outer(environ: Any, start_response: Any) -> Any:
        def start(status: str, headers: Any, *rest: Any) -> Any:
            return start_response(status, [*headers, ("Access-Control-Allow-Origin", "*")], *rest)

        return inner(environ, start)

    app.wsgi_app = outer  # type: ignore[method-assign]


def answering_options(*sent: tuple[str, str]) -> Callable[[Flask], None]:
    def change(app: Flask) -> None:
        inner = app.wsgi_app

        def outer(environ: Any, start_response: Any) -> Any:
            if environ["REQUEST_METHOD"] == "OPTIONS":
                return Response(status=204, headers=[*sent])(environ, start_response)
            return inner(environ, start_response)

        app.wsgi_app = outer  # type: ignore[method-assign]

    return change


def collecting(app: Flask) -> None:
    """A middleware reads the whole answer before it sends any of it."""
    inner = app.wsgi_app
    app.wsgi_app = lambda *arguments: [*inner(*arguments)]  # type: ignore[method-assign]


def everything_else_fails(app: Flask) -> None:
    pass


CHANGES: dict[str, Callable[[Flask], None]] = {
    "login": with_login,
    "login-elsewhere": with_login_elsewhere,
    "https": with_https,
    "unauthorized": unauthorized,
    "forbidden": forbidden_as_html,
    "csrf": protected,
    "limited": limited,
    "any-origin": with_any_origin,
    "options": answering_options(("Allow", "GET, POST")),
    "options-for-all": answering_options(("Access-Control-Allow-Origin", "*")),
    "collecting": collecting,
    "fine": everything_else_fails,
}


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """A server with one application for each change, below its name."""
    mounts: dict[str, Any] = {}
    for name, change in CHANGES.items():
        app = make_app(BRAINTRUST_EVALS_AUTH="none")
        change(app)
        mounts[f"/{name}"] = app
    server = make_server("127.0.0.1", 0, DispatcherMiddleware(NotFound(), mounts), threaded=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield f"http://127.0.0.1:{server.port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize(
    ("name", "said", "advice"),
    [
        ("login", "redirects to /login", LET_PASS),
        ("login-elsewhere", "redirects to https://login.example.com/", "If it is a login, "),
        ("https", "redirects to https://127.0.0.1", "give the Playground that address"),
        ("unauthorized", "answers with status 401", LET_PASS),
        ("forbidden", "answers with status 403", LET_PASS),
        ("csrf", "CSRF token is missing", "csrf.exempt(evals_bp)"),
        ("limited", "/list answers with status 429", "exempt the blueprint from the rate limit"),
        ("any-origin", "it has several allowed origins", "from what else adds them"),
        ("options", "the allowed origin is none", "let the blueprint answer OPTIONS"),
        ("options-for-all", "the allowed origin is *", "let the blueprint answer OPTIONS"),
        ("collecting", "events do not come when they happen", "collects whole answers"),
    ],
)
def test_the_advice_fits_what_the_application_does(
    address: str, name: str, said: str, advice: str
) -> None:
    result = check(f"{address}/{name}/evals", token=None)
    assert result.exit_code == 1
    output = result.stdout.splitlines()
    at = next(number for number, line in enumerate(output) if said in line)
    assert output[at].startswith("FAIL")
    assert advice in output[at + 1]
    assert "BRAINTRUST_EVALS_ORIGINS" not in result.stdout
    if advice == LET_PASS:
        assert "give the Playground that address" not in result.stdout
        assert "prefix" not in result.stdout


@pytest.mark.parametrize("path", ["list", "eval"])
def test_an_address_with_too_much_at_its_end_is_reported(address: str, path: str) -> None:
    base = f"{address}/fine/evals"
    result = check(f"{base}/{path}", token=None)
    assert result.exit_code == 1
    assert f"leave off '/{path}': the address is {base}" in result.stdout
    assert check(base, token=None).exit_code == 0


def test_what_is_left_out_without_a_key_is_named(address: str) -> None:
    app = make_app()
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        result = check(f"http://127.0.0.1:{server.port}/evals", token=None)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    assert lines(result)[-1] == "ok   skipped: checks that need a token"
    last = result.stdout.splitlines()[-1]
    for each in ("organisation", "2 MiB", "when they happen", "blocks", "BRAINTRUST_API_KEY"):
        assert each in last


@pytest.mark.parametrize(
    ("status", "body", "foreign"),
    [
        (200, b"<p>", False),
        (401, b'{"error": "no token: send your key"}', False),
        (401, b'{"error": "Unauthorized: The server could not verify"}', True),
        (403, b"<p>no", True),
        (400, b'{"message": "no"}', True),
        (302, b"", True),
        (499, b'{"error": "x"}', False),
        (499, b"", True),
    ],
)
def test_errors_that_the_blueprint_has_found_are_known(
    status: int, body: bytes, foreign: bool
) -> None:
    assert is_foreign(Answer(status, "", {}, body)) is foreign
