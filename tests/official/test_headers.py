"""Which pages may call a server, which headers both answer with, and where a token is read from.

From the specification (``remote-evals/server/specification.md``, sections 5 and 8) and the tests of
the servers in Ruby (``cors_test.rb``), Go (``cors_test.go``, ``auth_test.go``) and Java
(``CorsTest``).
"""

from __future__ import annotations

import pytest
import requests

from tests.server import Client

from .outcome import Pair, cases

pytestmark = pytest.mark.official

PAGE = "https://www.braintrust.dev"
ALLOW = "Access-Control-Allow-"
HEADERS = {
    *("content-type", "authorization", "x-amz-date", "x-api-key", "x-amz-security-token"),
    *("x-bt-auth-token", "x-bt-parent", "x-bt-org-name", "x-bt-project-id", "x-bt-stream-fmt"),
    *("x-bt-use-cache", "x-bt-use-gateway"),
    *("x-stainless-os", "x-stainless-lang", "x-stainless-package-version", "x-stainless-arch"),
    *("x-stainless-runtime", "x-stainless-runtime-version"),
}
"""The headers of a request that the specification wants to be allowed."""


def preflight(client: Client, path: str, origin: str = PAGE, **headers: str) -> requests.Response:
    asked = {"Origin": origin, "Access-Control-Request-Method": "POST", **headers}
    return requests.options(client.url + path, headers=asked, timeout=10)


def names(answer: requests.Response, header: str) -> set[str]:
    """The names in a header that lists some, in small letters."""
    return {each.strip().lower() for each in answer.headers[header].split(",")}


def may_read(client: Client, origin: str) -> bool:
    answer = requests.get(f"{client.url}/", headers={"Origin": origin}, timeout=10)
    assert answer.headers.get(ALLOW + "Origin") in (None, origin)
    return ALLOW + "Origin" in answer.headers


# --- Pages ---


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        (PAGE, (True, True)),
        ("https://www.braintrustdata.com", (True, True)),
        ("https://pr-123.preview.braintrust.dev", (True, True)),
        # The servers in Go and Ruby take every host below braintrust.dev, and both schemes.
        ("https://braintrust.dev", (False, True)),
        ("https://app.braintrust.dev", (False, True)),
        ("http://braintrust.dev", (False, True)),
        # Go alone has this one.
        ("https://app.braintrustdata.dev", (False, True)),
        ("https://evil.com", (False, False)),
        ("https://braintrust.dev.evil.com", (False, False)),
        ("https://evilbraintrust.dev", (False, False)),
        ("https://x.preview.braintrust.dev.evil.com", (False, False)),
    ],
)
def test_which_pages_may_read_an_answer(
    pair: Pair, origin: str, allowed: tuple[bool, bool]
) -> None:
    assert (may_read(pair.official, origin), may_read(pair.ours, origin)) == allowed


@pytest.mark.parametrize("path", ["/", "/list", "/eval"])
def test_a_preflight_of_an_allowed_page_is_granted_without_a_token_alike(
    pair: Pair, path: str
) -> None:
    asked = {"Access-Control-Request-Headers": ", ".join(HEADERS)}
    official, ours = preflight(pair.official, path, **asked), preflight(pair.ours, path, **asked)
    assert (official.status_code, ours.status_code) == (200, 204)
    for answer in (official, ours):
        assert answer.headers[ALLOW + "Origin"] == PAGE
        assert answer.headers[ALLOW + "Credentials"] == "true"
        assert answer.headers["Access-Control-Max-Age"] == "86400"
        assert names(answer, ALLOW + "Headers") == HEADERS
    # The official server names methods that it does not have.
    assert names(official, ALLOW + "Methods") - names(ours, ALLOW + "Methods") == {
        "delete",
        "patch",
        "put",
    }


def test_a_preflight_without_headers_gets_all_of_them_officially_and_none_from_ours(
    pair: Pair,
) -> None:
    assert names(preflight(pair.official, "/eval"), ALLOW + "Headers") == HEADERS
    answer = preflight(pair.ours, "/eval")
    assert answer.headers[ALLOW + "Origin"] == PAGE
    assert ALLOW + "Headers" not in answer.headers


@pytest.mark.parametrize(
    ("header", "granted"),
    [("x-bt-of-tomorrow", (False, True)), ("x-other", (False, False))],
)
def test_an_unknown_header_is_granted_by_ours_if_it_is_braintrusts(
    pair: Pair, header: str, granted: tuple[bool, bool]
) -> None:
    asked = {"Access-Control-Request-Headers": header}
    answers = [preflight(client, "/eval", **asked) for client in (pair.official, pair.ours)]
    found = [header in each.headers.get(ALLOW + "Headers", "") for each in answers]
    assert tuple(found) == granted


