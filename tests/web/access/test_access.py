"""Which requests are admitted, as which user, and how all others are refused."""

from __future__ import annotations

import logging
import traceback
from typing import Any

import pytest
from flask import request

from flask_braintrust_evals import Evaluator
from flask_braintrust_evals.cloud.sessions import logins
from flask_braintrust_evals.cloud.sessions.user_session import UserSession
from tests.standin import StandIn
from tests.support import TOKEN, eventually
from tests.web.support import DEAD_URL, HOSTILE_PAGE, Api, cloud_app, echo, error_of, make_app

PATHS = [("GET", "/list"), ("POST", "/list"), ("POST", "/eval")]
EVAL = {"name": "echo", "data": []}


def ask_all(api: Api, status: int, headers: dict[str, str] | None = None) -> set[str]:
    """What everything that needs a caller answers to one."""
    texts = set()
    for method, path in PATHS:
        body = EVAL if path == "/eval" else None
        texts.add(error_of(api.open(method, path, headers=headers, json=body), status))
    return texts


# --- No token, or a wrong one ---


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"x-bt-auth-token": ""},
        {"x-bt-auth-token": "null"},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer null"},
        {"Authorization": "NULL"},
    ],
)
def test_without_a_token_everything_but_the_health_is_401(
    cloud: StandIn, headers: dict[str, str]
) -> None:
    api = Api(cloud_app(cloud), token=None)
    assert ask_all(api, 401, headers) == {
        "no token: send your Braintrust API key as 'Authorization: Bearer <key>' or in the header"
        " x-bt-auth-token"
    }
    assert api.get("/", headers=headers).status_code == 200
    assert not cloud.calls


@pytest.mark.parametrize(
    ("headers", "kept"),
    [
        ({"x-bt-auth-token": TOKEN}, None),
        ({"Authorization": f"Bearer {TOKEN}"}, None),
        ({"x-bt-auth-token": "null", "Authorization": f"Bearer {TOKEN}"}, None),
        ({"x-bt-auth-token": " ", "Authorization": f"Bearer {TOKEN}"}, None),
        ({"Authorization": f"Bearer {TOKEN}", "x-bt-org-name": "x" * 4097}, None),
        ({"x-bt-auth-token": TOKEN, "Authorization": "Basic of-a-proxy"}, "Basic of-a-proxy"),
    ],
)
def test_no_token_stays_in_the_environment_of_a_request(
    cloud: StandIn, headers: dict[str, str], kept: str | None
) -> None:
    app = cloud_app(cloud)
    seen: list[Any] = []

    @app.after_request
    def look(response: Any) -> Any:
        seen.append({**request.environ})
        return response

    assert Api(app, token=None).get("/list", headers=headers).status_code in (200, 400)
    assert seen[0].get("HTTP_AUTHORIZATION") == kept
    assert TOKEN not in str([value for value in seen[0].values() if isinstance(value, str)])


@pytest.mark.parametrize("name", ["x-bt-auth-token", "Authorization"])
@pytest.mark.parametrize("token", ["日本", "sk-✓", "tökén"])
def test_a_token_that_no_header_can_carry_is_the_callers_mistake_and_no_outage(
    cloud: StandIn, name: str, token: str
) -> None:
    as_servers_hand_it_on = token.encode().decode("latin-1")
    response = Api(cloud_app(cloud), token=None).get("/list", headers={name: as_servers_hand_it_on})
    assert response.status_code in (400, 401), response.text


def test_a_401_says_how_to_sign_in(cloud: StandIn) -> None:
    response = Api(cloud_app(cloud), token=None).get("/list")
    assert response.headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize("status", [401, 403])
def test_a_token_that_the_login_refuses_is_401_and_asked_about_again_after_a_moment(
    cloud: StandIn, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logins, "REFUSAL_TTL", 0.2)
    cloud.fault("POST", "/api/apikey/login", status=status)
    api = Api(cloud_app(cloud))
    assert ask_all(api, 401) == {
        f"Braintrust at {cloud.url} does not accept this token; sign in again, or create a new API"
        " key"
    }
    assert cloud.logins == 1
    eventually(lambda: api.get("/list").status_code == 200)


def test_a_token_is_in_no_answer_and_in_no_log(
    cloud: StandIn, caplog: pytest.LogCaptureFixture
) -> None:
    cloud.fault("POST", "/api/apikey/login", status=401, body={"Message": "bad: sk-of-mallory"})
    cloud.fault("POST", "/api/apikey/login", status=500, body="no sk-of-mallory here")
    with caplog.at_level(logging.DEBUG):
        api = Api(cloud_app(cloud), token="sk-of-mallory")
        texts = [api.get("/list").text for _ in range(3)]
    assert "sk-of-mallory" not in "".join(texts) + caplog.text
    for record in caplog.records:
        if record.exc_info:
            assert "sk-of-mallory" not in "".join(traceback.format_exception(*record.exc_info))


