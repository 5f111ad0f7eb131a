"""What scorers and classifiers may return."""

from __future__ import annotations

import decimal
import fractions
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, NamedTuple

import pytest
from pydantic import BaseModel

from flask_braintrust_evals.engine.values.scores import (
    Classification,
    Score,
    to_classifications,
    to_scores,
)

NAN, INF = float("nan"), float("inf")


@dataclass
class ForeignScore:
    """As the Score of autoevals or of the braintrust SDK."""

    name: str | None
    score: float | None = None
    metadata: dict[str, Any] | None = field(default_factory=dict)


class ModelScore(BaseModel):
    name: str
    score: float


class Zero:
    """As numpy's numbers are: iterable by their looks."""

    def __float__(self) -> float:
        return 0.0

    def __iter__(self) -> Iterator[float]:
        raise TypeError("iteration over a 0-d array")


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        pytest.param(0.5, [Score("s", 0.5)], id="float"),
        pytest.param(0, [Score("s", 0.0)], id="zero"),
        pytest.param(1, [Score("s", 1.0)], id="one"),
        pytest.param(True, [Score("s", 1.0)], id="true"),
        pytest.param(False, [Score("s", 0.0)], id="false"),
        pytest.param(decimal.Decimal("0.25"), [Score("s", 0.25)], id="decimal"),
        pytest.param(fractions.Fraction(1, 4), [Score("s", 0.25)], id="fraction"),
        pytest.param(Zero(), [Score("s", 0.0)], id="number that looks iterable"),
        pytest.param(None, [Score("s", None)], id="none"),
        pytest.param(Score("a", 0.5, {"why": 1}), [Score("a", 0.5, {"why": 1})], id="score"),
        pytest.param(Score("a"), [Score("a", None)], id="score without a number"),
        pytest.param({"score": 1}, [Score("s", 1.0)], id="dict"),
        pytest.param({"score": None}, [Score("s", None)], id="dict of none"),
        pytest.param({"score": True, "name": "a"}, [Score("a", 1.0)], id="dict with a name"),
        pytest.param({"score": 1, "name": ""}, [Score("s", 1.0)], id="dict with an empty name"),
        pytest.param(
            {"score": 1, "metadata": {"why": 1}, "more": 2},
            [Score("s", 1.0, {"why": 1})],
            id="dict with metadata",
        ),
        pytest.param({"score": 1, "metadata": None}, [Score("s", 1.0)], id="no metadata"),
        pytest.param(MappingProxyType({"score": 1}), [Score("s", 1.0)], id="other mapping"),
        pytest.param(ForeignScore("a", 0.5), [Score("a", 0.5)], id="foreign score"),
        pytest.param(ForeignScore(None, 0.5, None), [Score("s", 0.5)], id="foreign, nameless"),
        pytest.param(ModelScore(name="a", score=1), [Score("a", 1.0)], id="pydantic model"),
        pytest.param(1 + 1e-7, [Score("s", 1.0)], id="above 1 by rounding"),
        pytest.param(-1e-7, [Score("s", 0.0)], id="below 0 by rounding"),
        pytest.param(ForeignScore("a", 1.0000002), [Score("a", 1.0)], id="foreign, by rounding"),
        pytest.param(
            {"score": 1, "metadata": "why"}, [Score("s", 1.0, {"value": "why"})], id="text metadata"
        ),
        pytest.param(
            ForeignScore("a", 1, ["x"]),  # type: ignore[arg-type]
            [Score("a", 1.0, {"value": ["x"]})],
            id="list of metadata",
        ),
        pytest.param(
            {"score": 1, "metadata": ModelScore(name="a", score=1)},
            [Score("s", 1.0, {"name": "a", "score": 1.0})],
            id="model as metadata",
        ),
        pytest.param([], [], id="empty list"),
        pytest.param(
            [0.5, None, {"name": "a", "score": 1}, Score("b", 0), ForeignScore("c", 1)],
            [Score("s", 0.5), Score("s"), Score("a", 1.0), Score("b", 0.0), Score("c", 1.0)],
            id="list of all kinds",
        ),
        pytest.param((1, 0), [Score("s", 1.0), Score("s", 0.0)], id="tuple"),
        pytest.param((n for n in (1, 0)), [Score("s", 1.0), Score("s", 0.0)], id="generator"),
    ],
)
def test_a_scorer_may_return(result: Any, expected: list[Score]) -> None:
    assert to_scores(result, "s") == expected


