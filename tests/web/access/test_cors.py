"""Cross-origin headers: all of them, on every answer, and none for pages that are refused."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import flask_cors
import pytest
from flask import Blueprint, Flask, Response, abort, make_response
from werkzeug.exceptions import HTTPException, TooManyRequests, Unauthorized
from werkzeug.test import TestResponse

from flask_braintrust_evals import Evaluator
from tests.standin import StandIn
from tests.web.support import (
    HOSTILE_PAGE,
    PAGE,
    PLAYGROUND,
    Api,
    blueprint_of,
    cloud_app,
    echo,
    error_of,
    events_of,
    make_app,
)

EXPOSED = "x-bt-cursor, x-bt-found-existing-experiment, x-bt-span-id, x-bt-span-export"
REQUEST_HEADERS = (
    "content-type, authorization, x-amz-date, x-api-key, x-amz-security-token, x-bt-auth-token,"
    " x-bt-parent, x-bt-org-name, x-bt-project-id, x-bt-stream-fmt, x-bt-use-cache,"
    " x-bt-use-gateway, x-stainless-os, x-stainless-lang, x-stainless-package-version,"
    " x-stainless-runtime, x-stainless-runtime-version, x-stainless-arch"
).split(", ")


def allowed(origin: str = PAGE) -> dict[str, str]:
    """The headers of an answer to an allowed page."""
    return {
        "Access-Control-Allow-Origin": origin,
        "Access-Control-Allow-Credentials": "true",
        "Access-Control-Expose-Headers": EXPOSED,
    }


def cors_of(response: TestResponse) -> dict[str, str]:
    """All cross-origin headers of an answer. None may be there twice."""
    found = [pair for pair in response.headers if pair[0].lower().startswith("access-control-")]
    assert len(found) == len(dict(found))
    return dict(found)


def varies(response: TestResponse) -> bool:
    return "origin" in response.vary


def preflight(
    api: Api, path: str = "/eval", origin: str | None = PAGE, **headers: str
) -> TestResponse:
    sent = {"Access-Control-Request-Method": "POST"}
    sent |= {} if origin is None else {"Origin": origin}
    sent |= {f"Access-Control-Request-{name.replace('_', '-')}": v for name, v in headers.items()}
    return Api(api.client.application, token=None, prefix=api.prefix).open(
        "OPTIONS", path, headers=sent
    )


def names(header: str | None) -> set[str]:
    return {name.strip() for name in (header or "").split(",") if name.strip()}


# --- Every kind of answer ---

Ask = Callable[[Api, dict[str, str]], TestResponse]


def ask_eval(**body: Any) -> Ask:
    return lambda api, headers: api.eval(headers, **{"parent": PLAYGROUND, **body})


def ask(method: str, path: str, **options: Any) -> Ask:
    return lambda api, headers: api.open(method, path, headers=headers, **options)


def ask_without_token(api: Api, headers: dict[str, str]) -> TestResponse:
    return Api(api.client.application, token=None).get("/list", headers=headers)


def ask_as_stranger(api: Api, headers: dict[str, str]) -> TestResponse:
    return Api(api.client.application, token="nobody's").get("/list", headers=headers)


def ask_for_foreign_org(api: Api, headers: dict[str, str]) -> TestResponse:
    return api.get("/list", headers={**headers, "x-bt-org-name": "globex"})


ANSWERS: dict[str, tuple[int, Ask]] = {
    "health": (200, ask("GET", "/")),
    "health without slash": (200, ask("GET", "")),
    "health, head": (200, ask("HEAD", "/")),
    "list": (200, ask("GET", "/list")),
    "list, posted": (200, ask("POST", "/list")),
    "stream": (200, ask_eval(data=[{"input": 1}])),
    "stream of a failing case": (200, ask_eval(name="fail", data=[{"input": 1}])),
    "summary": (200, ask_eval(data=[{"input": 1}], stream=False)),
    "no json": (400, ask("POST", "/eval", data=b"{", content_type="application/json")),
    "no name": (400, ask_eval(name=None)),
    "no token": (401, ask_without_token),
    "unknown token": (401, ask_as_stranger),
    "foreign organisation": (403, ask_for_foreign_org),
    "unknown evaluator": (404, ask_eval(name="other")),
    "unknown path": (404, ask("GET", "/nothing/here")),
    "unknown path without a token": (404, ask("POST", "/nothing", data=b"x")),
    "wrong method": (405, ask("PUT", "/eval")),
    "unheard-of method": (405, ask("BREW", "/list")),
    "too large": (413, ask("POST", "/eval", data=b" " * 20_000, content_type="application/json")),
    "wrong type": (415, ask("POST", "/eval", data=b"x=1", content_type="text/plain")),
    "failing data": (404, ask_eval(data={"dataset_id": "none"}, stream=False)),
}


def fail(input: Any) -> Any:
    raise ValueError("no")


@pytest.fixture
def small(cloud: StandIn) -> Api:
    """An application that takes small bodies only."""
    evaluators = [Evaluator("echo", echo), Evaluator("fail", fail)]
    return Api(cloud_app(cloud, *evaluators, BRAINTRUST_EVALS_MAX_BODY=10_000))


def test_an_allowed_page_gets_exactly_the_headers_it_needs_on_every_answer(small: Api) -> None:
    for name, (status, ask) in ANSWERS.items():
        response = ask(small, {"Origin": PAGE})
        assert response.status_code == status, name
        assert cors_of(response) == allowed(), name
        assert varies(response), name


def test_without_an_origin_there_are_no_headers_but_vary(small: Api) -> None:
    for name, (status, ask) in ANSWERS.items():
        response = ask(small, {})
        assert response.status_code == status, name
        assert cors_of(response) == {}, name
        assert varies(response), name


def test_a_refused_page_gets_no_headers_but_vary(small: Api) -> None:
    for name, (_, ask) in ANSWERS.items():
        response = ask(small, {"Origin": HOSTILE_PAGE})
        assert cors_of(response) == {}, name
        assert varies(response), name


@pytest.mark.parametrize("page", [HOSTILE_PAGE, "null", "", "https://www.braintrust.dev:443"])
@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/list"), ("POST", "/list"), ("POST", "/eval")]
)
def test_a_refused_page_is_403_before_its_token_is_read(
    cloud: StandIn, api: Api, method: str, path: str, page: str
) -> None:
    text = error_of(api.open(method, path, headers={"Origin": page}), 403)
    assert text == (
        f"pages of {page!r} may not use this server; add the origin to BRAINTRUST_EVALS_ORIGINS if"
        " they should"
    )
    assert not cloud.calls


def test_a_refused_page_may_ask_for_the_health(api: Api) -> None:
    response = api.get("/", headers={"Origin": HOSTILE_PAGE})
    assert response.get_json() == {"status": "ok"}


def test_the_text_of_a_refusal_does_not_repeat_a_very_long_origin(api: Api) -> None:
    text = error_of(api.get("/list", headers={"Origin": "https://" + "a" * 50_000}), 403)
    assert len(text) < 500


# --- Which pages ---


@pytest.mark.parametrize(
    "page",
    [
        "https://www.braintrust.dev",
        "https://tools.example.com",
        "https://any.example.org",
        "https://self-hosted.example.com",
        "https://white.example.com",
    ],
)
def test_braintrusts_pages_and_those_of_the_settings_are_allowed(page: str) -> None:
    app = make_app(
        BRAINTRUST_EVALS_AUTH="none",
        BRAINTRUST_APP_URL="https://self-hosted.example.com/",
        BRAINTRUST_EVALS_ORIGINS=[
            "https://tools.example.com",
            re.compile(r"https://[a-z]+\.example\.org"),
        ],
        WHITELISTED_ORIGIN="https://white.example.com",
    )
    response = Api(app, token=None).get("/list", headers={"Origin": page})
    assert response.status_code == 200
    assert cors_of(response) == allowed(page)


@pytest.mark.parametrize(
    "page",
    [
        "https://tools.example.com.evil.com",
        "https://TOOLS.example.com",
        "https://any.example.org.evil.com",
        "https://toolsxexample.com",
    ],
)
def test_pages_of_the_settings_are_matched_whole_and_with_case(page: str) -> None:
    app = make_app(
        BRAINTRUST_EVALS_AUTH="none",
        BRAINTRUST_EVALS_ORIGINS=[
            "https://tools.example.com",
            re.compile(r"https://[a-z]+\.example\.org"),
        ],
    )
    response = Api(app, token=None).get("/list", headers={"Origin": page})
    assert response.status_code == 403
    assert cors_of(response) == {}


def test_a_self_hosted_braintrust_under_a_path_is_allowed_by_its_origin() -> None:
    app = make_app(
        BRAINTRUST_EVALS_AUTH="none", BRAINTRUST_APP_URL="https://tools.example.com/braintrust"
    )
    response = Api(app, token=None).get("/list", headers={"Origin": "https://tools.example.com"})
    assert cors_of(response) == allowed("https://tools.example.com")


# --- Preflights ---


@pytest.mark.parametrize("path", ["", "/", "/list", "/eval", "/nothing/here", "//list", "//eval"])
def test_a_preflight_is_answered_on_any_path_and_without_a_token(
    cloud: StandIn, api: Api, path: str
) -> None:
    response = preflight(api, path, Headers=", ".join(REQUEST_HEADERS))
    assert response.status_code == 204
    assert response.data == b""
    headers = cors_of(response)
    assert names(headers.pop("Access-Control-Allow-Headers")) == set(REQUEST_HEADERS)
    assert headers == {
        **allowed(),
        "Access-Control-Allow-Methods": "GET, POST, OPTIONS",
        "Access-Control-Max-Age": "86400",
    }
    assert varies(response)
    assert not cloud.calls


@pytest.mark.parametrize("origin", [None, HOSTILE_PAGE, "null", ""])
def test_a_preflight_of_a_refused_page_is_answered_without_a_single_header(
    api: Api, origin: str | None
) -> None:
    for path in ("/", "/list", "/eval", "/nothing"):
        response = preflight(api, path, origin, Headers="authorization", Private_Network="true")
        assert response.status_code == 204, path
        assert cors_of(response) == {}, path
        assert varies(response), path


@pytest.mark.parametrize(
    ("asked", "granted"),
    [
        ("x-bt-something-new", {"x-bt-something-new"}),
        ("x-stainless-retry-count, x-bt-2", {"x-stainless-retry-count", "x-bt-2"}),
        ("X-Bt-Use-Gateway,Content-Type", {"X-Bt-Use-Gateway", "Content-Type"}),
        ("authorization, x-evil, cookie", {"authorization"}),
        ("x-evil", set()),
        ("xx-bt-use-cache", set()),
        ("x-bt", set()),
        ("x-bt-", set()),
        ("x-bt-a b", set()),
        ("x-bt-é", set()),
        ("x-api-keys", set()),
        ("authorizationx", set()),
        ("*", set()),
        ("x-bt-a," * 585, {"x-bt-a"}),
        ("x-bt-a," * 586, set()),  # such a list is not read
    ],
)
def test_requested_headers_are_granted_by_their_whole_names(
    api: Api, asked: str, granted: set[str]
) -> None:
    response = preflight(api, Headers=asked)
    assert names(response.headers.get("Access-Control-Allow-Headers")) == granted


@pytest.mark.parametrize(
    ("asked", "origin", "answer"),
    [
        ("true", PAGE, "true"),
        ("true", HOSTILE_PAGE, None),
        ("true", "null", None),
        ("true", None, None),
        ("false", PAGE, None),
    ],
)
def test_only_an_allowed_page_may_reach_a_private_network(
    api: Api, asked: str, origin: str | None, answer: str | None
) -> None:
    response = preflight(api, "/eval", origin, Private_Network=asked)
    assert response.headers.get("Access-Control-Allow-Private-Network") == answer


def test_a_preflight_that_does_not_ask_for_a_private_network_gets_no_header_for_it(
    api: Api,
) -> None:
    assert "Access-Control-Allow-Private-Network" not in preflight(api).headers


# --- The application around us ---


@pytest.fixture
def wide_open() -> Api:
    """An application that lets every page do everything."""
    app = make_app(BRAINTRUST_EVALS_AUTH="none")
    flask_cors.CORS(app, supports_credentials=True, allow_private_network=True)
    return Api(app, token=None)


ERRORS = [("POST", "/"), ("GET", "/nothing"), ("PUT", "/list"), ("GET", "/eval"), ("POST", "/eval")]


@pytest.mark.parametrize(("method", "path"), [("GET", "/"), ("OPTIONS", "/eval"), *ERRORS])
def test_an_application_that_opens_itself_to_all_does_not_open_us(
    wide_open: Api, method: str, path: str
) -> None:
    response = wide_open.open(method, path, headers={"Origin": HOSTILE_PAGE})
    assert cors_of(response) == {}
    assert varies(response)


@pytest.mark.parametrize(("method", "path"), [("GET", "/list"), ("OPTIONS", "/eval"), *ERRORS])
def test_an_application_that_opens_itself_to_all_takes_no_headers_from_allowed_pages(
    wide_open: Api, method: str, path: str
) -> None:
    response = wide_open.open(method, path, headers={"Origin": PAGE})
    assert cors_of(response) == allowed()


@pytest.mark.parametrize("name", ["Access-Control-Allow-Origin", "access-control-allow-origin"])
def test_headers_that_an_answer_of_the_applications_own_has_do_not_open_us(name: str) -> None:
    app = make_app(BRAINTRUST_EVALS_AUTH="none")

    @app.before_request
    def refuse() -> tuple[str, int, dict[str, str]]:
        return "<p>Sign in", 401, {name: "*"}

    api = Api(app, token=None)
    assert cors_of(api.get("/list", headers={"Origin": HOSTILE_PAGE})) == {}
    assert cors_of(api.get("/list", headers={"Origin": PAGE})) == allowed()


def test_an_application_that_opens_itself_to_all_does_not_answer_our_preflights(
    wide_open: Api,
) -> None:
    assert cors_of(preflight(wide_open, origin=HOSTILE_PAGE, Private_Network="true")) == {}
    headers = preflight(wide_open, Headers="x-other, x-bt-parent").headers
    assert headers["Access-Control-Allow-Headers"] == "x-bt-parent"


def test_settings_of_the_applications_own_cors_do_not_reach_us() -> None:
    app = make_app(
        BRAINTRUST_EVALS_AUTH="none",
        CORS_ORIGINS="*",
        CORS_SEND_WILDCARD=True,
        CORS_ALWAYS_SEND=True,
        CORS_EXPOSE_HEADERS=["x-other"],
        CORS_ALLOW_HEADERS=["x-other"],
        CORS_METHODS=["DELETE"],
        CORS_MAX_AGE=1,
        CORS_SUPPORTS_CREDENTIALS=False,
        CORS_VARY_HEADER=False,
    )
    api = Api(app, token=None)
    assert cors_of(api.get("/list", headers={"Origin": PAGE})) == allowed()
    assert cors_of(api.get("/list", headers={"Origin": HOSTILE_PAGE})) == {}
    assert cors_of(api.get("/list")) == {}
    headers = preflight(api, Headers="x-other, x-bt-parent").headers
    assert headers["Access-Control-Allow-Headers"] == "x-bt-parent"
    assert headers["Access-Control-Max-Age"] == "86400"
    assert headers["Access-Control-Allow-Methods"] == "GET, POST, OPTIONS"


def test_what_an_answer_varies_by_already_stays() -> None:
    app = make_app(BRAINTRUST_EVALS_AUTH="none")

    @app.before_request
    def vary_by_cookie() -> Response:
        response = make_response("a page of the application's own")
        response.vary.add("Cookie")
        return response

    response = Api(app, token=None).get("/list", headers={"Origin": PAGE})
    assert set(response.vary) == {"Cookie", "Origin"}


def test_other_blueprints_stay_as_they_are() -> None:
    other = Blueprint("other", __name__, url_prefix="/other")

    @other.get("/page")
    def page() -> str:
        return "a page"

    @other.get("/broken")
    def broken() -> str:
        raise ValueError("broken")

    @other.errorhandler(ValueError)
    def on_error(error: ValueError) -> tuple[str, int]:
        return f"<p>{error}", 418

    app = Flask(__name__)
    app.config["BRAINTRUST_EVALS_AUTH"] = "none"
    app.register_blueprint(blueprint_of(), url_prefix="/evals")
    app.register_blueprint(other)
    api = Api(app, token=None, prefix="/other")
    statuses = {"/page": 200, "/broken": 418, "/missing": 404}
    for path, status in statuses.items():
        response = api.get(path, headers={"Origin": PAGE})
        assert response.status_code == status
        assert response.mimetype == "text/html"
        assert cors_of(response) == {}
        assert "Vary" not in response.headers
    response = api.post("/page", headers={"Origin": PAGE})
    assert (response.status_code, response.mimetype) == (405, "text/html")
    assert cors_of(response) == {}


def refuse_plainly() -> None:
    abort(401)


def refuse_with_text() -> None:
    abort(401, "sign in at https://login.example.com")


@pytest.mark.parametrize("path", ["/", "/list", "/eval", "/nothing"])
@pytest.mark.parametrize("refuse", [refuse_plainly, refuse_with_text])
def test_an_applications_own_login_that_refuses_is_json_with_headers_below_our_prefix(
    refuse: Callable[[], None], path: str
) -> None:
    app = make_app(BRAINTRUST_EVALS_AUTH="none")
    app.before_request(refuse)
    api = Api(app, token=None)
    response = api.get(path, headers={"Origin": PAGE})
    assert error_of(response, 401).startswith("Unauthorized: ")
    assert cors_of(response) == allowed()
    response = api.get(path, headers={"Origin": HOSTILE_PAGE})
    assert error_of(response, 401)
    assert cors_of(response) == {}


def test_an_applications_own_login_that_refuses_outside_of_our_prefix_is_its_own_affair() -> None:
    app = make_app(BRAINTRUST_EVALS_AUTH="none")
    app.before_request(refuse_plainly)
    response = app.test_client().get("/", headers={"Origin": PAGE})
    assert (response.status_code, response.mimetype) == (401, "text/html")
    assert cors_of(response) == {}


@pytest.mark.parametrize("registered_for", [401, Exception, HTTPException, Unauthorized])
def test_an_applications_own_error_pages_do_not_replace_our_json(
    registered_for: int | type[Exception],
) -> None:
    app = make_app(BRAINTRUST_EVALS_AUTH="none")
    app.before_request(refuse_plainly)
    app.register_error_handler(registered_for, lambda error: ("<p>Sign in", 401))
    response = Api(app, token=None).get("/list", headers={"Origin": PAGE})
    assert error_of(response, 401)
    assert cors_of(response) == allowed()


@pytest.mark.parametrize("registered_for", [404, 405, 413, 415, 400, 401, 403, Exception])
def test_an_applications_own_error_pages_do_not_replace_our_own_refusals(
    small: Api, registered_for: int | type[Exception]
) -> None:
    app = small.client.application
    app.register_error_handler(registered_for, lambda error: ("<p>Sorry", 500))
    for status, ask in ANSWERS.values():
        if status >= 400:
            assert error_of(ask(small, {"Origin": PAGE}), status)


def test_the_text_of_an_applications_own_refusal_is_in_the_error() -> None:
    app = make_app(BRAINTRUST_EVALS_AUTH="none")
    app.before_request(refuse_with_text)
    text = error_of(Api(app, token=None).get("/list"), 401)
    assert text == "Unauthorized: sign in at https://login.example.com"


def test_headers_of_an_applications_own_refusal_are_kept() -> None:
    app = make_app(BRAINTRUST_EVALS_AUTH="none")

    @app.before_request
    def refuse() -> None:
        raise TooManyRequests("slow down", retry_after=7)

    response = Api(app, token=None).get("/list")
    assert error_of(response, 429) == "Too Many Requests: slow down"
    assert response.headers["Retry-After"] == "7"


@pytest.mark.parametrize("how", ["returned", "aborted with"])
def test_a_whole_answer_of_the_applications_own_gets_our_headers_too(how: str) -> None:
    app = make_app(BRAINTRUST_EVALS_AUTH="none")

    @app.before_request
    def refuse() -> Response:
        answer = make_response("<p>Sign in", 401)
        if how == "aborted with":
            abort(answer)
        return answer

    response = Api(app, token=None).get("/list", headers={"Origin": PAGE})
    assert (response.status_code, response.text) == (401, "<p>Sign in")
    assert cors_of(response) == allowed()


def test_an_unexpected_error_is_500_in_json_with_headers_and_no_details(
    caplog: pytest.LogCaptureFixture,
) -> None:
    app = make_app(BRAINTRUST_EVALS_AUTH="none")

    @app.before_request
    def broken() -> None:
        raise RuntimeError("the password is 1234")

    response = Api(app, token=None).get("/list", headers={"Origin": PAGE})
    assert error_of(response, 500) == "internal error; see the server's log"
    assert cors_of(response) == allowed()
    assert "the password is 1234" in caplog.text


@pytest.mark.parametrize("path", ["///list", "//nothing", "//list/x", "///", "/list//"])
def test_odd_slashes_below_the_prefix_are_still_ours(path: str) -> None:
    app = make_app(BRAINTRUST_EVALS_AUTH="none")
    response = Api(app, token=None).get(path, headers={"Origin": PAGE})
    assert response.status_code in (200, 404)
    assert response.mimetype == "application/json"
    assert cors_of(response) == allowed()


def test_a_stream_forbids_caching_and_buffering(local: Api) -> None:
    response = local.eval({"Origin": PAGE}, data=[{"input": 1}])
    assert events_of(response)
    assert response.headers["Cache-Control"] == "no-cache"
    assert response.headers["X-Accel-Buffering"] == "no"
    assert "Connection" not in response.headers
    assert "Content-Length" not in response.headers
