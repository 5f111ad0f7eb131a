"""Keeps what is logged in lines that no text of a caller can forge.

Messages quote texts of callers, and of exceptions. A line end in one of them would begin a line
that looks like another record; other control characters change what a terminal shows.

And lets no log call raise. :mod:`logging` passes on what an application's filters raise, and its
factory of records, such as one that reads Flask's request, which only some of our threads have.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

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
    """Add the filter to this package's logger, and have its calls raise nothing.

    What they would raise is written to the standard error stream, as :mod:`logging` does with what
    a handler fails with.
    """
    logger = logging.getLogger(LOGGER)
    logger.addFilter(OneRecordFilter())

    def make_record(
        name: str,
        level: int,
        fn: str,
        lno: int,
        msg: object,
        args: Any,
        exc_info: Any,
        func: str | None = None,
        extra: Mapping[str, object] | None = None,
        sinfo: str | None = None,
    ) -> logging.LogRecord:
        values = (name, level, fn, lno, msg, args, exc_info, func)
        try:
            # That of the class, which monitoring tools replace.
            return type(logger).makeRecord(logger, *values, extra, sinfo)
        except Exception:
            record = logging.LogRecord(*values, sinfo)
            vars(record).update({**(extra or {}), **vars(record)})
            _report(record)
            return record

    def handle(record: logging.LogRecord) -> None:
        try:
            type(logger).handle(logger, record)
        except Exception:
            _report(record)

    # Handlers that look for the caller skip the frames of logging, and no others.
    handle.__code__ = handle.__code__.replace(co_filename=logging.__file__)
    logger.makeRecord = make_record  # type: ignore[method-assign]
    logger.handle = handle  # type: ignore[method-assign]


def _report(record: logging.LogRecord) -> None:
    """Write the exception that is being handled, and the record that it was raised for."""
    with suppress(Exception):
        # No handler of this module's own: it would be closed when the interpreter has half ended.
        (logging.lastResort or logging.Handler()).handleError(record)


def _escaped(match: re.Match[str]) -> str:
    return match[0].encode("unicode_escape").decode()


def _indented(stack: str) -> str:
    lines = _CONTROL_IN_LINES.sub(_escaped, stack.rstrip("\n")).split("\n")
    return "\n".join(f"    {line}" for line in lines)
