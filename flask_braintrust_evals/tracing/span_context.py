"""Makes the ``context`` of a span: what recorded it, and the place in the code that it stands for.

The form is that of Braintrust's SDKs. ``span_origin`` says which software recorded a span, and in
which environment; the ``caller_*`` fields name a function, its file and a line.
"""

from __future__ import annotations

import functools
import os
from typing import TYPE_CHECKING, NamedTuple

from flask_braintrust_evals._version import __version__
from flask_braintrust_evals.serialization.json_writing import dumps
from flask_braintrust_evals.texts.safe_texts import clean_text

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan

INSTRUMENTATION = "flask-braintrust-evals"
"""What records the spans of this package."""
_VARIABLES = {
    "type": "BRAINTRUST_ENVIRONMENT_TYPE",
    "name": "BRAINTRUST_ENVIRONMENT_NAME",
}
_CODE_ATTRIBUTES = (
    ("code.function.name", "code.function"),
    ("code.file.path", "code.filepath"),
    ("code.line.number", "code.lineno"),
)
"""OpenTelemetry's attributes for a place in the code, each with its former name."""

MAX_TEXT = 500
"""Characters of a text that is taken from a span of another tracer."""


class Place(NamedTuple):
    """A place in the code: the name of a function, the path of its file, and a line."""

    function: str
    file: str
    line: int


@functools.lru_cache(maxsize=1000)
def span_context(place: Place | None, instrumentation: str = INSTRUMENTATION) -> str:
    """Return the context of spans as JSON text.

    Args:
        place: the place in the code; ``None``: it is not known.
        instrumentation: what recorded them.
    """
    context: dict[str, object] = {}
    if place is not None:
        context["caller_functionname"] = clean_text(place.function)
        context["caller_filename"] = clean_text(place.file)
        context["caller_lineno"] = place.line
    context["span_origin"] = {
        "name": "flask_braintrust_evals",
        "version": __version__,
        "instrumentation": {"name": clean_text(instrumentation)},
        **_environment(),
    }
    return dumps(context)


def context_of(span: ReadableSpan) -> str:
    """Return the context of a span of another tracer, from what its attributes tell."""
    scope = span.instrumentation_scope
    attributes = span.attributes or {}
    function, file, line = (
        attributes.get(name, attributes.get(former)) for name, former in _CODE_ATTRIBUTES
    )
    place = None
    if isinstance(file, str) and isinstance(line, int) and not isinstance(line, bool):
        name = function if isinstance(function, str) else ""
        place = Place(name[:MAX_TEXT], file[:MAX_TEXT], line)
    return span_context(place, "unknown" if scope is None else scope.name[:MAX_TEXT])


def _environment() -> dict[str, dict[str, str]]:
    """Return where the process runs, if Braintrust's variables say so."""
    named = {key: os.environ.get(name) for key, name in _VARIABLES.items()}
    found = {key: clean_text(value) for key, value in named.items() if value}
    return {"environment": found} if found else {}
