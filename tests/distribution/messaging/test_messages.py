"""Messages are read as they were written, and only if a process of the same application wrote."""

from __future__ import annotations

import base64
import json
import threading
import zlib
from typing import Any

import pytest

from flask_braintrust_evals.distribution.messaging import messages
from flask_braintrust_evals.distribution.messaging.messages import (
    COMPRESS_FROM,
    Message,
    MessageError,
    MessageTooLargeError,
    MessageWriter,
    SignatureError,
)
from flask_braintrust_evals.distribution.messaging.notices import NoticeBoard
from flask_braintrust_evals.errors import SerializationError

writer = MessageWriter("a secret", 100_000)
LARGE = "some words " * COMPRESS_FROM


@pytest.mark.parametrize(
    "content",
    [
        {"a": [1, 2.5, None, True, "é"]},
        {"large": LARGE},
        {"integer": 2**64 - 1, "time": 1_700_000_000_000_000_000},
        {"integer": -(2**63) - 1},
        {"integer": 2**70, "negative": -(10**18) * 9},
        {"integer": 10**400},
    ],
)
def test_what_is_read_is_what_was_written(content: Any) -> None:
    message = writer.write("order", content)
    assert writer.read("order", message) == content
    assert writer.read("order", json.loads(json.dumps(message))) == content


def test_what_another_process_has_signed_with_an_older_key_can_be_read() -> None:
    new = MessageWriter("a new secret", 100_000, ["an unused secret", b"a secret"])
    assert new.read("order", writer.write("order", 1)) == 1
    assert new.read("order", new.write("order", 2)) == 2
    with pytest.raises(SignatureError, match="SECRET_KEY_FALLBACKS"):
        writer.read("order", new.write("order", 2))


def test_large_messages_are_compressed() -> None:
    assert len(writer.write("order", LARGE).text) < len(LARGE) / 10


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("notice", writer.write("order", {})),
        ("order", MessageWriter("another secret", 100_000).write("order", {})),
        ("order", writer.write("order", {"n": 1})._replace(text='j{"n":2}')),
        ("order", writer.write("order", {})._replace(signature="")),
        ("order", writer.write("order", {})._replace(signature="é\ud800")),
        ("order", Message("j{}\ud800", "0" * 64)),
        ("order", ["j{}"]),
        ("order", ["j{}", None]),
        ("order", {"text": "j{}"}),
        ("order", None),
    ],
)
def test_what_is_not_signed_for_its_kind_is_refused(kind: Any, message: Any) -> None:
    with pytest.raises(MessageError):
        writer.read(kind, message)


def signed(text: str) -> Message:
    """A message of an application with the key, which is no message all the same."""
    return Message(text, messages._signature(writer._key, "order", text))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "j",
        "j{",
        "x{}",
        "z!",
        "z" + base64.b64encode(b"no zlib").decode(),
        "z" + base64.b64encode(zlib.compress(b'{"half": ')).decode(),
        "j\ud800",
        "j" + "[" * 100_000,
        "j" + "9" * 5000,
    ],
)
def test_what_is_signed_and_no_json_is_refused(text: str) -> None:
    with pytest.raises(MessageError, match="cannot be read"):
        writer.read("order", signed(text))


def test_a_message_that_unpacks_to_far_more_is_refused_by_who_writes_and_who_reads() -> None:
    small = MessageWriter("a secret", 20_000)
    with pytest.raises(MessageTooLargeError, match="BRAINTRUST_EVALS_MAX_MESSAGE"):
        small.write("order", "a" * 3_000_000)
    bomb = base64.b64encode(zlib.compress(b'"' + b"a" * 20_000_000 + b'"')).decode()
    with pytest.raises(MessageError, match="cannot be read"):
        small.read("order", signed("z" + bomb))


def test_whatever_may_be_written_can_be_read() -> None:
    small = MessageWriter("a secret", 20_000)
    content = "é" * 1_500_000  # more bytes than characters
    assert small.read("order", small.write("order", content)) == content


def test_a_message_that_is_too_large_is_not_written() -> None:
    content = base64.b64encode(bytes(range(256)) * 1000).decode() + LARGE
    with pytest.raises(MessageTooLargeError, match=r"the message of [\d,]+ bytes is larger"):
        MessageWriter("a secret", 1_000).write("order", content)


def test_reports_replace_what_has_no_json_form_and_orders_refuse_it() -> None:
    circular: list[Any] = []
    circular.append(circular)
    content = {"metadata": {"self": circular, "n": 1}}
    with pytest.raises(SerializationError):
        writer.write("order", content)
    read = writer.read("report", writer.write("report", content))
    assert read["metadata"]["n"] == 1
    assert "not serializable" in str(read["metadata"]["self"])


def test_the_key_is_in_no_text() -> None:
    assert "a secret" not in repr(vars(writer)) + str(writer.write("order", {}))


def test_what_is_asked_while_a_notice_is_taken_is_in_the_next_one() -> None:
    asking: list[threading.Thread] = []

    class Board(NoticeBoard):
        def __setattr__(self, name: str, value: Any) -> None:
            super().__setattr__(name, value)
            if name == "_go" and not asking and hasattr(self, "_who"):  # what was asked was read
                asking.append(threading.Thread(target=self.ask_who))
                asking[0].start()
                asking[0].join(0.2)

    board = Board("owner", 10.0)
    assert not board.take()["who"]
    asking[0].join()
    assert board.take()["who"]
