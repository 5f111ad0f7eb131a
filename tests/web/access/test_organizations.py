"""Which organisations may use a server, by their ids and by their names."""

from __future__ import annotations

from typing import Any

import pytest

from tests.standin import StandIn
from tests.web.support import Api, cloud_app, error_of

ACME = "acme"


def status(cloud: StandIn, allowed: Any, headers: dict[str, str] | None = None) -> int:
    api = Api(cloud_app(cloud, BRAINTRUST_EVALS_ORG_NAME=allowed))
    return api.get("/list", headers=headers).status_code


@pytest.mark.parametrize("named", [{}, {"x-bt-org-name": ACME}])
def test_an_organisation_is_allowed_by_its_id(cloud: StandIn, named: dict[str, str]) -> None:
    id = cloud.org_id(ACME)
    assert status(cloud, id, named) == 200
    assert status(cloud, id.upper(), named) == 200
    assert status(cloud, ["globex", id], named) == 200
    assert status(cloud, cloud.org_id("globex"), named) == 403


def test_an_organisation_whose_name_is_the_id_of_another_is_refused(cloud: StandIn) -> None:
    id = cloud.org_id(ACME)
    cloud.add_user("token-of-mallory", orgs=(id,))
    api = Api(cloud_app(cloud, BRAINTRUST_EVALS_ORG_NAME=id), token="token-of-mallory")
    for headers in ({}, {"x-bt-org-name": id}):
        text = error_of(api.get("/list", headers=headers), 403)
        assert text.startswith(f"organisation '{id}' (id {cloud.org_id(id)}) is not allowed")


def test_the_key_of_no_auth_mode_acts_in_the_organisation_with_the_id(
    cloud: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    cloud.add_user("key-of-the-machine", orgs=(ACME, "globex"))
    monkeypatch.setenv("BRAINTRUST_API_KEY", "key-of-the-machine")
    app = cloud_app(
        cloud, BRAINTRUST_EVALS_AUTH="none", BRAINTRUST_EVALS_ORG_NAME=cloud.org_id("globex")
    )
    summary = Api(app, token=None).summary(data=[{"input": 1}])
    assert f"{cloud.url}/app/globex/p/echo/experiments/" in summary["experimentUrl"]


def test_a_star_allows_all_organisations(cloud: StandIn) -> None:
    assert status(cloud, "*") == 200
    assert status(cloud, "*", {"x-bt-org-name": ACME}) == 200


def test_callers_are_told_that_everybody_is_let_in_unless_that_is_written(cloud: StandIn) -> None:
    def told(token: str = "", **config: Any) -> str | None:
        api = Api(cloud_app(cloud, **config), **({"token": token} if token else {}))
        return api.get("/list").headers.get("x-evals-open-to")

    assert told() == "every organization"
    assert told(token="nobody's") is None
    for allowed in ("*", ACME, cloud.org_id(ACME)):
        assert told(BRAINTRUST_EVALS_ORG_NAME=allowed) is None
    assert told(BRAINTRUST_EVALS_AUTH="none") is None
