"""Cuts JSON text so that it is still JSON: Braintrust would ignore a text that is just cut."""

from __future__ import annotations

import sys
from collections.abc import Iterable

from flask_braintrust_evals.serialization.json_writing import dumps

from .sizes import text_size


def json_within(data: bytes, limit: int | None) -> str:
    """Return JSON text of at most ``limit`` bytes: what there is of a longer one is a JSON string.

    Args:
        data: the JSON text in UTF-8.
        limit: the bytes; ``None``: any number. If not even the note has room that says how many
            bytes there were, it is returned alone.
    """
    if limit is None or len(data) <= limit:
        return data.decode()
    return _cut(data, len(data), limit)


def pieces_within(pieces: Iterable[bytes], limit: int | None) -> str:
    """Return the same of JSON text in pieces. No more of them are held than are returned."""
    kept: list[bytes] = []
    size, most = 0, sys.maxsize if limit is None else limit
    for piece in pieces:
        size += len(piece)
        if size <= most:
            kept.append(piece)
        elif size - len(piece) < most:
            kept.append(piece[: most - size])
        del piece  # it may be large, and so may be the next one
    data = b"".join(kept)
    return data.decode() if size <= most else _cut(data, size, most)


def _cut(data: bytes, size: int, limit: int) -> str:
    note = f"… [cut: {size} bytes]"
    # Quotes and backslashes take a second character inside a JSON string.
    kept = data[: max(0, limit // 2 - text_size(note))].decode("utf-8", "ignore")
    text = dumps(kept + note)
    return text if text_size(text) <= limit else dumps(note)
