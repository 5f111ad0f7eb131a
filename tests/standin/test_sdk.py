"""The official SDK as a witness: it can work with the stand-in."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from . import StandIn
from .support import ADA, CAPITALS, COUNTRIES, inputs


@pytest.fixture
def sign_in(sdk: Any, standin: StandIn) -> Iterator[Callable[..., Any]]:
    """Sign in through the SDK, apart from its global state, and give the state."""
    states: list[Any] = []

    def sign_in(token: str = ADA, org_name: str | None = None) -> Any:
        states.append(
            sdk.logger.login_to_state(app_url=standin.url, api_key=token, org_name=org_name)
        )
        return states[-1]

    yield sign_in
    for state in states:
        sdk.logger._close_login_state(state)


def test_the_sdk_signs_in_globally(sdk: Any, standin: StandIn) -> None:
    sdk.login(app_url=standin.url, api_key=ADA)
    assert sdk.org_id() == standin.org_id("acme")
    assert standin.logins == 1


def test_the_sdk_signs_in_to_the_organisation_it_names(
    standin: StandIn, sign_in: Callable[..., Any]
) -> None:
    standin.add_user("both", orgs=("acme", "globex"))
    state = sign_in("both", "globex")
    assert (state.org_name, state.org_id) == ("globex", standin.org_id("globex"))
    assert state.api_url == state.proxy_url == standin.url


def test_the_sdk_is_refused_with_a_wrong_token_and_a_foreign_organisation(
    sign_in: Callable[..., Any],
) -> None:
    with pytest.raises(ValueError, match="Invalid API key"):
        sign_in("token-of-nobody")
    with pytest.raises(ValueError, match="globex not found. Must be one of acme"):
        sign_in(ADA, "globex")


@pytest.mark.parametrize("on_last", [True, False], ids=["empty last page", "full last page"])
@pytest.mark.parametrize("by", ["name", "id"])
def test_the_sdk_reads_a_dataset_over_several_pages(
    sdk: Any, standin: StandIn, sign_in: Callable[..., Any], by: str, on_last: bool
) -> None:
    standin.page_size = 2
    standin.cursor_on_last_page = on_last
    id = standin.add_dataset("acme", "Geo", "capitals", CAPITALS)
    named = {"project": "Geo", "name": "capitals"} if by == "name" else {"dataset_id": id}
    dataset = sdk.init_dataset(**named, state=sign_in())
    rows = list(dataset)
    assert dataset.id == id
    assert dataset.project.name == "Geo"
    assert inputs(rows) == COUNTRIES
    assert rows[1]["expected"] == "Tokyo"
    assert dataset.version == rows[-1]["_xact_id"]
    assert len(standin.calls_to("POST", f"/v1/dataset/{id}/fetch")) == (4 if on_last else 3)


def test_the_sdk_reads_an_environment_and_a_version(
    sdk: Any, standin: StandIn, sign_in: Callable[..., Any]
) -> None:
    standin.add_dataset(
        "acme",
        "Geo",
        "capitals",
        CAPITALS,
        versions={41: CAPITALS[:1], 42: CAPITALS[:2]},
        environments={"production/eu": 42},
    )
    state = sign_in()

    def read(**options: Any) -> list[Any]:
        return inputs(list(sdk.init_dataset("Geo", "capitals", state=state, **options)))

    assert read(environment="production/eu") == COUNTRIES[:2]
    assert read(version=41) == COUNTRIES[:1]
    assert read(version=41, environment="production/eu") == COUNTRIES[:1]
    with pytest.raises(Exception, match="No such environment"):
        read(environment="staging")


def test_the_sdk_reads_rows_with_internal_btql(
    sdk: Any, standin: StandIn, sign_in: Callable[..., Any]
) -> None:
    standin.page_size = 2
    id = standin.add_dataset("acme", "Geo", "capitals", CAPITALS, versions={"41": CAPITALS[:1]})
    state = sign_in()
    only_asia = {
        "op": "eq",
        "left": {"op": "ident", "name": ["metadata", "continent"]},
        "right": {"op": "literal", "value": "Asia"},
    }

    def read(btql: dict[str, Any], **options: Any) -> list[Any]:
        dataset = sdk.init_dataset(dataset_id=id, _internal_btql=btql, state=state, **options)
        return inputs(list(dataset))

    assert read({"limit": 3}) == COUNTRIES[:3]
    assert len(standin.calls_to("POST", "/btql")) == 2
    assert read({"limit": 100}) == COUNTRIES
    assert read({"filter": only_asia}) == ["Japan"]
    assert read({"limit": 3}, version="41") == COUNTRIES[:1]


def test_the_sdk_makes_the_project_and_the_dataset_it_does_not_find(
    sdk: Any, standin: StandIn, sign_in: Callable[..., Any]
) -> None:
    dataset = sdk.init_dataset(project="New", name="empty", state=sign_in())
    assert list(dataset) == []
    assert dataset.project.id == standin.add_project("acme", "New")


def test_the_sdk_makes_summarises_and_reads_experiments(
    sdk: Any, standin: StandIn, sign_in: Callable[..., Any]
) -> None:
    scored: list[dict[str, Any]] = [
        {"input": "a", "expected": "A", "output": "A", "scores": {"exact": 1}},
        {"input": "a-task", "is_root": False},
    ]
    standin.add_experiment("acme", "Geo", "run", scored)
    state = sign_in()
    made = sdk.init("Geo", experiment="run", state=state, set_current=False)
    assert made.name.startswith("run-")
    assert made.summarize().comparison_experiment_name == "run"
    opened = sdk.init("Geo", experiment="run", open=True, state=state, set_current=False)
    assert [case["input"] for case in opened.as_dataset()] == ["a"]


def test_the_sdk_invokes_a_function(sdk: Any, standin: StandIn) -> None:
    standin.add_function(lambda input: {"score": input["output"]}, slug="same", project="Geo")
    sdk.login(app_url=standin.url, api_key=ADA)
    given = {"output": 0.5}
    assert sdk.invoke(project_name="Geo", slug="same", input=given) == {"score": 0.5}
    with pytest.raises(Exception, match="No function has the slug"):
        sdk.invoke(project_name="Geo", slug="other", input=given)
