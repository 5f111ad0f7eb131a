"""The Braintrust object that a run's spans belong to, in the forms that the protocol uses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flask_braintrust_evals.errors import RequestError
from flask_braintrust_evals.serialization.json_writing import encoded
from flask_braintrust_evals.texts.excerpts import excerpt
from flask_braintrust_evals.tracing import semconv

_ATTRIBUTE_PREFIXES = {
    "playground_logs": "playground_id",
    "playground_id": "playground_id",
    "experiment": "experiment_id",
    "project_logs": "project_id",
}
_MAX_LENGTH = 50_000
"""Characters of an id, or of the text of an exported span: servers refuse longer headers. And bytes
of a parent in JSON, which each call of a scorer has, and of which each span has a part."""

_ROW_FIELDS: Mapping[str, tuple[str, Mapping[str, str]]] = {
    "playground_id": ("prompt_session_id", {"log_id": "x"}),
    "experiment_id": ("experiment_id", {}),
    "project_id": ("project_id", {"log_id": "g"}),
}
"""The field with an object's id in rows of its kind, and the field that names its log."""


@dataclass(frozen=True)
class Parent:
    """The parent of a run's spans: given by the request, or made for a new experiment.

    Attributes:
        value: ``object_type`` and ``object_id``, or the opaque text of an exported span.
    """

    value: Mapping[str, Any] | str

    @classmethod
    def of(cls, value: Mapping[str, Any] | str) -> Parent:
        """Check a request's ``parent`` and return it.

        Raises:
            RequestError: the object has no known type or no id, or is too large, or the text fits
                no header.
        """
        if isinstance(value, str):
            if not _fits_header(value):
                raise RequestError("parent: expected an object, or the text of an exported span")
            return cls(value)
        object_type = value.get("object_type")
        if not isinstance(object_type, str) or object_type not in _ATTRIBUTE_PREFIXES:
            raise RequestError(
                f"parent.object_type: expected one of {', '.join(_ATTRIBUTE_PREFIXES)}, got"
                f" {excerpt(object_type)}"
            )
        object_id = value.get("object_id")
        if not isinstance(object_id, str) or not _fits_header(object_id):
            raise RequestError(f"parent.object_id: expected an id, got {excerpt(object_id)}")
        size = len(encoded(value, tolerant=True))
        if size > _MAX_LENGTH:
            raise RequestError(f"parent: has {size} bytes of JSON, and may have {_MAX_LENGTH}")
        return cls(value)

    @property
    def attribute(self) -> str:
        """The value of ``braintrust.parent`` on spans, and of the ``x-bt-parent`` header."""
        if isinstance(self.value, str):
            return self.value
        return f"{_ATTRIBUTE_PREFIXES[self.value['object_type']]}:{self.value['object_id']}"

    @property
    def generation(self) -> Any:
        """The version tag of the Playground's run; ``None`` if there is none."""
        return self._propagated[1].get("generation")

    @property
    def row_fields(self) -> Mapping[str, str] | None:
        """The fields by which a row that is written natively names the object that it belongs to.

        ``None``: the parent is the text of an exported span, which only Braintrust can read.
        """
        if isinstance(self.value, str):
            return None
        name, log = _ROW_FIELDS[_ATTRIBUTE_PREFIXES[self.value["object_type"]]]
        return {name: self.value["object_id"], **log}

    def id_if(self, object_type: str) -> str | None:
        """Return the id of the object if it is of this type, else ``None``."""
        if isinstance(self.value, str) or self.value["object_type"] != object_type:
            return None
        object_id = self.value["object_id"]
        assert isinstance(object_id, str)
        return object_id

    def of_scorer(self, trace_id: str, span_id: str) -> Mapping[str, Any] | str:
        """Return the parent for the spans of a function that a scorer calls.

        They go below the scorer's span, and are marked as those of a scorer. The text of an
        exported span is returned unchanged.

        Args:
            trace_id: the id of the trace of the scorer's span.
            span_id: the id of the scorer's span.
        """
        if isinstance(self.value, str):
            return self.value
        event, attributes = self._propagated
        return {
            **self.value,
            "row_ids": {"id": span_id, "span_id": span_id, "root_span_id": trace_id},
            "propagated_event": {
                **event,
                "span_attributes": {**attributes, **semconv.OF_SCORERS},
            },
        }

    @property
    def _propagated(self) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
        """What all spans below should have, and the ``span_attributes`` among it."""
        event = None if isinstance(self.value, str) else self.value.get("propagated_event")
        if not isinstance(event, Mapping):
            return {}, {}
        attributes = event.get("span_attributes")
        return event, attributes if isinstance(attributes, Mapping) else {}


def _fits_header(text: str) -> bool:
    return 0 < len(text) <= _MAX_LENGTH and text.isascii() and text.isprintable()
