"""Attachments: where they are to be sent, the store that takes them, and what became of them."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from urllib.parse import unquote

from .answers import Answer, Refusal, json_answer
from .journal import Call
from .request import Request, World
from .state import Row

STORE = "/object-store/"
_SIGNATURE = "signature-of-the-store"
_STATUS = {"uploading", "done", "error"}


@dataclass
class StoredAttachment:
    """An attachment that was announced, and its content once it has been sent.

    Attributes:
        org: The id of its organisation.
        reference: `key`, `filename` and `content_type`.
        token: Of the user who announced it.
    """

    org: str
    reference: Row
    token: str
    content: bytes | None = field(default=None, repr=False)
    status: Row = field(default_factory=lambda: {"upload_status": "uploading"})


def announce(request: Request) -> Answer:
    reference = {name: request.text(name) for name in ("key", "filename", "content_type")}
    org = _org(request, request.text("org_id"))
    kept = request.world.cloud.attachments
    if reference["key"] in kept:
        raise Refusal(400, "The key is taken")
    kept[reference["key"]] = StoredAttachment(org, reference, request.caller.token)
    url = f"{request.world.url}{STORE}{reference['key']}?signature={_SIGNATURE}"
    return json_answer({"signedUrl": url, "headers": {"x-store": "yes"}})


def report(request: Request) -> Answer:
    attachment = _attachment(request.world, request.text("key"))
    status = request.body.get("status")
    if _org(request, request.text("org_id")) != attachment.org:
        raise Refusal(403, "The attachment belongs to another organization")
    if not isinstance(status, dict) or status.get("upload_status") not in _STATUS:
        raise Refusal(400, "status needs an upload_status")
    if status["upload_status"] == "done" and attachment.content is None:
        raise Refusal(400, "Nothing has been uploaded")
    attachment.status = status
    return json_answer({})


def describe(request: Request) -> Answer:
    query = request.call.query
    attachment = _attachment(request.world, query.get("key", ""))
    if _org(request, query.get("org_id", "")) != attachment.org:
        raise Refusal(403, "The attachment belongs to another organization")
    url = f"{request.world.url}{STORE}{query['key']}?signature={_SIGNATURE}"
    return json_answer({"downloadUrl": url, "status": attachment.status})


def store(world: World, call: Call) -> Answer:
    """The object store, which knows no tokens, only signatures of addresses."""
    if "authorization" in call.headers or call.query.get("signature") != _SIGNATURE:
        raise Refusal(403, "SignatureDoesNotMatch")
    attachment = _attachment(world, unquote(call.path.removeprefix(STORE)))
    if call.method == "GET":
        return Answer(200, attachment.content or b"", str(attachment.reference["content_type"]))
    if call.method != "PUT":
        raise Refusal(405, "PUT or GET")
    if call.headers.get("content-type") != attachment.reference["content_type"]:
        raise Refusal(403, "The Content-Type is not the one that was signed")
    if call.headers.get("x-store") != "yes":
        raise Refusal(403, "A header that was signed is missing")
    attachment.content = call.body
    return Answer(200, b"")


def _attachment(world: World, key: str) -> StoredAttachment:
    found: StoredAttachment | None = world.cloud.attachments.get(key)
    if found is None or not re.fullmatch(r"[0-9a-f-]{36}", key):
        raise Refusal(404, "There is no such attachment")
    return found


def _org(request: Request, id: str) -> str:
    if id not in {request.world.cloud.org_id(name) for name in request.caller.orgs}:
        raise Refusal(403, f"Not a member of organization {id!r}")
    return id
