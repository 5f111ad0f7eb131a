"""The error of a finished span."""

from __future__ import annotations

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import StatusCode

STACK = "exception.stacktrace"
"""https://opentelemetry.io/docs/specs/semconv/exceptions/exceptions-spans/"""


def error_of(span: ReadableSpan) -> str | None:
    """Return what Braintrust shows as the error of a span; ``None``: it has not failed.

    It is the stack trace of the last exception, or else the description of the status.
    """
    if span.status.status_code is not StatusCode.ERROR:
        return None
    for event in reversed(span.events):
        stack = (event.attributes or {}).get(STACK)
        if event.name == "exception" and isinstance(stack, str):
            return stack
    return span.status.description or "error"
