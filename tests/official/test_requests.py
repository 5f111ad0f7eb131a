"""Requests that start nothing: what is refused, and with which status.

From https://www.braintrust.dev/docs/evaluate/remote-evals: ``/list`` and ``/eval`` need a token of
the caller and the name of an organisation, and ``/`` needs nothing.
"""

from __future__ import annotations

from typing import Any

import pytest
import requests

from .outcome import Pair

pytestmark = pytest.mark.official


@pytest.mark.parametrize(
    ("body", "statuses"),
    [
        pytest.param({"name": "unheard-of", "data": []}, (404, 404), id="unknown evaluator"),
        pytest.param({"data": []}, (400, 400), id="no evaluator"),
        pytest.param({"name": 1, "data": []}, (400, 400), id="no name"),
        pytest.param({"name": "echo"}, (400, 400), id="no data"),
        pytest.param([], (400, 400), id="no object"),
        pytest.param({"name": "echo", "data": [], "scores": {}}, (400, 400), id="scores"),
        pytest.param({"name": "echo", "data": [], "stream": "yes"}, (400, 400), id="stream"),
        pytest.param({"name": "echo", "data": [], "parent": 1}, (400, 400), id="parent"),
        pytest.param({"name": "echo", "data": None}, (500, 400), id="data is null"),
    ],
)
def test_a_wrong_request_is_refused(pair: Pair, body: Any, statuses: tuple[int, int]) -> None:
    assert pair.post(body) == statuses


@pytest.mark.parametrize("field", ["scores", "parent", "experiment_name", "project_id"])
def test_null_for_an_optional_field_is_refused_by_the_official_server_alone(
    pair: Pair, field: str
) -> None:
    body = {"name": "echo", "data": [], "stream": False, field: None}
    assert pair.post(body) == (400, 200)


@pytest.mark.parametrize(
    ("headers", "statuses"),
    [
        ({"x-bt-auth-token": None}, (401, 401)),
        ({"x-bt-auth-token": "unknown"}, (401, 401)),
        ({"x-bt-org-name": "globex"}, (401, 403)),
        ({"x-bt-org-name": None}, (400, 200)),
    ],
    ids=["no token", "unknown token", "foreign organisation", "no organisation"],
)
def test_which_requests_may_have_the_list(
    pair: Pair, headers: dict[str, str | None], statuses: tuple[int, int]
) -> None:
    answered = []
    for client in (pair.official, pair.ours):
        given = {k: v for k, v in {**client.headers, **headers}.items() if v is not None}
        answered.append(requests.get(f"{client.url}/list", headers=given, timeout=10).status_code)
    assert tuple(answered) == statuses


def test_the_health_check_needs_no_token(pair: Pair) -> None:
    official = requests.get(f"{pair.official.url}/", timeout=10)
    ours = requests.get(f"{pair.ours.url}/", timeout=10)
    assert (official.status_code, official.text) == (200, "Hello, world!")
    assert (ours.status_code, ours.json()) == (200, {"status": "ok"})


@pytest.mark.parametrize(
    ("method", "path", "statuses"),
    [("GET", "/eval", (405, 405)), ("POST", "/list", (405, 200)), ("GET", "/none", (404, 404))],
)
def test_other_methods_and_paths(
    pair: Pair, method: str, path: str, statuses: tuple[int, int]
) -> None:
    for client, status in zip((pair.official, pair.ours), statuses, strict=True):
        url, headers = f"{client.url}{path}", client.headers
        assert requests.request(method, url, headers=headers, timeout=10).status_code == status
