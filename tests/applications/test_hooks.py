"""What an application has called before and after each request, and extensions that do so."""

from __future__ import annotations

import time
from typing import Any

import flask_cors
import pytest
from flask import Blueprint, Flask, Response, abort, g, redirect, request
from flask_debugtoolbar import DebugToolbarExtension
from flask_limiter import Limiter
from flask_talisman import Talisman
from flask_wtf import CSRFProtect
from prometheus_client import CollectorRegistry
from prometheus_flask_exporter import PrometheusMetrics
from werkzeug.middleware.proxy_fix import ProxyFix
from werkzeug.test import TestResponse

from tests.standin import StandIn
from tests.support import TOKEN
from tests.web.support import HOSTILE_PAGE, PAGE, Api, blueprint_of, cloud_app, error_of, make_app

DATA = [{"input": 1}]
ASKED = {
    "Origin": PAGE,
    "Access-Control-Request-Method": "POST",
    "Access-Control-Request-Headers": "content-type, x-bt-auth-token",
}


@pytest.fixture
def app() -> Flask:
    app = make_app(BRAINTRUST_EVALS_AUTH="none", BRAINTRUST_EVALS_PLAYGROUND=True)
    app.config["SECRET_KEY"] = "secret"
    app.add_url_rule("/page", "page", lambda: "a page", methods=["GET", "POST"])
    return app


@pytest.fixture
def api(app: Flask) -> Api:
    return Api(app, token=None)


def is_allowed(response: TestResponse, page: str = PAGE) -> bool:
    """Whether a browser takes the answer to a preflight for a permission."""
    if not 200 <= response.status_code < 300:
        return False
    allowed = response.headers.getlist("Access-Control-Allow-Origin")
    return allowed == [page] and "content-type" in response.headers["Access-Control-Allow-Headers"]


# --- Preflights are answered, whatever the application asks of its requests ---


def to_login() -> Any:
    return redirect("/login")


def unauthorized() -> Any:
    abort(401)


def forbidden() -> Any:
    return "no", 403


def broken() -> Any:
    raise KeyError("user")


@pytest.mark.parametrize("hook", [to_login, unauthorized, forbidden, broken])
def test_preflights_are_answered_whatever_the_application_asks_of_all_requests(
    app: Flask, api: Api, hook: Any
) -> None:
    app.config["PROPAGATE_EXCEPTIONS"] = False
    app.before_request(hook)
    for path in ("/eval", "/list", "/", "/list/", "/nothing"):
        assert is_allowed(api.open("OPTIONS", path, headers=ASKED)), path
        hostile = api.open("OPTIONS", path, headers={**ASKED, "Origin": HOSTILE_PAGE})
        assert not is_allowed(hostile, HOSTILE_PAGE)
    # Nothing else is let through, and a page can read why.
    response = api.eval(data=DATA, headers={"Origin": PAGE})
    assert response.status_code in (302, 401, 403, 500)
    assert response.headers.getlist("Access-Control-Allow-Origin") == [PAGE]
    assert not is_allowed(api.client.options("/page", headers=ASKED))


def test_functions_before_and_after_a_request_belong_together(app: Flask, api: Api) -> None:
    @app.before_request
    def start() -> None:
        g.start = time.monotonic()

    @app.after_request
    def measure(response: Response) -> Response:
        response.headers["X-Took"] = str(time.monotonic() - g.start)
        return response

    response = api.open("OPTIONS", "/eval", headers=ASKED)
    assert is_allowed(response)
    assert "X-Took" in response.headers


def test_routes_that_the_application_adds_to_the_blueprint_are_its_own() -> None:
    bp = blueprint_of()
    bp.add_url_rule("/extra", "extra", lambda: "extra")
    app = Flask(__name__)
    app.config["BRAINTRUST_EVALS_AUTH"] = "none"
    app.before_request(to_login)
    app.register_blueprint(bp, url_prefix="/evals")
    assert app.test_client().options("/evals/extra", headers=ASKED).status_code == 302


def test_rate_limits_refuse_no_preflight(app: Flask, api: Api) -> None:
    limits: Any = ["2 per hour"]
    Limiter(lambda: request.endpoint or "", app=app, default_limits=limits, storage_uri="memory://")
    for _ in range(5):
        assert is_allowed(api.open("OPTIONS", "/eval", headers=ASKED))
    assert api.client.get("/page").status_code == 200