# --- The login service in trouble ---


@pytest.mark.parametrize(
    ("fault", "text"),
    [
        (
            {"status": 500},
            "Braintrust answered POST /api/apikey/login with status 500: InternalError",
        ),
        (
            {"status": 400},
            "Braintrust answered POST /api/apikey/login with status 400: BadRequestError",
        ),
        ({"nonsense": True}, "Braintrust's answer to POST /api/apikey/login is not JSON"),
        ({"body": b""}, "Braintrust's answer to the login does not list organisations"),
        ({"body": b"null"}, "Braintrust's answer to the login does not list organisations"),
        ({"body": {}}, "Braintrust's answer to the login does not list organisations"),
        ({"half": True}, "Braintrust's answer to POST /api/apikey/login ended half-way"),
    ],
    ids=["500", "400", "html", "nothing", "null", "no organisations", "half an answer"],
)
def test_a_login_service_in_trouble_is_502_and_asked_again(
    cloud: StandIn, fault: dict[str, Any], text: str
) -> None:
    cloud.fault("POST", "/api/apikey/login", **fault)
    api = Api(cloud_app(cloud))
    shown = error_of(api.get("/list"), 502)
    assert shown.startswith(text.format(host=cloud.url.removeprefix("http://")))
    assert api.get("/list").status_code == 200


@pytest.mark.slow
def test_a_login_service_that_is_not_there_is_502_after_some_tries() -> None:
    text = error_of(Api(make_app(BRAINTRUST_APP_URL=DEAD_URL)).get("/list"), 502)
    assert text == (
        "Braintrust could not be reached at 127.0.0.1:1 for POST /api/apikey/login"
        " (ConnectionError)"
    )


def test_an_address_that_is_not_braintrust_is_502_and_says_which_setting(cloud: StandIn) -> None:
    app = make_app(BRAINTRUST_APP_URL=cloud.url + "/somewhere")
    text = error_of(Api(app).get("/list"), 502)
    assert text.startswith(f"{cloud.url}/somewhere is not Braintrust: ")
    assert text.endswith("; check BRAINTRUST_APP_URL")


def test_a_slow_login_service_is_504_and_asked_again(cloud: StandIn) -> None:
    fault = cloud.fault("POST", "/api/apikey/login", delay=20)
    api = Api(cloud_app(cloud, BRAINTRUST_EVALS_REQUEST_TIMEOUT=0.2))
    assert error_of(api.get("/list"), 504) == (
        "Braintrust did not answer POST /api/apikey/login within 0.2 seconds"
    )
    assert cloud.logins == 1
    fault.cancel()
    assert api.get("/list").status_code == 200


# --- Organisations ---


@pytest.fixture
def both(cloud: StandIn) -> str:
    cloud.add_user("token-of-both", orgs=("acme", "globex"))
    return "token-of-both"


def test_a_token_of_several_organisations_must_name_one(cloud: StandIn, both: str) -> None:
    api = Api(cloud_app(cloud), token=both)
    assert ask_all(api, 400) == {
        "this token belongs to several organisations ('acme', 'globex'); name one in the"
        " x-bt-org-name header"
    }


@pytest.mark.parametrize("org", ["initech", "Acme", "acme2", "globex "])
def test_an_organisation_that_is_not_the_tokens_is_403(cloud: StandIn, org: str) -> None:
    api = Api(cloud_app(cloud))
    assert ask_all(api, 403, {"x-bt-org-name": org}) == {
        f"organisation {org.strip()!r} is not one of this token's; check the x-bt-org-name header"
    }


def test_a_token_without_any_organisation_is_403(cloud: StandIn) -> None:
    cloud.add_user("token-of-none", orgs=())
    api = Api(cloud_app(cloud), token="token-of-none")
    assert ask_all(api, 403) == {"this token belongs to no organisation"}


@pytest.mark.parametrize("org", ["acme", "globex"])
def test_the_organisation_that_is_named_is_the_one_that_is_acted_in(
    cloud: StandIn, both: str, org: str
) -> None:
    api = Api(cloud_app(cloud), token=both)
    api.summary({"x-bt-org-name": org}, data=[{"input": 1}])
    later = [call for call in cloud.calls if call.path != "/api/apikey/login"]
    assert {call.headers.get("x-bt-org-name") for call in later} == {org}
    (made,) = cloud.calls_to("POST", "/v1/project")
    assert made.json["org_name"] == org


@pytest.mark.parametrize("allowed", ["globex", ["globex", "initech"], "globex, initech"])
def test_an_organisation_that_is_not_allowed_here_is_403_before_any_login(
    cloud: StandIn, allowed: Any
) -> None:
    api = Api(cloud_app(cloud, BRAINTRUST_EVALS_ORG_NAME=allowed))
    assert ask_all(api, 403, {"x-bt-org-name": "acme"}) == {
        "organisation 'acme' is not allowed on this server (BRAINTRUST_EVALS_ORG_NAME)"
    }
    assert not cloud.calls


