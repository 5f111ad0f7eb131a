"""Evaluators with every kind of scorer and classifier. Each task returns its input."""

# The SDK's types know only scorers of three arguments.
# mypy: disable-error-code="arg-type, list-item"

import functools
import math
from collections.abc import Iterator
from typing import Any

from braintrust import Eval, Score
from braintrust.framework import Classification, default_error_score_handler
from braintrust.score import Scorer


def echo(input: Any, hooks: Any) -> Any:
    return input


# --- What scorers return ---


def a_number(output: Any) -> float:
    return 0.25


def a_whole_number(output: Any) -> int:
    return 1


def a_bool(output: Any, expected: Any) -> bool:
    return bool(output == expected)


def nothing(output: Any) -> None:
    return None


def sometimes(output: Any) -> float | None:
    return 1.0 if output == "a" else None


def an_object(output: Any) -> Score:
    return Score(name="an_object", score=0.5, metadata={"why": "half"})


def a_renamed_object(output: Any) -> Score:
    return Score(name="another name", score=0.75)


def a_dict(output: Any) -> dict[str, Any]:
    return {"score": 0.5, "metadata": {"why": "half"}}


def a_named_dict(output: Any) -> dict[str, Any]:
    return {"name": "named by its dict", "score": 0.5}


def a_list(output: Any) -> list[Any]:
    return [Score(name="first", score=0.1), {"name": "second", "score": 0.2}]


def an_empty_list(output: Any) -> list[Any]:
    return []


def a_generator(output: Any) -> Iterator[Score]:
    yield Score(name="yielded", score=0.3)


async def awaited(output: Any) -> float:
    return 0.4


RETURNING = [
    a_number,
    a_whole_number,
    a_bool,
    nothing,
    sometimes,
    an_object,
    a_renamed_object,
    a_dict,
    a_named_dict,
    a_list,
    an_empty_list,
    a_generator,
    awaited,
]
Eval("returning", data=[], task=echo, scores=RETURNING)


# --- What scorers are, and what they are called ---


class Judge(Scorer):
    """As the scorers of autoevals are."""

    def _run_eval_sync(self, output: Any, expected: Any = None, **kwargs: Any) -> Score:
        return Score(name=self._name(), score=float(output == expected))


class NamedJudge(Judge):
    def _name(self) -> str:
        return "named by _name"


class Caller:
    def __call__(self, output: Any) -> float:
        return 0.6


class AsyncJudge:
    async def eval_async(self, output: Any, expected: Any = None, **kwargs: Any) -> float:
        return 0.7


def share(output: Any, of: float) -> float:
    return of


OBJECTS = [Judge(), NamedJudge(), Caller(), AsyncJudge(), lambda output: 0.8]
Eval("objects", data=[], task=echo, scores=OBJECTS)
Eval("partial", data=[], task=echo, scores=[functools.partial(share, of=0.9)])


# --- What scorers are given ---


def by_name(input: Any, output: Any, expected: Any, metadata: Any, tags: Any, id: Any) -> Score:
    given = {"input": input, "output": output, "expected": expected}
    given |= {"metadata": metadata, "tags": tags, "id": id}
    return Score(name="by_name", score=1, metadata=given)


def everything(**kwargs: Any) -> Score:
    return Score(name="everything", score=1, metadata={"given": sorted(kwargs)})


def of_other_names(question: Any, truth: Any, *others: Any, weight: float = 0.5) -> Score:
    given = {"question": question, "truth": truth, "weight": weight}
    return Score(name="of_other_names", score=1, metadata=given)


async def of_the_trace(trace: Any) -> Score:
    spans = await trace.get_spans(span_type=["task"])
    return Score(name="of_the_trace", score=1, metadata={"outputs": [s.output for s in spans]})


Eval("given", data=[], task=echo, scores=[by_name, everything, of_the_trace])
Eval("given otherwise", data=[], task=echo, scores=[of_other_names])


# --- Scorers that fail ---


def exact(output: Any, expected: Any) -> bool:
    return bool(output == expected)


def raising(output: Any) -> float:
    raise RuntimeError("out of order")


async def raising_later(output: Any) -> float:
    raise RuntimeError("out of order")


def too_large(output: Any) -> float:
    return 1.5


def of_text(output: Any) -> Any:
    return "good"


def without_score(output: Any) -> Any:
    return {"name": "without_score", "rating": 1}


def without_fields(output: Any) -> Any:
    return {"rating": 1}


def not_a_number(output: Any) -> float:
    return math.nan


def of_numbers(output: Any) -> Any:
    return [0.25, 0.75]


FAILING = [exact, raising, raising_later, too_large, of_text, without_fields]
Eval("failing scorers", data=[], task=echo, scores=FAILING)
Eval("not a number", data=[], task=echo, scores=[exact, not_a_number])
Eval("without score", data=[], task=echo, scores=[exact, without_score])
Eval("of numbers", data=[], task=echo, scores=[exact, of_numbers])


def fragile(input: Any, hooks: Any) -> Any:
    if input == "bad":
        raise ValueError("bad input")
    return input


def fixed_score(root_span: Any, data: Any, unhandled_scores: Any) -> dict[str, float]:
    return {name: 0.5 for name in unhandled_scores}


HANDLED: dict[str, Any] = {"task": fragile, "scores": [exact, raising]}
Eval("unhandled errors", data=[], **HANDLED)
Eval("zero for errors", data=[], **HANDLED, error_score_handler=default_error_score_handler)
Eval("half for errors", data=[], **HANDLED, error_score_handler=fixed_score)


# --- Classifiers ---


def topic(output: Any) -> dict[str, Any]:
    return {"id": "text", "label": "Text", "metadata": {"length": len(output)}}


def an_instance(output: Any) -> Classification:
    return Classification(id="yes", name="decision")


def several(output: Any) -> list[Any]:
    return [Classification(id="one"), {"id": "two"}, {"id": "three", "name": "apart"}]


def none_of_them(output: Any) -> None:
    return None


async def later(output: Any, expected: Any) -> dict[str, Any]:
    return {"id": "same" if output == expected else "other"}


def broken(output: Any) -> dict[str, Any]:
    raise RuntimeError("no idea")


def without_id(output: Any) -> dict[str, Any]:
    return {"label": "no id"}


CLASSIFIERS: list[Any] = [topic, an_instance, several, none_of_them, later, broken, without_id]
CLASSIFIERS.append(lambda output: {"id": "unnamed"})
Eval("classified", data=[], task=echo, scores=[exact], classifiers=CLASSIFIERS)
Eval("only classified", data=[], task=echo, classifiers=[topic])
