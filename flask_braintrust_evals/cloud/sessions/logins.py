"""Logs in once for all requests of a caller, a few callers at a time. Thread-safe.

Each login has a thread of its own, and requests only wait for it: a client that disconnects leaves
at once, and the others that wait for the same login get it all the same. Refusals are remembered
for a moment, so that an invented token that is sent over and over is no flood for Braintrust.
"""

from __future__ import annotations

import copy
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from flask_braintrust_evals.concurrency.gevent_patch import new_event, start_thread
from flask_braintrust_evals.errors import CloudError, EvalsError, RequestError, TooManyLoginsError

from .user_session import UserSession

CLIENT_CHECK_INTERVAL = 0.25
"""Seconds between the checks whether the client of a request that waits has disconnected."""
MAX_LOGINS = 8
"""Logins at a time."""
MAX_WAIT = 10.0
"""Seconds that a login may wait for its turn."""
REFUSAL_TTL = 10.0
"""Seconds for which a refusal is remembered, unless Braintrust asks to wait for another time."""
MAX_REFUSALS = 1000
"""Maximum number of refusals that are remembered."""

E = TypeVar("E")


@dataclass
class Login(Generic[E]):
    """A login that is under way, or that waits for its turn.

    Attributes:
        key: a digest of the token, the organisation and the address.
        log_in: makes a session.
        done: set when the login has ended.
        begun: whether it is under way.
        waiting: the number of requests that want its session.
        entry: what each of them gets; ``None``: there is none yet, or the login failed.
        error: why the login failed.
    """

    key: bytes
    log_in: Callable[[], UserSession]
    done: threading.Event = field(default_factory=new_event)
    begun: bool = False
    waiting: int = 0
    entry: E | None = None
    error: Exception | None = None


class Logins(Generic[E]):
    """The logins of a cache of sessions.

    Args:
        lock: the cache's, which is never held while something is waited for.
        admit: called with a login and its session: sets ``entry``, with the lock held, and in the
            same moment calls :meth:`forget`.
        release: called with an ``entry`` that a request does not want any more.
        clock: returns the time in seconds.
    """

    def __init__(
        self,
        lock: threading.Lock,
        admit: Callable[[Login[E], UserSession], None],
        release: Callable[[E], None],
        clock: Callable[[], float],
    ) -> None:
        self._lock = lock
        self._admit = admit
        self._release = release
        self._clock = clock
        self._by_key: dict[bytes, Login[E]] = {}
        self._queue: deque[Login[E]] = deque()
        self._under_way = 0
        self._refusals: OrderedDict[bytes, tuple[float, EvalsError]] = OrderedDict()

    @property
    def waiting(self) -> int:
        """The number of requests that wait for a login."""
        with self._lock:
            return sum(login.waiting for login in self._by_key.values())

    def refusal(self, key: bytes) -> EvalsError | None:
        """Return the error of a login that was just refused. Called with the lock held."""
        until, error = self._refusals.get(key, (0.0, None))
        left = until - self._clock()
        if error is None or left <= 0:
            self._refusals.pop(key, None)
            return None
        again = copy.copy(error)
        if isinstance(again, CloudError):
            again.retry_after = left
        return again

    def join(self, key: bytes, log_in: Callable[[], UserSession]) -> Login[E]:
        """Return the login of a caller, for :meth:`wait`. Called with the lock held."""
        login = self._by_key.get(key)
        if login is None:
            login = self._by_key[key] = Login(key, log_in)
            self._queue.append(login)
        login.waiting += 1
        return login

    def forget(self, login: Login[E]) -> None:
        """Have later requests begin another login. Called with the lock held."""
        del self._by_key[login.key]

    def wait(self, login: Login[E], gave_up: Callable[[], bool]) -> E:
        """Wait until a login has ended, and return its entry.

        Raises:
            TooManyLoginsError: its turn did not come.
            CloudError: the client has disconnected, or the login was interrupted.
            Exception: whatever the login raised.
        """
        deadline = time.monotonic() + MAX_WAIT
        try:
            self._begin()
            while not login.done.wait(CLIENT_CHECK_INTERVAL):
                if gave_up():
                    raise CloudError("the client disconnected during the login")
                if not login.begun and time.monotonic() >= deadline:
                    raise TooManyLoginsError(
                        f"this server has {MAX_LOGINS} logins under way, and more waiting; try"
                        f" again in {TooManyLoginsError.retry_after} seconds"
                    )
        except BaseException:  # also GreenletExit and time-outs of gevent
            self._leave(login)
            raise
        if login.error is not None:
            # A known error is raised anew for each request: it would collect all their frames.
            known = isinstance(login.error, EvalsError)
            raise copy.copy(login.error) if known else login.error
        assert login.entry is not None
        return login.entry

    def _leave(self, login: Login[E]) -> None:
        with self._lock:
            login.waiting -= 1
            entry = login.entry
            if not login.begun and not login.waiting:
                self._queue.remove(login)
                self.forget(login)
        if entry is not None:  # the login ended meanwhile, and has counted this request
            self._release(entry)

    def _begin(self) -> None:
        """Start a thread for the next login, if there may be one more."""
        with self._lock:
            if not self._queue or self._under_way >= MAX_LOGINS:
                return
            self._under_way += 1
        try:
            start_thread(self._work, "evals-login")
        except BaseException:
            with self._lock:
                self._under_way -= 1
            raise

    def _work(self) -> None:
        while (login := self._next()) is not None:
            try:
                self._run(login)
            except BaseException:
                with self._lock:
                    self._under_way -= 1
                raise
            finally:
                login.done.set()

    def _next(self) -> Login[E] | None:
        """Return the login whose turn it is; ``None``: there is none, and the thread ends."""
        with self._lock:
            if not self._queue:
                self._under_way -= 1
                return None
            login = self._queue.popleft()
            login.begun = True
            return login

    def _run(self, login: Login[E]) -> None:
        try:
            session = login.log_in()
        except BaseException as error:
            with self._lock:
                self.forget(login)
                interrupted = CloudError("the login was interrupted")
                login.error = error if isinstance(error, Exception) else interrupted
                self._remember(login.key, login.error)
        else:
            self._admit(login, session)

    def _remember(self, key: bytes, error: Exception) -> None:
        seconds: float | None = None
        if isinstance(error, RequestError):
            seconds = REFUSAL_TTL
        elif isinstance(error, CloudError):
            seconds = error.retry_after
        if seconds and isinstance(error, EvalsError):
            self._refusals[key] = self._clock() + seconds, copy.copy(error)
            self._refusals.move_to_end(key)
            while len(self._refusals) > MAX_REFUSALS:
                self._refusals.popitem(last=False)
