"""Server-Sent Events as bytes (https://html.spec.whatwg.org/multipage/server-sent-events.html)."""

from __future__ import annotations

import re

HEADERS = {
    "Content-Type": "text/event-stream; charset=utf-8",
    "Cache-Control": "no-cache",
    "X-Accel-Buffering": "no",  # nginx
}

HEARTBEAT = b": heartbeat\n\n"
"""A comment, which clients ignore."""

# Only these end a line; str.splitlines() would also split at U+2028 and others.
_LINE_END = re.compile(r"\r\n|\n|\r")


def encode(event: str, data: str) -> bytes:
    """Return one event.

    Args:
        event: its type.
        data: its data; each of its lines becomes a ``data:`` line.
    """
    lines = "".join(f"data: {line}\n" for line in _LINE_END.split(data))
    return f"event: {event}\n{lines}\n".encode()
