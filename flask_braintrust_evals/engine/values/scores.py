"""Scores and classifications, made from the values that scorers and classifiers return."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from flask_braintrust_evals.errors import SerializationError
from flask_braintrust_evals.serialization.json_writing import plain_parts
from flask_braintrust_evals.texts.excerpts import excerpt

TOLERANCE = 1e-6
"""How far outside of 0 to 1 a score may be: means and cosines of floats are often so."""

R = TypeVar("R")


@dataclass
class Score:
    """One score of one case.

    Attributes:
        name: the name by which the score is shown and averaged.
        score: from 0 to 1; ``None``: the case has no score, and is left out of the mean. A number
            outside by no more than 0.000001 becomes 0 or 1.
        metadata: values that explain the score.

    Raises:
        TypeError: the score is neither a number nor ``None``.
        ValueError: the score is a number outside 0 to 1.
    """

    name: str
    score: float | None = None
    metadata: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        try:
            if self.score is None or 0 <= self.score <= 1:
                return
        except TypeError:
            raise TypeError(
                f"score ({excerpt(self.score)}) must be a number from 0 to 1, or None"
            ) from None
        if not -TOLERANCE <= self.score <= 1 + TOLERANCE:
            raise ValueError(f"score ({self.score}) must be between 0 and 1")
        self.score = 0.0 if self.score < 0 else 1.0

    def as_dict(self) -> dict[str, Any]:
        """Return the score as ``{"name", "score", "metadata"}``."""
        return {"name": self.name, "score": self.score, "metadata": self.metadata}


@dataclass
class Classification:
    """One label that a classifier gave to a case.

    Attributes:
        id: the label, for programs.
        name: the name of the classification; default: the classifier's name.
        label: the label, for people.
        metadata: values that explain the label.

    Raises:
        ValueError: the id is empty, or one of these is of another type.
    """

    id: str
    name: str | None = None
    label: str | None = None
    metadata: dict[str, Any] | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.id, str) or not self.id:
            raise ValueError(f"a classification's id must be a string, not {excerpt(self.id)}")
        for field_name in ("name", "label"):
            value = getattr(self, field_name)
            if value is not None and not isinstance(value, str):
                raise ValueError(
                    f"a classification's {field_name} must be a string or None, not"
                    f" {excerpt(value)}"
                )
        if self.metadata is not None and not isinstance(self.metadata, Mapping):
            raise ValueError(
                f"a classification's metadata must be a dict or None, not {excerpt(self.metadata)}"
            )

    def as_item(self) -> dict[str, Any]:
        """Return ``{"id"}`` with ``label`` and ``metadata`` if they are given."""
        item: dict[str, Any] = {"id": self.id}
        if self.label is not None:
            item["label"] = self.label
        if self.metadata is not None:
            item["metadata"] = self.metadata
        return item


_NUMBERS = frozenset((float, int, bool, type(None)))


def to_scores(result: Any, name: str) -> list[Score]:
    """Return the scores in the result of a scorer.

    Args:
        result: a number, a bool, ``None``, a :class:`Score`, a mapping with a ``score``, any object
            with ``name``, ``score`` and ``metadata``, or an iterable of those.
        name: the name of scores that have none.

    Returns:
        the scores. Metadata that are no dict are the entry ``value`` of their metadata.

    Raises:
        TypeError: the result is none of these, or a name is not a string.
        ValueError: a number is outside 0 to 1.
    """
    if type(result) is float and 0.0 <= result <= 1.0:  # as of most scorers
        return [Score(name, result)]
    if type(result) in _NUMBERS:
        return [Score(name, None if result is None else _number(result))]
    return _each(result, lambda item: _to_score(item, name))


def to_classifications(result: Any, name: str) -> list[Classification]:
    """Return the classifications in the result of a classifier.

    Args:
        result: ``None``, a :class:`Classification`, a mapping with an ``id``, any object with an
            ``id``, or an iterable of those.
        name: the name of classifications that have none.

    Raises:
        TypeError: the result is none of these.
        ValueError: see :class:`Classification`.
    """
    if result is None:
        return []
    if hasattr(result, "id"):  # named tuples and pydantic models with an id are iterable, too
        return [_to_classification(result, name)]
    items = _each(result, lambda item: item)
    return [_to_classification(item, name) for item in items if item is not None]


def _each(result: Any, convert: Callable[[Any], R]) -> list[R]:
    is_iterable = isinstance(result, Iterable) and not isinstance(result, str | bytes | Mapping)
    # Of these, numpy's 0-dimensional arrays are numbers, and an object with a score is one score.
    if is_iterable and not hasattr(result, "score") and not hasattr(result, "__float__"):
        return [convert(item) for item in result]
    return [convert(result)]


def _to_score(item: Any, name: str) -> Score:
    if isinstance(item, Score):
        return _score(item.name, item.score, item.metadata)
    if isinstance(item, Mapping):
        if "score" not in item:
            raise TypeError(f"a score given as a dict needs the key 'score', not {excerpt(item)}")
        return _score(item.get("name") or name, item["score"], item.get("metadata"))
    if hasattr(item, "score") and hasattr(item, "name"):
        return _score(item.name or name, item.score, getattr(item, "metadata", None))
    return _score(name, item, None)


def _score(name: Any, number: Any, metadata: Any) -> Score:
    if not isinstance(name, str):
        raise TypeError(f"a score's name must be a string, not {excerpt(name)}")
    return Score(name, _number(number), _metadata(metadata))


def _metadata(value: Any) -> dict[str, Any]:
    """Return metadata as a new dict. What is no dict must not cost the score."""
    if value is None:
        return {}
    if isinstance(value, Mapping):
        return dict(value)
    try:
        fields = plain_parts(value)  # of a dataclass or a pydantic model
    except SerializationError:
        fields = None
    return fields if isinstance(fields, dict) else {"value": value}


def _number(value: Any) -> float | None:
    if value is None:
        return None
    if isinstance(value, str | bytes) or not hasattr(value, "__float__"):
        raise TypeError(
            "a scorer must return a number from 0 to 1, a bool, None, a Score, a dict with a"
            f" 'score', or a list of those, not {excerpt(value)}"
        )
    try:
        number = float(value)
    except OverflowError:
        raise ValueError(f"score ({excerpt(value)}) must be between 0 and 1") from None
    if math.isnan(number):
        raise ValueError("score (nan) must be between 0 and 1; return None for 'no score'")
    return number


def _to_classification(item: Any, name: str) -> Classification:
    if isinstance(item, Mapping) and "id" in item:
        fields: dict[str, Any] = dict(item)
    elif hasattr(item, "id"):
        fields = {key: getattr(item, key, None) for key in ("id", "name", "label", "metadata")}
    else:
        raise TypeError(
            "a classifier must return a Classification, a dict with an 'id', None, or a list of"
            f" those, not {excerpt(item)}"
        )
    return Classification(
        id=fields["id"],
        name=name if fields.get("name") in (None, "") else fields["name"],
        label=fields.get("label"),
        metadata=fields.get("metadata"),
    )
