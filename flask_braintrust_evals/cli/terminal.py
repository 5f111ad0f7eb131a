"""Texts for a terminal."""

from __future__ import annotations

import os
import re
import sys
from typing import IO, Any

import click

from flask_braintrust_evals.serialization import clean_text

_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
"""What a terminal obeys instead of showing it, but for tabs and the ends of lines."""


def styled(text: str, **style: Any) -> str:
    """Return a text for a terminal: what comes from data and from servers gives it no orders.

    Args:
        text: what is to be shown.
        style: as of :func:`click.style`.
    """
    visible = _CONTROLS.sub(lambda found: f"\\x{ord(found[0]):02x}", clean_text(text))
    return click.style(visible, **style) if style else visible


def say(text: str, err: bool = False, file: IO[str] | None = None) -> None:
    """Write a line, without colours where nobody wants them: https://no-color.org.

    Args:
        text: the line.
        err: whether to standard error.
        file: where, if neither to standard output nor to standard error.
    """
    click.echo(text, file=file, err=err, color=False if os.environ.get("NO_COLOR") else None)


def stdout_set_aside() -> IO[str]:
    """Return standard output, and have all else that goes there go to standard error, for good.

    So that nothing else is in it: neither what tasks print, and the programs that they start, nor
    what a task prints that goes on after the run.
    """
    ours = sys.stdout
    try:
        descriptor = ours.fileno()
        ours.flush()
        kept = os.dup(descriptor)
        os.dup2(sys.stderr.fileno(), descriptor)
    except (AttributeError, OSError):  # it is no file, as in tests
        sys.stdout = sys.stderr
        return ours
    return open(kept, "w", encoding="utf-8")
