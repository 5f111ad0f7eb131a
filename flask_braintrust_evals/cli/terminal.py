"""Texts for a terminal."""

from __future__ import annotations

import os
import re
from typing import Any

import click

_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
"""What a terminal obeys instead of showing it, but for tabs and the ends of lines."""


def styled(text: str, **style: Any) -> str:
    """Return a text for a terminal: what comes from data and from servers gives it no orders.

    Args:
        text: what is to be shown.
        style: as of :func:`click.style`.
    """
    visible = _CONTROLS.sub(lambda found: f"\\x{ord(found[0]):02x}", text)
    return click.style(visible, **style) if style else visible


def say(text: str, err: bool = False) -> None:
    """Write a line, without colours where nobody wants them: https://no-color.org."""
    click.echo(text, err=err, color=False if os.environ.get("NO_COLOR") else None)
