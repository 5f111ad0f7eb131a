"""A cache of the sessions of recent callers, so that not every request logs in. Thread-safe.

A request *leases* a session for as long as it uses it. Eviction, expiry, revocation and shutdown
remove a session from the cache at once; it is closed when its last lease is released. So no request
gets a closed session, and no unused session stays open.
"""

from __future__ import annotations

import hashlib
import logging
import os
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType

from flask_braintrust_evals.concurrency.gevent_patch import new_event
from flask_braintrust_evals.errors import CloudError

from .sessions import UserSession

logger = logging.getLogger("flask_braintrust_evals")

CLIENT_CHECK_INTERVAL = 0.25
"""Seconds between the checks whether the client of a request that waits has disconnected."""


@dataclass
class _Entry:
    """A session in the cache, or one that was removed and is still leased.

    Attributes:
        key: see :meth:`SessionCache._key`.
        session: the session.
        expires_at: when to replace it, by the cache's clock.
        leases: the number of leases that have not been released.
        listed: whether the cache still hands it out.
    """

    key: bytes
    session: UserSession
    expires_at: float
    leases: int
    listed: bool = True


@dataclass
class _Login:
    """A login that is under way.

    Attributes:
        done: set when the login has ended.
        waiting: the number of requests that want its session, the one that logs in included.
        entry: the session; ``None``: there is none yet, or the login failed.
        error: why the login failed.
    """

    done: threading.Event = field(default_factory=new_event)
    waiting: int = 0
    entry: _Entry | None = None
    error: Exception | None = None


class Lease:
    """Keeps a session open for a request. Use it in a ``with`` statement, or release it.

    Args:
        session: the session.
        on_release: called once, by the first call of :meth:`release`.
    """

    def __init__(self, session: UserSession, on_release: Callable[[], None]) -> None:
        self.session = session
        self._on_release: Callable[[], None] | None = on_release

    def release(self) -> None:
        """Release the session. May be called again."""
        on_release, self._on_release = self._on_release, None
        if on_release is not None:
            on_release()

    def __enter__(self) -> UserSession:
        return self.session

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()


