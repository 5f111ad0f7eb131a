"""Adapters for other libraries. Each is imported only if its library is installed and used."""

from __future__ import annotations

import logging
import sys
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from .references import has_reference
from .shared_names import SHARED_VARIABLES

if TYPE_CHECKING:
    from collections.abc import Callable

    from opentelemetry.sdk.trace import ReadableSpan

    from flask_braintrust_evals.engine.tracing.eval_span import EvalSpan

logger = logging.getLogger("flask_braintrust_evals")

_KINDS_OF_DATA = ("ObjectFetcher", "ObjectIterator", "ExperimentDatasetIterator")
"""The classes of the SDK's datasets and experiments, and of the iterators over them."""

_joins_when_imported = False
_logged: set[str] = set()


def join_braintrust_when_imported() -> None:
    """Join the tracing of the ``braintrust`` SDK to that of runs as soon as it is imported.

    An application that does not use the SDK, though it is installed, does not pay for its import.
    """
    global _joins_when_imported
    if not _joins_when_imported:
        from wrapt import register_post_import_hook  # not at the top: `flask --help` comes here

        _joins_when_imported = True
        register_post_import_hook(lambda module: braintrust_spans(), "braintrust")


def braintrust_spans() -> type[EvalSpan] | None:
    """Join the tracing of the ``braintrust`` SDK, where it is imported, to that of runs.

    Returns:
        the class of spans that users of the SDK expect. ``None``: nothing in this process has
        imported the SDK, which then traces nothing, or its version cannot be joined, which is
        logged once.
    """
    if "braintrust" not in sys.modules:
        return None
    try:
        from .braintrust.tracing import install

        return install()
    except Exception as error:
        # Tried again by the next run: another thread may just be importing the SDK.
        _warn_once(
            "this version of the braintrust package cannot be joined to runs (%s: %s): the spans"
            " that it records inside of tasks are not part of a run",
            error,
        )
        return None


def share_variables() -> None:
    """Have all cases see the SDK's handler for LangChain, and the client of autoevals.

    They are those that the application has set in the calling context.
    """
    if not sys.modules.keys().isdisjoint(SHARED_VARIABLES):
        from . import shared_variables

        shared_variables.share_variables()


def braintrust_attachments() -> Any:
    """Return what puts attachments of the ``braintrust`` SDK in place of references to them.

    Returns:
        a function of a JSON value, and of what loads attachments. ``None``: the SDK is not
        installed.
    """
    try:
        return None if find_spec("braintrust") is None else _with_attachments
    except ValueError:  # a stand-in for the SDK, without a specification
        return None


def _with_attachments(value: Any, loader: Any) -> Any:
    if not has_reference(value):
        return value
    try:
        from .braintrust.attachments import with_attachments
    except Exception:  # braintrust_spans() logs it
        return value
    return with_attachments(value, loader)


def braintrust_data(data: Any) -> Any:
    """Return what a dataset or an experiment of the ``braintrust`` SDK is, or an iterator over it.

    Any other value is returned as it is.

    Raises:
        RegistrationError: it is a list of such objects.
    """
    sdk = sys.modules.get("braintrust.logger")
    kinds = tuple(getattr(sdk, name, ()) for name in _KINDS_OF_DATA)
    first = data[0] if type(data) in (list, tuple) and data else data
    if not isinstance(first, kinds):
        return data
    from .braintrust.datasets import own_data

    return own_data(data)


def braintrust_customizer() -> Callable[[ReadableSpan], ReadableSpan] | None:
    """Return what the application has told the ``braintrust`` SDK to change in spans.

    Returns:
        a function of a span, which returns the span to be sent instead. ``None``: nothing is to be
        changed, or nothing in this process has imported the SDK.
    """
    if "braintrust" not in sys.modules:
        return None
    try:
        from .braintrust.customizers import customizer

        return customizer()
    except Exception as error:
        _warn_once(
            "a masking function and span customizers of this version of the braintrust package"
            " cannot be found (%s: %s): spans are sent as they were recorded",
            error,
        )
        return None


def write_attachments() -> None:
    """Have attachments of the ``braintrust`` SDK written without its login, where it has any."""
    try:
        from .braintrust.attachments import install

        install()
    except Exception as error:
        logger.warning(
            "attachments of this version of the braintrust package cannot be written (%s: %s)",
            type(error).__name__,
            error,
        )


def sdk_has_logger() -> bool:
    """Return whether the ``braintrust`` SDK has been told where to log what it traces."""
    sdk: Any = sys.modules.get("braintrust")
    try:
        return sdk is not None and bool(sdk.current_logger() or sdk.current_experiment())
    except Exception:  # another version of it, or one that is being imported
        return False


def _warn_once(text: str, error: Exception) -> None:
    if text not in _logged:
        _logged.add(text)
        logger.warning(text, type(error).__name__, error)
