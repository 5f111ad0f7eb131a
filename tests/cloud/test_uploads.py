"""Attachments that are referred to before they arrive, as those of workers are."""

from __future__ import annotations

import logging
import uuid
from typing import Any, cast

import pytest

from flask_braintrust_evals.cloud import uploads
from flask_braintrust_evals.cloud.sessions.user_session import Organization, UserSession
from flask_braintrust_evals.cloud.uploads import AttachmentUploads

REFERENCE = {"type": "braintrust_attachment", "filename": "a.png", "content_type": "image/png"}


@pytest.fixture
def stored() -> AttachmentUploads:
    """The uploads of a run that has ended: from then on, nothing is sent."""
    made = AttachmentUploads(cast(UserSession, None))
    made.finish(lambda: None)
    return made


def named(stored: AttachmentUploads, key: str = "k") -> dict[str, Any]:
    return {**REFERENCE, "key": str(uuid.uuid5(uuid.UUID(stored.namespace), key))}


def test_one_that_comes_too_late_is_counted_as_lost_and_named(
    stored: AttachmentUploads, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "flask_braintrust_evals"):
        stored.add_named(named(stored), b"content")
    assert stored.lost == 1
    assert "attachment 'a.png' could not be stored: the run has ended" in caplog.text
    assert uploads._waiting_bytes == 0


@pytest.mark.parametrize("key", ["", "key-1", "94e647fb-b7be-4b1f-83a0-58adfccbec35"])
def test_a_key_that_no_worker_has_made_is_refused(stored: AttachmentUploads, key: str) -> None:
    with pytest.raises(ValueError, match=r"key|UUID"):
        stored.add_named({**REFERENCE, "key": key}, b"content")
    assert stored.lost == 0


def test_a_key_is_that_which_the_run_itself_would_make(monkeypatch: pytest.MonkeyPatch) -> None:
    made = AttachmentUploads(cast(UserSession, None))
    monkeypatch.setattr(made, "_start", lambda: None)
    reference = made.add({**REFERENCE, "key": "k"}, b"content")
    made.add_named(named(made), b"content")  # the same one, from a worker
    assert reference == named(made)
    assert len(made._queue) == 1
    uploads._release(len(b"content"))


def test_attachments_that_no_thread_could_be_had_for_are_stored_at_the_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Session:
        org = Organization("id", "acme")

        def api(self, method: str, path: str, **options: Any) -> Any:
            return {"signedUrl": "https://store", "headers": {}}

        def upload(self, url: str, what: str, content: bytes, *others: Any) -> None:
            if content == b"interrupt":
                raise KeyboardInterrupt
            done.append(content.decode())

    def refuse(work: Any, name: str) -> None:
        raise RuntimeError("can't start new thread")

    done: list[str] = []
    monkeypatch.setattr(uploads, "start_thread", refuse)
    made = AttachmentUploads(cast(UserSession, Session()))
    made.add({**REFERENCE, "key": "k"}, b"content")
    assert done == []
    made.finish(lambda: done.append("the end"))
    made.finish(lambda: done.append("again"))
    made.wait(0)
    assert done == ["content", "the end", "again"]
    assert (made.lost, uploads._waiting_bytes) == (0, 0)
    # What interrupts them leaves the rest to the next call.
    made = AttachmentUploads(cast(UserSession, Session()))
    for name in ("interrupt", "content"):
        made.add({**REFERENCE, "key": name}, name.encode())
    with pytest.raises(KeyboardInterrupt):
        made.finish(lambda: done.append("the end"))
    made.finish(lambda: done.append("again"))
    assert done[3:] == ["the end", "content", "again"]
    assert uploads._waiting_bytes == 0
