"""The sessions of recent callers, so that not every request logs in. Thread-safe.

A session in the cache is *leased* for as long as a request uses it. Eviction, expiry, revocation
and shutdown take a session out of the cache at once; it is closed when its last lease is returned.
So nobody ever meets a closed session, and none stays open for nothing.
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

PATIENCE = 0.25
"""Seconds after which somebody who waits for another's login looks whether its client is there."""


@dataclass
class _Entry:
    """A session, how many hold it, and whether the cache still hands it out."""

    key: bytes
    session: UserSession
    expires_at: float
    leases: int
    listed: bool = True


@dataclass
class _Login:
    """A login that is under way, for all who want its session."""

    done: threading.Event = field(default_factory=new_event)
    waiting: int = 0
    entry: _Entry | None = None
    error: Exception | None = None


class Lease:
    """A hold on a session. Use it with ``with``, or call :meth:`release` once it is not needed."""

    def __init__(self, session: UserSession, give_back: Callable[[], None]) -> None:
        self.session = session
        self._give_back: Callable[[], None] | None = give_back

    def release(self) -> None:
        """Give the session back. Calling it again does nothing."""
        give_back, self._give_back = self._give_back, None
        if give_back is not None:
            give_back()

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
    """At most ``limit`` sessions; the least recently used goes first.

    No token is a key: keys are digests under a secret of this process.

    Args:
        limit: sessions kept.
        ttl: seconds after which a session is made anew, so that a revoked token stops working.
        clock: tells the time in seconds.
    """

    def __init__(self, limit: int, ttl: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit = limit
        self._entries: OrderedDict[bytes, _Entry] = OrderedDict()  # the last used is last
        self._logins: dict[bytes, _Login] = {}
        self._ttl = ttl
        self._clock = clock
        self._secret = os.urandom(32)
        # Guards the bookkeeping alone, and never while anything waits: made before gevent patches
        # (--preload), it is a lock that greenlets cannot wait for.
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._entries)

    def __repr__(self) -> str:
        return f"SessionCache({len(self)} of {self._limit})"

    def lease(
        self,
        token: str,
        org_name: str | None,
        app_url: str,
        log_in: Callable[[], UserSession],
        gave_up: Callable[[], bool] = lambda: False,
    ) -> Lease:
        """Return a hold on this caller's session, from the cache or else from ``log_in()``.

        Of several requests that want the same session at the same time, one logs in; what it
        raises is raised for all of them, and nothing is kept.

        Args:
            token: the caller's token.
            org_name: the organisation that the caller named, if any.
            app_url: where the token is checked.
            log_in: makes a session.
            gave_up: asked now and then while another request's login is waited for; when it
                returns true, the waiting ends.

        Raises:
            CloudError: the waiting was given up.
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
            first = login is None
            if login is None:
                login = self._logins[key] = _Login()
            login.waiting += 1
        _close(retired)
        entry = self._log_in(key, login, log_in) if first else self._wait(login, gave_up)
        return self._lease(entry)

    def close(self) -> None:
        """Take all sessions out; those that are leased are closed when they are given back."""
        with self._lock:
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
                    error if isinstance(error, Exception) else CloudError("the login was cut off")
                )
            login.done.set()
            raise
        with self._lock:
            del self._logins[key]
            # A lease for each that waits, at once: with a small cache, the session might otherwise
            # be evicted and closed before they wake.
            entry = _Entry(key, session, self._clock() + self._ttl, leases=login.waiting)
            session.on_refusal = lambda: self._discard(entry)
            while len(self._entries) >= self._limit:
                oldest = next(iter(self._entries.values()))
                if self._retire(oldest):
                    retired.append(oldest)
            self._entries[key] = entry
            login.entry = entry
        login.done.set()
        _close(retired)
        return entry

    def _wait(self, login: _Login, gave_up: Callable[[], bool]) -> _Entry:
        while not login.done.wait(PATIENCE):
            if gave_up():
                with self._lock:
                    entry = login.entry
                    login.waiting -= 1
                if entry is not None:  # the login ended in this very moment
                    self._give_back(entry)
                raise CloudError("the client left while its login was waited for")
        if login.entry is None:
            assert login.error is not None
            raise login.error
        return login.entry

    def _lease(self, entry: _Entry) -> Lease:
        return Lease(entry.session, lambda: self._give_back(entry))

    def _give_back(self, entry: _Entry) -> None:
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
                "Braintrust refused a call of a user of organisation %r; the next request of theirs"
                " logs in anew",
                entry.session.org.name,
            )
        _close(retired)

    def _expire(self, key: bytes) -> list[_Entry]:
        """Take out what is too old, unless the session asked for is there and is not.

        Returns what can be closed. Called with the lock held.
        """
        now = self._clock()
        wanted = self._entries.get(key)
        if wanted is not None and wanted.expires_at > now:
            return []  # the usual case costs no search
        old = [entry for entry in self._entries.values() if entry.expires_at <= now]
        return [entry for entry in old if self._retire(entry)]

    def _retire(self, entry: _Entry) -> bool:
        """Take an entry out; return whether it can be closed. Called with the lock held."""
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
