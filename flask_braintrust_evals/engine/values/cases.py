"""A case: one input that a task is run on."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flask_braintrust_evals.errors import DataError


@dataclass
class EvalCase:
    """One input, with the data that belongs to it.

    Attributes:
        input: the value that the task gets; of any type.
        expected: the value that the task should return, for scorers to compare with.
        metadata: further values by name, for the task, the scorers and the trace.
        tags: labels of the case.
        id: the case's own id, such as that of a dataset's row.
        origin: a reference to the case in Braintrust: ``object_type``, ``object_id``, ``id``, and
            optionally ``_xact_id`` and ``created``.
        trial_count: how often to run this case; ``None``: as often as the evaluator says.
    """

    input: Any
    expected: Any = None
    metadata: dict[str, Any] | None = None
    tags: list[str] | None = None
    id: str | None = None
    origin: dict[str, Any] | None = None
    trial_count: int | None = None

    @classmethod
    def of(cls, value: Any) -> EvalCase:
        """Return ``value`` as a case.

        Args:
            value: an :class:`EvalCase`, a mapping with an ``input``, or an object with the fields
                of a case, such as the ``EvalCase`` of the ``braintrust`` SDK.

        Raises:
            DataError: it is none of these, or one of its fields has the wrong type.
        """
        if isinstance(value, cls):
            case = value
        elif isinstance(value, dict | Mapping):  # dict is checked much faster
            if "input" not in value:
                raise DataError(
                    f"a case needs an 'input', but this one has only: {', '.join(map(str, value))}"
                )
            case = cls(*map(value.get, _FIELDS))
        elif hasattr(value, "input"):
            case = cls(*(getattr(value, name, None) for name in _FIELDS))
        else:
            raise DataError(
                f"a case must be an object with an 'input', not a {type(value).__name__}"
            )
        case._check()
        return case

    def _check(self) -> None:
        optional = (self.metadata, self.origin, self.id, self.tags, self.trial_count)
        if optional == _ALL_NONE:
            return  # a request may have many cases, and most of them have none of these
        for name, kind, article in (
            ("metadata", Mapping, "an object"),
            ("origin", Mapping, "an object"),
            ("id", str, "a string"),
        ):
            value = getattr(self, name)
            if value is not None and not isinstance(value, kind):
                raise DataError(
                    f"a case's '{name}' must be {article}, not a {type(value).__name__}"
                )
        tags = self.tags
        if tags is not None and (
            not isinstance(tags, list | tuple) or not all(isinstance(tag, str) for tag in tags)
        ):
            raise DataError("a case's 'tags' must be a list of strings")
        count = self.trial_count
        if count is not None and (
            not isinstance(count, int) or isinstance(count, bool) or not 1 <= count <= sys.maxsize
        ):
            raise DataError(f"a case's 'trial_count' must be a whole number from 1, not {count!r}")


_ALL_NONE = (None,) * 5
_FIELDS = tuple(field.name for field in dataclasses.fields(EvalCase))
