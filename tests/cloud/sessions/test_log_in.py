"""Signing in: a token, the organisation it acts in, and where Braintrust is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from flask_braintrust_evals.cloud import functions, objects
from flask_braintrust_evals.cloud.http.tokens import Token
from flask_braintrust_evals.cloud.sessions.user_session import Endpoints, UserSession, log_in
from flask_braintrust_evals.errors import (
    AccessDeniedError,
    AuthenticationError,
    CloudError,
    CloudForbiddenError,
    CloudTimeoutError,
    CloudUnauthorizedError,
    EvalsError,
    RequestError,
)
from tests.standin import StandIn
from tests.support import TOKEN
from tests.web.support import DEAD_URL

SignIn = Callable[..., UserSession]
LOGIN = "/api/apikey/login"
ORG = {"id": "o1", "name": "acme", "api_url": "https://api", "proxy_url": "https://proxy"}


@pytest.fixture
def sign_in(cloud: StandIn) -> Iterator[SignIn]:
    made: list[UserSession] = []

    def sign_in(token: str = TOKEN, org: str | None = None, **endpoints: Any) -> UserSession:
        given = {"app_url": cloud.url, "timeout": 5.0, **endpoints}
        made.append(log_in(Token(token), org, Endpoints(**given)))
        return made[-1]

    yield sign_in
    for session in made:
        session.close()


def refusal(
    kind: type[EvalsError], status: int, sign_in: SignIn, *args: Any, **options: Any
) -> str:
    with pytest.raises(kind) as caught:
        sign_in(*args, **options)
    assert type(caught.value) is kind
    assert caught.value.status == status
    assert TOKEN not in str(caught.value)
    return str(caught.value)


# --- A login that fails ---


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_token_is_an_authentication_error(
    cloud: StandIn, sign_in: SignIn, status: int
) -> None:
    cloud.fault("POST", LOGIN, status=status)
    assert refusal(AuthenticationError, 401, sign_in) == (
        f"Braintrust at {cloud.url} does not accept this token; sign in again, or create a new API"
        " key"
    )


def test_an_unknown_token_is_an_authentication_error(sign_in: SignIn) -> None:
    refusal(AuthenticationError, 401, sign_in, "unknown")


def test_an_address_without_a_login_is_reported_with_its_setting(
    cloud: StandIn, sign_in: SignIn
) -> None:
    app_url = f"{cloud.url}/other"
    text = refusal(CloudError, 502, sign_in, app_url=app_url)
    assert text.startswith(f"{app_url} is not Braintrust: ")
    assert text.endswith("check BRAINTRUST_APP_URL")


@pytest.mark.slow
def test_a_login_without_an_answer_is_a_cloud_error(sign_in: SignIn) -> None:
    assert "could not be reached" in refusal(CloudError, 502, sign_in, app_url=DEAD_URL)


def test_a_login_that_takes_too_long_is_a_time_out(cloud: StandIn, sign_in: SignIn) -> None:
    cloud.fault("POST", LOGIN, delay=20)
    refusal(CloudTimeoutError, 504, sign_in, timeout=0.1)
    assert cloud.logins == 1


@pytest.mark.parametrize(
    "answer",
    [
        b"null",
        [],
        b'"text"',
        b"",
        5,
        {},
        {"org_info": None},
        {"org_info": {}},
        {"org_info": "acme"},
        {"org_info": [None]},
        {"org_info": ["acme"]},
        {"org_info": [{}]},
        {"org_info": [{**ORG, "id": None}]},
        {"org_info": [{**ORG, "name": 5}]},
        {"org_info": [ORG, {"id": "o2"}]},
        {"orgs": [ORG]},
        {"error": "maintenance"},
    ],
    ids=repr,
)
@pytest.mark.parametrize("org", [None, "acme"])
def test_an_answer_that_is_nonsense_is_a_cloud_error(
    cloud: StandIn, sign_in: SignIn, answer: Any, org: str | None
) -> None:
    cloud.fault("POST", LOGIN, body=answer)
    assert refusal(CloudError, 502, sign_in, TOKEN, org) == (
        "Braintrust's answer to the login does not list organisations"
    )


@pytest.mark.parametrize("api_url", [None, "", 5, []])
def test_an_organisation_without_an_address_needs_the_setting(
    cloud: StandIn, sign_in: SignIn, api_url: Any
) -> None:
    cloud.fault("POST", LOGIN, body={"org_info": [{**ORG, "api_url": api_url}]}, times=2)
    assert refusal(CloudError, 502, sign_in) == (
        "Braintrust's login names no api_url for organisation 'acme'; set BRAINTRUST_API_URL"
    )
    assert sign_in(api_url="http://set").api_url == "http://set"


# --- Which organisation ---


@pytest.mark.parametrize(
    ("orgs", "named", "kind", "status", "text"),
    [
        (
            ["acme"],
            "globex",
            AccessDeniedError,
            403,
            "organisation 'globex' is not one of this token's; check the x-bt-org-name header",
        ),
        (
            ["acme"],
            "ACME",
            AccessDeniedError,
            403,
            "organisation 'ACME' is not one of this token's; check the x-bt-org-name header",
        ),
        (
            [],
            "acme",
            AccessDeniedError,
            403,
            "organisation 'acme' is not one of this token's; check the x-bt-org-name header",
        ),
        ([], None, AccessDeniedError, 403, "this token belongs to no organisation"),
        (
            ["acme", "globex"],
            None,
            RequestError,
            400,
            "this token belongs to several organisations ('acme', 'globex'); name one in the"
            " x-bt-org-name header",
        ),
    ],
)
def test_an_organisation_that_is_ambiguous_or_foreign_is_an_error(
    cloud: StandIn,
    sign_in: SignIn,
    orgs: list[str],
    named: str | None,
    kind: type[EvalsError],
    status: int,
    text: str,
) -> None:
    cloud.add_user(TOKEN, orgs)
    assert refusal(kind, status, sign_in, TOKEN, named) == text


@pytest.mark.parametrize(
    ("orgs", "named", "chosen"),
    [
        (["acme"], None, "acme"),
        (["acme"], "acme", "acme"),
        (["acme", "globex"], "globex", "globex"),
    ],
)
def test_the_named_or_the_only_organisation_is_acted_in(
    cloud: StandIn, sign_in: SignIn, orgs: list[str], named: str | None, chosen: str
) -> None:
    cloud.add_user(TOKEN, orgs)
    session = sign_in(TOKEN, named)
    assert (session.org.name, session.org.id) == (chosen, cloud.org_id(chosen))


# --- Where Braintrust is ---


@pytest.mark.parametrize(
    ("org", "settings", "api_url", "proxy_url"),
    [
        ({}, {}, "https://api", "https://proxy"),
        ({"api_url": "https://api///"}, {}, "https://api", "https://proxy"),
        ({"proxy_url": "https://proxy/v1/proxy"}, {}, "https://api", "https://proxy"),
        ({"proxy_url": "https://proxy/v1/proxy/"}, {}, "https://api", "https://proxy"),
        ({"proxy_url": None}, {}, "https://api", "https://api"),
        ({"proxy_url": ""}, {}, "https://api", "https://api"),
        ({"proxy_url": 5}, {}, "https://api", "https://api"),
        ({}, {"api_url": "http://own"}, "http://own", "https://proxy"),
        ({}, {"proxy_url": "http://own"}, "https://api", "http://own"),
        ({}, {"proxy_url": "http://own/v1/proxy"}, "https://api", "http://own"),
        ({}, {"api_url": "http://a", "proxy_url": "http://p"}, "http://a", "http://p"),
        ({"proxy_url": None}, {"api_url": "http://own"}, "http://own", "http://own"),
    ],
)
def test_addresses_are_the_settings_else_the_logins(
    cloud: StandIn,
    sign_in: SignIn,
    org: dict[str, Any],
    settings: dict[str, str],
    api_url: str,
    proxy_url: str,
) -> None:
    cloud.fault("POST", LOGIN, body={"org_info": [{**ORG, **org}]})
    session = sign_in(**settings)
    assert (session.api_url, session.proxy_url) == (api_url, proxy_url)
    assert session.app_url == cloud.url


# --- What is sent ---


def test_a_login_is_the_token_and_nothing_else(cloud: StandIn, sign_in: SignIn) -> None:
    sign_in(TOKEN, "acme")
    (call,) = cloud.calls
    assert (call.method, call.path, call.query, call.body) == ("POST", LOGIN, {}, b"")
    assert call.token == TOKEN
    assert "x-bt-org-name" not in call.headers


@pytest.mark.parametrize("org", ["acme", "globex", "Söhne & co"])
def test_every_later_call_names_the_organisation(cloud: StandIn, sign_in: SignIn, org: str) -> None:
    cloud.add_user(TOKEN, ["acme", "globex", "Söhne & co"])
    session = sign_in(TOKEN, org)
    project = objects.project_by_name(session, "Geo")
    objects.project_by_id(session, project.id)
    function = cloud.add_function(lambda input: 1, org=org)
    functions.invoke(session, {"function_id": function}, {}, parent=None, project_id=project.id)
    session.api("GET", "/v1/dataset", headers={"x-other": "1"})
    later = cloud.calls[1:]
    assert len(later) == 4
    assert {call.headers["x-bt-org-name"] for call in later} == {org}
    assert {call.token for call in later} == {TOKEN}
    assert {call.status for call in later} == {200}


@pytest.mark.parametrize("org", ["日本", "Acme ✓"])
def test_an_organisation_whose_name_no_header_can_carry_can_be_acted_in(
    cloud: StandIn, sign_in: SignIn, org: str
) -> None:
    cloud.add_user(TOKEN, [org])
    assert objects.project_by_name(sign_in(), "Geo").name == "Geo"


@pytest.mark.parametrize(
    ("status", "kind", "refused"),
    [
        (401, CloudUnauthorizedError, 1),
        (403, CloudForbiddenError, 1),
        (404, CloudError, 0),
        (500, CloudError, 0),
    ],
)
@pytest.mark.parametrize("plane", ["api", "proxy"])
def test_a_session_reports_when_its_token_is_not_accepted_any_more(
    cloud: StandIn,
    session: UserSession,
    plane: str,
    status: int,
    kind: type[CloudError],
    refused: int,
) -> None:
    calls: list[int] = []
    session.on_refusal = lambda: calls.append(1)
    cloud.fault("GET", "/v1/dataset", status=status)
    with pytest.raises(kind):
        getattr(session, plane)("GET", "/v1/dataset")
    assert len(calls) == refused


def test_a_session_does_not_show_its_token(session: UserSession) -> None:
    assert repr(session) == "UserSession(org='acme')"
