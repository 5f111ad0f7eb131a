"""The names that a server is known by, where requests need no token."""

from __future__ import annotations

from typing import Any

import pytest
from flask import Request

from flask_braintrust_evals import Session
from tests.web.support import Api, error_of, make_app

PAGE = "https://www.braintrust.dev"
NO_AUTH: dict[str, Any] = {"BRAINTRUST_EVALS_AUTH": "none"}
REMOTE: dict[str, Any] = {**NO_AUTH, "BRAINTRUST_EVALS_NO_AUTH_REMOTE": True}
KNOWN: dict[str, Any] = {"BRAINTRUST_EVALS_HOSTS": ["buildbox", ".example.com"]}
TRUSTED: dict[str, Any] = {"TRUSTED_HOSTS": ["buildbox", ".example.com"]}


def by_the_network(request: Request) -> Session:
    """As of a team that lets in whoever reaches the port."""
    return Session()


FUNCTION: dict[str, Any] = {"BRAINTRUST_EVALS_AUTH": by_the_network}
FOREIGN = [
    "evil.example",
    "evil.example:8000",
    "localhost.evil.example",
    "127.0.0.1.evil.example",
    "evilbuildbox",
    "buildbox.evil.example",
    "evilexample.com",
    "user@localhost",
    "localhost@evil.example",
    "localhost:80@evil.example",
    "localhost/evil",
    "127.1",
    "0x7f000001",
    "[::1",
    "",
]
OWN = ["localhost", "LOCALhost:8000", "localhost.", "evals.localhost", "127.0.0.1", "[::1]:8000"]


@pytest.mark.parametrize("config", [NO_AUTH, REMOTE, FUNCTION], ids=["local", "remote", "function"])
@pytest.mark.parametrize("page", [True, False], ids=["own page", "no page"])
def test_a_page_whose_name_resolves_to_the_server_gets_nothing(
    config: dict[str, Any], page: bool
) -> None:
    api = Api(make_app(**config, **KNOWN, BRAINTRUST_EVALS_PLAYGROUND=page), token=None)
    for host in FOREIGN:
        headers = {"Host": host, "Sec-Fetch-Site": "same-origin"}
        text = error_of(api.get("/list", headers=headers), 403)
        assert "BRAINTRUST_EVALS_HOSTS" in text, host
        assert api.eval({**headers, "Origin": f"http://{host}"}).status_code == 403, host
        assert api.get("/", headers=headers).status_code == 200, host


def check_known(api: Api, host: str) -> None:
    assert api.get("/list", headers={"Host": host}).status_code == 200, host
    own_page = {"Host": host, "Origin": f"http://{host}", "Sec-Fetch-Site": "same-origin"}
    assert api.eval(own_page).status_code == 200, host


@pytest.mark.parametrize("config", [NO_AUTH, REMOTE, FUNCTION], ids=["local", "remote", "function"])
def test_the_names_of_the_machine_are_known_without_a_setting(config: dict[str, Any]) -> None:
    api = Api(make_app(**config, BRAINTRUST_EVALS_PLAYGROUND=True), token=None)
    for host in OWN:
        check_known(api, host)


@pytest.mark.parametrize("config", [NO_AUTH, REMOTE, FUNCTION], ids=["local", "remote", "function"])
@pytest.mark.parametrize("names", [KNOWN, TRUSTED], ids=["own setting", "flask's setting"])
def test_names_of_the_settings_are_known(config: dict[str, Any], names: dict[str, Any]) -> None:
    api = Api(make_app(**config, **names, BRAINTRUST_EVALS_PLAYGROUND=True), token=None)
    for host in ("buildbox", "buildbox:8000", "example.com", "a.b.example.com"):
        check_known(api, host)


@pytest.mark.parametrize("host", ["192.168.1.5:8000", "[fd00::7]:8000"])
def test_other_machines_may_use_the_servers_address(host: str) -> None:
    """A foreign page has a name; if it had this address, it would have come from this server."""
    for config, status in ((REMOTE, 200), (FUNCTION, 200), (NO_AUTH, 403)):
        response = Api(make_app(**config), token=None).get("/list", headers={"Host": host})
        assert response.status_code == status


