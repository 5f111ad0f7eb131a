"""Lets the SDK's global handler for LangChain reach cases.

``set_global_handler(...)``, which ``setup_langchain()`` and ``auto_instrument()`` call for their
users, sets a context variable. Each case has a context of its own, and would not see it.
"""

from __future__ import annotations

import sys
from contextvars import ContextVar, Token
from typing import Any

from flask_braintrust_evals.contrib.langchain_modules import LANGCHAIN_MODULES
from flask_braintrust_evals.engine.tracing.span_scope import current_scope

_VARIABLE = "braintrust_callback_handler_var"


class SharedHandler:
    """Takes the place of the variable: cases also see the handler that is shared.

    What is set later is not shared: it may be that of one request of the application.

    Args:
        variable: has what is set, as before.
    """

    def __init__(self, variable: ContextVar[Any]) -> None:
        self._variable = variable
        self._shared: Any = None

    def share(self) -> None:
        """Have all cases see the handler that is set in the calling context, if there is one."""
        self._shared = self._variable.get(None) or self._shared

    def get(self) -> Any:
        """Return the handler; ``None``: there is none."""
        own = self._variable.get(None)
        return self._shared if own is None and current_scope.get() is not None else own

    def set(self, handler: Any) -> Token[Any]:
        """Set the handler, or ``None``, in the calling context alone."""
        return self._variable.set(handler)


def share_handler() -> None:
    """Have all cases see the handler that is set in the calling context. May be called again."""
    for name in LANGCHAIN_MODULES:
        module = sys.modules.get(name)
        shared = getattr(module, _VARIABLE, None)
        if isinstance(shared, ContextVar):
            shared = SharedHandler(shared)
            setattr(module, _VARIABLE, shared)
            # LangChain has the variable itself. It takes a handler that it finds twice once.
            sys.modules["langchain_core.tracers.context"].register_configure_hook(shared, True)
        if isinstance(shared, SharedHandler):
            shared.share()