class SessionCache:
    """Keeps up to ``limit`` sessions; evicts the least recently used one first.

    The keys of the cache are digests of tokens, made with a secret of this process.

    Args:
        limit: the number of sessions kept.
        ttl: seconds after which a session is replaced, so that a revoked token stops working.
        clock: returns the time in seconds.
    """

    def __init__(self, limit: int, ttl: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit = limit
        self._entries: OrderedDict[bytes, _Entry] = OrderedDict()  # the last used one is last
        self._logins: dict[bytes, _Login] = {}
        self._closed = False
        self._ttl = ttl
        self._clock = clock
        self._secret = os.urandom(32)
        # Held for bookkeeping only, never while something is waited for: under --preload it is made
        # before gevent patches, and a greenlet that waits for such a lock stops its whole thread.
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._entries)

    def __repr__(self) -> str:
        return f"SessionCache({len(self)} of {self._limit})"

    @property
    def waiting(self) -> int:
        """The number of requests that wait for a login, those that log in themselves included."""
        with self._lock:
            return sum(login.waiting for login in self._logins.values())

    def digest(self, *parts: str) -> bytes:
        """Return a digest of some texts, made with the secret of this process."""
        return self._key(*parts)

    def lease(
        self,
        token: str,
        org_name: str | None,
        app_url: str,
        log_in: Callable[[], UserSession],
        gave_up: Callable[[], bool] = lambda: False,
    ) -> Lease:
        """Return a lease of this caller's session, from the cache or else from ``log_in()``.

        If several requests want the same session at the same time, one of them logs in. If that
        fails, its error is raised for all of them, and nothing is cached.

        Args:
            token: the caller's token.
            org_name: the organisation that the caller named; ``None``: none.
            app_url: the control plane that checks the token.
            log_in: makes a session.
            gave_up: returns whether the client has disconnected; called now and then while the
                request waits for the login of another one.

        Raises:
            CloudError: the client has disconnected, or the other request's login was interrupted.
            Exception: whatever ``log_in`` raises.
        """
        key = self._key(token, org_name, app_url)
        with self._lock:
            retired = self._expire(key)
            entry = self._entries.get(key)
            if entry is not None:
                self._entries.move_to_end(key)
                entry.leases += 1
                return self._lease(entry)
            login = self._logins.get(key)
            is_first = login is None
            if login is None:
                login = self._logins[key] = _Login()
            login.waiting += 1
        _close(retired)
        entry = self._log_in(key, login, log_in) if is_first else self._wait(login, gave_up)
        return self._lease(entry)

    def close(self) -> None:
        """Remove all sessions. Those that are leased are closed when they are released.

        A session of a login that is under way is closed when its requests release it.
        """
        with self._lock:
            self._closed = True
            entries = list(self._entries.values())
            retired = [entry for entry in entries if self._retire(entry)]
        _close(retired)

    def _log_in(self, key: bytes, login: _Login, log_in: Callable[[], UserSession]) -> _Entry:
        retired: list[_Entry] = []
        try:
            session = log_in()
        except BaseException as error:
            with self._lock:
                del self._logins[key]
                login.error = (
                    error
                    if isinstance(error, Exception)
                    else CloudError("the login was interrupted")
                )
            login.done.set()
            raise
        with self._lock:
            del self._logins[key]
            # The waiting requests get their leases here: before they wake, the session might be
            # evicted and closed.
            entry = _Entry(key, session, self._clock() + self._ttl, leases=login.waiting)
            session.on_refusal = lambda: self._discard(entry)
            while len(self._entries) >= self._limit:
                oldest = next(iter(self._entries.values()))
                if self._retire(oldest):
                    retired.append(oldest)
            if not self._closed:
                self._entries[key] = entry
            entry.listed = not self._closed
            login.entry = entry
        login.done.set()
        _close(retired)
        return entry

    def _wait(self, login: _Login, gave_up: Callable[[], bool]) -> _Entry:
        try:
            while not login.done.wait(CLIENT_CHECK_INTERVAL):
                if gave_up():
                    raise CloudError("the client disconnected during the login")
        except BaseException:  # also GreenletExit and time-outs of gevent
            with self._lock:
                entry = login.entry
                login.waiting -= 1
            if entry is not None:  # the login ended meanwhile: this request has a lease
                self._release(entry)
            raise
        if login.entry is None:
            assert login.error is not None
            raise login.error
        return login.entry

    def _lease(self, entry: _Entry) -> Lease:
        return Lease(entry.session, lambda: self._release(entry))

    def _release(self, entry: _Entry) -> None:
        with self._lock:
            entry.leases -= 1
            unused = entry.leases == 0 and not entry.listed
        if unused:
            _close([entry])

    def _discard(self, entry: _Entry) -> None:
        with self._lock:
            listed = entry.listed
            retired = [entry] if self._retire(entry) else []
        if listed:
            logger.warning(
                "Braintrust refused a call of a user of organisation %r; the user's next request"
                " logs in again",
                entry.session.org.name,
            )
        _close(retired)

    def _expire(self, key: bytes) -> list[_Entry]:
        """Remove expired sessions, unless that of ``key`` is valid. Called with the lock held.

        Returns:
            the entries whose sessions can be closed.
        """
        now = self._clock()
        wanted = self._entries.get(key)
        if wanted is not None and wanted.expires_at > now:
            return []  # in the usual case, nothing is searched
        expired = [entry for entry in self._entries.values() if entry.expires_at <= now]
        return [entry for entry in expired if self._retire(entry)]

    def _retire(self, entry: _Entry) -> bool:
        """Remove an entry; return whether its session can be closed. Called with the lock held."""
        if not entry.listed:
            return False
        entry.listed = False
        del self._entries[entry.key]
        return entry.leases == 0

    def _key(self, *parts: str | None) -> bytes:
        digest = hashlib.blake2b(key=self._secret, digest_size=32)
        for part in parts:
            data = (part or "").encode("utf-8", "surrogatepass")
            digest.update(len(data).to_bytes(8, "big") + data)
        return digest.digest()


def _close(entries: list[_Entry]) -> None:
    for entry in entries:
        entry.session.close()