def test_a_refusal_names_the_setting_and_the_name() -> None:
    api = Api(make_app(**REMOTE), token=None)
    assert error_of(api.get("/list", headers={"Host": "buildbox:8000"}), 403) == (
        "this server is not known by the name 'buildbox'; if that is its name, add it to"
        " BRAINTRUST_EVALS_HOSTS"
    )
    api = Api(make_app(**NO_AUTH), token=None)
    assert error_of(api.get("/list", headers={"Host": "buildbox"}), 403) == (
        "BRAINTRUST_EVALS_AUTH is 'none', which serves this machine alone, not under the name"
        " 'buildbox'; use the name localhost, or use BRAINTRUST_EVALS_AUTH='braintrust' to serve"
        " others; if it is a name of this machine, add it to BRAINTRUST_EVALS_HOSTS"
    )


def test_the_playground_reaches_a_function_under_any_name_by_its_own_origin() -> None:
    api = Api(make_app(**FUNCTION), token=None)
    headers = {"Host": "evals.acme.example", "Origin": PAGE}
    assert api.get("/list", headers=headers).status_code == 200
    assert api.eval(headers).status_code == 200
    for origin in ("http://www.braintrust.dev", "https://forgotten.braintrust.dev"):
        assert api.eval({**headers, "Origin": origin}).status_code == 403


@pytest.mark.parametrize("origin", ["http://www.braintrust.dev", "https://x.braintrust.dev"])
def test_no_auth_mode_trusts_no_page_that_others_may_serve(origin: str) -> None:
    api = Api(make_app(**NO_AUTH), token=None)
    assert api.eval({"Origin": origin}).status_code == 403
    preflight = api.open("OPTIONS", "/eval", headers={"Origin": origin})
    assert "Access-Control-Allow-Origin" not in preflight.headers
    assert api.eval({"Origin": PAGE}).status_code == 200


def test_a_self_hosted_braintrust_may_be_served_without_tls() -> None:
    api = Api(make_app(**NO_AUTH, BRAINTRUST_APP_URL="http://braintrust.internal:3000"), token=None)
    assert api.eval({"Origin": "http://braintrust.internal:3000"}).status_code == 200
    assert api.eval({"Origin": "http://www.braintrust.dev"}).status_code == 403


MARKS = {
    "X-Forwarded-For": "127.0.0.1",
    "X-Forwarded-Host": "tools.example.com",
    "X-Forwarded-Proto": "https",
    "X-Forwarded-Port": "443",
    "X-Forwarded-Server": "proxy",
    "Forwarded": "for=127.0.0.1",
    "Via": "1.1 proxy",
    "X-Real-IP": "127.0.0.1",
    "X-Client-IP": "8.8.8.8",
    "True-Client-IP": "8.8.8.8",
    "X-Cluster-Client-IP": "8.8.8.8",
    "Fastly-Client-IP": "8.8.8.8",
    "CF-Connecting-IP": "8.8.8.8",
    "CF-Ray": "230b030023ae2822-SJC",
    "CDN-Loop": "cloudflare",
    "X-Azure-ClientIP": "8.8.8.8",
    "X-Amzn-Trace-Id": "Root=1-67891233-abcdef012345678912345678",
    "X-Envoy-External-Address": "8.8.8.8",
    "Fly-Client-IP": "8.8.8.8",
    "X-Original-Forwarded-For": "8.8.8.8",
    "x-original-host": "tools.example.com",
}


def test_no_auth_mode_refuses_what_a_proxy_has_marked() -> None:
    local, remote = (Api(make_app(**config), token=None) for config in (NO_AUTH, REMOTE))
    for name, value in MARKS.items():
        text = error_of(local.get("/list", headers={name: value}), 403)
        assert f"the header {name} comes from one" in text.replace(name.title(), name)
        assert remote.get("/list", headers={name: value}).status_code == 200, name


@pytest.mark.parametrize(
    "name", ["User-Agent", "Accept-Language", "x-bt-auth-token", "X-Stainless-OS", "Sec-Fetch-Site"]
)
def test_headers_of_clients_are_no_marks_of_a_proxy(name: str) -> None:
    api = Api(make_app(**NO_AUTH), token=None)
    assert api.get("/list", headers={name: "x"}).status_code == 200
