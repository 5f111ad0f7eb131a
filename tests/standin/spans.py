"""Spans as they arrive over OTLP, decoded to plain Python."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span

StatusCode = Literal["UNSET", "OK", "ERROR"]
_STATUS: tuple[StatusCode, ...] = ("UNSET", "OK", "ERROR")


@dataclass(frozen=True)
class StoredSpan:
    """One exported span and the request that brought it.

    Attributes:
        token: Of the request.
        parent_header: The request's `x-bt-parent`.
        resource: The resource's attributes.
        scope: Name of the instrumentation scope.
        parent_span_id: Hex, or `""` for a root.
        events: Pairs of name and attributes.
        links: Triples of trace id, span id and attributes.
        start, end: Nanoseconds since the epoch.
    """

    token: str
    parent_header: str
    resource: dict[str, Any]
    scope: str
    name: str
    trace_id: str
    span_id: str
    parent_span_id: str
    attributes: dict[str, Any]
    status_code: StatusCode
    status_message: str
    events: list[tuple[str, dict[str, Any]]] = field(repr=False)
    links: list[tuple[str, str, dict[str, Any]]] = field(repr=False)
    start: int = field(repr=False)
    end: int = field(repr=False)

    def json(self, attribute: str) -> Any:
        """The parsed value of an attribute that holds JSON text. Raises `KeyError` without it."""
        return json.loads(self.attributes[attribute])

    @property
    def type(self) -> str | None:
        """Braintrust's type of the span: `eval`, `task`, `score`, `classifier`."""
        text = self.attributes.get("braintrust.span_attributes")
        return None if text is None else json.loads(text).get("type")


def decode_spans(body: bytes, *, token: str, parent_header: str) -> list[StoredSpan]:
    """Decode an OTLP export request. Raises `ValueError` where it is none."""
    export = ExportTraceServiceRequest()
    try:
        export.ParseFromString(body)
    except Exception as error:  # protobuf's DecodeError has no type stubs to name it by
        raise ValueError(f"not an OTLP export request: {error}") from error
    return list(_walk(export, token, parent_header))


def _walk(
    export: ExportTraceServiceRequest, token: str, parent_header: str
) -> Iterator[StoredSpan]:
    for of_resource in export.resource_spans:
        resource = _plain_pairs(of_resource.resource.attributes)
        for of_scope in of_resource.scope_spans:
            for span in of_scope.spans:
                yield _stored(span, token, parent_header, resource, of_scope.scope.name)


def _stored(
    span: Span, token: str, parent_header: str, resource: dict[str, Any], scope: str
) -> StoredSpan:
    return StoredSpan(
        token=token,
        parent_header=parent_header,
        resource=resource,
        scope=scope,
        name=span.name,
        trace_id=span.trace_id.hex(),
        span_id=span.span_id.hex(),
        parent_span_id=span.parent_span_id.hex(),
        attributes=_plain_pairs(span.attributes),
        status_code=_STATUS[span.status.code],
        status_message=span.status.message,
        events=[(event.name, _plain_pairs(event.attributes)) for event in span.events],
        links=[
            (link.trace_id.hex(), link.span_id.hex(), _plain_pairs(link.attributes))
            for link in span.links
        ],
        start=span.start_time_unix_nano,
        end=span.end_time_unix_nano,
    )


def _plain_pairs(pairs: Iterable[KeyValue]) -> dict[str, Any]:
    return {pair.key: _plain(pair.value) for pair in pairs}


def _plain(value: AnyValue) -> Any:
    kind = value.WhichOneof("value")
    if kind is None:
        return None
    if kind == "array_value":
        return [_plain(item) for item in value.array_value.values]
    if kind == "kvlist_value":
        return _plain_pairs(value.kvlist_value.values)
    return getattr(value, kind)
