"""Encodes Server-Sent Events: https://html.spec.whatwg.org/multipage/server-sent-events.html."""

from __future__ import annotations

import re

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
_LINE_END = re.compile(r"\r\n|\n|\r")


def encode(event: str, data: str) -> bytes:
    """Return one event as bytes.

    Args:
        event: the type of the event.
        data: its data; each of its lines becomes a ``data:`` line.
    """
    if "\n" in data or "\r" in data:  # only few, and large ones take long to split
        data = "\ndata: ".join(_LINE_END.split(data))
    return b"".join((b"event: ", event.encode(), b"\ndata: ", data.encode(), b"\n\n"))
