"""How the events of a stream are separated, whatever its lines end with and how it is cut."""

from __future__ import annotations

import pytest

from flask_braintrust_evals.cli.servers.event_stream import events_of

LINES = [
    ": a comment",
    "",
    "event: progress",
    "data: é\u2028",
    "data:b",
    "",
    "event: done",
    "data: ",
    "",
]
EVENTS = [("progress", "é\u2028\nb"), ("done", "")]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"], ids=["LF", "CRLF", "CR"])
@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_events_are_separated_however_lines_end_and_the_stream_is_cut(end: str, size: int) -> None:
    stream = "".join(line + end for line in LINES).encode()
    chunks = [stream[at : at + size] for at in range(0, len(stream), size)]
    assert list(events_of(chunks)) == EVENTS


def test_an_event_is_there_with_the_end_of_its_last_line() -> None:
    events = events_of(iter([b"event: a\r\ndata: 1\r\n\r", b"\nevent: b\r\n\r\n"]))
    assert next(events) == ("a", "1")
    assert next(events) == ("b", "")


def test_an_event_that_breaks_off_is_none() -> None:
    assert list(events_of([b"event: a\ndata: 1\n", b"", b"data: 2"])) == []
