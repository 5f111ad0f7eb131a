"""How cases are named in reports."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest

from flask_braintrust_evals import CaseResult, EvalCase, Evaluator
from flask_braintrust_evals.cli.reports.case_texts import case_name
from flask_braintrust_evals.cli.stored_results.case_body import case_body


def result_of(id: Any, **options: Any) -> CaseResult:
    (result,) = Evaluator("e", str, **options).run([EvalCase(1, id=id)]).results
    return result


@pytest.mark.parametrize(
    ("id", "text"),
    [("a", "a"), (5, "5"), (2.5, "2.5"), (uuid.UUID(int=1), str(uuid.UUID(int=1)))],
    ids=["text", "number", "float", "uuid"],
)
def test_an_id_of_any_type_is_its_text(id: Any, text: str) -> None:
    result = result_of(id)
    assert result.case.id == id
    assert case_name(result) == f'case "{text}"'
    assert json.loads(json.dumps(case_body(result)))["id"] == text


def test_a_tag_that_is_no_text_does_not_cost_the_report() -> None:
    result = result_of(None)
    result.tags = [uuid.UUID(int=1)]  # type: ignore[list-item]
    written = json.loads(json.dumps(case_body(result)))
    assert (written["id"], written["tags"]) == (None, [str(uuid.UUID(int=1))])
