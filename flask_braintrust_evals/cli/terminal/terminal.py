"""Writes text to a terminal."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable
from typing import IO, Any, TypeVar

import click

from flask_braintrust_evals.texts.safe_texts import clean_text

F = TypeVar("F", bound=Callable[..., Any])

_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
"""Control characters, except tabs and line feeds."""


def styled(text: str, **style: Any) -> str:
    """Escape control characters, so that data cannot control the terminal, and apply a style.

    Args:
        text: the text to show.
        style: arguments of :func:`click.style`.
    """
    visible = _CONTROLS.sub(lambda found: f"\\x{ord(found[0]):02x}", clean_text(text))
    return click.style(visible, **style) if style else visible


def echo(text: str, err: bool = False, file: IO[str] | None = None) -> None:
    """Write a line; without colours if ``NO_COLOR`` is set (https://no-color.org).

    Nor are there colours where the terminal cannot show them, because ``TERM`` is ``dumb``.
    Characters that the encoding of the stream does not have are written as escapes.

    Args:
        text: the line.
        err: write to standard error instead of standard output.
        file: write to this file instead of either.
    """
    is_plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    color = False if is_plain else None
    try:
        click.echo(text, file=file, err=err, color=color)
    except UnicodeEncodeError:
        stream: Any = file or (sys.stderr if err else sys.stdout)
        known = text.encode(stream.encoding, "backslashreplace").decode(stream.encoding)
        click.echo(known, file=file, err=err, color=color)


def json_option(help_text: str) -> Callable[[F], F]:
    """Return the option ``--json``, whose value ``output`` is where the JSON is written to.

    It is ``None`` if the option is not given. Otherwise it is standard output, for the caller of
    the command alone: all else that is written there goes to standard error. That is done while
    the options are read, because modules of the application may print when they are imported.

    Args:
        help_text: what is written as JSON.
    """

    def reserved(context: click.Context, option: click.Parameter, given: bool) -> IO[str] | None:
        # A shell that completes the command reads standard output.
        return _reserve_stdout() if given and not context.resilient_parsing else None

    return click.option("--json", "output", is_flag=True, callback=reserved, help=help_text)


def _reserve_stdout() -> IO[str]:
    """Return standard output for the caller alone; all else written to it goes to standard error.

    This includes what tasks print, what programs that they start print, and what a task prints
    after the end of the run. It cannot be undone.
    """
    stdout = sys.stdout
    try:
        descriptor = stdout.fileno()
        stdout.flush()
        reserved = os.dup(descriptor)
        os.dup2(sys.stderr.fileno(), descriptor)
    except (AttributeError, OSError):  # it is not a file, as in tests
        sys.stdout = sys.stderr
        return open(os.devnull, "w") if stdout is None else stdout
    return open(reserved, "w", encoding="utf-8")
