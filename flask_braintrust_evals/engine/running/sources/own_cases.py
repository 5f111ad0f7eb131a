"""The cases that an evaluator brings itself, or that are passed to ``Evaluator.run``."""

from __future__ import annotations

import inspect
import itertools
import threading
from collections.abc import AsyncIterable, Iterable, Iterator, Mapping
from types import TracebackType
from typing import Any

from flask_braintrust_evals.concurrency.cancellation import Cancellation
from flask_braintrust_evals.concurrency.loops.event_loop import background_loop
from flask_braintrust_evals.engine.values import foreign_datasets
from flask_braintrust_evals.engine.values.option_checks import holds_cases
from flask_braintrust_evals.engine.values.own_dataset import OwnDataset, OwnExperiment
from flask_braintrust_evals.errors import DataError
from flask_braintrust_evals.texts.error_texts import error_text
from flask_braintrust_evals.texts.excerpts import excerpt

from .case_source import CasesToMake


def own_cases(data: Any, evaluator: str) -> Iterable[Any] | CasesToMake:
    """Return the cases of an evaluator's ``data``; how to make them, if that calls user code.

    Args:
        data: an iterable of cases, or a function that returns one; either may be ``async``.
        evaluator: the evaluator's name, for messages.

    Raises:
        DataError: there is no data, or it is no iterable of cases. What is to be made raises it
            when it is made.
    """
    if is_to_be_made(data):
        return CasesToMake(lambda cancellation: make_cases(data, evaluator, cancellation))
    return make_cases(data, evaluator, Cancellation())


def make_cases(data: Any, evaluator: str, cancellation: Cancellation) -> Iterable[Any]:
    """Return the cases of an evaluator's ``data``, which is called or awaited if need be.

    Args:
        data: see :func:`own_cases`.
        evaluator: the evaluator's name.
        cancellation: cancels what is ``async``.

    Raises:
        DataError: there is no data, or making it fails.
    """
    try:
        data = _made(data, cancellation, evaluator)
    except DataError:  # whose message says it all
        raise
    except (Exception, SystemExit) as error:
        raise DataError(
            f"evaluator {evaluator!r}: data could not be read: {error_text(error)}"
        ) from error
    if data is None:
        raise DataError(
            f"evaluator {evaluator!r} has no data of its own; pass cases, or give it data="
        )
    if isinstance(data, AsyncIterable):
        return _one_by_one(data, cancellation, evaluator)
    if not holds_cases(data):
        raise DataError(
            f"evaluator {evaluator!r}: data must be an iterable of cases, not {excerpt(data)}"
        )
    if _is_table(data) and not isinstance(_first(data), Mapping):
        raise DataError(
            f"evaluator {evaluator!r}: data must be an iterable of cases, and iterating over a"
            f" {type(data).__name__} gives the names of its columns; pass its rows, such as"
            " frame.to_dict('records')"
        )
    cases: Iterable[Any] = data
    return cases


def _is_table(data: Any) -> bool:
    # Of the class: an object may do anything when it is asked for an attribute that it lacks.
    return hasattr(type(data), "columns") and hasattr(type(data), "to_dict")


def _first(data: Iterable[Any]) -> Any:
    rows = iter(data)
    return {} if rows is data else next(rows, None)  # an iterator would lack it afterwards


def is_to_be_made(data: Any) -> bool:
    """Return whether making the cases calls or awaits what the user wrote."""
    return inspect.isawaitable(data) or _is_function(data) or isinstance(data, AsyncIterable)


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

    def _open(self) -> Iterator[Any]:
        # Not cancelled with the run that happens to read: other runs get the same cases.
        never, name = Cancellation(), ""
        made = _made(self._source, never, name)
        # It would be read as one caller for all of them.
        if isinstance(made, OwnDataset | OwnExperiment):
            raise TypeError(
                "it is a coroutine that returns a dataset or an experiment of Braintrust; pass the"
                " function itself, without calling it"
            )
        return _one_by_one(made, never, name) if isinstance(made, AsyncIterable) else iter(made)

    def _read(self) -> bool:
        """Read one more case; return whether there was one."""
        if self._error is not None:
            error, traceback = self._error
            raise error.with_traceback(traceback)
        if self._ended:
            return False
        try:
            if self._iterator is None:
                self._iterator = self._open()
            self._cases.append(next(self._iterator))
        except StopIteration:
            self._ended = True
            return False
        except BaseException as error:
            # A generator that has raised an exception would now seem to be at its end.
            self._error = error, error.__traceback__
            raise
        return True


def _is_function(data: Any) -> bool:
    is_iterable = isinstance(data, Iterable | AsyncIterable)
    return inspect.isclass(data) or (callable(data) and not is_iterable)


def _made(data: Any, cancellation: Cancellation, evaluator: str) -> Any:
    """Return ``data``, or what it returns if it is a function, a class or a coroutine."""
    if _is_function(data):
        data = data()
    if inspect.isawaitable(data):
        data = background_loop().run(data, cancellation, name=evaluator)
    return foreign_datasets.described(data)


def _one_by_one(
    cases: AsyncIterable[Any], cancellation: Cancellation, evaluator: str
) -> Iterator[Any]:
    iterator = aiter(cases)
    while True:
        try:
            yield background_loop().run(anext(iterator), cancellation, name=evaluator)
        except StopAsyncIteration:
            return
