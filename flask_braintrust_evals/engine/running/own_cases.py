"""The cases that an evaluator brings itself."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterable, Iterable, Iterator
from typing import Any

from flask_braintrust_evals.concurrency.cancellation import Cancellation
from flask_braintrust_evals.concurrency.event_loop import background_loop
from flask_braintrust_evals.errors import DataError


def own_cases(data: Any, evaluator: str) -> Iterable[Any]:
    """Return the cases of an evaluator's ``data``.

    Args:
        data: an iterable of cases, or a function that returns one; either may be ``async``.
        evaluator: the evaluator's name, for messages.

    Raises:
        DataError: there is no data, or making it fails.
    """
    if callable(data):
        try:
            data = data()
        except Exception as error:
            raise DataError(
                f"evaluator {evaluator!r}: data could not be read: {type(error).__name__}: {error}"
            ) from error
    if data is None:
        raise DataError(
            f"evaluator {evaluator!r} has no data of its own; pass cases, or give it data="
        )
    if inspect.isawaitable(data):
        data = background_loop().run(data, Cancellation())
    if isinstance(data, AsyncIterable):
        return _one_by_one(data)
    if not isinstance(data, Iterable):
        raise DataError(f"evaluator {evaluator!r}: data must be an iterable of cases, not {data!r}")
    return data


def _one_by_one(cases: AsyncIterable[Any]) -> Iterator[Any]:
    iterator = aiter(cases)
    while True:
        try:
            yield background_loop().run(anext(iterator), Cancellation())
        except StopAsyncIteration:
            return
