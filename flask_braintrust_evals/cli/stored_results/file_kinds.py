"""Guesses the format of a text that is not a file of results."""

from __future__ import annotations

import re

from .journal import FORMAT as JOURNAL

_KINDS = (
    (r"<(!doctype html|html)\b(?=.*\bid=\"report-data\")", "a report in HTML"),
    (r"<(!doctype html|html)\b", "HTML"),
    (r"<", "XML"),
    (r"###? ", "Markdown"),
    (rf"\{{[^\n]*\"{JOURNAL}\"", "what --resume writes"),
    (r"\{[^\n]*\}[^\S\n]*\n\s*\{", "JSON Lines"),
    (r"[^\n{\[]*[,;\t]", "CSV"),
)


def seems_to_be(text: str) -> str:
    """Return what a text seems to be; an empty text: JSON, or nothing that is known.

    ``playground/assets/open_results.js`` does the same for the local page.
    """
    begin = text.lstrip()
    for pattern, kind in _KINDS:
        if re.match(pattern, begin, re.DOTALL | re.IGNORECASE):
            return kind
    return ""
