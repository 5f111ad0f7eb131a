"""Changes spans as the application has told the ``braintrust`` SDK to change them.

``braintrust.set_masking_function`` and ``braintrust.set_span_customizers`` hold for all that the
SDK sends. This package sends the spans of a run itself, so it has to apply both. A customizer gets
and returns a *record*, the SDK's own form of a span: a dict with the fields ``input``, ``output``,
``metadata`` and so on. If one fails, the span is sent without what it might have hidden, as by the
SDK: https://github.com/braintrustdata/braintrust-sdk-python, ``span_customizer.py``.
"""

from __future__ import annotations

import functools
import inspect
import logging
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from braintrust.logger import _internal_get_global_state
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import Status, StatusCode, format_span_id, format_trace_id

from flask_braintrust_evals.serialization.json_reading import loads_if_json
from flask_braintrust_evals.serialization.json_writing import dumps_or_reason
from flask_braintrust_evals.texts.safe_texts import safe_text
from flask_braintrust_evals.tracing import semconv
from flask_braintrust_evals.tracing.sizes import plain_attributes
from flask_braintrust_evals.tracing.span_copies import copy_of
from flask_braintrust_evals.tracing.span_errors import error_of

logger = logging.getLogger("flask_braintrust_evals")

Record = dict[str, Any]
Change = Callable[[Record], Any]

_MASKED = ("input", "output", "expected", "metadata", "context", "scores", "metrics")
_TIMES = ("start", "end")


def customizer() -> Callable[[ReadableSpan], ReadableSpan] | None:
    """Return what changes a span as the application has told the SDK to; ``None``: nothing does."""
    changes = [*_customizers(), *_masking()]
    return functools.partial(customized, changes=changes) if changes else None


def customized(span: ReadableSpan, changes: Iterable[Change]) -> ReadableSpan:
    """Return a copy of a span that has been changed.

    Args:
        span: a finished span.
        changes: each is called with a record, and returns the record to be sent. If one fails, the
            span is sent without its contents.
    """
    record = original = _record_of(span)
    try:
        for change in changes:
            result = change({**record})
            if inspect.iscoroutine(result):
                result.close()
            if not isinstance(result, dict):
                raise TypeError(f"returned {type(result).__name__}")
            record = result
        return _span_of(span, record, original.get("error"))
    except Exception as error:
        _log_once(type(error).__name__)
        return _stripped(span)


@functools.cache
def _log_once(kind: str) -> None:
    # Without the text of the error, which may have what was to be hidden.
    logger.error("a span customizer failed (%s): the span is sent without its contents", kind)


def _customizers() -> list[Change]:
    module = sys.modules.get("braintrust.span_customizer")
    found = getattr(module, "_span_customizers", ())
    return [each.on_span_export for each in found]


def _masking() -> list[Change]:
    # The SDK keeps the function in its background logger, which is made for that, if need be.
    background = _internal_get_global_state()._global_bg_logger.value
    function = getattr(background, "masking_function", None)  # of older versions
    functions = [] if function is None else [function]
    for each in getattr(background, "_export_customizers", ()):
        functions.append(each._masking_function)
    return [functools.partial(_masked, function) for function in functions]


def _masked(function: Callable[[Any], Any], record: Record) -> Record:
    for field in _MASKED:
        if field not in record:
            continue
        try:
            record[field] = function(record[field])
        except Exception as error:
            why = f"ERROR: Failed to mask field '{field}' - {type(error).__name__}"
            if field in ("scores", "metrics"):
                del record[field]
                record["error"] = f"{record['error']}; {why}" if "error" in record else why
            else:
                record[field] = {"error": why} if field == "metadata" else why
    return record


def _record_of(span: ReadableSpan) -> Record:
    assert span.context is not None
    attributes = plain_attributes(span)
    span_id = format_span_id(span.context.span_id)
    record: Record = {
        "id": attributes.get(semconv.ROW_ID, span_id),
        "span_id": span_id,
        "root_span_id": format_trace_id(span.context.trace_id),
        "span_parents": [] if span.parent is None else [format_span_id(span.parent.span_id)],
    }
    for name, field in semconv.ROW_FIELDS.items():
        if name in attributes:
            record[field] = _value(attributes[name])
    record["span_attributes"] = {"name": span.name, **_dict(record.get("span_attributes"))}
    times = {"start": (span.start_time or 0) / 1e9, "end": (span.end_time or 0) / 1e9}
    record["metrics"] = {**_dict(record.get("metrics")), **times}
    error = error_of(span)
    return record if error is None else {**record, "error": error}


def _span_of(span: ReadableSpan, record: Mapping[str, Any], error: str | None) -> ReadableSpan:
    """Return the span for a record; its identity and its times are those of ``span``."""
    others = {
        n: value for n, value in plain_attributes(span).items() if n not in semconv.ROW_FIELDS
    }
    fields = {**record}
    own = dict(_dict(fields.get("span_attributes")))
    name = own.pop("name", span.name)
    if isinstance(fields.get("metrics"), dict):
        fields["metrics"] = {n: v for n, v in fields["metrics"].items() if n not in _TIMES}
    fields["span_attributes"] = own
    attributes: dict[str, Any] = {}
    for attribute, field in semconv.ROW_FIELDS.items():
        value = fields.get(field)
        if value is None or (value == {} and attribute not in plain_attributes(span)):
            continue
        is_tags = attribute == semconv.TAGS
        attributes[attribute] = _tags(value) if is_tags else dumps_or_reason(value)
    changed: dict[str, Any] = {"name": safe_text(name), "attributes": {**others, **attributes}}
    text = fields.get("error")
    if text != error:
        changed["events"] = [each for each in span.events if each.name != "exception"]
        failed = text is not None
        changed["status"] = (
            Status(StatusCode.ERROR, _text(text)) if failed else Status(span.status.status_code)
        )
    return copy_of(span, **changed)


def _stripped(span: ReadableSpan) -> ReadableSpan:
    """Return a span with nothing but its identity, its times, and its type."""
    attributes = plain_attributes(span)
    kind = _dict(_value(attributes.get(semconv.SPAN_ATTRIBUTES))).get("type")
    kept = {n: attributes[n] for n in (semconv.PARENT, semconv.ROW_ID) if n in attributes}
    if kind is not None:
        kept[semconv.SPAN_ATTRIBUTES] = dumps_or_reason({"type": kind})
    kept[semconv.CONTEXT] = '{"customizer_error":true}'
    return copy_of(
        span,
        name=str(kind or "span"),
        attributes=kept,
        events=(),
        links=(),
        status=Status(span.status.status_code),
    )


def _value(attribute: Any) -> Any:
    """Return the value of an attribute, which is JSON text, or a list of texts."""
    return list(attribute) if isinstance(attribute, tuple) else loads_if_json(attribute)


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _tags(value: Any) -> list[str]:
    return [_text(each) for each in value] if isinstance(value, list | tuple) else [_text(value)]


def _text(value: Any) -> str:
    return value if isinstance(value, str) else dumps_or_reason(value)
