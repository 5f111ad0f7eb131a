"""Lets cases see what the application has set up for LangChain and for autoevals.

``set_global_handler(...)``, which ``setup_langchain()`` and ``auto_instrument()`` of the SDK call
for their users, and ``init(...)`` of autoevals set context variables. Each case has a context of
its own, and would not see them. Scorers of autoevals would then not use the application's client,
but call Braintrust's gateway with the application's key.
"""

from __future__ import annotations

import sys
from contextvars import ContextVar, Token
from typing import Any

from flask_braintrust_evals.engine.tracing.span_scope import current_scope

from .shared_names import LANGCHAIN, SHARED_VARIABLES

_known: dict[ContextVar[Any], SharedVariable] = {}
_UNSET: Any = object()


class SharedVariable:
    """Takes the place of a context variable: cases also see the value that is shared.

    What is set later is not shared: it may be that of one request of the application.

    Args:
        variable: has what is set, as before.
    """

    def __init__(self, variable: ContextVar[Any]) -> None:
        self._variable = variable
        self._shared = _UNSET

    def share(self) -> None:
        """Have all cases see the value that is set in the calling context, if one is."""
        own = self._variable.get(_UNSET)
        if own is not _UNSET:
            self._shared = own

    def get(self, default: Any = None) -> Any:
        """Return the value, which is ``None`` where that is set; ``default``: none is set."""
        own = self._variable.get(_UNSET)
        if own is _UNSET and current_scope.get() is not None:
            own = self._shared
        return default if own is _UNSET else own

    def set(self, value: Any) -> Token[Any]:
        """Set the value, or ``None``, in the calling context alone."""
        return self._variable.set(value)


def share_variables() -> None:
    """Have all cases see what is set in the calling context. May be called again."""
    for module_name, names in SHARED_VARIABLES.items():
        module = sys.modules.get(module_name)
        for name in names:
            found = getattr(module, name, None)
            if isinstance(found, ContextVar):
                found = _known.get(found) or _shared_variable(name, found)
                setattr(module, name, found)
            if isinstance(found, SharedVariable):
                found.share()


def _shared_variable(name: str, variable: ContextVar[Any]) -> SharedVariable:
    shared = _known[variable] = SharedVariable(variable)
    if name == LANGCHAIN:
        # LangChain has the variable itself. It takes a handler that it finds twice once.
        sys.modules["langchain_core.tracers.context"].register_configure_hook(shared, True)
    return shared
