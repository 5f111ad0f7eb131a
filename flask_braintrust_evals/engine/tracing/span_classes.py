"""The class of the spans that user code gets outside of an application, and when that matters."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .eval_span import EvalSpan


def _none() -> type[EvalSpan] | None:
    return None


find_span_class: Callable[[], type[EvalSpan] | None] = _none
"""Returns the class, and joins the ``braintrust`` SDK's tracing to runs where the SDK is imported;
``None``: :class:`EvalSpan`. The package sets it, since the engine does not know the SDK."""


def _no_logger() -> bool:
    return False


sdk_has_logger: Callable[[], bool] = _no_logger
"""Returns whether the ``braintrust`` SDK sends what it traces to a project or an experiment of its
own. The package sets it, likewise."""
