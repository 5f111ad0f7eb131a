"""The names of the span attributes that Braintrust reads.

They are from its instrumentation specification (repository ``braintrustdata/braintrust-spec``,
``skills/instrumentation-spec/references/``). The values are JSON texts, except those of
:data:`PARENT` and :data:`TAGS`.
"""

from collections.abc import Mapping

PARENT = "braintrust.parent"
SPAN_ATTRIBUTES = "braintrust.span_attributes"
INPUT = "braintrust.input_json"
EXPECTED = "braintrust.expected_json"
OUTPUT = "braintrust.output_json"
METADATA = "braintrust.metadata"
METRICS = "braintrust.metrics"
TAGS = "braintrust.tags"
ORIGIN = "braintrust.origin"
SCORES = "braintrust.scores"
CLASSIFICATIONS = "braintrust.classifications"
CONTEXT = "braintrust.context_json"

OF_SCORERS = {"purpose": "scorer"}
"""Entries of :data:`SPAN_ATTRIBUTES` of all spans of scorers and classifiers, by which Braintrust
reports their cost separately from that of the task."""

ROW_ID = "flask_braintrust_evals.row_id"
"""Of this package alone: the id of the row that an ``eval`` span is recorded as, if it has another
id than the span. It never leaves the process; see ``cloud/tracing/native_rows.py``."""

ROW_FIELDS: Mapping[str, str] = {
    INPUT: "input",
    EXPECTED: "expected",
    OUTPUT: "output",
    METADATA: "metadata",
    SCORES: "scores",
    METRICS: "metrics",
    TAGS: "tags",
    ORIGIN: "origin",
    CLASSIFICATIONS: "classifications",
    CONTEXT: "context",
    SPAN_ATTRIBUTES: "span_attributes",
}
"""The field of a row in Braintrust, and of the SDK's records, that each attribute becomes."""
