"""The cases that an evaluator brings itself, or that are passed to ``Evaluator.run``."""

from __future__ import annotations

import inspect
import itertools
import threading
from collections.abc import AsyncIterable, Iterable, Iterator, Mapping
from types import TracebackType
from typing import Any

from flask_braintrust_evals.concurrency.cancellation import Cancellation
from flask_braintrust_evals.concurrency.event_loop import background_loop
from flask_braintrust_evals.error_texts import error_text
from flask_braintrust_evals.errors import DataError
from flask_braintrust_evals.excerpts import excerpt


def own_cases(data: Any, evaluator: str) -> Iterable[Any]:
    """Return the cases of an evaluator's ``data``.

    Args:
        data: an iterable of cases, or a function that returns one; either may be ``async``.
        evaluator: the evaluator's name, for messages.

    Raises:
        DataError: there is no data, or making it fails.
    """
    try:
        data = _made(data)
    except (Exception, SystemExit) as error:
        raise DataError(
            f"evaluator {evaluator!r}: data could not be read: {error_text(error)}"
        ) from error
    if data is None:
        raise DataError(
            f"evaluator {evaluator!r} has no data of its own; pass cases, or give it data="
        )
    if isinstance(data, AsyncIterable):
        return _one_by_one(data)
    # A class with only __getitem__ and __len__, as of PyTorch's datasets, can be iterated over too.
    if isinstance(data, str | bytes | Mapping) or not (
        isinstance(data, Iterable) or hasattr(type(data), "__getitem__")
    ):
        raise DataError(
            f"evaluator {evaluator!r}: data must be an iterable of cases, not {excerpt(data)}"
        )
    cases: Iterable[Any] = data
    return cases


class RememberedCases:
    """The cases of an iterator, kept as they are read, so that every run gets all of them.

    Several runs may read at the same time. If the iterator raises an exception, every run gets it
    after the same cases.

    Args:
        source: an iterator, an async iterator, or a coroutine that returns an iterable.
    """

    def __init__(self, source: Any) -> None:
        self._source = source
        self._iterator: Iterator[Any] | None = None
        self._cases: list[Any] = []
        self._ended = False
        self._error: tuple[BaseException, TracebackType | None] | None = None

    def __iter__(self) -> Iterator[Any]:
        # Made by the first run, in one step: evaluators may be defined before gevent's patch.
        lock: threading.RLock = vars(self).setdefault("_lock", threading.RLock())
        for index in itertools.count():
            with lock:
                if index == len(self._cases) and not self._read():
                    return
                case = self._cases[index]
            yield case

    def _read(self) -> bool:
        """Read one more case; return whether there was one."""
        if self._error is not None:
            error, traceback = self._error
            raise error.with_traceback(traceback)
        if self._ended:
            return False
        try:
            if self._iterator is None:
                made = _made(self._source)
                self._iterator = (
                    _one_by_one(made) if isinstance(made, AsyncIterable) else iter(made)
                )
            self._cases.append(next(self._iterator))
        except StopIteration:
            self._ended = True
            return False
        except BaseException as error:
            # A generator that has raised an exception would now seem to be at its end.
            self._error = error, error.__traceback__
            raise
        return True


def _made(data: Any) -> Any:
    """Return ``data``, or what it returns if it is a function, a class or a coroutine."""
    is_iterable = isinstance(data, Iterable | AsyncIterable)
    if inspect.isclass(data) or (callable(data) and not is_iterable):
        data = data()
    return background_loop().run(data, Cancellation()) if inspect.isawaitable(data) else data


def _one_by_one(cases: AsyncIterable[Any]) -> Iterator[Any]:
    iterator = aiter(cases)
    while True:
        try:
            yield background_loop().run(anext(iterator), Cancellation())
        except StopAsyncIteration:
            return
