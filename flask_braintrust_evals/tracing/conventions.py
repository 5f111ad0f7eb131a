"""Reads what a span is, gets and returns, by the conventions of the libraries that record it.

These are Braintrust's, OpenTelemetry's (https://github.com/open-telemetry/semantic-conventions-genai)
and OpenInference's (https://github.com/Arize-ai/openinference). Tokens and costs are in
:mod:`.usage`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from . import semconv

INPUTS = (semconv.INPUT, "gen_ai.input.messages", "input.value")
"""Attributes with the input of a span. Of several, the first one is used."""
OUTPUTS = (semconv.OUTPUT, "gen_ai.output.messages", "output.value")
"""Attributes with the output of a span, likewise."""

_KINDS = {"LLM": "llm", "TOOL": "tool"}


def first_of(attributes: Mapping[str, Any], names: Iterable[str]) -> Any:
    """Return the first of these attributes that a span has; ``None``: it has none of them."""
    return next((attributes[name] for name in names if name in attributes), None)


def span_type(attributes: Mapping[str, Any]) -> str | None:
    """Return the type in Braintrust of a span that names none; ``None``: it has none, either."""
    kind = attributes.get("openinference.span.kind")
    if isinstance(kind, str):
        return _KINDS.get(kind)
    return "llm" if any(name.startswith("gen_ai.") for name in attributes) else None
