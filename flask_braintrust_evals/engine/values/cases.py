"""A case: one input that a task is run on."""

from __future__ import annotations

import dataclasses
import itertools
import operator
import sys
import uuid
from collections.abc import Callable, Iterable, Mapping, Set
from dataclasses import dataclass
from typing import Any

from flask_braintrust_evals.errors import DataError
from flask_braintrust_evals.texts.excerpts import MAX_QUOTED, excerpt, kind_of, shortened
from flask_braintrust_evals.texts.safe_texts import clean_text
from flask_braintrust_evals.texts.suggestions import is_misspelled

from . import foreign_datasets
from .copies import own_copy
from .origins import reference_of

MAX_TAGS = 1_000
"""Tags that a case may have: each is an attribute of its own in the case's trace."""


@dataclass
class EvalCase:
    """One input, with the data that belongs to it.

    Attributes:
        input: the value that the task gets; of any type.
        expected: the value that the task should return, for scorers to compare with.
        metadata: further values by name, for the task, the scorers and the trace.
        tags: labels of the case.
        id: the case's own id, such as that of a dataset's row; a string, a number, or another value
            whose ``str()`` names the case, such as a UUID.
        origin: a reference to the case in Braintrust: ``object_type``, ``object_id``, ``id``, and
            optionally ``_xact_id`` and ``created``. One that Braintrust would refuse is left out.
        trial_count: how often to run this case; ``None``: as often as the evaluator says.
        upsert_id: the id of the row in Braintrust that the result is recorded in. Another run with
            the same id replaces the row. ``None``: each run records a new row.
    """

    input: Any
    expected: Any = None
    metadata: dict[str, Any] | None = None
    tags: list[str] | None = None
    id: Any = None
    origin: dict[str, Any] | None = None
    trial_count: int | None = None
    upsert_id: str | None = None

    @classmethod
    def of(cls, value: Any, *, takes_misspelled: bool = False) -> EvalCase:
        """Return ``value`` as a case.

        Tags may be any iterable of strings, or one string. ``NaN`` and the missing values of pandas
        stand for ``None`` in all fields but ``input`` and ``expected``: rows of a table have them.

        Args:
            value: an :class:`EvalCase`, a mapping with an ``input``, or an object with the fields
                of a case, such as the ``EvalCase`` of the ``braintrust`` SDK.
            takes_misspelled: whether a key of a mapping that is a misspelled field is ignored, as
                other unknown keys are; so it is in requests.

        Raises:
            DataError: it is none of these, one of its fields has the wrong type, or one of its keys
                is a misspelled field.
        """
        if isinstance(value, cls):
            case = value
        elif isinstance(value, dict | Mapping):  # dict is checked much faster
            problem = None if takes_misspelled else misspelled_key(value)
            if problem is not None:
                raise DataError(problem)
            if "input" not in value:
                names = shortened(", ".join(map(str, value)), MAX_QUOTED)
                raise DataError(f"a case needs an 'input', but this one has only: {names}")
            case = cls(*map(value.get, _FIELDS))
        elif hasattr(_askable(value), "input"):
            case = cls(*(getattr(value, name, None) for name in _FIELDS))
        else:
            raise DataError(f"a case must be an object with an 'input', not {kind_of(value)}")
        return case._checked()

    def row_id(self, trial_index: int) -> str | None:
        """Return the id of the row in Braintrust that a trial replaces; ``None``: a new row.

        The first trial has the ``upsert_id`` itself. The ids of the others are made from it as in
        the ``braintrust`` SDK, so that trials do not replace each other.
        """
        if self.upsert_id is None or trial_index == 0:
            return self.upsert_id
        name = f"braintrust:eval:{self.upsert_id}:trial:{trial_index}"
        return str(uuid.uuid5(uuid.NAMESPACE_URL, name))

    def own_copy(self) -> EvalCase:
        """Return a copy that user code may change, see :func:`.copies.own_copy`."""
        if type(self) is not EvalCase:
            return dataclasses.replace(
                self, **{name: own_copy(getattr(self, name)) for name in _COPIED}
            )
        # The same in a fifth of the time.
        return EvalCase(
            own_copy(self.input),
            own_copy(self.expected),
            None if self.metadata is None else own_copy(self.metadata),
            None if self.tags is None else own_copy(self.tags),
            self.id,
            None if self.origin is None else own_copy(self.origin),
            self.trial_count,
            self.upsert_id,
        )

    def _checked(self) -> EvalCase:
        """Return this case, or a copy of it where a field must have another form."""
        # A request may have many cases, and most of them have none of these.
        if (
            self.metadata is None
            and self.origin is None
            and self.id is None
            and self.tags is None
            and self.trial_count is None
            and self.upsert_id is None
        ):
            return self
        changed = {}
        for name, check in _CHECKS.items():
            value = getattr(self, name)
            checked = None if value is None or _is_missing(value) else check(value)
            if checked is not value:
                changed[name] = checked
        return dataclasses.replace(self, **changed) if changed else self


