"""Measures what a ``null`` costs: in a value that is written as JSON, and in a whole case.

    python -m benchmarks.json_cost [--rounds 7]

A ``null`` in the JSON of a value may have been written for ``None`` or for NaN, so a value with one
is examined twice. The first rows show the microseconds for a value alone, once with a ``null`` and
once with a short text in its place. The last rows show the processor time per case of a run whose
outputs and expected values are such values. Rounds alternate between the two, and each figure is
the median.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

from flask_braintrust_evals import EvalCase, Evaluator
from flask_braintrust_evals.serialization.json_writing import dumps

CASES = 2000


def small(absent: Any) -> Any:
    """Return a dict of three entries."""
    return {"answer": "Paris", "score": 0.5, "detail": absent}


def model_answer(absent: Any) -> Any:
    """Return an answer in the form of a chat model's API."""
    message = {"role": "assistant", "content": "A long answer. " * 40, "refusal": absent}
    choice = {"index": 0, "message": message, "logprobs": absent, "finish_reason": "stop"}
    usage = {"prompt_tokens": 10, "completion_tokens": 20, "details": absent}
    return {"id": "chatcmpl-1", "object": "chat.completion", "choices": [choice], "usage": usage}


def rows(absent: Any) -> Any:
    """Return a thousand rows of a table."""
    return [
        {"id": number, "name": "some text", "score": 0.5, "tags": ["a", "b"], "expected": absent}
        for number in range(1000)
    ]


def echo(input: Any) -> Any:
    """Return the input."""
    return input


def cost_of_value(value: Any) -> float:
    """Return microseconds per call of ``dumps``."""
    count = max(1, 20_000 // len(dumps(value)))
    began = time.process_time()
    for _ in range(count):
        dumps(value)
    return (time.process_time() - began) / count * 1e6


def cost_of_case(value: Any) -> float:
    """Return microseconds of processor time per case."""
    cases = [EvalCase(value, expected=value) for _ in range(CASES)]
    evaluator = Evaluator("echo", echo)
    began = time.process_time()
    evaluator.run(cases)
    return (time.process_time() - began) / CASES * 1e6


def compare(cost: Callable[[Any], float], make: Callable[[Any], Any], rounds: int) -> str:
    """Return a row: the cost without and with a null, and their ratio."""
    without, with_null = [], []
    for _ in range(rounds):
        without.append(cost(make("n/a.")))
        with_null.append(cost(make(None)))
    ratio = statistics.median(b / a for a, b in zip(without, with_null, strict=True))
    return f"{statistics.median(without):10.2f} {statistics.median(with_null):10.2f} {ratio:8.2f}"


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--rounds", type=int, default=7)
    rounds = arguments.parse_args().rounds
    sys.stdout.write(f"{'microseconds':24} {'without':>10} {'with null':>10} {'ratio':>8}\n")
    for make in (small, model_answer, rows):
        sys.stdout.write(f"{'value: ' + make.__name__:24} {compare(cost_of_value, make, rounds)}\n")
    for make in (small, model_answer):
        sys.stdout.write(f"{'case: ' + make.__name__:24} {compare(cost_of_case, make, rounds)}\n")


if __name__ == "__main__":
    main()
