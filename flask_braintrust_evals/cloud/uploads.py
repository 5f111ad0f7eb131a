"""Stores attachments of a run in Braintrust, with the caller's session, beside the run.

As in the SDKs, that takes three calls: Braintrust names an address of its object store, the content
is sent there, and how that went is reported to Braintrust.
"""

from __future__ import annotations

import logging
import math
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

from flask_braintrust_evals.concurrency.gevent_patch import is_patched, real_thread_id, start_thread
from flask_braintrust_evals.errors import CloudError

from .attachments import name_of
from .sessions.user_session import UserSession

logger = logging.getLogger("flask_braintrust_evals")

MAX_BYTES = 50_000_000
"""Bytes of an attachment that is uploaded."""
MAX_WAITING_BYTES = 100_000_000
"""Bytes of attachments of all runs of the process that may wait for their upload."""
MAX_UPLOADS = 1_000
"""Attachments of one run."""
TIMEOUT = 60.0
"""Seconds that sending the content of an attachment may take."""
MAX_SECONDS = 60.0
"""Seconds after the end of a run in which uploads may begin."""
REPORT_SECONDS = 5.0
"""Seconds that reporting failed uploads to Braintrust may take, likewise."""
_AZURE = ".blob.core.windows.net"
_OWN_HEADERS = {"authorization", "content-length", "cookie", "host", "transfer-encoding"}
"""Headers that an answer must not set."""

_waiting_bytes = 0
_waiting_lock = threading.Lock()