def test_talisman_redirects_no_preflight_and_keeps_the_policy_of_the_page(
    app: Flask, api: Api
) -> None:
    Talisman(app, content_security_policy={"default-src": "*", "script-src": "* 'unsafe-inline'"})
    assert is_allowed(api.open("OPTIONS", "/eval", headers=ASKED))
    assert api.get("/list").status_code == 302
    https = {"base_url": "https://localhost"}
    with api.get("/playground", **https) as page:
        (policy,) = page.headers.getlist("Content-Security-Policy")
        assert "script-src 'self'" in policy and "unsafe-inline" not in policy
        assert page.headers["Referrer-Policy"] == "no-referrer"
        assert "Strict-Transport-Security" in page.headers  # the rest is Talisman's
    policy = api.client.get("/page", **https).headers["Content-Security-Policy"]
    assert "unsafe-inline" in policy


# --- Headers ---


def adds(response: Response) -> Response:
    response.headers.add("Access-Control-Allow-Origin", "*")
    response.headers.add("access-control-allow-headers", "X-Own")
    return response


def replaces(response: Response) -> Response:
    response.headers["Access-Control-Allow-Origin"] = "*"
    response.headers["Access-Control-Allow-Credentials"] = "false"
    return response


def allows_all_to_all(response: Response) -> Response:
    response.headers["Access-Control-Allow-Origin"] = request.headers.get("Origin", "*")
    response.headers["Access-Control-Allow-Credentials"] = "true"
    return response


@pytest.mark.parametrize("hook", [adds, replaces, allows_all_to_all])
@pytest.mark.parametrize("first", [True, False])
def test_cors_headers_that_the_application_adds_to_all_answers_are_not_on_ours(
    hook: Any, first: bool
) -> None:
    app = Flask(__name__)
    app.config["BRAINTRUST_EVALS_AUTH"] = "none"
    if first:
        app.after_request(hook)
    app.register_blueprint(blueprint_of(), url_prefix="/evals")
    if not first:
        app.after_request(hook)
    check_cors(Api(app, token=None))
    assert "Access-Control-Allow-Origin" in app.test_client().get("/none").headers


@pytest.mark.parametrize("first", [True, False])
def test_a_cors_extension_for_the_whole_application_changes_nothing_of_ours(first: bool) -> None:
    app = Flask(__name__)
    app.config["BRAINTRUST_EVALS_AUTH"] = "none"
    if first:
        flask_cors.CORS(app, supports_credentials=True)
    app.register_blueprint(blueprint_of(), url_prefix="/evals")
    if not first:
        flask_cors.CORS(app, supports_credentials=True)
    check_cors(Api(app, token=None))


def check_cors(api: Api) -> None:
    for path in ("/list", "/nothing"):
        for page, allowed in ((PAGE, [PAGE]), (HOSTILE_PAGE, [])):
            headers = api.get(path, headers={"Origin": page}).headers
            assert headers.getlist("Access-Control-Allow-Origin") == allowed
            assert headers.get("Access-Control-Allow-Credentials") == ("true" if allowed else None)
            assert "Origin" in headers["Vary"]
    assert is_allowed(api.open("OPTIONS", "/eval", headers=ASKED))
    hostile = {**ASKED, "Origin": HOSTILE_PAGE}
    assert not is_allowed(api.open("OPTIONS", "/eval", headers=hostile), HOSTILE_PAGE)


def test_no_answer_becomes_one_that_caches_may_keep(app: Flask, api: Api) -> None:
    @app.after_request
    def cache(response: Response) -> Response:
        response.headers["Cache-Control"] = "public, max-age=3600"
        return response

    assert api.get("/list").headers["Cache-Control"] == "no-store"
    assert api.eval(data=DATA).headers["Cache-Control"] == "no-cache"
    assert api.client.get("/page").headers["Cache-Control"] == "public, max-age=3600"


def test_another_answer_of_the_application_can_be_read_by_the_page(app: Flask, api: Api) -> None:
    @app.after_request
    def maintenance(response: Response) -> Response:
        return Response("maintenance", 503)

    response = api.get("/list", headers={"Origin": PAGE})
    assert (response.status_code, response.text) == (503, "maintenance")
    assert response.headers["Access-Control-Allow-Origin"] == PAGE


