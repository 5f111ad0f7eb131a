"""Messages that pages quote are those that people get."""

from __future__ import annotations

import logging
import re
from typing import Any, Literal

import pytest
from pydantic import BaseModel, Field, model_validator

from flask_braintrust_evals import EvalsBlueprint, Evaluator
from flask_braintrust_evals.engine.values.summary import RunSummary
from flask_braintrust_evals.errors import DuplicateEvaluatorError, RequestError
from flask_braintrust_evals.web.monitoring.run_record import RunRecord

from .pages import PAGES, ROOT, Block, blocks_of


def text_with(page: str, words: str) -> Block:
    (block,) = (
        each
        for each in blocks_of(ROOT / "docs" / page)
        if each.kind == "text" and words in each.text
    )
    return block


class Temperature(BaseModel):
    value: float = Field(default=0.5, ge=0, le=2)


class Style(BaseModel):
    tone: Literal["friendly", "formal"] = "friendly"


class Search(BaseModel):
    low: int = 1
    high: int = 10

    @model_validator(mode="after")
    def ordered(self) -> Search:
        if self.low > self.high:
            raise ValueError("low must not be above high")
        return self


TEAM = {"team": {"type": "string", "enum": ["billing", "shipping"]}}
TIMES = {"times": {"type": "integer", "minimum": 1}}
PROMPT = {"main": {"prompt": {"type": "chat", "messages": [{"content": "Hi"}]}}}


@pytest.mark.parametrize(
    ("number", "declared", "given"),
    [
        (0, {"team": {"type": "string"}}, {}),
        (1, TEAM, {"team": "sales"}),
        (2, TIMES, {"times": "3"}),
        (3, TIMES, {"times": 0}),
        (4, {"words": {"type": "array", "items": {"type": "string"}}}, {"words": ["a", 2]}),
        (5, {"temperature": Temperature}, {"temperature": 3}),
        (6, {"style": Style}, {"style": {"tone": "rude"}}),
        (7, {"main": {"type": "prompt"}}, PROMPT),
        (8, Search, {"low": 11}),
    ],
)
def test_what_is_said_of_a_wrong_parameter(number: int, declared: Any, given: Any) -> None:
    lines = text_with("parameters.md", "parameter 'team'").text.splitlines()
    with pytest.raises(RequestError) as raised:
        Evaluator("e", lambda input: input, parameters=declared).run([{"input": 1}], given)
    assert str(raised.value) == lines[number]
    assert len(lines) == 9


def test_what_is_said_of_a_second_evaluator_of_one_name() -> None:
    bp = EvalsBlueprint("evals", __name__)
    for place in "ab":
        evaluator = Evaluator(
            "greeter",
            lambda input: input,
            project="greeter",
            number_scorers=True,
            location=f"/srv/app/evals/eval_{place}.py:2",
        )
        if place == "a":
            bp.add(evaluator)
    with pytest.raises(DuplicateEvaluatorError) as raised:
        bp.add(evaluator)
    quoted = " ".join(text_with("coming-from-braintrust-eval.md", "Duplicate").text.split())
    assert f"DuplicateEvaluatorError: {raised.value} ..." in quoted


def test_the_line_that_is_logged_of_a_run(caplog: pytest.LogCaptureFixture) -> None:
    summary = RunSummary(cases=100, failed=2)
    log = RunRecord("greeter", "acme", outcome="finished")
    with caplog.at_level(logging.INFO, "flask_braintrust_evals"):
        log.end(summary, 0, {})
    (record,) = caplog.records
    quoted = text_with("settings.md", "run of").text.strip()
    assert re.sub(r"[\d.]+ s:", "s:", record.getMessage()) == re.sub(r"[\d.]+ s:", "s:", quoted)
    told = (ROOT / "docs" / "settings.md").read_text("utf-8")
    names = ("evaluator", "organization", "outcome", "duration", "cases", "failed_cases")
    for name in (*names, "scorer_errors", "interrupted_cases", "lost_spans"):
        assert f"`{name}`" in told
        assert hasattr(record, name)


def test_the_line_that_is_logged_of_a_run_has_an_end(caplog: pytest.LogCaptureFixture) -> None:
    names = [str(n) * 500 for n in range(100)]
    summary = RunSummary(cases=1, scorer_errors=dict.fromkeys(names, 1))
    RunRecord("greeter", "acme", outcome="finished", reason="r" * 100_000).end(summary, 0, {})
    assert len(caplog.records[0].getMessage()) < 5_000


def test_the_modules_that_texts_name_exist() -> None:
    package = ROOT / "flask_braintrust_evals"
    folders = "|".join(each.name for each in package.iterdir() if each.is_dir())
    module = re.compile(rf"(?<![\w./-])(?:{folders})/[\w/]+\.(?:py|js)\b")
    files = [*PAGES, *package.rglob("*.py"), *package.rglob("*.js")]
    named = {(name, each) for each in files for name in module.findall(each.read_text("utf-8"))}
    assert len(named) > 60
    assert [(name, str(by)) for name, by in named if not (package / name).exists()] == []
