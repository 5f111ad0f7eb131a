"""A cache of the sessions of recent callers, so that not every request logs in. Thread-safe.

A request *leases* a session for as long as it uses it. Eviction, expiry, revocation and shutdown
remove a session from the cache at once; it is closed when its last lease is released. So no request
gets a closed session, and no unused session stays open.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from flask_braintrust_evals.cloud.http.tokens import Token, keyed_digest

from .logins import Login, Logins
from .user_session import UserSession

logger = logging.getLogger("flask_braintrust_evals")


@dataclass
class _Entry:
    """A session in the cache, or one that was removed and is still leased.

    Attributes:
        key: a digest of the token, the organisation and the address.
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


class Lease:
    """Keeps a session open for a request. It must be released.

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
        self._closed = False
        self._ttl = ttl
        self._clock = clock
        self._secret = os.urandom(32)
        # Held for bookkeeping only, never while something is waited for: under --preload it is made
        # before gevent patches, and a greenlet that waits for such a lock stops its whole thread.
        self._lock = threading.Lock()
        self._logins = Logins(self._lock, self._admit, self._release, clock)

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def waiting(self) -> int:
        """The number of requests that wait for a login."""
        return self._logins.waiting

    def digest(self, *parts: str | Token | None) -> bytes:
        """Return a digest of some texts, made with the secret of this process."""
        return keyed_digest(self._secret, *parts)

    def lease(
        self,
        token: Token,
        org_name: str | None,
        app_url: str,
        log_in: Callable[[], UserSession],
        gave_up: Callable[[], bool] = lambda: False,
    ) -> Lease:
        """Return a lease of this caller's session, from the cache or else from ``log_in()``.

        If several requests want the same session at the same time, there is one login for all. If
        that fails, its error is raised for all of them. If Braintrust refused the token, or asked
        to wait, it is raised for a moment for further requests, too.

        Args:
            token: the caller's token.
            org_name: the organisation that the caller named; ``None``: none.
            app_url: the control plane that checks the token.
            log_in: makes a session.
            gave_up: returns whether the client has disconnected; called now and then while the
                request waits for the login.

        Raises:
            TooManyLoginsError: too many other logins are under way.
            CloudError: the client has disconnected, or the login was interrupted.
            Exception: whatever ``log_in`` raises.
        """
        key = self.digest(token, org_name, app_url)
        with self._lock:
            retired = self._expire(key)
            entry = self._entries.get(key)
            if entry is not None:
                self._entries.move_to_end(key)
                entry.leases += 1
                return self._lease(entry)
            refusal = self._logins.refusal(key)
            login = self._logins.join(key, log_in) if refusal is None else None
        _close(retired)
        if login is None:
            assert refusal is not None
            raise refusal
        return self._lease(self._logins.wait(login, gave_up))

    def close(self) -> None:
        """Remove all sessions. Those that are leased are closed when they are released.

        A session of a login that is under way is closed when its requests release it.
        """
        with self._lock:
            self._closed = True
            entries = list(self._entries.values())
            retired = [entry for entry in entries if self._retire(entry)]
        _close(retired)

    def _admit(self, login: Login[_Entry], session: UserSession) -> None:
        retired: list[_Entry] = []
        with self._lock:
            self._logins.forget(login)
            # The waiting requests get their leases here: before they wake, the session might be
            # evicted and closed. If all of them have left, it is kept for the next one.
            entry = _Entry(login.key, session, self._clock() + self._ttl, leases=login.waiting)
            session.on_refusal = lambda: self._discard(entry)
            while len(self._entries) >= self._limit:
                oldest = next(iter(self._entries.values()))
                if self._retire(oldest):
                    retired.append(oldest)
            if not self._closed:
                self._entries[login.key] = entry
            elif not entry.leases:
                retired.append(entry)
            entry.listed = not self._closed
            login.entry = entry
        _close(retired)

    def _lease(self, entry: _Entry) -> Lease:
        return Lease(entry.session, lambda: self._release(entry))

    def _release(self, entry: _Entry) -> None:
        with self._lock:
            entry.leases -= 1
            is_unused, listed = entry.leases == 0, entry.listed
        if is_unused and listed:
            entry.session.close_idle()
        elif is_unused:
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


def _close(entries: list[_Entry]) -> None:
    for entry in entries:
        entry.session.close()
