"""Names, signatures and locations of user callables."""

from __future__ import annotations

import functools
import inspect
import os
import sys
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

from flask_braintrust_evals.errors import RegistrationError
from flask_braintrust_evals.tracing.span_context import Place

_PACKAGE = str(Path(__file__).parents[2]) + os.sep
LIBRARIES = {"flask_braintrust_evals.", "asyncio.", "concurrent.futures."}
"""How the names of modules begin that are not the user's code. Adapters add their library's."""
_OF_AUTOEVALS = ("Scorer.eval_async", "PartialScorer.eval_async")
"""Names of the methods ``eval_async`` that only call ``_run_eval_async``: that of the base of all
scorers, and that of a scorer with fixed arguments."""


def callable_name(function: Any) -> str:
    """Return the name of a function, a partial or a callable object, for messages and spans."""
    own_name = _attribute(function, "_name")  # the convention of autoevals
    if callable(own_name):
        return str(own_name())
    name = getattr(function, "__name__", None)
    if name is None and isinstance(function, functools.partial):
        return callable_name(function.func)
    return str(name or type(function).__name__)


def instance_of(scorer: Any, kind: str) -> Any:
    """Return an instance of a class of scorers.

    Raises:
        RegistrationError: the class cannot be called without arguments.
    """
    try:
        return scorer()
    except TypeError as error:
        raise RegistrationError(
            f"{kind} {scorer.__name__!r} is a class that cannot be called without arguments"
            f" ({error}); pass an instance of it"
        ) from error


def entry_of(scorer: Any) -> Any:
    """Return the function of a scorer that is called; ``None``: there is none.

    As in the ``braintrust`` SDK that is ``eval_async`` if the scorer has it. But scorers of
    autoevals that override neither ``eval_async`` nor ``_run_eval_async`` run their synchronous
    code in them, and would block the event loop: they are called directly.
    """
    if not callable(scorer):
        return getattr(scorer, "eval_async", None)
    eval_async = _attribute(scorer, "eval_async")
    run = getattr(type(scorer), "_run_eval_async", None)
    is_synchronous = (
        getattr(run, "__qualname__", "") == "Scorer._run_eval_async"
        and getattr(eval_async, "__qualname__", "").rpartition("<locals>.")[2] in _OF_AUTOEVALS
    )
    return scorer if eval_async is None or is_synchronous else eval_async


def _attribute(value: Any, name: str) -> Any:
    """Return an attribute that an object or its class really has, unlike any of a mock's."""
    return None if inspect.getattr_static(value, name, None) is None else getattr(value, name, None)


def signature_of(function: Any) -> inspect.Signature | None:
    """Return a function's signature; ``None`` for builtins that have none."""
    options: dict[str, Any] = {}
    if sys.version_info >= (3, 14):
        import annotationlib

        # Annotations may have names that are imported for type checkers only.
        options["annotation_format"] = annotationlib.Format.FORWARDREF
    try:
        return inspect.signature(function, **options)
    except (TypeError, ValueError):
        return None


def place_of(function: Any) -> str | None:
    """Return ``file:line`` of the code of a function, a method or a callable object, if known."""
    code = _code_of(function)
    return None if code is None else f"{code.co_filename}:{code.co_firstlineno}"


def user_place(function: Any) -> Place | None:
    """Return the place of the code of a function, unless it is this package's own."""
    code = _code_of(function)
    if code is None or code.co_filename.startswith(_PACKAGE):
        return None
    return Place(code.co_name, code.co_filename, code.co_firstlineno)


def calling_place() -> Place | None:
    """Return the place in the user's code that calls this package, or a library that calls it."""
    libraries = tuple(LIBRARIES)
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        name = str(frame.f_globals.get("__name__", ""))
        # What a pool of threads calls has no caller but the pool.
        if name != "threading" and not name.startswith(libraries):
            return Place(frame.f_code.co_name, frame.f_code.co_filename, frame.f_lineno)
        frame = frame.f_back
    return None


def _code_of(function: Any) -> CodeType | None:
    if inspect.isfunction(function):
        function = getattr(function, "wrapped_function", function)
    while not inspect.isfunction(function) and not inspect.ismethod(function):
        # Read from the object's own attributes, since a mock has any, and without end.
        inner = getattr(function, "__dict__", {}).get("__wrapped__")
        if isinstance(function, functools.partial):
            inner = function.func
        if inner is None:
            break
        function = inner
    method = getattr(type(function), "__call__", None)  # noqa: B004 (not a check, but the method)
    for each in (function, method):
        code = getattr(each, "__code__", None)
        if isinstance(code, CodeType):
            return code
    return None


def calling_location() -> str:
    """Return ``file:line`` of the innermost calling code outside of this package."""
    frame = sys._getframe(1)
    while frame.f_back is not None:
        file = frame.f_code.co_filename
        # A dataclass's generated __init__ is compiled from "<string>".
        if not file.startswith((_PACKAGE, "<")):
            break
        frame = frame.f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"


def location_of(function: Any) -> str:
    """Return ``file:line`` of a function's definition; for other objects, that of the caller."""
    return (place_of(function) if inspect.isroutine(function) else None) or calling_location()
