"""Adapters for other libraries. Each is imported only if its library is installed and used."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

logger = logging.getLogger("flask_braintrust_evals")


def braintrust_spans() -> Callable[[], Any] | None:
    """Join the tracing of the ``braintrust`` SDK to that of runs.

    Returns:
        a function that does so again, to be called when a run begins; it returns the class of spans
        that users of the SDK expect. ``None``: the SDK is not installed, or its version cannot be
        joined, which is logged.
    """
    try:
        if find_spec("braintrust") is None:
            return None
        from .braintrust.tracing import install

        install()
    except Exception as error:
        logger.warning(
            "this version of the braintrust package cannot be joined to runs (%s: %s): the spans"
            " that it records inside of tasks are not part of a run",
            type(error).__name__,
            error,
        )
        return None
    return install


def braintrust_attachments() -> Any:
    """Return what puts attachments of the ``braintrust`` SDK in place of references to them.

    Returns:
        a function of a JSON value, and of what loads attachments. ``None``: the SDK is not
        installed, or its version has other attachments.
    """
    try:
        if find_spec("braintrust") is None:
            return None
        from .braintrust.attachments import with_attachments
    except Exception:  # braintrust_spans() has logged it
        return None
    return with_attachments


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


def spans_if_imported() -> Any:
    """Return the class of spans that users of the ``braintrust`` SDK expect.

    ``None`` where nothing in this process has imported the SDK, which then traces nothing, or where
    its version cannot be joined.
    """
    install = braintrust_spans() if "braintrust" in sys.modules else None
    return None if install is None else install()


def sdk_has_logger() -> bool:
    """Return whether the ``braintrust`` SDK has been told where to log what it traces."""
    sdk: Any = sys.modules.get("braintrust")
    try:
        return sdk is not None and bool(sdk.current_logger() or sdk.current_experiment())
    except Exception:  # another version of it, or one that is being imported
        return False
