"""Keeps what is logged in lines that no text of a caller can forge.

Messages quote texts of callers, and of exceptions. A line end in one of them would begin a line
that looks like another record; other control characters change what a terminal shows.
"""

from __future__ import annotations

import logging
import re

from .error_texts import stack_text
from .safe_texts import safe_text

LOGGER = "flask_braintrust_evals"
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
_CONTROL_IN_LINES = re.compile(r"(?!\n)" + _CONTROL.pattern)


class OneRecordFilter(logging.Filter):
    """Escapes control characters in messages, and indents the lines of stack traces."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Change the texts of a record where that is needed; keep every record."""
        try:
            message = record.getMessage()
        except BaseException as error:  # the str() of an argument, for instance
            message = f"{safe_text(record.msg)} ({type(error).__name__} in its arguments)"
            record.msg, record.args = message, ()
        if _CONTROL.search(message):
            record.msg, record.args = _CONTROL.sub(_escaped, message), ()
        if record.exc_info and record.exc_info[1] is not None:
            record.exc_text = _indented(stack_text(record.exc_info[1]))
        return True


def install() -> None:
    """Add the filter to this package's logger."""
    logging.getLogger(LOGGER).addFilter(OneRecordFilter())


def _escaped(match: re.Match[str]) -> str:
    return match[0].encode("unicode_escape").decode()


def _indented(stack: str) -> str:
    lines = _CONTROL_IN_LINES.sub(_escaped, stack.rstrip("\n")).split("\n")
    return "\n".join(f"    {line}" for line in lines)