KINDS = (
    "a scorer must return a number from 0 to 1, a bool, None, a Score, a dict with a 'score', or a"
    " list of those, not "
)


@pytest.mark.parametrize(
    ("result", "kind", "message"),
    [
        pytest.param(
            1.00001, ValueError, "score (1.00001) must be between 0 and 1", id="beyond rounding"
        ),
        pytest.param(
            -0.00001, ValueError, "score (-1e-05) must be between 0 and 1", id="below, not rounding"
        ),
        pytest.param(
            {"score": 1, "name": 5}, TypeError, "a score's name must be a string, not 5", id="name"
        ),
        pytest.param(
            {"score": 1, "name": json.loads("[" * 500 + "]" * 500)},
            TypeError,
            "a score's name must be a string, not [[[[...]]]]",
            id="deep name",
        ),
        pytest.param(1.5, ValueError, "score (1.5) must be between 0 and 1", id="above 1"),
        pytest.param(-0.1, ValueError, "score (-0.1) must be between 0 and 1", id="below 0"),
        pytest.param(
            10**400,
            ValueError,
            "score (100000000000000000...0000000000000000000) must be between 0 and 1",
            id="larger than a float",
        ),
        pytest.param(INF, ValueError, "score (inf) must be between 0 and 1", id="infinity"),
        pytest.param(
            NAN,
            ValueError,
            "score (nan) must be between 0 and 1; return None for 'no score'",
            id="nan",
        ),
        pytest.param({"score": 2}, ValueError, "score (2.0) must be between 0 and 1", id="in dict"),
        pytest.param(
            [0.5, 2], ValueError, "score (2.0) must be between 0 and 1", id="one of several"
        ),
        pytest.param(
            ForeignScore("a", -1), ValueError, "score (-1.0) must be between 0 and 1", id="foreign"
        ),
        pytest.param("0.5", TypeError, KINDS + "'0.5'", id="text"),
        pytest.param(b"1", TypeError, KINDS + "b'1'", id="bytes"),
        pytest.param(1j, TypeError, KINDS + "1j", id="complex"),
        pytest.param([[1]], TypeError, KINDS + "[1]", id="nested list"),
        pytest.param({"score": "high"}, TypeError, KINDS + "'high'", id="dict of text"),
        pytest.param({"score": [1]}, TypeError, KINDS + "[1]", id="dict of a list"),
        pytest.param(
            {"scores": 1},
            TypeError,
            "a score given as a dict needs the key 'score', not {'scores': 1}",
            id="dict without score",
        ),
        pytest.param(
            {}, TypeError, "a score given as a dict needs the key 'score', not {}", id="empty dict"
        ),
    ],
)
def test_a_scorer_may_not_return(result: Any, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind) as refused:
        to_scores(result, "s")

    assert str(refused.value) == message


def test_a_score_that_was_made_valid_and_changed_since_is_checked_again() -> None:
    score = Score("s", 0.5)
    score.score = 3

    with pytest.raises(ValueError, match=r"score \(3.0\) must be between 0 and 1"):
        to_scores(score, "s")


def test_the_scorers_own_object_is_not_the_one_that_is_kept() -> None:
    # A scorer may return the same object for every case.
    score = Score("s", 0.5, {"why": 1})
    (kept,) = to_scores(score, "s")
    kept.name, kept.metadata["why"] = "other", 2

    assert score == Score("s", 0.5, {"why": 1})


@pytest.mark.parametrize("number", [-0.01, 1.01, NAN, INF], ids=str)
def test_a_score_out_of_range_cannot_be_made(number: float) -> None:
    with pytest.raises(ValueError, match="must be between 0 and 1"):
        Score("s", number)


