"""What an organisation that chooses its own addresses can make the server call, and read."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.standin import StandIn
from tests.support import TOKEN
from tests.web.support import PLAYGROUND, Api, cloud_app, error_of, last_json

SECRET = "of-the-network"
HOW = (
    "so this server does not call it; if it should, set BRAINTRUST_API_URL, or add the host to"
    " BRAINTRUST_EVALS_API_HOSTS"
)


@pytest.fixture
def inside() -> Iterator[StandIn]:
    """A server of this network, which has a secret for everybody who can reach it."""
    with StandIn() as inside:
        inside.fault("*", ".*", body={"secret": SECRET}, times=None)
        yield inside


def answers_of(api: Api, **scorer: Any) -> str:
    """All that a caller gets from a run with one remote scorer."""
    scores = [{"name": "far", "function_id": {"function_id": "f", **scorer}}]
    data = [{"input": 1}]
    return api.eval(data=data, parent=PLAYGROUND, scores=scores, case_results=True).text


@pytest.mark.parametrize("key", ["api_url", "proxy_url"])
@pytest.mark.parametrize("stream", [True, False])
def test_an_organisation_cannot_name_an_address_of_the_network(
    cloud: StandIn, inside: StandIn, key: str, stream: bool
) -> None:
    cloud.set_addresses("acme", **{key: inside.url + "/admin"})
    api = Api(cloud_app(cloud))
    text = f"the {key} of organisation 'acme' at 127.0.0.1 is not https, {HOW}"
    assert error_of(api.get("/list"), 502) == text
    assert api.refusal(502, stream=stream, data={"dataset_id": "d"}) == text
    assert not inside.calls


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("https://169.254.169.254/x", f"the {{}} at 169.254.169.254 is not public, {HOW}"),
        ("https://[::1]", f"the {{}} at ::1 is not public, {HOW}"),
        ("http://api.example.com", f"the {{}} at api.example.com is not https, {HOW}"),
        ("https://api.example.com?x=", "the {} must not have a query; set BRAINTRUST_API_URL"),
        ("https://api.example.com#", "the {} must not have a query; set BRAINTRUST_API_URL"),
        ("ftp://api.example.com", "the {} is not an http:// or https:// address"),
    ],
)
def test_an_address_that_is_not_allowed_is_502_with_what_an_operator_can_set(
    cloud: StandIn, url: str, text: str
) -> None:
    cloud.set_addresses("acme", api_url=url)
    response = Api(cloud_app(cloud)).get("/list")
    assert error_of(response, 502) == text.format("api_url of organisation 'acme'")


def test_a_name_that_leads_into_the_network_is_502_at_the_first_call(cloud: StandIn) -> None:
    cloud.set_addresses("acme", api_url="https://localhost:1")
    api = Api(cloud_app(cloud))
    assert api.get("/list").status_code == 200
    assert api.refusal(502, data={"dataset_id": "d"}) == (
        f"the address at localhost is not public, {HOW}"
    )


def test_the_settings_win_over_an_address_that_is_not_allowed(
    cloud: StandIn, inside: StandIn
) -> None:
    cloud.set_addresses("acme", api_url=inside.url, proxy_url=inside.url)
    urls = {"BRAINTRUST_API_URL": cloud.url, "BRAINTRUST_PROXY_URL": cloud.url}
    assert Api(cloud_app(cloud, **urls)).summary(data=[{"input": 1}])
    assert not inside.calls


@pytest.mark.parametrize("hosts", [["127.0.0.1"], "127.0.0.1:{port}"])
def test_a_listed_host_may_be_of_the_network(cloud: StandIn, hosts: Any) -> None:
    with StandIn() as data_plane:
        data_plane.add_user(TOKEN)
        port = data_plane.url.rpartition(":")[2]
        cloud.set_addresses("acme", api_url=data_plane.url, proxy_url=data_plane.url)
        hosts = hosts.format(port=port) if isinstance(hosts, str) else hosts
        api = Api(cloud_app(cloud, BRAINTRUST_EVALS_API_HOSTS=hosts))
        assert api.summary(data=[{"input": 1}])
        assert data_plane.calls_to("POST", "/otel/v1/traces")


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_of_a_remote_scorer_is_not_followed(
    cloud: StandIn, inside: StandIn, status: int
) -> None:
    location = {"Location": inside.url + "/latest/meta-data"}
    cloud.fault("POST", "/function/invoke", status=status, headers=location)
    text = answers_of(Api(cloud_app(cloud)))
    assert f"status {status}, a redirect, which is not followed" in text
    assert SECRET not in text
    assert not inside.calls
    assert not [span for span in cloud.spans if SECRET in repr(span)]


@pytest.mark.parametrize(
    ("result", "kind"),
    [
        ({"secret": SECRET}, "an object"),
        (SECRET, "a text"),
        ([SECRET], "a list"),
        ({"score": SECRET}, "an object"),
        ({"score": 1, "name": {"secret": SECRET}}, "an object"),
        ([1, {"secret": SECRET}], "a list"),
        (70_700_707, "another number"),
    ],
)
def test_nothing_of_what_is_no_score_of_a_remote_scorer_is_shown(
    cloud: StandIn, result: Any, kind: str
) -> None:
    cloud.fault("POST", "/function/invoke", body=json.dumps(result))
    api = Api(cloud_app(cloud))
    scores = [{"name": "far", "function_id": "f"}]
    events = api.events(data=[{"input": 1}], scores=scores, case_results=True)
    (failure,) = last_json(events, "case_result")["scorer_errors"].values()
    assert failure.removeprefix("CloudError: ") == (
        f"the function of scorer 'far' did not return a score ({kind}); it must return a number"
        " from 0 to 1, null, an object with a 'score', or a list of those"
    )
    shown = "".join(map(repr, events)) + "".join(map(repr, cloud.spans))
    assert SECRET not in shown
    assert "70700707" not in shown


def test_the_texts_of_errors_are_quoted_from_configured_addresses_alone(cloud: StandIn) -> None:
    with StandIn() as data_plane:
        data_plane.add_user(TOKEN)
        cloud.set_addresses("acme", api_url=data_plane.url)
        for settings, quoted in (
            ({"BRAINTRUST_EVALS_API_HOSTS": ["127.0.0.1"]}, ""),
            ({"BRAINTRUST_API_URL": data_plane.url}, f": {SECRET}"),
        ):
            data_plane.fault("GET", "/v1/dataset/d", status=500, body=SECRET)
            text = Api(cloud_app(cloud, **settings)).refusal(502, data={"dataset_id": "d"})
            assert text == f"Braintrust answered GET /v1/dataset/d with status 500{quoted}"


def test_an_answer_that_is_far_too_large_is_a_short_error(cloud: StandIn) -> None:
    cloud.fault("GET", "/v1/dataset/d", body=b" " * 9_000_000)
    text = Api(cloud_app(cloud)).refusal(502, data={"dataset_id": "d"})
    assert text == "Braintrust's answer to GET /v1/dataset/d has more than 8,388,608 bytes"