class AttachmentUploads:
    """The uploads of one run, one after another. Thread-safe.

    Args:
        session: the caller's session.

    Attributes:
        namespace: what keys are made with, as text; other processes may make the same ones.
        lost: the number of attachments that are referred to, but could not be stored.
    """

    max_bytes = MAX_BYTES

    def __init__(self, session: UserSession) -> None:
        self._session = session
        self._changed = threading.Condition()
        self._queue: deque[tuple[Mapping[str, Any], bytes]] = deque()
        self._keys: set[str] = set()
        self._namespace = uuid.uuid4()
        self.namespace = str(self._namespace)
        self._thread = real_thread_id()
        self._is_running = False
        self._ends = math.inf
        self._callbacks: list[Callable[[], None]] = []
        self.lost = 0

    def add(self, reference: Mapping[str, Any], content: bytes) -> dict[str, Any] | str:
        """Have an attachment uploaded; the same one only once. See :class:`AttachmentStore`.

        An attachment of an evaluator's own cases is used by runs of several organisations. Each run
        stores it under a key of its own.
        """
        stored = {**reference, "key": str(uuid.uuid5(self._namespace, str(reference["key"])))}
        refusal = self._put(stored, content)
        return stored if refusal is None else refusal

    def add_named(self, reference: Mapping[str, Any], content: bytes) -> None:
        """Have an attachment uploaded that is referred to already, under the key of its reference.

        Where that is not possible, it is counted as lost.

        Args:
            reference: its reference, whose key was made with :attr:`namespace`.
            content: its content.

        Raises:
            ValueError: it is not such a reference.
        """
        if uuid.UUID(str(reference["key"])).version != 5:
            raise ValueError("the key is not one of this run")
        refusal = self._put(reference, content)
        if refusal is not None:
            self._report_loss(reference, refusal, to_braintrust=False)

    def _put(self, stored: Mapping[str, Any], content: bytes) -> str | None:
        """Add an attachment to the queue; return why that is not possible."""
        key = str(stored["key"])
        with self._changed:
            if key in self._keys:
                return None
            if self._ends < math.inf:
                return "the run has ended"
            if len(self._keys) >= MAX_UPLOADS:
                return f"a run may have {MAX_UPLOADS} large attachments"
            if not _reserve(len(content)):
                return "too many other attachments wait for their upload"
            self._keys.add(key)
            self._queue.append((stored, content))
        self._start()
        return None

    def _start(self) -> None:
        """Have the queue worked off, unless that is done, or must wait for :meth:`finish`."""
        # Under gevent, a greenlet belongs to the thread that starts it, and a task that blocks has
        # a thread of its own, which runs no other greenlets.
        if is_patched() and real_thread_id() != self._thread:
            return
        with self._changed:
            if self._is_running or not self._queue:
                return
            self._is_running = True
        try:
            start_thread(self._work, "eval-uploads")
        except RuntimeError:  # the system has no more threads: the next one, or finish(), goes on
            with self._changed:
                self._is_running = False

    def finish(self, then: Callable[[], None]) -> None:
        """Accept no more, and have ``then`` called when the uploads have ended.

        They may take :data:`MAX_SECONDS` more. It is called on the thread of the uploads, or at
        once if there are none. Where the system has no thread for them, the calling one makes those
        that begin within :data:`REPORT_SECONDS`; else it does not wait.
        """
        with self._changed:
            self._ends = time.monotonic() + MAX_SECONDS
            has_ended = not self._queue and not self._is_running
        if has_ended:  # as in most runs, which have no attachments
            then()
            return
        self._start()
        with self._changed:
            if self._is_running:
                self._callbacks.append(then)
                return
            self._is_running = True
            self._ends = time.monotonic() + REPORT_SECONDS
        try:
            self._work()
        except BaseException:  # such as KeyboardInterrupt: a later call goes on
            with self._changed:
                self._is_running = False
            raise
        finally:
            then()

    def wait(self, timeout: float) -> None:
        """Wait until the uploads have ended, at most ``timeout`` seconds."""
        deadline = time.monotonic() + timeout
        with self._changed:
            while self._is_running and (left := deadline - time.monotonic()) > 0:
                self._changed.wait(left)

    def _work(self) -> None:
        while (item := self._next()) is not None:
            reference, content = item
            try:
                if time.monotonic() >= self._ends:
                    raise CloudError("the run has ended before the upload")
                self._upload(reference, content)
            except Exception as error:
                reason = str(error) if isinstance(error, CloudError) else type(error).__name__
                self._report_loss(reference, reason)
            finally:
                _release(len(content))
                del item, content

    def _next(self) -> tuple[Mapping[str, Any], bytes] | None:
        with self._changed:
            if self._queue:
                return self._queue.popleft()
            self._is_running = False
            callbacks, self._callbacks = self._callbacks, []
            self._changed.notify_all()
        for callback in callbacks:
            callback()
        return None

    def _upload(self, reference: Mapping[str, Any], content: bytes) -> None:
        request = {name: reference[name] for name in ("key", "filename", "content_type")}
        request["org_id"] = self._session.org.id
        answer = self._session.api("POST", "/attachment", json=request, optional=True)
        url = answer.get("signedUrl") if isinstance(answer, dict) else None
        given = answer.get("headers") if isinstance(answer, dict) else None
        if not isinstance(url, str) or not isinstance(given, dict):
            raise CloudError("Braintrust does not say where to upload it")
        headers = {
            name: value
            for name, value in given.items()
            if isinstance(value, str) and name.lower() not in _OWN_HEADERS
        }
        headers.setdefault("Content-Type", str(reference["content_type"]))
        if (urlsplit(url).hostname or "").endswith(_AZURE):
            headers["x-ms-blob-type"] = "BlockBlob"
        what = f"the upload of {name_of(reference)}"
        self._session.upload(url, what, content, headers, TIMEOUT)
        self._report_status(reference, {"upload_status": "done"})

    def _report_loss(
        self, reference: Mapping[str, Any], reason: str, *, to_braintrust: bool = True
    ) -> None:
        self.lost += 1
        logger.warning("%s could not be stored: %s", name_of(reference), reason)
        if not to_braintrust or time.monotonic() >= self._ends + REPORT_SECONDS:
            return
        status = {"upload_status": "error", "error_message": reason}
        try:
            self._report_status(reference, status, timeout=REPORT_SECONDS, retry=False)
        except CloudError as error:
            logger.info("Braintrust was not told so: %s", error)

    def _report_status(
        self, reference: Mapping[str, Any], status: Mapping[str, str], **options: Any
    ) -> None:
        body = {"key": reference["key"], "org_id": self._session.org.id, "status": status}
        path = "/attachment/status"
        self._session.api("POST", path, json=body, parse=False, optional=True, **options)


def _reserve(size: int) -> bool:
    global _waiting_bytes
    with _waiting_lock:
        if _waiting_bytes and _waiting_bytes + size > MAX_WAITING_BYTES:
            return False
        _waiting_bytes += size
        return True


def _release(size: int) -> None:
    global _waiting_bytes
    with _waiting_lock:
        _waiting_bytes -= size
