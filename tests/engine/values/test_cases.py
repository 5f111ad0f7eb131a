"""What can be a case."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from types import MappingProxyType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from flask_braintrust_evals.engine.values.cases import EvalCase
from flask_braintrust_evals.errors import DataError

NAN = float("nan")
ORIGIN = {"object_type": "dataset", "object_id": "d", "id": "r"}


class NAType:
    """As the missing value of pandas: it is neither true nor false."""

    def __bool__(self) -> bool:
        raise TypeError("boolean value of NA is ambiguous")


@dataclass
class SdkCase:
    """As the EvalCase of the braintrust SDK."""

    input: Any
    expected: Any = None
    metadata: dict[str, Any] | None = None
    tags: list[str] | None = None
    id: str | None = None
    _xact_id: str | None = None


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param({"input": 1}, EvalCase(1), id="dict"),
        pytest.param({"input": None}, EvalCase(None), id="input of none"),
        pytest.param({"input": 1, "more": 2}, EvalCase(1), id="unknown keys"),
        pytest.param(MappingProxyType({"input": 1}), EvalCase(1), id="other mapping"),
        pytest.param(
            {
                "input": 1,
                "expected": 2,
                "metadata": {"m": 1},
                "tags": ["t"],
                "id": "i",
                "origin": ORIGIN,
                "trial_count": 3,
            },
            EvalCase(1, 2, {"m": 1}, ["t"], "i", ORIGIN, 3),
            id="full dict",
        ),
        pytest.param(
            {"input": 1, "metadata": None, "tags": None, "id": None, "trial_count": None},
            EvalCase(1),
            id="nulls",
        ),
        pytest.param({"input": 1, "tags": ("t",)}, EvalCase(1, tags=["t"]), id="tuple of tags"),
        pytest.param({"input": 1, "tags": {"b", "a"}}, EvalCase(1, tags=["a", "b"]), id="tag set"),
        pytest.param({"input": 1, "tags": "t"}, EvalCase(1, tags=["t"]), id="one tag"),
        pytest.param({"input": 1, "tags": ""}, EvalCase(1, tags=[]), id="text without a tag"),
        pytest.param(
            {"input": 1, "tags": np.array(["a", "b"])}, EvalCase(1, tags=["a", "b"]), id="tag array"
        ),
        pytest.param({"input": 1, "metadata": {}}, EvalCase(1, metadata={}), id="no metadata"),
        pytest.param({"input": 1, "metadata": ""}, EvalCase(1), id="empty text as metadata"),
        pytest.param({"input": 1, "metadata": []}, EvalCase(1), id="empty list as metadata"),
        pytest.param({"input": 1, "id": 5}, EvalCase(1, id=5), id="number as id"),
        pytest.param({"input": 1, "id": np.int64(5)}, EvalCase(1, id=5), id="numpy id"),
        pytest.param(
            {"input": 1, "id": uuid.UUID(int=1)}, EvalCase(1, id=uuid.UUID(int=1)), id="uuid"
        ),
        pytest.param(
            {"input": 1, "trial_count": 3.0}, EvalCase(1, trial_count=3), id="whole float"
        ),
        pytest.param(
            {"input": 1, "trial_count": np.int64(3)}, EvalCase(1, trial_count=3), id="numpy count"
        ),
        pytest.param(
            dict.fromkeys(("metadata", "tags", "id", "origin", "trial_count"), NAN) | {"input": 1},
            EvalCase(1),
            id="nan in every optional field",
        ),
        pytest.param(
            dict.fromkeys(("metadata", "tags", "id", "origin", "trial_count"), NAType())
            | {"input": 1},
            EvalCase(1),
            id="missing in every optional field",
        ),
        pytest.param(EvalCase(1, 2), EvalCase(1, 2), id="case"),
        pytest.param(SdkCase(1, 2, {"m": 1}), EvalCase(1, 2, {"m": 1}), id="case of the SDK"),
        pytest.param(SimpleNamespace(input=1), EvalCase(1), id="object with an input"),
    ],
)
def test_a_case_may_be(value: Any, expected: EvalCase) -> None:
    assert EvalCase.of(value) == expected


def test_input_and_expected_may_be_nan() -> None:
    case = EvalCase.of({"input": NAN, "expected": NAN})
    assert (case.input, case.expected) == (NAN, NAN)  # the same objects


def test_the_object_of_the_caller_is_not_changed() -> None:
    own = EvalCase(1, tags={"b", "a"})  # type: ignore[arg-type]
    assert EvalCase.of(own).tags == ["a", "b"]
    assert own.tags == {"b", "a"}  # type: ignore[comparison-overlap]


VERSIONED = {**ORIGIN, "_xact_id": "1", "created": "now"}


@pytest.mark.parametrize(
    ("origin", "kept"),
    [
        pytest.param(ORIGIN, ORIGIN, id="complete"),
        pytest.param(VERSIONED, VERSIONED, id="with a version"),
        pytest.param({**ORIGIN, "_xact_id": None}, ORIGIN, id="null as version"),
        pytest.param({**ORIGIN, "more": [1]}, ORIGIN, id="unknown field"),
        pytest.param(MappingProxyType(ORIGIN), ORIGIN, id="other mapping"),
        pytest.param("o", None, id="text"),
        pytest.param({}, None, id="empty"),
        pytest.param({"object_type": "dataset", "object_id": "d"}, None, id="no id"),
        pytest.param({**ORIGIN, "object_type": "playground"}, None, id="unknown type"),
        pytest.param({**ORIGIN, "object_type": ["dataset"]}, None, id="list as type"),
        pytest.param({**ORIGIN, "object_id": None}, None, id="null as object"),
        pytest.param({**ORIGIN, "id": 5}, None, id="number as id"),
        pytest.param({**ORIGIN, "_xact_id": 5}, None, id="number as version"),
        pytest.param({**ORIGIN, "created": 5}, None, id="number as time"),
    ],
)
def test_an_origin_that_the_client_would_refuse_is_omitted(origin: Any, kept: Any) -> None:
    assert EvalCase.of({"input": 1, "origin": origin}).origin == kept


WRONG_FIELDS: list[tuple[dict[str, Any], str]] = [
    ({"metadata": "m"}, "a case's 'metadata' must be an object, not a str"),
    ({"metadata": ["m"]}, "a case's 'metadata' must be an object, not a list"),
    ({"id": ["i"]}, "a case's 'id' must be a string or a number, not a list"),
    ({"id": {}}, "a case's 'id' must be a string or a number, not a dict"),
    ({"tags": 5}, "a case's 'tags' must be a list of strings, not 5"),
    ({"tags": {"t": 1}}, "a case's 'tags' must be a list of strings, not {'t': 1}"),
    ({"tags": [1]}, "a case's 'tags' must be a list of strings, and one of them is 1"),
    ({"trial_count": 0}, "a case's 'trial_count' must be a whole number from 1, not 0"),
    ({"trial_count": True}, "a case's 'trial_count' must be a whole number from 1, not True"),
    ({"trial_count": 1.5}, "a case's 'trial_count' must be a whole number from 1, not 1.5"),
    ({"trial_count": "3"}, "a case's 'trial_count' must be a whole number from 1, not '3'"),
]


@pytest.mark.parametrize(
    ("fields", "message"), WRONG_FIELDS, ids=[str(fields) for fields, _ in WRONG_FIELDS]
)
@pytest.mark.parametrize(
    "make",
    [lambda **fields: fields, SimpleNamespace, EvalCase],
    ids=["dict", "object", "case"],
)
def test_a_case_with_a_field_of_the_wrong_type_is_refused(
    make: Any, fields: dict[str, Any], message: str
) -> None:
    with pytest.raises(DataError) as refused:
        EvalCase.of(make(input=1, **fields))

    assert str(refused.value) == message


@pytest.mark.parametrize(
    ("value", "message"),
    [
        pytest.param("text", "a case must be an object with an 'input', not a str", id="text"),
        pytest.param(5, "a case must be an object with an 'input', not an int", id="number"),
        pytest.param(None, "a case must be an object with an 'input', not a NoneType", id="none"),
        pytest.param([1], "a case must be an object with an 'input', not a list", id="list"),
        pytest.param(
            {"question": 1, "expected": 2},
            "a case needs an 'input', but this one has only: question, expected",
            id="dict without input",
        ),
        pytest.param({}, "a case needs an 'input', but this one has only: ", id="empty dict"),
    ],
)
def test_a_case_may_not_be(value: Any, message: str) -> None:
    with pytest.raises(DataError) as refused:
        EvalCase.of(value)

    assert str(refused.value) == message
