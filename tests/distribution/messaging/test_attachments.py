"""Large attachments go from a worker to the owner of the run, as far as messages have room."""

from __future__ import annotations

import base64
import logging
import os
import uuid
from collections.abc import Mapping
from typing import Any

import pytest

from flask_braintrust_evals.distribution.messaging.attachment_sender import (
    MAX_BYTES,
    AttachmentSender,
    attachment_bytes,
    store_sent,
)
from flask_braintrust_evals.distribution.messaging.messages import (
    MessageTooLargeError,
    MessageWriter,
)
from flask_braintrust_evals.distribution.messaging.reports import Report

NAMESPACE = str(uuid.uuid4())
REFERENCE = {"type": "braintrust_attachment", "filename": "a", "content_type": "b", "key": "k"}


class Store:
    def __init__(self) -> None:
        self.stored: list[tuple[Mapping[str, Any], bytes]] = []

    def add_named(self, reference: Mapping[str, Any], content: bytes) -> None:
        if reference["key"] == "refused":
            raise ValueError("not one of this run")
        self.stored.append((reference, content))


def written(max_bytes: int, content: Any) -> None:
    reports = [[*Report("attachment", uuid.uuid4().hex, 123_456, 3, content)]]
    MessageWriter("s", max_bytes).write("report", {"process": "p" * 300, "reports": reports})


@pytest.mark.parametrize("max_message", [10_000, 100_000, 1_000_000])
def test_what_a_sender_takes_fits_into_a_message_whatever_it_is(max_message: int) -> None:
    size = attachment_bytes(max_message)
    sent: list[Any] = []
    sender = AttachmentSender(NAMESPACE, size, sent.append)
    sender.add(REFERENCE, os.urandom(size))  # cannot be compressed
    written(max_message, sent[0])
    with pytest.raises(MessageTooLargeError):
        written(max_message, [REFERENCE, base64.b64encode(os.urandom(size * 6 // 5)).decode()])


def test_an_attachment_is_never_larger_than_braintrust_takes() -> None:
    assert attachment_bytes(2**29) == MAX_BYTES


def test_an_attachment_has_the_same_key_on_all_workers_and_is_sent_once_by_each() -> None:
    store, sent = Store(), list[Any]()
    first = AttachmentSender(NAMESPACE, 100, sent.append).add(REFERENCE, b"content")
    second = AttachmentSender(NAMESPACE, 100, sent.append)
    assert [second.add(REFERENCE, b"content") for _ in range(2)] == [first, first]
    assert isinstance(first, dict)
    assert uuid.UUID(first["key"]).version == 5
    assert {**first, "key": "k"} == REFERENCE
    for each in sent:
        store_sent(each, store)
    assert store.stored == [(first, b"content")] * 2
    other = AttachmentSender(str(uuid.uuid4()), 100, sent.append).add(REFERENCE, b"content")
    assert other != first


@pytest.mark.parametrize(
    "content", [None, [], [REFERENCE], [REFERENCE, "no base64"], [{"key": "refused"}, "YQ=="]]
)
def test_what_is_no_attachment_is_left_out(content: Any, caplog: pytest.LogCaptureFixture) -> None:
    store = Store()
    with caplog.at_level(logging.WARNING, "flask_braintrust_evals"):
        store_sent(content, store)
    assert store.stored == []
    assert "an attachment of a worker is left out" in caplog.text
