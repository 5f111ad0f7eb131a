"""How many logins are under way, who waits for them, and how long an answer is remembered."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest

from flask_braintrust_evals.cloud.http.addresses import AddressRules
from flask_braintrust_evals.cloud.http.client import CloudClient
from flask_braintrust_evals.cloud.http.tokens import Token
from flask_braintrust_evals.cloud.sessions import logins
from flask_braintrust_evals.cloud.sessions.logins import MAX_LOGINS, REFUSAL_TTL
from flask_braintrust_evals.cloud.sessions.session_cache import Lease, SessionCache
from flask_braintrust_evals.cloud.sessions.user_session import (
    Endpoints,
    Organization,
    UserSession,
    log_in,
)
from flask_braintrust_evals.errors import (
    AccessDeniedError,
    AuthenticationError,
    CloudBusyError,
    CloudError,
    RequestError,
    TooManyLoginsError,
)
from tests.standin import StandIn
from tests.support import TOKEN, Counter, eventually

URL = "http://127.0.0.1:1"


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def session() -> UserSession:
    client = CloudClient(Token("t"), 1, AddressRules())
    return UserSession(client, Organization("id", "acme"), URL, URL, URL)


class Slow:
    """Logins that all wait until they are released."""

    def __init__(self) -> None:
        self.running = Counter()
        self.made: list[UserSession] = []
        self.go = threading.Event()

    def __call__(self) -> UserSession:
        self.running.add()
        assert self.go.wait(20)
        self.running.add(-1)
        self.made.append(session())
        return self.made[-1]


class Requests:
    """Requests for leases, each in a thread of its own, whose clients may leave."""

    def __init__(self, cache: SessionCache, pool: ThreadPoolExecutor) -> None:
        self._cache = cache
        self._pool = pool
        self.left: set[str] = set()

    def __call__(self, token: str, log_in: Any) -> Future[Lease]:
        return self._pool.submit(
            self._cache.lease, Token(token), None, URL, log_in, lambda: token in self.left
        )


@contextmanager
def requests_of(cache: SessionCache) -> Iterator[Requests]:
    with ThreadPoolExecutor(40) as pool:
        yield Requests(cache, pool)


def test_no_more_than_some_logins_are_under_way_and_the_others_wait_for_their_turn() -> None:
    slow = Slow()
    cache = SessionCache(64, 100)
    with requests_of(cache) as ask:
        leases = [ask(str(number), slow) for number in range(20)]
        eventually(lambda: cache.waiting == 20)
        assert slow.running.reaches(MAX_LOGINS)
        slow.go.set()
        for lease in leases:
            lease.result(10).release()
    assert slow.running.peak == MAX_LOGINS == 8
    assert len(slow.made) == len(cache) == 20
    # After all of them, logins begin as before.
    cache.lease(Token("last"), None, URL, session).release()


def test_a_login_whose_turn_does_not_come_is_503_with_when_to_come_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(logins, "MAX_WAIT", 0.3)
    slow = Slow()
    cache = SessionCache(64, 100)
    with requests_of(cache) as ask:
        first = [ask(str(number), slow) for number in range(MAX_LOGINS)]
        assert slow.running.reaches(MAX_LOGINS)
        late = ask("late", slow)
        error = late.exception(10)
        assert isinstance(error, TooManyLoginsError)
        assert (error.status, error.retry_after) == (503, 5)
        assert str(error) == (
            "this server has 8 logins under way, and more waiting; try again in 5 seconds"
        )
        assert cache.waiting == MAX_LOGINS
        slow.go.set()
        for lease in first:
            lease.result(10).release()
    assert len(slow.made) == MAX_LOGINS  # nobody logged in for who had left


def test_who_leaves_the_queue_leaves_no_login_behind_and_takes_none_from_others() -> None:
    slow = Slow()
    cache = SessionCache(64, 100)
    with requests_of(cache) as ask:
        first = [ask(str(number), slow) for number in range(MAX_LOGINS)]
        assert slow.running.reaches(MAX_LOGINS)
        ask.left.add("alone")
        assert isinstance(ask("alone", slow).exception(10), CloudError)
        leaving = ask("shared", slow)
        eventually(lambda: cache.waiting == MAX_LOGINS + 1)
        staying = ask.__class__(cache, ask._pool)("shared", slow)
        eventually(lambda: cache.waiting == MAX_LOGINS + 2)
        ask.left.add("shared")
        assert isinstance(leaving.exception(10), CloudError)
        slow.go.set()
        staying.result(10).release()
        for lease in first:
            lease.result(10).release()
    assert len(slow.made) == MAX_LOGINS + 1
    cache.close()
    assert all(each.closed for each in slow.made)


def test_a_system_without_threads_fails_the_request_and_takes_no_turn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*_: Any) -> None:
        raise RuntimeError("can't start new thread")

    cache = SessionCache(64, 100)
    with monkeypatch.context() as patched:
        patched.setattr(logins, "start_thread", refuse)
        for _ in range(MAX_LOGINS):
            with pytest.raises(RuntimeError, match="can't start new thread"):
                cache.lease(Token("ada"), None, URL, session)
    cache.lease(Token("ada"), None, URL, session).release()


def test_who_leaves_as_the_login_ends_keeps_no_lease(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logins, "CLIENT_CHECK_INTERVAL", 0.001)
    slow = Slow()
    cache = SessionCache(64, 100)

    def gave_up() -> bool:
        slow.go.set()
        eventually(lambda: len(cache) == 1)
        return True

    with pytest.raises(CloudError, match="the client disconnected"):
        cache.lease(Token("ada"), None, URL, slow, gave_up)
    cache.close()
    assert slow.made[0].closed


def test_a_login_that_everybody_has_left_is_kept_for_the_next_request() -> None:
    slow = Slow()
    cache = SessionCache(64, 100)
    with requests_of(cache) as ask:
        ask.left.add("ada")
        assert isinstance(ask("ada", slow).exception(10), CloudError)
        slow.go.set()
        eventually(lambda: len(cache) == 1)
    lease = cache.lease(Token("ada"), None, URL, session)
    assert lease.session is slow.made[0]
    assert not lease.session.closed
    lease.release()


def test_a_login_that_everybody_has_left_is_closed_with_the_cache() -> None:
    slow = Slow()
    cache = SessionCache(64, 100)
    with requests_of(cache) as ask:
        ask.left.add("ada")
        assert isinstance(ask("ada", slow).exception(10), CloudError)
        cache.close()
        slow.go.set()
        eventually(lambda: slow.made and slow.made[0].closed)
    assert len(cache) == 0


@pytest.mark.parametrize("kind", [AuthenticationError, AccessDeniedError, RequestError])
def test_a_refusal_is_remembered_for_a_moment_for_the_same_caller_alone(
    kind: type[RequestError],
) -> None:
    clock = Clock()
    cache = SessionCache(64, 100, clock)
    asked: list[str] = []

    def ask(token: str, org: str | None = None) -> str:
        def refuse() -> UserSession:
            asked.append(token)
            raise kind(f"not {token}")

        with pytest.raises(kind) as caught:
            cache.lease(Token(token), org, URL, refuse)
        assert type(caught.value) is kind
        return str(caught.value)

    for _ in range(50):
        assert ask("invented") == "not invented"
    assert asked == ["invented"]
    ask("other")
    ask("invented", "acme")
    assert len(asked) == 3
    clock.now = REFUSAL_TTL - 0.1
    ask("invented")
    assert len(asked) == 3
    clock.now = REFUSAL_TTL
    ask("invented")
    assert len(asked) == 4
    assert "invented" not in repr(vars(cache)) + repr(vars(cache._logins)).replace("not inv", "")


@pytest.mark.parametrize("error", [CloudError("no"), ZeroDivisionError("a bug")])
def test_an_outage_or_a_bug_is_not_remembered(error: Exception) -> None:
    cache = SessionCache(64, 100)

    def fail() -> UserSession:
        raise error

    with pytest.raises(type(error)):
        cache.lease(Token("ada"), None, URL, fail)
    cache.lease(Token("ada"), None, URL, session).release()


def test_refusals_take_a_limited_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logins, "MAX_REFUSALS", 20)
    cache = SessionCache(64, 100)

    def refuse() -> UserSession:
        raise AuthenticationError("no")

    for number in range(70):
        with pytest.raises(AuthenticationError):
            cache.lease(Token(str(number)), None, URL, refuse)
    assert len(cache._logins._refusals) == 20


# --- Logins that Braintrust puts off ---


def attempt(cloud: StandIn) -> CloudError:
    with pytest.raises(CloudError) as caught:
        log_in(Token(TOKEN), None, Endpoints(cloud.url, timeout=5))
    return caught.value


@pytest.mark.parametrize(
    ("status", "after", "seconds", "tried"),
    [
        (429, "20", 20, 1),
        (429, "3600", 30, 1),
        (503, "7", 7, 1),
        (429, None, 5, 2),
        (429, "soon", 5, 2),
        (429, "1", 1, 2),
    ],
)
def test_a_login_that_is_put_off_is_503_and_nobody_waits_here(
    cloud: StandIn, status: int, after: str | None, seconds: float, tried: int
) -> None:
    headers = {} if after is None else {"Retry-After": after}
    cloud.fault("POST", "/api/apikey/login", status=status, headers=headers, times=None)
    error = attempt(cloud)
    assert type(error) is CloudBusyError
    assert (error.status, error.retry_after, error.answered) == (503, seconds, status)
    assert cloud.logins == tried


@pytest.mark.parametrize("status", [502, 503, 504])
def test_a_login_that_fails_is_tried_once_more(cloud: StandIn, status: int) -> None:
    cloud.fault("POST", "/api/apikey/login", status=status, times=None)
    assert attempt(cloud).answered == status
    assert cloud.logins == 2


def test_for_as_long_as_braintrust_asks_to_wait_it_is_not_asked_again() -> None:
    clock = Clock()
    cache = SessionCache(64, 100, clock)
    asked: list[int] = []

    def busy() -> UserSession:
        asked.append(1)
        error = CloudBusyError("later")
        error.retry_after = 20.0
        raise error

    for now, left in ((0.0, 20.0), (5.0, 15.0), (19.5, 0.5)):
        clock.now = now
        with pytest.raises(CloudBusyError) as caught:
            cache.lease(Token("ada"), None, URL, busy)
        assert caught.value.retry_after == left
    assert len(asked) == 1
    cache.lease(Token("bob"), None, URL, session).release()
    clock.now = 20.0
    cache.lease(Token("ada"), None, URL, session).release()
