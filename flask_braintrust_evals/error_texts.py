"""Writes exceptions of user code as text, whatever their own code does.

An exception may have a ``__str__`` that raises, even itself, that returns something else than a
string, or a text of any length. A failure must be reported all the same.
"""

from __future__ import annotations

import traceback

from .serialization import clean_text, safe_text

MAX_STACK = 100_000
"""Characters of a stack trace; of a longer one, the middle is left out."""


def error_text(error: BaseException) -> str:
    """Return the name of an exception's class, and its text."""
    return f"{type(error).__name__}: {safe_text(error)}"


def stack_text(error: BaseException) -> str:
    """Return the stack trace of an exception, with its text at the end."""
    try:
        lines = traceback.format_exception(type(error), error, error.__traceback__)
    except BaseException:  # of a cause or a note, for instance
        return f"<{type(error).__name__} without a stack trace>"
    stack = clean_text("".join(lines))
    if len(stack) <= MAX_STACK:
        return stack
    half = MAX_STACK // 2
    return f"{stack[:half]}\n… {len(stack) - 2 * half} characters are left out …\n{stack[-half:]}"
