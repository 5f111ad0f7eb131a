"""The sessions of recent callers, so that not every request logs in. Thread-safe."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable

from cachetools import LRUCache

from .sessions import UserSession


class SessionCache:
    """At most ``limit`` sessions; the least recently used goes first.

    No token is a key: keys are digests under a secret of this process.
    """

    def __init__(self, limit: int) -> None:
        self._sessions: LRUCache[bytes, UserSession] = LRUCache(limit)
        self._secret = os.urandom(32)
        # Guards the cache alone, and never while anything waits: made before gevent patches
        # (--preload), it is a lock that greenlets cannot wait for.
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._sessions)

    def get(
        self,
        token: str,
        org_name: str | None,
        app_url: str,
        log_in: Callable[[], UserSession],
    ) -> UserSession:
        """Return the session of this caller, from the cache or else from ``log_in()``.

        Args:
            token: the caller's token.
            org_name: the organisation that the caller named, if any.
            app_url: where the token is checked.
            log_in: makes a session; what it raises is raised here, and nothing is kept.
        """
        key = self._key(token, org_name, app_url)
        with self._lock:
            session = self._sessions.get(key)
        if session is not None:
            return session
        session = log_in()
        session.on_refusal = lambda: self._drop(key, session)
        with self._lock:
            self._sessions[key] = session
        return session

    def _drop(self, key: bytes, session: UserSession) -> None:
        with self._lock:
            if self._sessions.get(key) is session:
                del self._sessions[key]

    def _key(self, *parts: str | None) -> bytes:
        digest = hashlib.blake2b(key=self._secret, digest_size=32)
        for part in parts:
            data = (part or "").encode()
            digest.update(len(data).to_bytes(8, "big") + data)
        return digest.digest()

    def __repr__(self) -> str:
        return f"SessionCache({len(self)} of {self._sessions.maxsize:g})"