# --- Protection against forged requests ---


@pytest.mark.parametrize("nested", [False, True])
def test_the_blueprint_is_exempt_from_csrf_protection_by_itself(nested: bool) -> None:
    app = Flask(__name__)
    app.config.update(BRAINTRUST_EVALS_AUTH="none", SECRET_KEY="secret")
    csrf = CSRFProtect(app)
    bp, outer = blueprint_of(), Blueprint("outer", __name__, url_prefix="/outer")
    if nested:
        outer.register_blueprint(bp, url_prefix="/evals")
        app.register_blueprint(outer)
        csrf.exempt(outer)
    else:
        app.register_blueprint(bp, url_prefix="/outer/evals")
    api = Api(app, token=None, prefix="/outer/evals")
    assert "CSRF token is missing" in api.refusal(400, data=DATA)
    csrf.exempt(bp)
    assert api.outputs(data=DATA) == [1]


# --- The client's address ---


@pytest.mark.parametrize("strip", [False, True])
def test_a_client_is_not_local_because_a_header_says_so(app: Flask, api: Api, strip: bool) -> None:
    fixed = app.wsgi_app = ProxyFix(app.wsgi_app, x_for=1)  # type: ignore[method-assign]
    if strip:  # whatever else is around the application

        def without_header(environ: Any, start_response: Any) -> Any:
            environ.pop("HTTP_X_FORWARDED_FOR", None)
            return inner(environ, start_response)

        inner = fixed.app
        fixed.app = without_header
    far = {"REMOTE_ADDR": "203.0.113.9"}
    headers = {"X-Forwarded-For": "127.0.0.1"}
    response = api.get("/list", headers=headers, environ_overrides=far)
    assert "which serves this machine alone" in error_of(response, 403)
    assert api.get("/list").status_code == 200


class Connection:
    """A connection of a server to a client at an address."""

    def __init__(self, name: Any) -> None:
        self._name = name

    def getpeername(self) -> Any:
        return self._name


@pytest.mark.parametrize(
    ("name", "status"),
    [
        (("127.0.0.1", 1), 200),
        (("::1", 1, 0, 0), 200),
        (("203.0.113.9", 1), 403),
        ("", 403),  # a socket of Unix, which a proxy uses
    ],
)
def test_the_servers_own_word_for_the_clients_address_counts(
    api: Api, name: Any, status: int
) -> None:
    environ = {"gunicorn.socket": Connection(name), "REMOTE_ADDR": "127.0.0.1"}
    assert api.get("/list", environ_overrides=environ).status_code == status


# --- Tokens ---


@pytest.mark.parametrize("header", ["x-bt-auth-token", "Authorization"])
def test_what_is_called_after_a_request_does_not_have_the_token(
    cloud: StandIn, header: str
) -> None:
    app, seen = cloud_app(cloud), []

    @app.after_request
    def record(response: Response) -> Response:
        seen.append(repr(request.environ) + repr(request.headers))
        return response

    @app.teardown_request
    def record_at_the_end(error: BaseException | None) -> None:
        seen.append(repr(request.environ))

    api = Api(app, token=None)
    sent = {header: f"Bearer {TOKEN}" if header == "Authorization" else TOKEN}
    assert api.get("/list", headers=sent).status_code == 200
    assert api.summary(headers=sent, data=DATA)["scores"] == {}
    wrong = {header: f"{sent[header]}-wrong"}
    assert api.get("/list", headers=wrong).status_code == 401
    assert len(seen) == 6
    assert not [each for each in seen if TOKEN in each]


def test_a_header_that_is_no_token_of_ours_stays(cloud: StandIn) -> None:
    app, seen = cloud_app(cloud), []

    @app.after_request
    def record(response: Response) -> Response:
        seen.append(request.headers.get("Authorization"))
        return response

    own = {"Authorization": "Basic cHJveHk6cHJveHk="}
    api = Api(app, token=None)
    assert api.get("/list", headers={**own, "x-bt-auth-token": TOKEN}).status_code == 200
    assert api.get("/", headers=own).status_code == 200
    assert seen == [own["Authorization"]] * 2


# --- Monitors ---


