"""The names of the span attributes that Braintrust reads.

From its instrumentation specification (repository ``braintrustdata/braintrust-spec``,
``skills/instrumentation-spec/references/``). All but :data:`PARENT` and
:data:`TAGS` hold JSON text.
"""

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
