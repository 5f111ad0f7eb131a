"""Encodes Server-Sent Events: https://html.spec.whatwg.org/multipage/server-sent-events.html."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

HEADERS = {
    "Content-Type": "text/event-stream; charset=utf-8",
    "Cache-Control": "no-cache",
    # Whatever compresses answers, such as Flask-Compress, leaves those alone that say how they are
    # encoded. Compressed, events would wait until a block is full.
    "Content-Encoding": "identity",
    "X-Accel-Buffering": "no",  # nginx
    "X-Content-Type-Options": "nosniff",
}

HEARTBEAT = b": heartbeat\n\n"
"""A comment, which clients ignore."""

# Only these end a line of an event; str.splitlines() also splits at U+2028 and others.
_LINE_END = re.compile(rb"\r\n|\n|\r")


def encode(event: str, data: bytes) -> bytes:
    """Return one event as bytes.

    Args:
        event: the type of the event.
        data: its data in UTF-8; each of its lines becomes a ``data:`` line.
    """
    return b"".join((b"event: ", event.encode(), b"\ndata: ", _lines(data), b"\n\n"))


def encode_pieces(event: str, pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Yield one event as bytes, whose data is large and is given in pieces.

    No piece may end within the end of a line: JSON has none.
    """
    yield b"".join((b"event: ", event.encode(), b"\ndata: "))
    for piece in pieces:
        yield _lines(piece)
    yield b"\n\n"


def _lines(data: bytes) -> bytes:
    if b"\n" in data or b"\r" in data:  # only few, and large ones take long to split
        return b"\ndata: ".join(_LINE_END.split(data))
    return data
