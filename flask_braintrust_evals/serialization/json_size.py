"""Measures a JSON text before it is parsed: how many values it has, and how deep they are nested.

A parser makes up to forty bytes of memory of each byte of a text such as ``[],[],``, and nothing
else runs meanwhile. Both can be bounded only before the text is parsed.
"""

from __future__ import annotations

import gc
from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import accumulate

from flask_braintrust_evals.concurrency.turns import Turn, wait_for_turn

MAX_DEPTH = 254
"""Levels of nesting. orjson reads deeper values (1024 levels) than it writes, and a value that
cannot be written cannot be recorded."""
_LARGE = 256 * 1024
"""Bytes of a text during whose parsing the garbage collector does not run."""
_SLICE = 64 * 1024
"""Bytes that are measured at a stretch."""
_BRACKETS = b"[]{}"
_NO_BRACKETS = bytes(each for each in range(256) if each not in _BRACKETS)
_STEPS = bytes.maketrans(_BRACKETS, b"\x01\xff\x01\xff")
"""As signed numbers: one level deeper, or one level up."""


@contextmanager
def without_collections(size: int) -> Iterator[None]:
    """Keep the garbage collector from running while a large text is parsed.

    Before Python 3.12 it runs inside of the parser, again and again, over all values made so far
    and over the rest of the process: parsing takes several times as long, and nothing else runs.
    """
    if size < _LARGE or not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def exceeds(text: bytes, values: int, depth: int = MAX_DEPTH) -> str | None:
    """Return which of its limits a JSON text exceeds: ``"values"`` or ``"depth"``; else ``None``.

    What is counted are commas and opening brackets outside of strings. There are at least as many
    of these as there are values, the first one excepted. Under gevent, other greenlets run between
    the slices of a large text.

    Args:
        text: the text; of one that is not JSON, the result means nothing.
        values: how many values it may have.
        depth: how many levels of nesting it may have.
    """
    brackets = text.count(b"[") + text.count(b"{")
    if brackets <= depth and brackets + text.count(b",") <= values:
        return None  # most requests; strings have these characters, too, but not that many
    count = level = 0
    for outside in _outside_of_strings(text):
        count += outside.count(b",") + outside.count(b"[") + outside.count(b"{")
        if count > values:
            return "values"
        steps = array("b", outside.translate(_STEPS, _NO_BRACKETS))
        levels = list(accumulate(steps, initial=level))
        if max(levels) > depth:
            return "depth"
        level = levels[-1]
    return None


def _outside_of_strings(text: bytes) -> Iterator[bytes]:
    """Yield what is outside of strings, slice by slice."""
    is_inside = 0
    start = 0
    while start < len(text):
        end = start + _SLICE
        piece = text[start:end]
        if (len(piece) - len(piece.rstrip(b"\\"))) % 2:
            end += 1  # the character that the last backslash escapes
            piece = text[start:end]
        if b"\\" in piece:
            piece = piece.replace(b"\\\\", b"").replace(b'\\"', b"")
        parts = piece.split(b'"')
        yield b"".join(parts[is_inside::2])
        is_inside = (is_inside + len(parts) - 1) % 2
        start = end
        wait_for_turn(Turn.BEGIN)
