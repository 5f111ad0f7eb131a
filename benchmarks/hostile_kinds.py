"""The kinds of hostile requests that ``benchmarks/hostile.py`` sends. Each is one line of a table.

A kind is a name and a function that does it to a :class:`Target`; add further ones to ``KINDS``.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import orjson

from .scenarios import PLAYGROUND

MB = 1_000_000
LARGEST = 8 * 1024 * 1024
"""Bytes of the largest body that is allowed."""
VALUES = 250_000
"""Values of a body that are allowed, and of them those outside of its data."""
OTHER_VALUES = 20_000
LIMIT = 60.0
"""Seconds that a server has for its answer."""
STAYS = 10.0
"""Seconds after which the client of an answer leaves that has begun."""


@dataclass(frozen=True)
class Target:
    """The server that is attacked: its port, and headers that it accepts."""

    port: int
    headers: Mapping[str, str]

    def send(self, body: bytes) -> socket.socket:
        """Send a body to ``POST /evals/eval``, and return the connection."""
        lines = ["POST /evals/eval HTTP/1.1", f"Host: 127.0.0.1:{self.port}", "Connection: close"]
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
        lines += [f"{name}: {value}" for name, value in self.headers.items()]
        connection = socket.create_connection(("127.0.0.1", self.port), LIMIT)
        try:
            connection.sendall("\r\n".join((*lines, "\r\n")).encode())
            connection.sendall(body)
        except OSError:
            pass  # it has answered before it has read all
        return connection


@dataclass(frozen=True)
class Done:
    """What came of a hostile request: the status of its answer, and the bytes that were sent."""

    status: str
    sent: int


Act = Callable[[Target], Done]


def post(make: Callable[[], bytes], target: Target) -> Done:
    """Send a body, and read the answer for some seconds."""
    body = make()
    with target.send(body) as connection:
        return Done(read_status(connection), len(body))


def read_status(connection: socket.socket) -> str:
    """Read an answer, and return its status, or what came in place of it."""
    began = time.monotonic()
    head = b""
    try:
        while data := connection.recv(1 << 16):
            head = head or data[:100]
            if time.monotonic() - began > STAYS:
                break
    except TimeoutError:
        return head[9:12].decode() or f"none in {LIMIT:g} s"
    except OSError:
        pass
    return head[9:12].decode() or "none"


def run(name: str, data: bytes = b"[]", **fields: bytes) -> bytes:
    """Return a body; data and fields are texts in JSON."""
    parent = orjson.dumps({"object_type": "playground_logs", "object_id": PLAYGROUND})
    given = {"name": b'"%b"' % name.encode(), "data": data, "parent": parent, **fields}
    return b"{" + b",".join(b'"%b":%b' % (k.encode(), v) for k, v in given.items()) + b"}"


def many(item: bytes, count: int) -> bytes:
    """Return a list of ``count`` times the same."""
    return b"[" + b",".join([item] * count) + b"]"


def one_case(input: bytes, **fields: bytes) -> bytes:
    given = {"input": input, **fields}
    return b"[{" + b",".join(b'"%b":%b' % (k.encode(), v) for k, v in given.items()) + b"}]"


def text(length: int) -> bytes:
    return b'"' + b"ab cdefghi" * (length // 10) + b'"'


def wide_text() -> bytes:
    """Return a text of 8 MB for each of whose characters Python keeps four bytes."""
    return text(8 * MB)[:-1] + "\N{GRINNING FACE}".encode() + b'"'


def parameter(name: str, value: bytes) -> bytes:
    return run("typed", parameters=b'{"%b":%b}' % (name.encode(), value))


def prompt(template: str, input: Any, kind: str = "nunjucks") -> bytes:
    message = {"role": "user", "content": template}
    value = {
        "prompt": {"type": "chat", "messages": [message]},
        "options": {"model": "m"},
        "template_format": kind,
    }
    return run("ask", one_case(orjson.dumps(input)), parameters=orjson.dumps({"prompt": value}))


def deep(levels: int) -> bytes:
    return b"[" * levels + b"]" * levels


def numbered(count: int, form: bytes) -> bytes:
    return b"[" + b",".join(form % number for number in range(count)) + b"]"


TRIALS = {"trial_count": b"20", "max_concurrency": b"null"}
LOOPS = "".join(f"{{% for {name} in input %}}" for name in "abc") + "{% endfor %}" * 3
SEARCHES = "{% if " + " or ".join(["'no' in input"] * 8_000) + " %}{% endif %}"
BODIES: dict[str, Callable[[], bytes]] = {
    "a body above the limit": lambda: b" " * (LARGEST + 1),
    "empty lists, all that fit": lambda: run("echo", one_case(many(b"[]", LARGEST // 3 - 100))),
    "empty lists, as many as are allowed": lambda: run(
        "echo", one_case(many(b"[]", VALUES // 2 - 100))
    ),
    "names, as many as are allowed": lambda: run(
        "echo", one_case(b"{" + numbered(VALUES - 100, b'"%x":1')[1:-1] + b"}")
    ),
    "objects, as many as are allowed": lambda: run(
        "echo", one_case(many(b'{"a":{}}', VALUES // 3 - 100))
    ),
    "a case's metadata of as many": lambda: run(
        "echo", one_case(b"1", metadata=b'{"m":' + many(b'{"a":1}', VALUES // 2 - 100) + b"}")
    ),
    "a case's tags of as many": lambda: run(
        "echo", one_case(b"1", tags=many(b'"ab"', VALUES - 100))
    ),
    "100,000 cases": lambda: run("echo", many(b'{"input":1}', 100_000)),
    "100,001 cases": lambda: run("echo", many(b'{"input":1}', 100_001)),
    "wrong last case of many": lambda: run(
        "echo", many(b'{"input":1}', 99_999)[:-1] + b',{"inputs":1}]'
    ),
    "one text of 8 MB": lambda: run("echo", one_case(text(8 * MB))),
    "one text of 8 MB, escaped": lambda: run(
        "echo", one_case(b'"' + b"\\n" * (8 * MB // 2) + b'"')
    ),
    "one text of 8 MB, one wide character": lambda: run("echo", one_case(wide_text())),
    "as many values with a large integer": lambda: run(
        "echo", one_case(b"[1" + b"0" * 30 + b"," + many(b"[]", VALUES // 2 - 100) + b"]")
    ),
    "large integers, as many as are allowed": lambda: run(
        "echo", one_case(many(b"1" + b"0" * 30, VALUES - 100))
    ),
    "integers of 4,300 digits, all that fit": lambda: run(
        "echo", one_case(many(b"1" * 4300, 8 * MB // 4301))
    ),
    "8 MB, escaped, wide, a large integer": lambda: run(
        "echo",
        one_case(
            b"[1"
            + b"0" * 30
            + b',"'
            + b"a\\n" * (8 * MB // 3)
            + "\N{GRINNING FACE}".encode()
            + b'"]'
        ),
    ),
    "20 trials of one text of 8 MB": lambda: run("wait", one_case(text(8 * MB)), **TRIALS),
    "20 trials of one with a wide character": lambda: run("wait", one_case(wide_text()), **TRIALS),
    "20 trials of as many empty lists": lambda: run(
        "wait", one_case(many(b"[]", VALUES // 2 - 100)), **TRIALS
    ),
    "20 trials of as many objects": lambda: run(
        "wait", one_case(many(b'{"a":{}}', VALUES // 3 - 100)), **TRIALS
    ),
    "20 trials of as many large integers": lambda: run(
        "echo", one_case(many(b"1" + b"0" * 30, VALUES - 100)), **TRIALS
    ),
    "a case's id of 8 MB": lambda: run("echo", one_case(b"1", id=text(8 * MB))),
    "a name of 8 MB": lambda: run("ab cdefghij" * (8 * MB // 11)),
    "levels, as many as are allowed": lambda: run("echo", one_case(deep(190))),
    "one level too many": lambda: run("echo", one_case(deep(252))),
    "wrong tags, all that fit": lambda: run("echo", tags=many(b"1", LARGEST // 2 - 100)),
    "wrong tags, as many as are allowed": lambda: run("echo", tags=many(b"1", OTHER_VALUES - 100)),
    "wrong items for pydantic": lambda: parameter("texts", many(b"1", OTHER_VALUES - 100)),
    "wrong items for a union": lambda: parameter("either", many(b"1.5", OTHER_VALUES - 100)),
    "wrong items for a JSON Schema": lambda: parameter("array", many(b"1", OTHER_VALUES - 100)),
    "wrong items for its anyOf": lambda: parameter("any", many(b"1", OTHER_VALUES - 100)),
    "right items for a JSON Schema": lambda: parameter("array", many(b'"a"', OTHER_VALUES - 100)),
    "unique objects": lambda: parameter("unique", numbered(OTHER_VALUES // 2 - 100, b'{"a":%d}')),
    "a text for a pattern of repeats": lambda: parameter("mail", b'"' + b"a" * 40 + b'!"'),
    "a text for a pattern of choices": lambda: parameter("word", b'"' + b"a" * 40_000 + b'!"'),
    "a prompt of loops": lambda: prompt(LOOPS, "y" * 3_000),
    "a prompt that searches 8 MB": lambda: prompt(SEARCHES, "y" * 8 * MB),
    "a prompt that writes 8 MB": lambda: prompt("{{ input|title }}" * 100, "y z " * (8 * MB // 4)),
    "a prompt of 1,900 tags": lambda: prompt("{{ input.a.b }}{% if a %}{% endif %}" * 630, {}),
    "a prompt of nested filters": lambda: prompt(("{{ 1" + "|abs" * 150 + " }}") * 40, {}),
    "a prompt of nested loops": lambda: prompt(
        "{% for a in input %}" * 160 + "{% endfor %}" * 160, [1]
    ),
    "a prompt of filters in nested loops": lambda: prompt(
        "{% for a in input %}" * 10 + ("{{ 1" + "|abs" * 150 + " }}") * 40 + "{% endfor %}" * 10,
        [1],
    ),
    "a prompt of nested sections": lambda: prompt(
        "{{#input}}" * 900 + "{{" + "a." * 40_000 + "a}}" + "{{/input}}" * 900, {"a": 1}, "mustache"
    ),
}
KINDS: dict[str, Act] = {name: partial(post, make) for name, make in BODIES.items()}
