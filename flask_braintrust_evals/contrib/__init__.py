"""Adapters for other libraries, each of which is imported only where it is installed and used."""

from __future__ import annotations

import logging
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

logger = logging.getLogger("flask_braintrust_evals")


def braintrust_spans() -> Callable[[], Any] | None:
    """Return what joins the ``braintrust`` SDK's tracing to that of a run, called when one begins.

    It returns the class of spans that users of the SDK expect. ``None``: the SDK is not installed,
    or is of a version that cannot be joined, which is logged.
    """
    try:
        if find_spec("braintrust") is None:
            return None
        from .braintrust.tracing import install

        install()
    except Exception as error:
        logger.warning(
            "this version of the braintrust package cannot be joined to runs (%s: %s): what it"
            " traces inside of tasks is not recorded with them",
            type(error).__name__,
            error,
        )
        return None
    return install
