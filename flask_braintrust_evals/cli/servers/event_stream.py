"""Splits a stream of Server-Sent Events into its events, as it arrives."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

_LINE_END = re.compile(b"\r\n|\n|\r")


def events_of(chunks: Iterable[bytes]) -> Iterator[tuple[str, str]]:
    """Yield the type and the data of each event, as soon as it is complete.

    Lines end with CRLF, LF or CR, as browsers read them:
    https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream
    """
    event, data, has_data = "", list[str](), False
    for line in _lines(chunks):
        if line:
            name, _, value = line.partition(":")
            value = value.removeprefix(" ")
            if name == "event":
                event, has_data = value, True
            elif name == "data":
                data.append(value)
                has_data = True
        elif has_data:
            yield event, "\n".join(data)
            event, data, has_data = "", [], False


def _lines(chunks: Iterable[bytes]) -> Iterator[str]:
    rest, after_cr = b"", False
    for chunk in chunks:
        if not chunk:
            continue
        # A CR ends its line at once. If an LF follows in the next chunk, it is the same end.
        received = chunk[1:] if after_cr and chunk.startswith(b"\n") else chunk
        after_cr = chunk.endswith(b"\r")
        *lines, rest = _LINE_END.split(rest + received)
        for line in lines:
            yield line.decode("utf-8", "replace")