def test_a_refused_page_is_granted_nothing_alike(pair: Pair) -> None:
    for client in (pair.official, pair.ours):
        answer = preflight(client, "/eval", "https://evil.com")
        assert ALLOW + "Origin" not in answer.headers


def test_a_private_network_is_granted_to_those_who_ask_alike(pair: Pair) -> None:
    header = {"Access-Control-Request-Private-Network": "true"}
    for client in (pair.official, pair.ours):
        asked, not_asked = preflight(client, "/eval", **header), preflight(client, "/eval")
        assert asked.headers[ALLOW + "Private-Network"] == "true"
        assert ALLOW + "Private-Network" not in not_asked.headers


@pytest.mark.parametrize("path", ["/", "/list", "/none"])
def test_an_allowed_page_may_read_the_same_headers_of_every_answer(pair: Pair, path: str) -> None:
    exposed = []
    for client in (pair.official, pair.ours):
        answer = requests.get(client.url + path, headers={"Origin": PAGE}, timeout=10)
        assert answer.headers[ALLOW + "Origin"] == PAGE
        assert answer.headers[ALLOW + "Credentials"] == "true"
        exposed.append(names(answer, "Access-Control-Expose-Headers"))
    assert exposed[0] == exposed[1]
    assert exposed[0] == {
        "x-bt-cursor",
        "x-bt-found-existing-experiment",
        "x-bt-span-id",
        "x-bt-span-export",
    }


# --- Tokens ---


@pytest.mark.parametrize(
    ("headers", "statuses"),
    [
        pytest.param({"x-bt-auth-token": "token-ada"}, (200, 200), id="x-bt-auth-token"),
        pytest.param({"Authorization": "Bearer token-ada"}, (200, 200), id="bearer"),
        pytest.param({"Authorization": "bearer token-ada"}, (200, 200), id="small bearer"),
        pytest.param({"Authorization": "token-ada"}, (200, 200), id="bare"),
        pytest.param(
            {"x-bt-auth-token": "token-ada", "Authorization": "Bearer of-a-firewall"},
            (200, 200),
            id="the token of a firewall beside it",
        ),
        pytest.param(
            {"x-bt-auth-token": "of-nobody", "Authorization": "Bearer token-ada"},
            (401, 401),
            id="authorization is not tried after it",
        ),
        pytest.param({"Authorization": "Bearer   token-ada  "}, (401, 200), id="spaces"),
        pytest.param({"x-bt-auth-token": "null"}, (401, 401), id="null"),
        pytest.param({"x-bt-auth-token": "NULL"}, (401, 401), id="null in capitals"),
        pytest.param({"Authorization": "Bearer null"}, (401, 401), id="null as bearer"),
        pytest.param({"x-bt-auth-token": ""}, (400, 401), id="empty"),
        pytest.param({}, (401, 401), id="none"),
    ],
)
def test_the_token_is_read_from(
    pair: Pair, headers: dict[str, str], statuses: tuple[int, int]
) -> None:
    answered = []
    for client in (pair.official, pair.ours):
        given = {"Origin": client.headers["Origin"], "x-bt-org-name": "acme", **headers}
        answer = requests.get(f"{client.url}/list", headers=given, timeout=10)
        answered.append(answer.status_code)
        assert answer.status_code == 200 or list(answer.json()) == ["error"]
    assert tuple(answered) == statuses


# --- Answers ---


def test_a_stream_is_declared_alike(pair: Pair) -> None:
    for client in (pair.official, pair.ours):
        body = {"name": "echo", "data": {"data": cases(1)}, "stream": True, "parent": "x"}
        with client.post(body, stream=True) as answer:
            assert answer.headers["Content-Type"] == "text/event-stream; charset=utf-8"
            assert answer.headers["Cache-Control"].startswith("no-cache")


@pytest.mark.parametrize(
    "body",
    [
        pytest.param({"name": "unheard-of", "data": []}, id="404"),
        pytest.param({"name": "echo", "data": [], "scores": {}}, id="400"),
    ],
)
def test_an_error_is_an_object_with_a_text_alike(pair: Pair, body: object) -> None:
    for client in (pair.official, pair.ours):
        answer = client.post(body)
        assert answer.headers["Content-Type"] == "application/json"
        (text,) = answer.json().values()
        assert list(answer.json()) == ["error"]
        assert isinstance(text, str)


def test_the_text_of_a_404_names_the_evaluator_alike(pair: Pair) -> None:
    for client in (pair.official, pair.ours):
        assert "'unheard-of'" in client.post({"name": "unheard-of", "data": []}).json()["error"]
