"""Evaluators whose tasks and scorers trace with the SDK's own means."""

# The SDK's types know only scorers of three arguments.
# mypy: disable-error-code="arg-type, list-item"

from typing import Any

from braintrust import Eval, current_span, start_span, traced


@traced(name="outer")
def outer(text: str) -> str:
    with start_span(name="inner", type="llm", input=text) as span:
        span.log(output=text.upper(), metrics={"tokens": 3}, metadata={"model": "m"})
    return text.upper()


@traced(name="awaited")
async def awaited(text: str) -> str:
    current_span().log(metadata={"inside": True})
    return text


def task(input: Any, hooks: Any) -> Any:
    current_span().log(metadata={"from": "current_span"})
    return outer(input)


async def async_task(input: Any, hooks: Any) -> Any:
    return await awaited(input)


def judged(output: Any) -> float:
    with start_span(name="judge", input=output) as span:
        span.log(output="fine")
    return 1


Eval("traced", data=[], task=task, scores=[judged])
Eval("async traced", data=[], task=async_task, scores=[judged])
