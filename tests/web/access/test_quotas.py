"""How many runs a process has at a time: in all, of one caller, and of one organisation."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest
from flask import Flask

from flask_braintrust_evals import ConfigurationError, Session
from flask_braintrust_evals.config.settings import Settings
from flask_braintrust_evals.errors import QuotaError, TooManyRunsError
from flask_braintrust_evals.runs.probe import NAME
from flask_braintrust_evals.web.access.run_slots import Limit, Owner, Slots
from tests.standin import StandIn
from tests.support import TOKEN, eventually
from tests.web.support import CASES, Api, deltas, error_of, make_app, scored

RUN: dict[str, Any] = {"name": "greeter", "data": CASES, "stream": True}
PROBE: dict[str, Any] = {"name": NAME, "data": {"own": True}, "stream": True}


def slots(total: int = 100, caller: int = 100, org: int = 100) -> Slots:
    return Slots("runs are under way", Limit(total, " (T)"), Limit(caller, " (C)"), Limit(org))


ADA, BOB = Owner(b"ada", "acme"), Owner(b"bob", "acme")


# --- Counting ---


def test_a_slot_that_is_given_back_can_be_taken_again() -> None:
    some = slots(total=2)
    for _ in range(5):
        release = some.take(ADA)
        some.take(BOB)()
        assert some.taken == 1
        release()
    assert some.taken == 0
    assert not vars(some)["_by_owner"], "nothing is kept of callers that have left"


def test_a_refused_slot_is_not_counted() -> None:
    some = slots(total=3, caller=1)
    some.take(ADA)
    for _ in range(5):
        with pytest.raises(QuotaError):
            some.take(ADA)
    some.take(BOB)
    some.take(Owner(b"eve"))
    with pytest.raises(TooManyRunsError):
        some.take(Owner())


def test_the_errors_say_which_limit_it_is_its_value_and_its_setting() -> None:
    some = slots(total=4, caller=2, org=3)
    some.take(ADA)
    some.take(ADA)
    with pytest.raises(QuotaError) as refused:
        some.check(ADA)
    assert str(refused.value) == (
        "2 runs are under way for this caller in this process, which is the quota of each caller"
        " (C); try again when one of them has ended"
    )
    some.take(BOB)
    with pytest.raises(QuotaError) as refused:
        some.check(BOB)
    assert str(refused.value) == (
        "3 runs are under way for this organisation in this process, which is the quota of each"
        " organisation; try again when one of them has ended"
    )
    some.take(Owner())
    with pytest.raises(TooManyRunsError) as full:
        some.check(Owner(b"eve", "other"))
    assert str(full.value) == (
        "4 runs are under way in this process, which is its limit (T); try again soon"
    )


def test_an_owner_who_is_not_known_has_no_quota() -> None:
    some = slots(total=5, caller=1, org=1)
    for _ in range(5):
        some.take(Owner())


@pytest.mark.parametrize(
    ("settings", "caller", "org"),
    [
        (Settings(), 500, 750),
        (Settings(max_runs=1), 1, 1),
        (Settings(max_runs=3), 2, 3),
        (Settings(max_runs=8, org_names=("acme",)), 4, 8),
        (Settings(max_runs=8, org_names=("acme", "other")), 4, 6),
        (Settings(max_runs=8, max_runs_per_caller=7, max_runs_per_org=5), 7, 5),
    ],
)
def test_without_settings_a_caller_has_half_and_an_organisation_three_quarters(
    settings: Settings, caller: int, org: int
) -> None:
    assert (settings.runs_per_caller, settings.runs_per_org) == (caller, org)


# --- Requests ---


@contextmanager
def held(api: Api, count: int, **body: Any) -> Iterator[None]:
    """Runs that are under way because nobody reads their streams."""
    with ExitStack() as stack:
        for _ in range(count):
            response = api.eval(**{**RUN, **body})
            assert response.status_code == 200, response.text
            stack.callback(response.close)
        yield


@pytest.fixture
def app(cloud: StandIn) -> Flask:
    cloud.add_user("token-of-bob", orgs=("acme",))
    cloud.add_user("token-of-eve", orgs=("other",))
    cloud.add_user("token-of-all", orgs=("acme", "other"))
    return make_app(
        scored(),
        BRAINTRUST_APP_URL=cloud.url,
        BRAINTRUST_EVALS_MAX_RUNS=6,
        BRAINTRUST_EVALS_MAX_RUNS_PER_CALLER=2,
        BRAINTRUST_EVALS_MAX_RUNS_PER_ORG=3,
    )


PLACE: dict[str, Any] = {"parent": {"object_type": "playground_logs", "object_id": "p"}}


def test_a_caller_with_a_full_quota_is_told_so_and_others_are_served(app: Flask) -> None:
    ada, bob = Api(app), Api(app, "token-of-bob")
    with held(ada, 2, **PLACE):
        refused = ada.eval(**RUN, **PLACE)
        assert "2 runs" in (text := error_of(refused, 429))
        assert "BRAINTRUST_EVALS_MAX_RUNS_PER_CALLER" in text
        assert refused.headers["Retry-After"] == "5"
        assert deltas(bob.events(**RUN))
    assert deltas(ada.events(**RUN))
    assert app.extensions["braintrust_evals"].runtime.run_slots.runs.taken == 0


def test_an_organisation_has_a_quota_for_all_of_its_callers(app: Flask) -> None:
    ada, bob, eve = Api(app), Api(app, "token-of-bob"), Api(app, "token-of-eve")
    with held(ada, 2, **PLACE), held(bob, 1, **PLACE):
        text = error_of(bob.eval(**RUN, **PLACE), 429)
        assert "3 runs" in text
        assert "BRAINTRUST_EVALS_MAX_RUNS_PER_ORG" in text
        assert deltas(eve.events(**RUN))


def test_a_caller_of_several_organisations_has_one_quota(app: Flask) -> None:
    api = Api(app, "token-of-all")
    acme, other = {"x-bt-org-name": "acme"}, {"x-bt-org-name": "other"}
    with ExitStack() as stack:
        for headers in (acme, other):
            stack.callback(api.eval(headers, **RUN, **PLACE).close)
        for headers in (acme, other):
            assert "PER_CALLER" in error_of(api.eval(headers, **RUN, **PLACE), 429)


def test_a_full_server_is_503_for_everybody(app: Flask) -> None:
    with ExitStack() as stack:
        for token in ("token-of-ada", "token-of-bob", "token-of-eve", "token-of-all"):
            headers = {"x-bt-org-name": "other"} if token == "token-of-all" else {}
            count = 1 if token in ("token-of-bob", "token-of-all") else 2
            for _ in range(count):
                response = Api(app, token).eval(headers, **RUN, **PLACE)
                assert response.status_code == 200, response.text
                stack.callback(response.close)
        for token in ("token-of-ada", "token-of-bob"):
            full = Api(app, token).eval(**RUN, **PLACE)
            assert "BRAINTRUST_EVALS_MAX_RUNS)" in error_of(full, 503)
            assert full.headers["Retry-After"] == "5"


def test_in_no_auth_mode_there_is_one_user_who_may_use_the_whole_server() -> None:
    app = make_app(scored(), BRAINTRUST_EVALS_AUTH="none", BRAINTRUST_EVALS_MAX_RUNS=2)
    with held(Api(app, None), 2):
        assert "BRAINTRUST_EVALS_MAX_RUNS)" in error_of(Api(app, None).eval(**RUN), 503)


def test_a_function_may_say_who_the_caller_is() -> None:
    def user_of(request: Any) -> Session:
        return Session(caller=request.headers.get("X-User"))

    app = make_app(scored(), BRAINTRUST_EVALS_AUTH=user_of, BRAINTRUST_EVALS_MAX_RUNS=4)
    api = Api(app, None)
    ada, bob = {"X-User": "ada"}, {"X-User": "bob"}
    with ExitStack() as stack:
        for _ in range(2):
            stack.callback(api.eval(ada, **RUN).close)
        assert "PER_CALLER" in error_of(api.eval(ada, **RUN), 429)
        for headers in (bob, {}):
            stack.callback(api.eval(headers, **RUN).close)
        assert "BRAINTRUST_EVALS_MAX_RUNS)" in error_of(api.eval(bob, **RUN), 503)


def test_without_a_caller_all_requests_with_one_token_are_one_caller(cloud: StandIn) -> None:
    def user_of(request: Any) -> Session:
        return Session(TOKEN, caller=request.headers.get("X-User"))

    app = make_app(
        scored(),
        BRAINTRUST_APP_URL=cloud.url,
        BRAINTRUST_EVALS_AUTH=user_of,
        BRAINTRUST_EVALS_MAX_RUNS=4,
    )
    api = Api(app, None)
    with held(api, 2, **PLACE):
        assert error_of(api.eval(**RUN, **PLACE), 429)
        assert api.eval({"X-User": "bob"}, **{**RUN, **PLACE, "stream": False}).status_code == 200


@pytest.mark.parametrize("caller", ["", 5, b"ada", ["ada"]])
def test_a_caller_that_is_no_text_is_refused(caller: Any) -> None:
    with pytest.raises(ConfigurationError, match="a Session's caller must be a text"):
        Session(caller=caller)


# --- The evaluator of flask evals check ---


@pytest.mark.slow
def test_checks_take_no_slots_of_runs_and_have_a_small_number_of_their_own(app: Flask) -> None:
    ada, bob = Api(app), Api(app, "token-of-bob")
    with held(ada, 2, **PROBE):
        text = error_of(ada.eval(**PROBE), 429)
        assert text.startswith("2 checks are under way for this caller in this process")
        with held(bob, 2, **PROBE):
            full = Api(app, "token-of-eve").eval(**PROBE)
            assert error_of(full, 503).startswith("4 checks are under way in this process")
        assert app.extensions["braintrust_evals"].runtime.run_slots.runs.taken == 0
        with held(ada, 2, **PLACE):
            pass
    # A case that has begun to wait goes on after its client has left.
    eventually(lambda: app.extensions["braintrust_evals"].runtime.run_slots.probes.taken == 0)


@pytest.mark.parametrize(
    ("body", "what"),
    [
        ({"data": CASES}, "data"),
        ({"data": {"dataset_id": "d"}}, "data"),
        ({"trial_count": 2}, "trial_count"),
    ],
)
def test_checks_cannot_be_made_longer(app: Flask, body: Any, what: str) -> None:
    text = error_of(Api(app).eval(**{**PROBE, **body}), 400)
    assert text.startswith(f"{what}: evaluator {NAME!r} runs ")


def test_a_check_may_name_the_number_that_it_has() -> None:
    app = make_app(BRAINTRUST_EVALS_AUTH="none")
    assert len(deltas(Api(app, None).events(**PROBE, trial_count=1))) == 2
