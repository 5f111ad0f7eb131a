"""Server-Sent Events as bytes, and read back as a browser reads them."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flask_braintrust_evals.web.answers import sse
from tests.web.support import Event, parse_events


@pytest.mark.parametrize(
    ("data", "lines"),
    [
        ("", b"data: \n"),
        ("a", b"data: a\n"),
        ("a\nb", b"data: a\ndata: b\n"),
        ("a\rb", b"data: a\ndata: b\n"),
        ("a\r\nb", b"data: a\ndata: b\n"),
        ("a\n\rb", b"data: a\ndata: \ndata: b\n"),
        ("a\r\r\nb\n\nc", b"data: a\ndata: \ndata: b\ndata: \ndata: c\n"),
        ("a\n", b"data: a\ndata: \n"),
        ("a\r\n", b"data: a\ndata: \n"),
        ("\n", b"data: \ndata: \n"),
        ("\na", b"data: \ndata: a\n"),
        (" a ", b"data:  a \n"),
        (": a", b"data: : a\n"),
        ("data: a", b"data: data: a\n"),
        ("a\nevent: evil\n\ndata: b", b"data: a\ndata: event: evil\ndata: \ndata: data: b\n"),
        ("a\u2028b", "data: a\u2028b\n".encode()),
        ("a\u2029b", "data: a\u2029b\n".encode()),
        ("a\x85b", "data: a\x85b\n".encode()),
        ("a\x0b\x0c\x1c\x1d\x1eb", b"data: a\x0b\x0c\x1c\x1d\x1eb\n"),
        ("a\x00b", b"data: a\x00b\n"),
        ("\ufeffa", "data: \ufeffa\n".encode()),
        ("größe 大きさ 🎈", "data: größe 大きさ 🎈\n".encode()),
    ],
)
def test_an_event_is_its_type_and_one_line_per_line_of_data(data: str, lines: bytes) -> None:
    assert sse.encode("progress", data.encode()) == b"event: progress\n" + lines + b"\n"


def test_a_heartbeat_is_a_comment_without_an_event() -> None:
    assert sse.HEARTBEAT.startswith(b":")
    assert list(parse_events(sse.HEARTBEAT)) == []


as_line_ends = str.maketrans({"\r": "\n"})


@pytest.mark.slow
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["start", "progress", "summary", "error", "done"]),
            st.text() | st.lists(st.sampled_from("a \r\n:\u2028\x85")).map("".join),
        ),
        max_size=5,
    ),
    st.booleans(),
)
@settings(max_examples=300, deadline=None)
def test_what_is_encoded_is_what_a_browser_reads(
    events: list[tuple[str, str]], heartbeats: bool
) -> None:
    pause = sse.HEARTBEAT if heartbeats else b""
    stream = b"".join(sse.encode(type, data.encode()) + pause for type, data in events)
    # A browser does not distinguish the kinds of line ends.
    sent = [
        Event(type, data.replace("\r\n", "\n").translate(as_line_ends)) for type, data in events
    ]
    assert list(parse_events(stream)) == sent


@pytest.mark.parametrize(
    ("stream", "events"),
    [
        (b"data: a\n\n", [Event("message", "a")]),
        (b"event: x\ndata:a\ndata:  b\n\n", [Event("x", "a\n b")]),
        (b"event: x\r\ndata: a\r\n\r\n", [Event("x", "a")]),
        (b": c\nid: 1\nretry: 5\nevent: x\ndata\n\n", [Event("x", "")]),
        (b"event: x\n\ndata: a\n\n", [Event("message", "a")]),
        (b"data: a\n\ndata: cut", [Event("message", "a")]),
        (b"data: cut\n", []),
    ],
)
def test_the_parser_of_these_tests_does_as_the_specification_says(
    stream: bytes, events: list[Event]
) -> None:
    assert list(parse_events(stream)) == events
