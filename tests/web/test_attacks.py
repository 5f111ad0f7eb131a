"""Machines that make up requests: whatever they send, the answer is one the protocol knows."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from typing import Any

import pytest
from flask.testing import FlaskClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flask_braintrust_evals.web.access.origins import is_allowed_origin
from tests.support import ROOT

from .attacked_app import APP, KNOWN

pytestmark = pytest.mark.slow


def test_the_description_holds_and_nothing_breaks() -> None:
    # In a process of its own: the requests are made up when the tests are collected, which every
    # process that runs tests does, whichever of them it runs.
    command = [sys.executable, "-m", "pytest", "-p", "schemathesis.pytest.plugin"]
    command += ["-p", "no:cacheprovider", "-q", "tests/web/described.py"]
    environ = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    run = subprocess.run(
        command, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=300
    )
    assert run.returncode == 0, run.stdout
    passed = re.search(r"^(\d+) passed in ", run.stdout, re.MULTILINE)
    assert passed is not None and int(passed[1]) >= 5, run.stdout  # one for each route


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
FIELDS = (
    "data parameters scores parent experiment_name project_id stream trial_count max_concurrency"
    " timeout metadata tags base_experiment_name base_experiment_id is_public strict"
).split()
cases = st.lists(st.fixed_dictionaries({"input": json_values}), max_size=3)


@pytest.fixture(scope="module")
def client() -> FlaskClient:
    return APP.test_client()


def check(response: Any) -> None:
    assert response.status_code in KNOWN
    assert response.vary.find("origin") != -1
    if response.status_code >= 400:
        assert set(response.get_json()) == {"error"}
    elif response.mimetype == "text/event-stream":
        blocks = response.get_data().decode().split("\n\n")
        assert blocks[-2:] == ["event: done\ndata: ", ""]


@given(
    fields=st.dictionaries(st.sampled_from(FIELDS), json_values, max_size=4),
    data=cases | st.fixed_dictionaries({"data": cases}) | json_values,
)
@settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))
def test_any_body_is_answered(client: FlaskClient, fields: dict[str, Any], data: Any) -> None:
    # Left to itself, the machine asks for a million trials.
    for key in ("trial_count", "timeout"):
        if isinstance(fields.get(key), int | float):
            fields[key] = min(fields[key], 3)
    check(client.post("/evals/eval", json={"data": data, **fields, "name": "echo"}))


@given(body=st.binary(max_size=200) | json_values.map(lambda v: json.dumps(v).encode()))
@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
def test_any_bytes_are_answered(client: FlaskClient, body: bytes) -> None:
    response = client.post("/evals/eval", data=body, content_type="application/json")
    assert response.status_code in (400, 404)
    check(response)


header_text = st.text(
    st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f"), max_size=60
)


@given(
    headers=st.dictionaries(
        st.sampled_from(
            [
                "Origin",
                "Authorization",
                "x-bt-auth-token",
                "x-bt-org-name",
                "x-bt-project-id",
                "Accept",
                "Content-Type",
                "X-Forwarded-For",
                "Access-Control-Request-Method",
                "Access-Control-Request-Headers",
                "Access-Control-Request-Private-Network",
            ]
        ),
        header_text,
    ),
    method=st.sampled_from(["GET", "POST", "OPTIONS", "HEAD", "PUT", "BREW"]),
    path=st.sampled_from(["", "/", "/list", "/eval", "/x/y", "/openapi.json", "//list"]),
)
@settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))
def test_any_headers_are_answered(
    client: FlaskClient, headers: dict[str, str], method: str, path: str
) -> None:
    response = client.open(f"/evals{path}", method=method, headers=headers)
    assert response.status_code in KNOWN
    origin = headers.get("Origin")
    allowed = response.headers.get("Access-Control-Allow-Origin")
    assert allowed is None or (allowed == origin and is_allowed_origin(allowed))
    if allowed is None:
        assert not [name for name in response.headers.keys() if name.startswith("Access-Control")]