def own_trial_count(value: Any) -> int | None:
    """Return how many trials a value says that its case has; ``None``: none, or no such number.

    It may be anything that :meth:`EvalCase.of` gets: a run says what is wrong with it.
    """
    if isinstance(value, EvalCase):
        count: Any = value.trial_count
    elif isinstance(value, dict | Mapping):
        count = value.get("trial_count")
    else:
        count = getattr(_askable(value), "trial_count", None)
    return count if type(count) is int else None


def _askable(value: Any) -> Any:
    """Return what can be asked for the fields of a case: a dataset of the SDK would log in."""
    return value if isinstance(value, list | tuple) else foreign_datasets.described(value)


def misspelled_key(value: Mapping[Any, Any]) -> str | None:
    """Return a message about a key that stands for a field that is not there; ``None``: none does.

    Other unknown keys are ignored, so that rows of tables and of datasets are cases.
    """
    if value.keys() <= FIELDS:
        return None
    missing = [field for field in _FIELDS if field not in value]
    for key in value:
        for field in missing:
            if isinstance(key, str) and key not in FIELDS and is_misspelled(key, field):
                return f"a case has no key {key!r}; did you mean {field!r}?"
    return None


def _is_missing(value: Any) -> bool:
    return (isinstance(value, float) and value != value) or type(value).__name__ in _MISSING


def _metadata(value: Any) -> Mapping[str, Any] | None:
    if isinstance(value, Mapping):
        return value
    if isinstance(value, str | list | tuple) and not value:
        return None  # an empty cell of a table
    raise DataError(f"a case's 'metadata' must be an object, not {kind_of(value)}")


def _id(value: Any) -> Any:
    if isinstance(value, Mapping | list | tuple | Set):
        raise DataError(f"a case's 'id' must be a string or a number, not {kind_of(value)}")
    return value


def _tags(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value] if value else []
    if isinstance(value, Mapping | bytes) or not isinstance(value, Iterable):
        raise DataError(f"a case's 'tags' must be a list of strings, not {excerpt(value)}")
    tags = list(itertools.islice(value, MAX_TAGS + 1))
    if len(tags) > MAX_TAGS:
        raise DataError(f"a case may have {MAX_TAGS} tags, and this one has more")
    for tag in tags:
        if not isinstance(tag, str):
            raise DataError(
                f"a case's 'tags' must be a list of strings, and one of them is {excerpt(tag)}"
            )
    if isinstance(value, Set):
        tags.sort()  # always in the same order
    return value if type(value) is list else tags


def _trial_count(value: Any) -> int:
    try:
        # Tables with missing numbers hold all numbers as floats.
        is_whole = isinstance(value, float) and value.is_integer()
        count = int(value) if is_whole else operator.index(value)
    except TypeError:
        count = 0
    if isinstance(value, bool) or not 1 <= count <= sys.maxsize:
        raise DataError(
            f"a case's 'trial_count' must be a whole number from 1, not {excerpt(value)}"
        )
    return count


def _upsert_id(value: Any) -> str | None:
    if not isinstance(value, str):
        raise DataError(f"a case's 'upsert_id' must be a string, not {excerpt(value)}")
    return clean_text(value) or None  # an empty one is none, as in the SDK


_MISSING = ("NAType", "NaTType")
"""The classes of pandas's missing values that are no floats."""
_CHECKS: dict[str, Callable[[Any], Any]] = {
    "metadata": _metadata,
    "origin": reference_of,
    "id": _id,
    "tags": _tags,
    "trial_count": _trial_count,
    "upsert_id": _upsert_id,
}
_COPIED = ("input", "expected", "metadata", "tags", "origin")
_FIELDS = tuple(field.name for field in dataclasses.fields(EvalCase))
FIELDS = frozenset(_FIELDS)
"""The names of a case's fields."""
