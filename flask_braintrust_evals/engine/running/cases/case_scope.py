"""The scope around the calls of one case, such as Flask's application context."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, ParamSpec, TypeVar

from flask_braintrust_evals.concurrency.held_scope import HeldScope

P = ParamSpec("P")
T = TypeVar("T")


class CaseScope:
    """Enters a scope when it is needed, and tells it at its exit what the code inside has raised.

    Args:
        make: makes what is entered; :func:`contextlib.nullcontext`: nothing is.
    """

    __slots__ = ("_entered", "_error", "_make")

    def __init__(self, make: Callable[[], AbstractContextManager[Any]]) -> None:
        self._make = None if make is nullcontext else make
        self._entered: HeldScope | None = None
        self._error: BaseException | None = None

    def enter(self) -> HeldScope | None:
        """Enter the scope, in a copy of the caller's context, and return it.

        Returns:
            ``None`` where there is no scope.

        Raises:
            BaseException: whatever making or entering it raises.
        """
        if self._make is not None:
            self._entered = HeldScope(self._make())
        return self._entered

    def run(self, function: Callable[P, T], *args: P.args, **keywords: P.kwargs) -> T:
        """Call a function inside the scope, which is entered first if it is not open."""
        entered = self._entered or self.enter()
        if entered is None:
            return function(*args, **keywords)
        return entered.run(function, *args, **keywords)

    def note_error(self, error: BaseException) -> None:
        """Have the scope told at its exit of an error, if it is open: it is told of the first one.

        Args:
            error: what the code inside has raised, and code around it has caught.
        """
        if self._entered is not None and self._error is None:
            self._error = error

    def leave(self) -> None:
        """Exit the scope, as soon as no call inside goes on.

        Raises:
            BaseException: whatever exiting it raises.
        """
        entered, self._entered = self._entered, None
        error, self._error = self._error, None
        if entered is not None:
            entered.leave(error)
