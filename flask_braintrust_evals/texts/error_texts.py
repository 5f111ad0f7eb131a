"""Writes exceptions of user code as text, whatever their own code does.

An exception may have a ``__str__`` that raises, even itself, that returns something else than a
string, or a text of any length. A failure must be reported all the same.
"""

from __future__ import annotations

import os
import traceback
from pathlib import Path
from types import TracebackType

from .safe_texts import clean_text, safe_text

_PACKAGE = str(Path(__file__).parents[1]) + os.sep
MAX_STACK = 100_000
"""Characters of a stack trace; of a longer one, the middle is left out."""
MAX_SENT_STACK = 20_000
"""Characters of one that a client of a run gets."""
MAX_GROUPED = 3
"""Exceptions of a group whose texts are shown with its own."""
_MAX_LOOKED_AT = 100


def error_text(error: BaseException) -> str:
    """Return the name of an exception's class, and its text."""
    return f"{type(error).__name__}: {message_text(error)}"


def message_text(error: BaseException) -> str:
    """Return the text of an exception; for a group, also those of its first exceptions.

    The text of a group itself, as ``asyncio.TaskGroup`` and ``anyio`` raise it, says only how many
    exceptions it has.
    """
    text, grouped = safe_text(error), grouped_errors(error)
    if not grouped:
        return text
    shown = [f"{type(each).__name__}: {safe_text(each)}" for each in grouped[:MAX_GROUPED]]
    return safe_text(f"{text}: {'; '.join(shown)}{'; …' if len(grouped) > MAX_GROUPED else ''}")


def grouped_errors(error: BaseException) -> list[BaseException]:
    """Return the first exceptions of a group and of the groups in it, which are no groups.

    Empty: it is no group.
    """
    found: list[BaseException] = []
    todo = _members(error)
    for _ in range(_MAX_LOOKED_AT):
        if not todo or len(found) > MAX_GROUPED:
            break
        each = todo.pop(0)
        members = _members(each)
        if members:
            todo[:0] = members
        else:
            found.append(each)
    return found


def _members(error: BaseException) -> list[BaseException]:
    # Not by its class: Python 3.10 has none, and libraries bring their own.
    try:
        members = getattr(error, "exceptions", None)
    except BaseException:  # its own code may raise anything
        return []
    if not isinstance(members, tuple):
        return []
    return [each for each in members if isinstance(each, BaseException)]


def _from_outside(trace: TracebackType | None) -> TracebackType | None:
    """Return a trace without the frames of this package at its beginning, if there are others."""
    first = trace
    while first is not None and first.tb_frame.f_code.co_filename.startswith(_PACKAGE):
        first = first.tb_next
    return first or trace


def stack_text(error: BaseException) -> str:
    """Return the stack trace of an exception, with its text at the end."""
    try:
        trace = _from_outside(error.__traceback__)
        lines = traceback.format_exception(type(error), error, trace)
    except BaseException:  # of a cause or a note, for instance
        return f"<{type(error).__name__} without a stack trace>"
    return cut_stack(clean_text("".join(lines)), MAX_STACK)


def cut_stack(stack: str, limit: int = MAX_SENT_STACK) -> str:
    """Return a stack trace of about ``limit`` characters; of a longer one, both ends."""
    if len(stack) <= limit:
        return stack
    half = limit // 2
    return f"{stack[:half]}\n… {len(stack) - 2 * half} characters are left out …\n{stack[-half:]}"
