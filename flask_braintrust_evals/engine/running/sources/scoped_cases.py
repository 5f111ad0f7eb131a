"""Cases that user code makes while they are read: inside one scope, and in one thread."""

from __future__ import annotations

import contextvars
import operator
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack
from contextvars import Context
from functools import partial
from typing import Any

from flask_braintrust_evals.concurrency.gevent_patch import is_patched
from flask_braintrust_evals.concurrency.held_scope import HeldScope
from flask_braintrust_evals.concurrency.one_thread import OneThread

Scope = Callable[[], AbstractContextManager[Any]]
Call = Callable[[Callable[[], Any]], Any]


def read_inside(
    make: Callable[[], Iterable[Any]], scope: Scope, context: Context | None = None
) -> Iterable[Any]:
    """Make cases inside a scope; those that are no list are also read inside it.

    A generator function does nothing before its first case is read, and a query may fetch its rows
    as they are read. Both need what the scope has, such as an application context; some, such as
    cursors of ``sqlite3``, can only be used in the thread that they were made in.

    Args:
        make: returns the cases.
        scope: makes what is entered.
        context: the context of the code inside; default: a copy of the caller's.

    Returns:
        the cases. If they are no list, the scope is open until all of them have been read, one of
        them cannot be read, or their ``close()`` is called.

    Raises:
        BaseException: whatever ``make`` raises, or entering or exiting the scope.
    """
    context = contextvars.copy_context() if context is None else context
    # Greenlets all run in one thread.
    thread = None if is_patched() else OneThread("eval-data")
    call: Call = (lambda function: function()) if thread is None else thread.call
    with ExitStack() as leaving:
        if thread is not None:
            leaving.callback(thread.end)
        held = call(lambda: HeldScope(scope(), context))
        leaving.push(lambda kind, error, trace: call(partial(held.leave, error)))
        cases = call(partial(held.run, make))
        if isinstance(cases, list | tuple):
            return cases
        cases = call(partial(held.run, iter, cases))
        return _ScopedCases(cases, held, call, leaving.pop_all())


class _ScopedCases(Iterator[Any]):
    def __init__(
        self, cases: Iterator[Any], scope: HeldScope, call: Call, leaving: ExitStack
    ) -> None:
        self._cases = cases
        self._scope: HeldScope | None = scope
        self._call = call
        self._leaving = leaving
        self._next = partial(scope.run, next, cases)

    def __next__(self) -> Any:
        if self._scope is None:
            raise StopIteration
        try:
            return self._call(self._next)
        except StopIteration:
            self._leave(None)
            raise
        except BaseException as error:
            self._leave(error)
            raise

    def __length_hint__(self) -> int:
        hint = operator.length_hint(self._cases, -1)
        return NotImplemented if hint < 0 else hint

    def close(self) -> None:
        """Close a generator, and exit the scope."""
        close = getattr(self._cases, "close", None)
        try:
            if self._scope is not None and close is not None:
                self._call(partial(self._scope.run, close))
        finally:
            self._leave(None)

    def _leave(self, error: BaseException | None) -> None:
        scope, self._scope = self._scope, None
        if scope is not None:
            self._leaving.__exit__(None if error is None else type(error), error, None)
