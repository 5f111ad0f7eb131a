"""Files in the style of public repositories have the results here that they have at home."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from braintrust.cli.eval import FileHandle

from flask_braintrust_evals import EvalsBlueprint
from flask_braintrust_evals.engine.values.results import CaseResult
from tests.openai_api import openai_api

from .support import run_by_sdk

pytestmark = pytest.mark.slow

FILES = {
    "quick start": """
        from autoevals import Levenshtein
        from braintrust import Eval

        Eval(
            "Say Hi Bot",
            data=lambda: [
                {"input": "Foo", "expected": "Hi Foo"},
                {"input": "Bar", "expected": "Hello Bar"},
            ],
            task=lambda input: "Hi " + input,
            scores=[Levenshtein],
        )
        """,
    "closures and a loop over models": """
        import functools, time
        from braintrust import Eval, Score

        def contains(word):
            def scorer(input, output, expected):
                return Score(name=f"contains {word}", score=float(word in output))
            return scorer

        def at_most(output, *, length):
            return len(output) <= length

        def make_task(model):
            def task(input, hooks):
                hooks.metadata["model"] = model
                return f"{model}: {input}"
            return task

        for model in ("small", "large"):
            Eval(
                "Models",
                experiment_name=f"{model}-{int(time.time())}",
                data=[{"input": "hello", "metadata": {"source": "web"}}],
                task=make_task(model),
                scores=[contains("small"), contains("hello"), functools.partial(at_most, length=9)],
            )
        """,
    "dataclasses as inputs and outputs": """
        import dataclasses
        from braintrust import Eval, EvalCase

        @dataclasses.dataclass
        class Ticket:
            title: str
            urgent: bool = False

        @dataclasses.dataclass
        class Answer:
            team: str
            confidence: float

        def route(ticket: Ticket) -> Answer:
            return Answer("billing" if "invoice" in ticket.title else "support", 0.5)

        def right_team(output, expected):
            return output.team == expected.team

        Eval(
            "Tickets",
            data=lambda: [
                EvalCase(Ticket("invoice missing"), Answer("billing", 1), tags=["money"]),
                EvalCase(input=Ticket("broken", urgent=True), expected=Answer("billing", 1)),
            ],
            task=route,
            scores=[right_team, lambda output: output.confidence],
        )
        """,
    "async with a semaphore": """
        import asyncio
        from braintrust import Eval

        semaphore = asyncio.Semaphore(2)

        async def ask(input, hooks):
            async with semaphore:
                await asyncio.sleep(0.001)
                return {"answer": input * 2}

        async def correct(input, output, expected):
            await asyncio.sleep(0)
            return {"name": "correct", "score": float(output["answer"] == expected),
                    "metadata": {"checked": input}}

        async def cases():
            for number in range(4):
                yield {"input": number, "expected": number + number % 2}

        Eval("Async", data=cases, task=ask, scores=[correct], max_concurrency=4, trial_count=2)
        """,
    "EvalAsync in main()": """
        import asyncio
        from braintrust import EvalAsync

        async def main():
            await EvalAsync(
                "Async main",
                data=[{"input": [1, 2, 3], "expected": 6}],
                task=lambda input: sum(input),
                scores=[lambda output, expected: output == expected],
            )

        asyncio.run(main())
        """,
    "spans": """
        from braintrust import Eval, current_span, start_span, traced

        @traced
        def retrieve(question):
            current_span().log(metadata={"index": "docs"})
            return [question.upper()]

        @traced(name="generate", notrace_io=True)
        async def generate(documents):
            with start_span(name="format", span_attributes={"type": "llm"}) as span:
                span.log(input=documents, output="x", metrics={"tokens": 3}, scores={"fine": 1})
            return ", ".join(documents)

        async def rag(input, hooks):
            hooks.meta(step="retrieve")
            hooks.span.log(metadata={"own": True})
            documents = retrieve(input)
            return await generate(documents)

        @traced
        def grounded(output, metadata):
            return 1 if metadata["step"] == "retrieve" else 0

        Eval("RAG", data=[{"input": "why"}], task=rag, scores=[grounded])
        """,
    "wrap_openai": """
        import os
        from braintrust import Eval, wrap_openai
        from openai import AsyncOpenAI, OpenAI

        def complete(input):
            with OpenAI() as client:
                answer = wrap_openai(client).chat.completions.create(
                    model="m", messages=[{"role": "user", "content": input}]
                )
            return answer.choices[0].message.content

        async def stream(input, hooks):
            async with AsyncOpenAI() as client:
                chunks = await wrap_openai(client).chat.completions.create(
                    model="m", messages=[{"role": "user", "content": input}], stream=True
                )
                return [chunk.choices[0].delta.content async for chunk in chunks]

        def llm_judge(output, expected):
            return 1.0 if complete(str(output)).startswith("echo") else 0.0

        data = [{"input": "hi there"}, {"input": "bye"}]
        Eval("Chat", data=data, task=complete, scores=[llm_judge])
        Eval("Streamed chat", data=data, task=stream, scores=[llm_judge])
        """,
    "autoevals": """
        from autoevals import ExactMatch, JSONDiff, Levenshtein, NumericDiff
        from braintrust import Eval

        async def as_list(input, expected=None, output=None, **kwargs):
            return [
                await NumericDiff().eval_async(len(output), len(expected)),
                {"name": "own", "score": 0.5},
            ]

        Eval(
            "Autoevals",
            data=[{"input": "abc", "expected": "abd"}, {"input": "x", "expected": "x"}],
            task=lambda input: input,
            scores=[ExactMatch(), JSONDiff, Levenshtein.partial(expected="abc"), as_list],
        )
        """,
    "parameters": """
        from braintrust import Eval
        from pydantic import BaseModel, Field

        class Prefix(BaseModel):
            value: str = Field(default="Dear", description="The first word")

        class Limit(BaseModel):
            value: int = 3

        def task(input, hooks):
            prompt = hooks.parameters["main"].build(question=input)
            words = [hooks.parameters["prefix"], prompt["messages"][0]["content"], prompt["model"]]
            return " ".join(words[: hooks.parameters["limit"]])

        Eval(
            "Parameters",
            data=[{"input": "why"}],
            task=task,
            scores=[lambda input, output: input in output],
            parameters={
                "prefix": Prefix,
                "limit": Limit,
                "main": {
                    "type": "prompt",
                    "description": "The prompt",
                    "default": {
                        "prompt": {
                            "type": "chat",
                            "messages": [{"role": "user", "content": "{{question}}?"}],
                        },
                        "options": {"model": "m"},
                    },
                },
            },
        )
        """,
    "failures and nothing to score": """
        from braintrust import Eval

        def task(input, hooks):
            hooks.tags.append("seen")
            if input == "bad":
                raise ValueError("cannot answer")
            return None if input == "empty" else input

        def strict(output):
            return len(output) > 1

        def nothing(output):
            return None

        def zero_on_failure(span, case, unhandled):
            return {name: 0 for name in unhandled}

        Eval(
            "Failures",
            data=[{"input": each, "tags": ["t"]} for each in ("good", "bad", "empty")],
            task=task,
            scores=[strict, nothing],
            error_score_handler=zero_on_failure,
        )
        """,
    "a class that holds the client": """
        from braintrust import Eval

        class Bot:
            def __init__(self, name):
                self.name = name

            def __call__(self, input):
                return {"text": f"{self.name}: {input}", "raw": self}

            def score(self, input, output, expected=None, **kwargs):
                return self.name in output["text"]

            @classmethod
            def cases(cls):
                return [{"input": "a", "metadata": {"k": [1]}}, {"input": "b"}]

            def __repr__(self):
                return "the bot"

        bot = Bot("Robin")
        Eval("Bot", data=Bot.cases, task=bot, scores=[bot.score], metadata={"bot": "Robin"})
        """,
}

NAMES = {"partial": "at_most"}
"""Scorers that have another name here: a partial has the name of its function."""


@pytest.fixture
def openai(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with openai_api() as address:
        monkeypatch.setenv("OPENAI_BASE_URL", address)
        monkeypatch.setenv("OPENAI_API_KEY", "none")
        yield


def theirs(result: Any) -> dict[str, Any]:
    return {
        "output": shown(result.output),
        "scores": {
            NAMES.get(name, name): score
            for name, score in result.scores.items()
            if score is not None
        },
        "metadata": {
            name: value
            for name, value in (result.metadata or {}).items()
            if name not in ("scorer_errors", "classifier_errors")
        },
        "tags": result.tags or [],
        "error": str(result.error) if result.error else None,
    }


def ours(result: CaseResult) -> dict[str, Any]:
    scores = {name: score.score for name, score in result.scores.items()}
    return {
        "output": shown(result.output),
        "scores": {name: score for name, score in scores.items() if score is not None},
        "metadata": result.metadata,
        "tags": result.tags,
        "error": result.error.message if result.error else None,
    }


def shown(output: Any) -> str:
    return repr(output)  # each run has classes of its own


@pytest.mark.filterwarnings("ignore:.*meta.. is deprecated:DeprecationWarning")
@pytest.mark.usefixtures("openai")
@pytest.mark.parametrize("name", FILES)
def test_a_file_has_the_results_of_the_sdk(bp: EvalsBlueprint, tmp_path: Path, name: str) -> None:
    file = tmp_path / "eval_file.py"
    file.write_text(textwrap.dedent(FILES[name]), "utf-8")
    handle: Any = FileHandle(str(file))
    by_sdk = [each.evaluator for each in handle.rebuild().evaluators.values()]
    bp.load(file)
    assert len(by_sdk) == len(bp.registry) > 0
    for evaluator, loaded in zip(by_sdk, bp.registry, strict=True):
        expected = sorted(map(theirs, run_by_sdk(evaluator)), key=repr)
        assert sorted(map(ours, loaded.run().results), key=repr) == expected