def test_a_monitor_of_all_requests_counts_ours(app: Flask, api: Api) -> None:
    registry = CollectorRegistry()
    PrometheusMetrics(app, registry=registry)
    assert api.outputs(data=DATA) == [1]
    assert api.open("PUT", "/list").status_code == 405
    assert api.open("OPTIONS", "/eval", headers=ASKED).status_code == 204
    for method, status in (("POST", "200"), ("PUT", "405"), ("OPTIONS", "204")):
        labels = {"method": method, "status": status}
        assert registry.get_sample_value("flask_http_request_total", labels) == 1


def test_the_debug_toolbar_leaves_streams_alone(app: Flask, api: Api) -> None:
    app.debug = True
    DebugToolbarExtension(app)
    assert api.outputs(data=DATA) == [1]
    assert api.get("/list").get_json().keys() == {"echo"}


# --- Exceptions that the application handles ---


class NotSignedIn(Exception):
    pass


class NoSeat(NotSignedIn):
    pass


def refuse(*args: Any) -> Any:
    raise NoSeat


@pytest.mark.parametrize("where", ["before a request", "auth function", "outer blueprint"])
@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (lambda error: ({"error": "sign in first"}, 401, {"X-Why": "no user"}), "sign in first"),
        (lambda error: ({"message": "sign in first"}, 401, {"X-Why": "no user"}), "sign in first"),
        (lambda error: ({"msg": "sign in first"}, 401, {"X-Why": "no user"}), "sign in first"),
        (
            lambda error: (
                "sign in first",
                401,
                {"Content-Type": "text/plain", "X-Why": "no user"},
            ),
            "sign in first",
        ),
        (lambda error: ("<h1>Sign in</h1>", 401, {"X-Why": "no user"}), "Unauthorized"),
    ],
    ids=["error", "message", "msg", "text", "page"],
)
def test_an_exception_that_the_application_handles_has_its_status(
    app: Flask, where: str, answer: Any, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = "/evals/list"
    if where == "outer blueprint":
        outer = Blueprint("outer", __name__)
        outer.register_blueprint(blueprint_of(name="inner"), url_prefix="/evals")
        outer.before_request(refuse)
        outer.register_error_handler(NotSignedIn, answer)
        app.register_blueprint(outer, url_prefix="/outer")
        path = "/outer/evals/list"
    else:
        app.register_error_handler(NotSignedIn, answer)
    if where == "before a request":
        app.before_request(refuse)
    if where == "auth function":
        app = make_app(BRAINTRUST_EVALS_AUTH=refuse)
        app.register_error_handler(NotSignedIn, answer)
    response = app.test_client().get(path, headers={"Origin": PAGE})
    assert error_of(response, 401) == text
    assert response.headers["X-Why"] == "no user"
    assert response.headers["Access-Control-Allow-Origin"] == PAGE
    assert "unexpected error" not in caplog.text


def test_a_handler_of_the_application_may_redirect(app: Flask, api: Api) -> None:
    app.before_request(refuse)
    app.register_error_handler(NotSignedIn, lambda error: redirect("/login"))
    assert api.get("/list").headers["Location"] == "/login"


def test_what_the_application_handles_is_logged(
    app: Flask, api: Api, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    app.before_request(refuse)
    app.register_error_handler(NotSignedIn, lambda error: ("sign in first", 401))
    assert api.get("/list").status_code == 401
    (record,) = [each for each in caplog.records if each.exc_info]
    assert (record.levelname, record.exc_info and record.exc_info[0]) == ("INFO", NoSeat)


def test_a_handler_of_all_exceptions_changes_nothing_of_ours(app: Flask, api: Api) -> None:
    app.before_request(refuse)
    app.register_error_handler(Exception, lambda error: ("oh no", 418))
    assert error_of(api.get("/list"), 500) == "internal error; see the server's log"


# --- A g of the application's own ---


class StrictG:
    __slots__ = ("user",)


class LenientG:
    def __getattr__(self, name: str) -> None:
        return None


@pytest.mark.parametrize("kind", [StrictG, LenientG])
def test_the_application_may_have_a_g_of_its_own(app: Flask, api: Api, kind: type) -> None:
    vars(app)["app_ctx_globals_class"] = kind
    assert app.test_client().get("/page").text == "a page"
    assert api.outputs(data=DATA) == [1]
