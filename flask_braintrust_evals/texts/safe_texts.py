"""Makes a text of any object, which can always be encoded."""

from __future__ import annotations

from typing import Any

MAX_TEXT = 20_000
"""Characters of a text that :func:`safe_text` returns."""


def safe_text(value: Any) -> str:
    """Return ``str(value)``, or a placeholder if it fails, as text that can be encoded.

    A text of more than ``MAX_TEXT`` characters is cut.
    """
    try:
        text = str(value)
    except BaseException:  # its own code may raise anything, and an exception even itself
        return f"<{type(value).__name__} without a text>"
    # An exact str, since str() may also return an object with methods of its own.
    cut = str.__getitem__(text, slice(MAX_TEXT))
    return clean_text(cut if str.__len__(text) <= MAX_TEXT else f"{cut}…")


def clean_text(text: str) -> str:
    """Return ``text`` without lone surrogates, so that it can be encoded as UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError:
        # UTF-16 turns a pair of surrogates into the character that they encode.
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text