def test_a_score_that_is_no_number_cannot_be_made() -> None:
    wrong: Any = "high"
    with pytest.raises(TypeError) as refused:
        Score("s", wrong)
    assert str(refused.value) == "score ('high') must be a number from 0 to 1, or None"


def test_a_score_as_a_dict() -> None:
    assert Score("s", 1, {"a": 1}).as_dict() == {"name": "s", "score": 1, "metadata": {"a": 1}}


@dataclass
class ForeignClassification:
    id: str
    label: str | None = None


class ModelClassification(BaseModel):
    id: str
    name: str | None = None


class TupleClassification(NamedTuple):
    id: str
    label: str


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        pytest.param(None, [], id="none"),
        pytest.param([], [], id="empty list"),
        pytest.param({"id": "a"}, [Classification("a", "c")], id="dict"),
        pytest.param({"id": "a", "name": ""}, [Classification("a", "c")], id="empty name"),
        pytest.param(
            {"id": "a", "name": "n", "label": "A", "metadata": {"m": 1}, "more": 1},
            [Classification("a", "n", "A", {"m": 1})],
            id="full dict",
        ),
        pytest.param(Classification("a"), [Classification("a", "c")], id="classification"),
        pytest.param(
            Classification("a", "n", "A", {"m": 1}),
            [Classification("a", "n", "A", {"m": 1})],
            id="full classification",
        ),
        pytest.param(
            ForeignClassification("a", "A"), [Classification("a", "c", "A")], id="foreign"
        ),
        pytest.param(ModelClassification(id="a"), [Classification("a", "c")], id="pydantic model"),
        pytest.param(
            TupleClassification("a", "A"), [Classification("a", "c", "A")], id="named tuple"
        ),
        pytest.param(
            [{"id": "a"}, Classification("b")],
            [Classification("a", "c"), Classification("b", "c")],
            id="list",
        ),
        pytest.param([None, {"id": "a"}], [Classification("a", "c")], id="list with none"),
        pytest.param(({"id": x} for x in "a"), [Classification("a", "c")], id="generator"),
    ],
)
def test_a_classifier_may_return(result: Any, expected: list[Classification]) -> None:
    assert to_classifications(result, "c") == expected


LABELS = (
    "a classifier must return a Classification, a dict with an 'id', None, or a list of those, not "
)


@pytest.mark.parametrize(
    ("result", "kind", "message"),
    [
        pytest.param("a", TypeError, LABELS + "'a'", id="text"),
        pytest.param(1, TypeError, LABELS + "1", id="number"),
        pytest.param({"label": "A"}, TypeError, LABELS + "{'label': 'A'}", id="dict without id"),
        pytest.param([["a"]], TypeError, LABELS + "['a']", id="nested list"),
        pytest.param(
            {"id": ""}, ValueError, "a classification's id must be a string, not ''", id="empty id"
        ),
        pytest.param(
            {"id": 5}, ValueError, "a classification's id must be a string, not 5", id="number id"
        ),
        pytest.param(
            {"id": None},
            ValueError,
            "a classification's id must be a string, not None",
            id="none as id",
        ),
        pytest.param(
            {"id": "a", "name": 5},
            ValueError,
            "a classification's name must be a string or None, not 5",
            id="number as name",
        ),
        pytest.param(
            {"id": "a", "label": ["A"]},
            ValueError,
            "a classification's label must be a string or None, not ['A']",
            id="list as label",
        ),
        pytest.param(
            {"id": "a", "metadata": "m"},
            ValueError,
            "a classification's metadata must be a dict or None, not 'm'",
            id="text as metadata",
        ),
    ],
)
def test_a_classifier_may_not_return(result: Any, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind) as refused:
        to_classifications(result, "c")

    assert str(refused.value) == message


@pytest.mark.parametrize(
    ("classification", "item"),
    [
        (Classification("a", "n"), {"id": "a"}),
        (Classification("a", "n", "A"), {"id": "a", "label": "A"}),
        (Classification("a", metadata={}), {"id": "a", "metadata": {}}),
    ],
    ids=["id", "label", "metadata"],
)
def test_an_item_has_only_what_is_given(
    classification: Classification, item: dict[str, Any]
) -> None:
    assert classification.as_item() == item
