"""The spans of a case that has ended, for the client of a run that asks for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

ERROR_STACK = "error_stack"
"""The field of a span with the stack trace of its exception."""


@dataclass(frozen=True)
class CaseSpans:
    """The spans of one case, bounded in number and in size.

    Attributes:
        spans: each a JSON object: ``id``, ``parent_id``, ``name``, ``type``, ``start`` and ``end``
            in seconds since the case began, and where there are any ``input``, ``output``,
            ``expected``, ``metadata``, ``metrics``, ``scores``, ``error`` and ``error_stack``;
            ``cut`` is true where some of it is left out. They are in the order of their ends.
        left_out: how many more there were.
        size: about how many bytes they take.
    """

    spans: Sequence[Mapping[str, Any]] = field(default=(), repr=False)
    left_out: int = 0
    size: int = 0

    def without_stacks(self) -> CaseSpans:
        """Return the same without the stack traces of exceptions."""
        spans = [
            {name: value for name, value in each.items() if name != ERROR_STACK}
            for each in self.spans
        ]
        return CaseSpans(spans, self.left_out, self.size)

    def followed_by(self, later: CaseSpans) -> CaseSpans:
        """Return these spans, and those of what was done with the case elsewhere after them.

        The other process has another clock: what it did is shown to begin when the case had ended
        here. Its own root span is left out.
        """
        left_out = self.left_out + later.left_out
        if not self.spans:
            return CaseSpans(later.spans, left_out, later.size)
        others = [each for each in later.spans if each["parent_id"] is not None]
        if not others:
            return CaseSpans(self.spans, left_out, self.size)
        shift = max(each["end"] for each in self.spans) - min(each["start"] for each in others)
        moved = [
            {**each, "start": each["start"] + shift, "end": each["end"] + shift} for each in others
        ]
        return CaseSpans([*self.spans, *moved], left_out, self.size + later.size)
