"""What a run of an evaluator gave, in a form that is the same for two runs that did the same.

Ids, times and durations become words. What has no order of its own is sorted.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from braintrust.span_identifier_v4 import SpanComponentsV4

from tests.server import Sent
from tests.standin import StandIn, StoredSpan
from tests.standin.attachments import StoredAttachment
from tests.standin.journal import Call

_ID = re.compile(r"\b(?:[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9a-f]{32}|[0-9a-f]{16})\b")
_TIME = re.compile(r"\b\d{10}(?:\.\d+)?\b|\b\d{19}\b")
_PORT = re.compile(r"(?<=127\.0\.0\.1:)\d+")
_ADDRESS = re.compile(r"\b0x[0-9a-f]{8,}\b")
_IGNORED = re.compile("/control/|/attachment|/object-store/")
_FRAME = re.compile(r'  File "([^"]+)", line \d+, in .*\n(?:    .*\n)*')
_NUMBER = re.compile(r"-[0-9a-f]{8}\b")
_REPEATED = re.compile(r"\[Previous line repeated \d+ more times\]")
_EXPORTED = re.compile(r"[A-Za-z0-9+/]{60,}={0,2}")
_DURATIONS = {
    "duration",
    "start",
    "end",
    "time_to_first_token",
    "created",
    "metric",
    "seconds",
    "started",
}


def of_events(events: Iterable[Sent]) -> dict[str, Any]:
    """Return the events of each case in their order, and the others."""
    by_case: dict[str, list[Any]] = {}
    others: dict[str, Any] = {}
    for sent in events:
        if sent.event == "progress":
            by_case.setdefault(sent.json["id"], []).append(plain(sent.json))
        else:
            others[sent.event] = plain(_parsed(sent.data))
    return {"cases": sorted(by_case.values(), key=_text), **others}


def of_spans(cloud: StandIn, parent: str) -> dict[str, Any]:
    """Return the traces in an object of Braintrust, and the rows and attachments."""
    spans: list[StoredSpan] = []
    for span in cloud.spans:
        # A request that takes seconds, on a machine that is busy, is sent once more.
        if span.parent_header == parent and span not in spans:
            spans.append(span)
    rows = [row for row in cloud.rows if row.parent == parent]
    known = {span.span_id for span in spans}
    above = {row.row["span_id"] for row in rows}
    roots = [span for span in spans if span.parent_span_id not in known]
    lost = [span for span in roots if span.parent_span_id and span.parent_span_id not in above]
    return {
        "traces": sorted((_tree(span, spans) for span in roots), key=_text),
        "rows": sorted(({"row": plain(row.row), "token": row.token} for row in rows), key=_text),
        "below rows": len([span for span in roots if span.parent_span_id in above]),
        "below nothing": len(lost),
        "twice": len(spans) - len(known),
    }


def of_attachments(stored: Iterable[StoredAttachment]) -> list[Any]:
    """Return attachments that were stored."""
    return sorted(
        (
            plain(
                {
                    **each.reference,
                    "token": each.token,
                    "bytes": len(each.content or b""),
                    "status": each.status,
                }
            )
            for each in stored
        ),
        key=_text,
    )


def of_calls(calls: Iterable[Call]) -> dict[str, Any]:
    """Return the calls of functions, and who called whatever was called."""
    others = [call for call in calls if not _IGNORED.match(call.path)]
    invoked = [plain(call.json) for call in others if call.path == "/function/invoke"]
    return {
        "invoked": sorted(invoked, key=_text),
        "tokens": sorted({str(call.token) for call in others}),
    }


def differences(local: Any, remote: Any, path: str = "") -> list[str]:
    """Return where two values differ, one line for each place."""
    if isinstance(local, dict) and isinstance(remote, dict):
        found = []
        for name in [*local, *(name for name in remote if name not in local)]:
            where = f"{path}.{name}"
            if name not in remote:
                found.append(f"{where}: only local: {_short(local[name])}")
            elif name not in local:
                found.append(f"{where}: only on workers: {_short(remote[name])}")
            else:
                found += differences(local[name], remote[name], where)
        return found
    if isinstance(local, list) and isinstance(remote, list) and len(local) == len(remote):
        pairs = enumerate(zip(local, remote, strict=True))
        return [each for n, (a, b) in pairs for each in differences(a, b, f"{path}[{n}]")]
    if local == remote and type(local) is type(remote):
        return []
    return [f"{path}: local {_short(local)}, on workers {_short(remote)}"]


def plain(value: Any, name: str = "") -> Any:
    """Return a value without what differs between two runs."""
    if name in _DURATIONS and isinstance(value, float | int | str):
        return "<time>"
    if isinstance(value, str):  # most are
        return _plain_text(value)
    if isinstance(value, Mapping) and name == "duration":  # its mean and so on
        return {k: "<time>" if isinstance(each, float) else each for k, each in value.items()}
    if isinstance(value, Mapping):
        return {plain(str(key)): plain(each, str(key)) for key, each in _stable(value)}
    if isinstance(value, list | tuple):
        return [plain(each, name) for each in value]
    if isinstance(value, float) and value > 1e9:
        return "<time>"
    return value


@functools.lru_cache(10_000)
def _plain_text(text: str) -> Any:
    if text[:1] in ("{", "["):
        parsed = _parsed(text)
        if isinstance(parsed, dict | list):
            return plain(parsed)
    if _EXPORTED.fullmatch(text) and len(text) < 10_000:
        try:
            return plain(SpanComponentsV4.from_str(text).__dict__)
        except Exception:
            pass
    text = _FRAME.sub(_user_frame, text)
    text = _NUMBER.sub("", text)
    text = _REPEATED.sub("[Previous line repeated]", text)
    text = _EXPORTED.sub("<exported>", text) if len(text) < 10_000 else text
    text = _PORT.sub("<port>", text)
    for pattern, word in ((_ID, "<id>"), (_ADDRESS, "<address>"), (_TIME, "<time>")):
        text = pattern.sub(word, text)
    return text


def _stable(value: Mapping[Any, Any]) -> Iterable[tuple[Any, Any]]:
    """Return the items of an object without the time that an entry of the summary has."""
    if value.get("name") not in (None, "duration"):
        return [(f"{key} of it" if key == "metric" else key, each) for key, each in value.items()]
    return value.items()


def _user_frame(match: re.Match[str]) -> str:
    """Return a frame of a stack, unless it is of the package: it depends on how code is called."""
    is_of_user = "/tests/" in match[1] or "/example_app/" in match[1]
    return match[0] if is_of_user else ""


def _tree(span: StoredSpan, spans: list[StoredSpan]) -> dict[str, Any]:
    below = [_tree(each, spans) for each in spans if each.parent_span_id == span.span_id]
    return {
        "name": span.name,
        "attributes": plain(span.attributes),
        "status": plain([span.status_code, span.status_message]),
        "events": plain(span.events),
        "links": [plain(attributes) for _, _, attributes in span.links],
        "resource": plain(span.resource),
        "scope": span.scope,
        "token": span.token,
        "is a root": not span.parent_span_id,
        "ends after it starts": span.end >= span.start,
        "below": sorted(below, key=_text),
    }


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True, default=repr)


def _short(value: Any) -> str:
    text = _text(value)
    return text if len(text) < 600 else f"{text[:400]} … {text[-150:]}"
