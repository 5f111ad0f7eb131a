"""What can be a case."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType, SimpleNamespace
from typing import Any

import pytest

from flask_braintrust_evals.engine.values.cases import EvalCase
from flask_braintrust_evals.errors import DataError

ORIGIN = {"object_type": "dataset", "object_id": "d", "id": "r"}


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
        pytest.param({"input": 1, "tags": ("t",)}, EvalCase(1, tags=("t",)), id="tuple of tags"),  # type: ignore[arg-type]
        pytest.param(EvalCase(1, 2), EvalCase(1, 2), id="case"),
        pytest.param(SdkCase(1, 2, {"m": 1}), EvalCase(1, 2, {"m": 1}), id="case of the SDK"),
        pytest.param(SimpleNamespace(input=1), EvalCase(1), id="object with an input"),
    ],
)
def test_a_case_may_be(value: Any, expected: EvalCase) -> None:
    assert EvalCase.of(value) == expected


WRONG_FIELDS: list[tuple[dict[str, Any], str]] = [
    ({"metadata": "m"}, "a case's 'metadata' must be an object, not a str"),
    ({"metadata": ["m"]}, "a case's 'metadata' must be an object, not a list"),
    ({"origin": "o"}, "a case's 'origin' must be an object, not a str"),
    ({"id": 5}, "a case's 'id' must be a string, not a int"),
    ({"tags": "t"}, "a case's 'tags' must be a list of strings"),
    ({"tags": [1]}, "a case's 'tags' must be a list of strings"),
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
        pytest.param(5, "a case must be an object with an 'input', not a int", id="number"),
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