def test_an_organisation_that_was_not_named_is_checked_after_the_login(
    cloud: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    unused: list[UserSession] = []
    monkeypatch.setattr(UserSession, "close_idle", lambda session: unused.append(session))
    api = Api(cloud_app(cloud, BRAINTRUST_EVALS_ORG_NAME="globex"))
    assert ask_all(api, 403) == {
        f"organisation 'acme' (id {cloud.org_id('acme')}) is not allowed on this server"
        " (BRAINTRUST_EVALS_ORG_NAME)"
    }
    assert {call.path for call in cloud.calls} == {"/api/apikey/login"}
    assert len(unused) == len(PATHS), "no request keeps the session"


@pytest.mark.parametrize("headers", [{}, {"x-bt-org-name": "acme"}, {"x-bt-org-name": "null"}])
@pytest.mark.parametrize("allowed", ["acme", "globex,acme", ["acme"]])
def test_an_organisation_that_is_allowed_gets_in_named_or_not(
    cloud: StandIn, headers: dict[str, str], allowed: Any
) -> None:
    api = Api(cloud_app(cloud, BRAINTRUST_EVALS_ORG_NAME=allowed))
    assert api.get("/list", headers=headers).status_code == 200


@pytest.mark.parametrize("org", ["Acme & Söhne", "日本", "x" * 500, "a/b?c#d"])
def test_an_organisation_may_have_any_name(cloud: StandIn, org: str) -> None:
    cloud.add_user("token-of-any", orgs=(org,))
    api = Api(cloud_app(cloud), token="token-of-any")
    assert api.get("/list").status_code == 200
    assert api.summary(data=[{"input": 1}])["experimentId"]


# --- The order of things ---


def test_the_body_is_not_read_before_the_caller_is_known(cloud: StandIn) -> None:
    stranger = Api(cloud_app(cloud), token="nobody's")
    for options in ({"data": b"{"}, {"data": b"x", "content_type": "text/plain"}):
        error_of(stranger.post("/eval", **options), 401)
    error_of(stranger.eval(name="no such evaluator"), 401)


def test_the_names_of_evaluators_are_sent_to_known_callers_only(cloud: StandIn) -> None:
    app = cloud_app(cloud, Evaluator("secret-project", echo))
    for stranger in (Api(app, token=None), Api(app, token="nobody's")):
        assert "secret-project" not in stranger.eval(name="secret").text
        assert "secret-project" not in stranger.get("/list").text
    known = Api(app)
    assert known.refusal(404, name="secret-projekt") == (
        "evaluator 'secret-projekt' not found; did you mean 'secret-project'?"
    )


@pytest.mark.parametrize("name", ["", "Echo", "echo ", "echo\n", "ech", "x" * 10_000])
def test_an_unknown_evaluator_is_404_with_a_short_text(cloud: StandIn, api: Api, name: str) -> None:
    text = api.refusal(404, name=name)
    assert " not found; " in text
    assert len(text) < 500
    assert not cloud.experiments


def test_one_login_serves_many_requests(cloud: StandIn, api: Api) -> None:
    for _ in range(3):
        assert api.get("/list").status_code == 200
        api.events(data=[{"input": 1}])
    assert cloud.logins == 1


def test_two_callers_never_share_a_session(cloud: StandIn) -> None:
    cloud.add_user("token-of-bob", orgs=("acme",))
    app = cloud_app(cloud)
    for token in (TOKEN, "token-of-bob", TOKEN):
        Api(app, token=token).summary(data=[{"input": 1}])
    later = [call for call in cloud.calls if call.path == "/v1/experiment"]
    assert [call.token for call in later] == [TOKEN, "token-of-bob", TOKEN]


def test_a_token_goes_to_the_configured_address_and_never_to_where_a_header_says(
    cloud: StandIn,
) -> None:
    with StandIn() as elsewhere:
        elsewhere.add_user(TOKEN)
        api = Api(cloud_app(cloud, BRAINTRUST_EVALS_ORIGINS=[elsewhere.url]))
        headers = {
            "Origin": elsewhere.url,
            "Referer": elsewhere.url,
            "X-Forwarded-Host": elsewhere.url.removeprefix("http://"),
            "Host": elsewhere.url.removeprefix("http://"),
        }
        assert api.get("/list", headers=headers).status_code == 200
        assert not elsewhere.calls
    assert cloud.logins == 1


def test_the_addresses_of_the_settings_win_over_those_of_the_login(cloud: StandIn) -> None:
    with StandIn() as data_plane, StandIn() as proxy:
        for each in (data_plane, proxy):
            each.add_user(TOKEN)
        function = proxy.add_function(lambda input: 1)
        api = Api(
            cloud_app(cloud, BRAINTRUST_API_URL=data_plane.url, BRAINTRUST_PROXY_URL=proxy.url)
        )
        scorers = [{"name": "remote", "function_id": function}]
        # Below a parent, because the proxy knows nothing of a project that the data plane makes.
        parent = {"object_type": "playground_logs", "object_id": "p"}
        summary = api.summary(data=[{"input": 1}], scores=scorers, parent=parent)
        assert summary["scores"]["remote"]["score"] == 1
        assert {call.path for call in cloud.calls} == {"/api/apikey/login"}
        assert {call.path for call in proxy.calls} == {"/function/invoke"}
        assert data_plane.calls_to("POST", "/otel/v1/traces")


# --- Without authentication ---


@pytest.fixture
def no_auth(cloud: StandIn) -> Api:
    """No-auth mode of an application that could reach Braintrust."""
    return Api(cloud_app(cloud, BRAINTRUST_EVALS_AUTH="none"), token=None)


@pytest.mark.parametrize(
    "address", ["10.0.0.1", "192.168.1.5", "0.0.0.0", "::", "fe80::1", "127.0.0.1.evil", "", "x"]
)
def test_no_auth_mode_refuses_other_machines(cloud: StandIn, no_auth: Api, address: str) -> None:
    environ = {"REMOTE_ADDR": address}
    text = error_of(no_auth.get("/list", environ_overrides=environ), 403)
    assert text == (
        "BRAINTRUST_EVALS_AUTH is 'none', which serves this machine alone, not"
        f" {address or 'a client without an address'}; use BRAINTRUST_EVALS_AUTH='braintrust' to"
        " serve others"
    )
    error_of(no_auth.post("/eval", json=EVAL, environ_overrides=environ), 403)
    assert no_auth.get("/", environ_overrides=environ).status_code == 200


@pytest.mark.parametrize("address", ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"])
def test_no_auth_mode_serves_this_machine(no_auth: Api, address: str) -> None:
    response = no_auth.get("/list", environ_overrides={"REMOTE_ADDR": address})
    assert response.status_code == 200


def test_no_auth_mode_refuses_foreign_pages(no_auth: Api) -> None:
    error_of(no_auth.get("/list", headers={"Origin": HOSTILE_PAGE}), 403)


@pytest.mark.parametrize("headers", [{}, {"x-bt-auth-token": TOKEN, "x-bt-org-name": "acme"}])
def test_no_auth_mode_without_a_key_never_calls_braintrust(
    cloud: StandIn, no_auth: Api, headers: dict[str, str]
) -> None:
    assert no_auth.get("/list", headers=headers).status_code == 200
    events = no_auth.events(headers, data=[{"input": 1}])
    assert [event.type for event in events] == ["progress", "progress", "summary", "done"]
    summary = no_auth.summary(headers, data=[{"input": 1}])
    metrics = {"duration": summary["metrics"]["duration"]}
    assert summary == {
        "projectName": "echo",
        "experimentName": "echo",
        "scores": {},
        "metrics": metrics,
        "comparison": {"status": "success", "scores": {}, "metrics": metrics},
    }
    assert not cloud.calls


def test_no_auth_mode_without_a_key_has_no_remote_scorers(no_auth: Api) -> None:
    scores = [{"name": "a", "function_id": "f"}]
    assert no_auth.refusal(400, data=[], scores=scores) == (
        "scores: remote scorers need Braintrust, and this server runs without it; leave them out,"
        " or set BRAINTRUST_API_KEY"
    )
    assert no_auth.summary(data=[], scores=[])


def test_no_auth_mode_with_a_key_acts_as_that_key(
    cloud: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    cloud.add_user("key-of-the-machine", orgs=("acme", "globex"))
    monkeypatch.setenv("BRAINTRUST_API_KEY", "key-of-the-machine")
    app = cloud_app(cloud, BRAINTRUST_EVALS_AUTH="none", BRAINTRUST_EVALS_ORG_NAME="globex")
    summary = Api(app, token=TOKEN).summary(data=[{"input": 1}])
    assert {call.token for call in cloud.calls} == {"key-of-the-machine"}
    assert f"{cloud.url}/app/globex/p/echo/experiments/" in summary["experimentUrl"]


def test_a_key_in_the_environment_is_not_used_for_callers_that_sign_in(
    cloud: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    cloud.add_user("key-of-the-machine")
    monkeypatch.setenv("BRAINTRUST_API_KEY", "key-of-the-machine")
    app = cloud_app(cloud)
    error_of(Api(app, token=None).get("/list"), 401)
    Api(app).summary(data=[{"input": 1}])
    assert {call.token for call in cloud.calls} == {TOKEN}
