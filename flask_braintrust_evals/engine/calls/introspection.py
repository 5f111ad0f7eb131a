"""What users' functions, objects and classes say of themselves."""

from __future__ import annotations

import inspect
import os
import sys
from pathlib import Path
from typing import Any

from flask_braintrust_evals.errors import RegistrationError

_PACKAGE = str(Path(__file__).parents[2]) + os.sep


def callable_name(function: Any) -> str:
    """Return the name that a function, a partial or an object is known by."""
    own_name = getattr(function, "_name", None)  # the convention of autoevals
    if callable(own_name):
        return str(own_name())
    name = getattr(function, "__name__", None)
    if name is None and hasattr(function, "func"):
        return callable_name(function.func)
    return str(name or type(function).__name__)


def instance_of(scorer: Any, kind: str) -> Any:
    """Return an object of a class of scorers.

    Raises:
        RegistrationError: it cannot be made without arguments.
    """
    try:
        return scorer()
    except TypeError as error:
        raise RegistrationError(
            f"{kind} {scorer.__name__!r} is a class that cannot be made without arguments"
            f" ({error}); give an instance of it"
        ) from error


def entry_of(scorer: Any) -> Any:
    """Return what of a scorer is called; ``None``: nothing can be.

    As in the ``braintrust`` SDK that is ``eval_async`` where there is one. But scorers of autoevals
    without a method of their own for it would do there what they do when they are called plainly,
    on the event loop, which nothing may hold up.
    """
    eval_async = getattr(scorer, "eval_async", None)
    if not callable(scorer):
        return eval_async
    own = getattr(type(scorer), "_run_eval_async", None)
    is_plain = getattr(own, "__qualname__", "") == "Scorer._run_eval_async"
    return scorer if eval_async is None or is_plain else eval_async


def signature_of(function: Any) -> inspect.Signature | None:
    """Return a function's signature; ``None`` for builtins that have none."""
    options: dict[str, Any] = {}
    if sys.version_info >= (3, 14):
        import annotationlib

        # Annotations may name what is imported for type checkers alone.
        options["annotation_format"] = annotationlib.Format.FORWARDREF
    try:
        return inspect.signature(function, **options)
    except (TypeError, ValueError):
        return None


def place_of(function: Any) -> str | None:
    """Return ``file:line`` of what a function, a method or an object does when it is called."""
    function = getattr(function, "stands_for", function)
    while hasattr(function, "func"):  # a partial
        function = function.func
    method = getattr(type(function), "__call__", None)  # noqa: B004 (the method itself)
    for each in (function, method):
        code = getattr(each, "__code__", None)
        if code is not None:
            return f"{code.co_filename}:{code.co_firstlineno}"
    return None


def calling_location() -> str:
    """Return ``file:line`` of the code outside of this package that is being executed."""
    frame = sys._getframe(1)
    while frame.f_back is not None:
        file = frame.f_code.co_filename
        # A dataclass's generated __init__ is compiled from "<string>".
        if not file.startswith((_PACKAGE, "<")):
            break
        frame = frame.f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"


def location_of(function: Any) -> str:
    """Return ``file:line`` of a function's definition; that of the caller for other objects."""
    return (place_of(function) if inspect.isroutine(function) else None) or calling_location()
