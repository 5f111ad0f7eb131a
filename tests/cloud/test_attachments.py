"""Stored attachments are loaded as the caller, or there is an error that says why."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from types import SimpleNamespace
from typing import Any

import pytest

from flask_braintrust_evals.cloud import attachments
from flask_braintrust_evals.cloud.attachments import AttachmentLoader
from flask_braintrust_evals.cloud.http.addresses import AddressRules
from flask_braintrust_evals.cloud.http.client import CloudClient
from flask_braintrust_evals.cloud.http.tokens import Token
from flask_braintrust_evals.errors import CloudError

STORED = {
    "type": "braintrust_attachment",
    "filename": "a.png",
    "content_type": "image/png",
    "key": "key-1",
}
EXTERNAL = {
    "type": "external_attachment",
    "filename": "a.png",
    "content_type": "image/png",
    "url": "s3://bucket/a.png",
}


class Store(BaseHTTPRequestHandler):
    """Serves content to those who send no token."""

    def do_GET(self) -> None:
        allowed = self.path == "/content" and "Authorization" not in self.headers
        self.send_response(200 if allowed else 403)
        self.end_headers()
        self.wfile.write(b"\x89PNG" if allowed else b"no")

    def log_message(self, *args: Any) -> None: ...


@pytest.fixture
def store() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), Store)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


class Session:
    """As the session of a caller: it remembers its calls."""

    org = SimpleNamespace(id="org-1", name="acme")

    def __init__(self, answer: Any) -> None:
        self.answer = answer
        self.calls: list[Any] = []

    def api(self, method: str, path: str, **options: Any) -> Any:
        self.calls.append((method, path, options))
        return self.answer

    def download(self, *call: Any) -> bytes:
        client = CloudClient(Token("of-the-caller"), 5, AddressRules(hosts=("127.0.0.1",)))
        try:
            return client.download(*call)
        finally:
            client.close()


def loader(answer: Any) -> AttachmentLoader:
    return AttachmentLoader(Session(answer))  # type: ignore[arg-type]


def done(url: str) -> Any:
    return {"downloadUrl": url, "status": {"upload_status": "done"}}


@pytest.mark.parametrize(
    ("reference", "place"),
    [(STORED, {"key": "key-1"}), (EXTERNAL, {"url": "s3://bucket/a.png"})],
    ids=["stored", "external"],
)
def test_content_is_loaded_with_the_session_of_the_caller(
    store: str, reference: Any, place: Any
) -> None:
    session = Session(done(f"{store}/content"))
    content = AttachmentLoader(session).load(reference)  # type: ignore[arg-type]
    assert content == b"\x89PNG"
    params = {"filename": "a.png", "content_type": "image/png", "org_id": "org-1", **place}
    assert session.calls == [("GET", "/attachment", {"params": params})]


@pytest.mark.parametrize(
    ("reference", "answer", "message"),
    [
        (
            {"type": "braintrust_attachment", "filename": "a.png"},
            None,
            "the reference of an attachment has no 'content_type': .*",
        ),
        (
            {"type": "braintrust_attachment", "filename": "a.png", "content_type": ["x" * 999] * 9},
            None,
            "the reference of an attachment has no 'content_type': .{1,210}",
        ),
        (
            {**STORED, "filename": "x" * 10_000},
            None,
            "Braintrust does not say where attachment '.{1,210}' is",
        ),
        (STORED, None, "Braintrust does not say where attachment 'a.png' is"),
        (STORED, {"downloadUrl": 5}, "Braintrust does not say where attachment 'a.png' is"),
        (
            STORED,
            {"downloadUrl": "http://x", "status": {"upload_status": "uploading"}},
            "attachment 'a.png' is not uploaded: its status is 'uploading'",
        ),
        (
            STORED,
            done("nowhere"),
            "attachment 'a.png' could not be loaded: the address is not an http:// or https://"
            " address",
        ),
    ],
    ids=["incomplete", "large", "long name", "no answer", "no address", "uploading", "bad address"],
)
def test_an_attachment_that_cannot_be_loaded_says_why(
    reference: Any, answer: Any, message: str
) -> None:
    with pytest.raises(CloudError, match=f"^{message}$"):
        loader(answer).load(reference)


def test_the_signature_of_an_address_is_in_no_error(store: str) -> None:
    with pytest.raises(CloudError, match="^attachment 'a.png' could not be loaded: 403$"):
        loader(done(f"{store}/other?signature=secret")).load(STORED)


def test_an_attachment_that_is_too_large_is_not_kept(
    store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attachments, "MAX_BYTES", 3)
    with pytest.raises(CloudError, match="more than 3 bytes$"):
        loader(done(f"{store}/content")).load(STORED)
