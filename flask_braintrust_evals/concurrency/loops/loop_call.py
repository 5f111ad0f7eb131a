"""One awaitable that is awaited on the event loop, for a job that gets its result."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable
from contextlib import suppress
from contextvars import Context, copy_context
from dataclasses import dataclass, field
from typing import Any

from flask_braintrust_evals.concurrency.cancellation import Cancellation
from flask_braintrust_evals.concurrency.held_scope import HeldScope, scope_around
from flask_braintrust_evals.concurrency.job import Job
from flask_braintrust_evals.concurrency.real_threads import start_real_thread


@dataclass(eq=False, repr=False, slots=True)
class LoopCall:
    """Awaits ``awaitable`` in a copy of the context of the code that makes this.

    The scope around that code stays open until the awaitable has ended.

    Args:
        awaitable, cancellation, job, name: see :meth:`.BackgroundLoop.start`.
        loop: the loop.
        calls: those under way; this one removes itself, on the loop, when it has ended.
    """

    _awaitable: Awaitable[Any]
    _cancellation: Cancellation
    job: Job[Any]
    name: str
    _loop: asyncio.AbstractEventLoop
    _calls: dict[LoopCall, None]
    task: asyncio.Task[None] | None = field(default=None, init=False)
    _context: Context = field(default_factory=copy_context, init=False)
    _scope: HeldScope | None = field(default_factory=scope_around, init=False)

    def __post_init__(self) -> None:
        self.job.when_cancelled(self._cancel)

    def begin(self) -> None:
        """Begin to await. Called on the loop."""
        if self._scope is not None and not self._scope.hold():  # nobody waits any more
            self._scope = None
            self._end_unbegun()
            return
        # A task copies the context it is created in (the argument for that came with 3.11).
        self.task = task = self._context.run(self._loop.create_task, self._settle())
        task.add_done_callback(self._end_unbegun)
        if self._cancellation.is_set():
            task.cancel()

    def drop(self) -> None:
        """Do not begin: close a coroutine, of which Python would warn that it was not awaited."""
        if inspect.iscoroutine(self._awaitable):
            self._awaitable.close()

    async def _settle(self) -> None:
        if self.task is not None:  # it is not known yet where tasks begin as they are created
            # It has begun, and so it ends here, without another turn of the loop.
            self.task.remove_done_callback(self._end_unbegun)
        try:
            result = await self._awaitable
        except BaseException as error:
            # Not raised here: asyncio lets SystemExit and KeyboardInterrupt end the loop.
            self._end()
            self.job.fail(error)
        else:
            self._end()
            self.job.succeed(result)

    def _end_unbegun(self, task: asyncio.Task[None] | None = None) -> None:
        """End a call that has not begun; one that has ended stays as it is."""
        self._end()
        self.drop()
        self.job.fail(asyncio.CancelledError())

    def _end(self) -> None:
        scope, self._scope = self._scope, None
        if scope is not None:  # released before the one who waits for the job exits it
            scope.release(start_real_thread)  # its exit may wait, such as for a database
        self._calls.pop(self, None)
        self.task = None  # which refers to this

    def _cancel(self) -> None:
        with suppress(RuntimeError):  # the loop is closed, and nothing runs on it
            self._loop.call_soon_threadsafe(self._cancel_task)

    def _cancel_task(self) -> None:
        if self.task is not None:
            self.task.cancel()
