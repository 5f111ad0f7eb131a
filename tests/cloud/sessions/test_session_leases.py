"""Sessions in the cache: which request logs in, what is evicted, when a session is closed."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from flask_braintrust_evals.cloud.http.addresses import AddressRules
from flask_braintrust_evals.cloud.http.client import CloudClient
from flask_braintrust_evals.cloud.http.tokens import Token
from flask_braintrust_evals.cloud.sessions.logins import REFUSAL_TTL
from flask_braintrust_evals.cloud.sessions.session_cache import Lease, SessionCache
from flask_braintrust_evals.cloud.sessions.user_session import Organization, UserSession
from flask_braintrust_evals.errors import AuthenticationError, CloudError
from tests.support import eventually

URL = "http://127.0.0.1:1"
TTL = 100.0


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Logins:
    """Makes sessions, and remembers them."""

    def __init__(self) -> None:
        self.made: list[UserSession] = []
        self._lock = threading.Lock()

    def __call__(self) -> UserSession:
        session = UserSession(
            CloudClient(Token("t"), 1, AddressRules()), Organization("id", "acme"), URL, URL, URL
        )
        with self._lock:
            self.made.append(session)
        return session


@pytest.fixture
def logins() -> Logins:
    return Logins()


@pytest.fixture
def clock() -> Clock:
    return Clock()


def take(cache: SessionCache, token: str, log_in: Callable[[], UserSession]) -> Lease:
    return cache.lease(Token(token), "acme", URL, log_in)


def test_a_second_request_of_the_same_caller_does_not_log_in(logins: Logins, clock: Clock) -> None:
    cache = SessionCache(2, TTL, clock)
    first, second = take(cache, "ada", logins), take(cache, "ada", logins)
    assert first.session is second.session
    assert len(logins.made) == 1


@pytest.mark.parametrize(
    "other",
    [("bob", "acme", URL), ("ada", "globex", URL), ("ada", None, URL), ("ada", "acme", "x")],
)
def test_token_organisation_and_application_distinguish_callers(
    logins: Logins, other: tuple[str, str | None, str]
) -> None:
    cache = SessionCache(8, TTL)
    cache.lease(Token("ada"), "acme", URL, logins).release()
    cache.lease(Token(other[0]), *other[1:], logins).release()
    assert len(logins.made) == 2


def test_parts_of_a_key_cannot_be_shifted_into_each_other(logins: Logins) -> None:
    cache = SessionCache(8, TTL)
    cache.lease(Token("ab"), "c", URL, logins).release()
    cache.lease(Token("a"), "bc", URL, logins).release()
    assert len(logins.made) == 2


def test_the_least_recently_used_session_goes_first(logins: Logins, clock: Clock) -> None:
    cache = SessionCache(2, TTL, clock)
    for token in ("ada", "bob", "ada", "cyd"):
        take(cache, token, logins).release()
    ada, bob, _ = logins.made
    assert (ada.closed, bob.closed) == (False, True)


def test_an_evicted_session_is_closed_only_when_its_last_lease_is_returned(
    logins: Logins, clock: Clock
) -> None:
    cache = SessionCache(1, TTL, clock)
    first, second = take(cache, "ada", logins), take(cache, "ada", logins)
    take(cache, "bob", logins).release()
    assert not first.session.closed
    first.release()
    first.release()
    assert not second.session.closed
    second.release()
    assert second.session.closed


def test_an_expired_session_is_replaced_but_not_closed_under_its_user(
    logins: Logins, clock: Clock
) -> None:
    cache = SessionCache(2, TTL, clock)
    old = take(cache, "ada", logins)
    clock.now = TTL
    new = take(cache, "ada", logins)
    assert new.session is not old.session
    new.release()
    assert not old.session.closed
    old.release()
    assert logins.made[0].closed


def test_using_a_session_does_not_prolong_it(logins: Logins, clock: Clock) -> None:
    cache = SessionCache(2, TTL, clock)
    for now in (0, TTL * 0.6, TTL * 1.2):
        clock.now = now
        take(cache, "ada", logins).release()
    assert len(logins.made) == 2


def test_a_refused_session_is_not_handed_out_again(
    logins: Logins, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    cache = SessionCache(2, TTL, clock)
    lease = take(cache, "ada", logins)
    lease.session.on_refusal()
    lease.session.on_refusal()
    (message,) = caplog.messages
    assert "organisation 'acme'" in message
    take(cache, "ada", logins).release()
    assert len(logins.made) == 2
    assert not lease.session.closed
    lease.release()
    assert lease.session.closed


def test_closing_the_cache_closes_unused_sessions(logins: Logins, clock: Clock) -> None:
    cache = SessionCache(4, TTL, clock)
    held = take(cache, "ada", logins)
    take(cache, "bob", logins).release()
    cache.close()
    assert [session.closed for session in logins.made] == [False, True]
    held.release()
    assert logins.made[0].closed


def test_no_token_is_in_the_cache_or_its_repr(logins: Logins) -> None:
    cache = SessionCache(4, TTL)
    take(cache, "sk-secret", logins).release()
    assert "sk-secret" not in repr(cache) + repr(vars(cache))


def together(count: int, call: Callable[[int], Any]) -> list[Any]:
    """Call from several threads at the same time; return results and exceptions."""
    barrier = threading.Barrier(count)

    def run(number: int) -> Any:
        barrier.wait(10)
        try:
            return call(number)
        except Exception as error:
            return error

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(run, range(count)))


@pytest.mark.parametrize("limit", [1, 2, 64])
def test_many_first_requests_of_one_caller_log_in_once(logins: Logins, limit: int) -> None:
    cache = SessionCache(limit, TTL)
    leases = together(20, lambda _: take(cache, "ada", logins))
    assert len(logins.made) == 1
    assert {id(lease.session) for lease in leases} == {id(logins.made[0])}
    for lease in leases:
        lease.release()
    assert not logins.made[0].closed


def test_a_failed_login_fails_all_waiting_requests_and_is_kept_for_a_moment(
    logins: Logins, clock: Clock
) -> None:
    cache = SessionCache(4, TTL, clock)
    everybody_is_here = threading.Barrier(2)
    calls: list[int] = []

    def fail() -> UserSession:
        calls.append(1)
        everybody_is_here.wait(10)
        raise AuthenticationError("no")

    def request(number: int) -> Any:
        return take(cache, "ada", fail)

    with ThreadPoolExecutor(8) as pool:
        futures = [pool.submit(request, number) for number in range(8)]
        eventually(lambda: cache.waiting == 8)
        everybody_is_here.wait(10)
        errors = [future.exception(10) for future in futures]
    assert [type(error) for error in errors] == [AuthenticationError] * 8
    assert len({id(error) for error in errors}) == 8
    with pytest.raises(AuthenticationError, match="^no$"):
        take(cache, "ada", logins)
    assert len(calls) == 1
    take(cache, "bob", logins).release()
    clock.now = REFUSAL_TTL
    take(cache, "ada", logins).release()
    assert len(logins.made) == 2


def test_a_slow_login_delays_no_other_caller(logins: Logins) -> None:
    cache = SessionCache(4, TTL)
    release = threading.Event()

    def slow() -> UserSession:
        assert release.wait(10)
        return logins()

    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(take, cache, "ada", slow)
        eventually(lambda: cache.waiting)
        take(cache, "bob", logins).release()
        assert not waiting.done()
        release.set()
        waiting.result(10).release()


def test_a_request_that_waits_for_anothers_login_may_give_up(logins: Logins) -> None:
    cache = SessionCache(1, TTL)
    release = threading.Event()

    def slow() -> UserSession:
        assert release.wait(10)
        return logins()

    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(take, cache, "ada", slow)
        eventually(lambda: cache.waiting)
        with pytest.raises(CloudError, match="the client disconnected"):
            cache.lease(Token("ada"), "acme", URL, logins, gave_up=lambda: True)
        release.set()
        first.result(10).release()
    take(cache, "bob", logins).release()
    assert logins.made[0].closed  # no lease was left behind


def test_a_request_that_is_killed_while_it_waits_keeps_no_lease(logins: Logins) -> None:
    cache = SessionCache(1, TTL)
    release = threading.Event()

    def slow() -> UserSession:
        assert release.wait(10)
        return logins()

    def killed() -> bool:
        raise SystemExit  # as gevent's GreenletExit, it is no Exception

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(take, cache, "ada", slow)
        eventually(lambda: cache.waiting == 1)
        second = pool.submit(cache.lease, Token("ada"), "acme", URL, slow, killed)
        assert isinstance(second.exception(10), SystemExit)
        release.set()
        first.result(10).release()
    cache.close()
    assert [session.closed for session in logins.made] == [True]


def test_a_login_that_ends_after_the_cache_is_closed_is_closed_with_its_last_lease(
    logins: Logins,
) -> None:
    cache = SessionCache(4, TTL)
    release = threading.Event()

    def slow() -> UserSession:
        assert release.wait(10)
        return logins()

    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(take, cache, "ada", slow)
        eventually(lambda: cache.waiting)
        cache.close()
        release.set()
        lease = waiting.result(10)
    assert len(cache) == 0
    lease.release()
    assert [session.closed for session in logins.made] == [True]


USERS = st.sampled_from(["ada", "bob", "cyd", "dan"])


class CacheModel(RuleBasedStateMachine):
    """The cache against a plain model: an ordered dict of its sessions, and the leases of each."""

    leases = Bundle("leases")

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.logins = Logins()
        self.cache = SessionCache(2, TTL, self.clock)
        self.listed: OrderedDict[str, tuple[UserSession, float]] = OrderedDict()
        self.held: dict[int, int] = {}

    def expire(self) -> None:
        for user, (_, end) in list(self.listed.items()):
            if end <= self.clock.now:
                del self.listed[user]

    @rule(target=leases, user=USERS)
    def lease(self, user: str) -> Lease:
        known = self.listed.get(user)
        fresh = known is not None and known[1] > self.clock.now
        before = len(self.logins.made)
        lease = take(self.cache, user, self.logins)
        assert len(self.logins.made) == before + (not fresh)
        if fresh:
            assert known is not None and lease.session is known[0]
        else:
            self.expire()
            while len(self.listed) >= 2:
                self.listed.popitem(last=False)
            self.listed[user] = (lease.session, self.clock.now + TTL)
        self.listed.move_to_end(user)
        self.held[id(lease.session)] = self.held.get(id(lease.session), 0) + 1
        return lease

    @rule(lease=consumes(leases))
    def release(self, lease: Lease) -> None:
        assert not lease.session.closed
        lease.release()
        self.held[id(lease.session)] -= 1

    @rule(lease=leases)
    def refuse(self, lease: Lease) -> None:
        lease.session.on_refusal()
        for user, (session, _) in list(self.listed.items()):
            if session is lease.session:
                del self.listed[user]

    @rule(seconds=st.sampled_from([1.0, TTL / 2, TTL]))
    def wait(self, seconds: float) -> None:
        self.clock.now += seconds

    @invariant()
    def a_session_is_open_while_it_is_held_or_listed_and_closed_otherwise(self) -> None:
        listed = {id(session) for session, _ in self.listed.values()}
        assert len(self.cache) == len(listed) <= 2
        for session in self.logins.made:
            used = self.held.get(id(session), 0) > 0 or id(session) in listed
            assert session.closed == (not used)


CacheModel.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestCacheModel = pytest.mark.slow(CacheModel.TestCase)
