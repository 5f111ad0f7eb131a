"""A scope around user code that stays open until the last call inside has really ended.

A call goes on after its time-out: in a thread, or in one that its coroutine has started. Were its
scope exited meanwhile, the call would use what is not released any more, such as a database session
that it gets from an application context.
"""

from __future__ import annotations

import contextvars
import logging
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from contextvars import Context, ContextVar
from typing import Any, TypeVar

from .gevent_patch import is_patched, new_lock, real_thread_id

logger = logging.getLogger("flask_braintrust_evals")

T = TypeVar("T")


class HeldScope:
    """Enters a context manager, and exits it when the last of its holders has released it.

    It is entered and exited in a context (of :mod:`contextvars`) of its own, so that it can be
    exited on another thread than it was entered on. Who makes it holds it, until :meth:`leave`.

    Args:
        manager: what is entered.
        context: the context; nothing else may run in it when the scope is exited. Default: a copy
            of the caller's.

    Attributes:
        run: calls a function with arguments inside the scope, on the caller's thread.

    Raises:
        BaseException: whatever entering raises; there is nothing to leave then.
    """

    def __init__(
        self, manager: AbstractContextManager[Any], context: Context | None = None
    ) -> None:
        self._context = contextvars.copy_context() if context is None else context
        self.run = self._context.run  # itself, since each case calls it several times
        self._manager = manager
        self._lock = new_lock()
        self._holders = 1
        self._error: BaseException | None = None
        self._thread = real_thread_id()
        self._hub = sys.modules["gevent"].get_hub() if is_patched() else None
        self._context.run(self._enter)

    def _enter(self) -> None:
        self._manager.__enter__()
        _around.set(self)

    def leave(self, error: BaseException | None = None) -> None:
        """Exit the scope, or have the last of those exit it who still hold it.

        Args:
            error: what the code inside has raised, of which the scope is told at its exit.

        Raises:
            BaseException: whatever exiting raises.
        """
        self._error = error
        if self._count_down():
            self._exit()

    def hold(self) -> bool:
        """Keep the scope open until :meth:`release`; return false if it has been exited."""
        with self._lock:
            if not self._holders:
                return False
            self._holders += 1
            return True

    def release(
        self, start: Callable[[Callable[[], None]], object] = lambda function: function()
    ) -> None:
        """Exit the scope if nobody else holds it. Whatever that raises is logged.

        Under gevent it is exited in the thread that it was entered in: sockets and locks of its
        greenlets can only be used there.

        Args:
            start: calls the function that exits it in another thread, now or later.
        """
        if not self._count_down():
            return
        try:
            if self._thread == real_thread_id():
                self._exit_and_log()
            elif self._hub is not None:
                spawn = sys.modules["gevent"].spawn
                self._hub.loop.run_callback_threadsafe(spawn, self._exit_and_log)
            else:
                start(self._exit_and_log)
        except RuntimeError:  # the system has no more threads
            self._exit_and_log()

    def _exit_and_log(self) -> None:
        try:
            self._exit()
        except BaseException:
            logger.exception("the scope of a call whose time was up failed at its exit")

    def _count_down(self) -> bool:
        with self._lock:
            self._holders -= 1
            return not self._holders

    def _exit(self) -> None:
        self._context.run(self._exit_in_context)

    def _exit_in_context(self) -> None:
        error, self._error = self._error, None
        try:
            if error is None:
                self._manager.__exit__(None, None, None)
            else:
                self._manager.__exit__(type(error), error, error.__traceback__)
        finally:
            _around.set(None)  # the context and this would refer to each other


_around: ContextVar[HeldScope | None] = ContextVar("flask_braintrust_evals.scope", default=None)


def scope_around() -> HeldScope | None:
    """Return the scope that the caller runs in; ``None``: there is none."""
    return _around.get()


def holding(function: Callable[[], T], otherwise: Callable[[], T]) -> Callable[[], T]:
    """Return ``function`` as one that holds the scope of the code that calls this, while it runs.

    Where the scope has been exited before, ``otherwise`` is called instead.
    """
    scope = _around.get()
    if scope is None:
        return function

    def call() -> T:
        if not scope.hold():
            return otherwise()
        try:
            return function()
        finally:
            scope.release()

    return call
