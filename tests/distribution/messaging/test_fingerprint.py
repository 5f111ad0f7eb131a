"""Fingerprints are the same in every process with the same code, and differ where code does."""

from __future__ import annotations

import functools
import os
import subprocess
import sys
import textwrap
from collections.abc import Callable
from typing import Any

import pytest

from flask_braintrust_evals.distribution.messaging.code_of import described
from flask_braintrust_evals.distribution.messaging.fingerprint import (
    Fingerprints,
    differences,
    twin_of,
)
from flask_braintrust_evals.engine.evaluator import Evaluator
from tests.support import ROOT

SCRIPT = """
import functools, json
from flask_braintrust_evals.distribution.messaging.fingerprint import Fingerprints
from flask_braintrust_evals.engine.evaluator import Evaluator

class Opaque:
    pass

class Scorer:
    def __call__(self, output): return output in {"a", "b", "c", ("x", "y")}

class Inherits(Scorer):
    pass

def task(input, hooks=None, *, model="m", helper=Opaque()):
    names = {"one", "two", "three", "four"}
    return [name for name in ("x", "y") if input in {"p", "q", "r", "s"} or name in names]

def factory(text, opaque):
    async def scorer(output, expected):
        return bool(text) + bool(opaque)
    return scorer

print(json.dumps(Fingerprints("r1").of(Evaluator(
    "e",
    functools.partial(task, model="x", helper=Opaque()),
    scores=[Scorer(), Inherits(), factory("t", Opaque()), lambda output: 1.0],
    classifiers=[Opaque.__init__ and (lambda output: None)],
    parameters={"n": {"type": "number", "default": 1}},
))))
"""


@pytest.mark.slow
def test_it_is_the_same_in_every_process() -> None:
    def made(seed: str) -> str:
        environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-c", textwrap.dedent(SCRIPT)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return done.stdout

    first = made("1")
    assert len(first) > 200
    assert made("2") == first


def task(input: Any) -> Any:
    return input


def hinted(input: Any, hint: str = "") -> Any:
    return input, hint


def other_task(input: Any) -> Any:
    return [input]


def score(output: Any) -> float:
    return 1.0


def label(output: Any) -> Any:
    return None


def fingerprint(release: str = "", **changes: Any) -> Any:
    fields: dict[str, Any] = {"task": task, "scores": [score], "classifiers": [label], **changes}
    return Fingerprints(release).of(Evaluator("e", **fields))


def half(output: Any) -> float:
    return 0.5


half.__name__ = "score"


def recovered(*given: Any) -> None:
    return None


@pytest.mark.parametrize(
    ("changes", "different"),
    [
        ({}, []),
        ({"task": other_task}, ["the code of its task"]),
        ({"scores": [half]}, ["the code of its scorers"]),
        ({"scores": [score, label]}, ["its scorers", "the code of its scorers"]),
        ({"classifiers": []}, ["its classifiers", "the code of its scorers"]),
        ({"parameters": {"n": {"type": "number", "default": 1}}}, ["its parameters"]),
        ({"retries": 2}, ["its options"]),
        ({"task_timeout": 2}, ["its options"]),
        ({"error_score_handler": recovered}, ["the code of its error_score_handler"]),
    ],
)
def test_what_differs_is_said_in_words(changes: dict[str, Any], different: list[str]) -> None:
    assert differences(fingerprint(), fingerprint(**changes)) == different


def test_parameters_differ_by_their_defaults() -> None:
    one, two = ({"n": {"type": "number", "default": n}} for n in (1, 2))
    assert differences(fingerprint(parameters=one), fingerprint(parameters=two)) == [
        "its parameters"
    ]


def test_releases_and_versions_are_shown() -> None:
    assert differences(fingerprint("r1"), fingerprint("r2")) == ["the release (r2 there, r1 here)"]
    assert differences(fingerprint(""), fingerprint("r2")) == ["the release (r2 there, none here)"]
    older = {**fingerprint(), "the version of Python": "3.9"}
    (text,) = differences(fingerprint(), older)
    assert text.startswith("the version of Python (3.9 there, 3.")


def test_a_part_that_only_one_of_them_has_differs() -> None:
    shorter = {k: v for k, v in fingerprint().items() if k != "its options"}
    assert differences(fingerprint(retries=1), shorter) == ["its options"]


def made_by(text: str, function: Callable[..., Any], number: int = 0) -> Callable[..., Any]:
    def inner(input: Any) -> Any:
        return text, function(input), number

    return inner


def kept(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def wrapper(*args: Any) -> Any:
        return function(*args)

    return wrapper


class Caller:
    def __init__(self, n: int = 0) -> None:
        self.n = n

    def __call__(self, output: Any) -> Any:
        return output

    def method(self, output: Any) -> Any:
        return [output]


class Derived(Caller):
    pass


class Another(Caller):
    def __call__(self, output: Any) -> Any:
        return {"output": output}


async def coroutine(input: Any) -> Any:
    return input


SAME = [
    (Caller(1), Caller(2)),
    (Caller(1).method, Caller(2).method),
    (made_by("t", task, 1), made_by("t", task, 2)),
    (functools.partial(task, Caller(1)), functools.partial(task, Caller(2))),
    (len, len),
    (Caller, Caller),
]
DIFFERENT = [
    (Caller(), Another()),
    (Caller(), Caller().method),
    (made_by("t", task), made_by("u", task)),
    (made_by("t", task), made_by("t", other_task)),
    (kept(task), kept(other_task)),
    (functools.partial(task, 1), functools.partial(task, 2)),
    (functools.partial(task, input="x"), functools.partial(task, input="y")),
    (functools.partial(task), functools.partial(other_task)),
    (functools.partial(task), task),
    (lambda input, n=1: n, lambda input, n=2: n),
    (lambda input, *, n="a": n, lambda input, *, n="b": n),
    (lambda input: input.upper(), lambda input: input.lower()),
    (lambda input: 1, lambda input: 2),
    (lambda input: lambda: 1, lambda input: lambda: 2),
    (coroutine, task),
    (len, repr),
]


@pytest.mark.parametrize(("one", "two"), SAME)
def test_objects_count_by_their_code_alone(one: Any, two: Any) -> None:
    assert described(one) == described(two)


@pytest.mark.parametrize(("one", "two"), DIFFERENT)
def test_other_code_is_told_apart(one: Any, two: Any) -> None:
    assert described(one) != described(two)


def test_the_code_of_a_base_class_counts() -> None:
    assert described(Derived()).code[1:] == described(Caller()).code[1:]


def test_what_wraps_itself_or_refers_to_itself_is_described() -> None:
    def endless(input: Any) -> Any:
        return again(input)

    again = endless
    assert described(endless)

    def own(input: Any) -> Any:
        return input

    own.__wrapped__ = own  # type: ignore[attr-defined]
    assert described(own)


def test_each_is_made_once() -> None:
    fingerprints, evaluator = Fingerprints(""), Evaluator("e", task)
    assert fingerprints.of(evaluator) is fingerprints.of(evaluator)


def test_the_evaluator_with_the_fingerprint_is_found() -> None:
    fingerprints = Fingerprints("")
    old, new = Evaluator("e", task), Evaluator("e", other_task)
    assert fingerprints.find("e", fingerprints.of(new), [old, new]) == (new, "")
    assert fingerprints.find("e", fingerprints.of(new), [old]) == (
        None,
        "has another version of evaluator 'e'; what differs: the code of its task; restart the"
        " worker with the code of the server",
    )
    assert fingerprints.find("f", fingerprints.of(new), [old]) == (
        None,
        "has no evaluator 'f'; restart the worker with the code of the server",
    )


@pytest.mark.parametrize(
    ("one", "two"),
    [
        (made_by("http://a", task), made_by("http://b", task)),
        (functools.partial(hinted, hint="x"), functools.partial(hinted, hint="y")),
        (kept(functools.partial(hinted, hint="x")), kept(functools.partial(hinted, hint="y"))),
        (lambda input, url="http://a": url, lambda input, url="http://b": url),
    ],
)
def test_values_that_differ_from_host_to_host_are_told_from_other_code(one: Any, two: Any) -> None:
    one.__qualname__ = two.__qualname__ = "same"
    fingerprints = Fingerprints("")
    here, there = (Evaluator("e", each, scores=[each]) for each in (one, two))
    _, why = fingerprints.find("e", fingerprints.of(there), [here])
    assert "code" not in why
    assert (
        "what differs: the values given to its task, the values given to its scorers; these are"
        " default arguments" in why
    )
    assert "http" not in why


def test_without_such_values_there_is_no_part_for_them() -> None:
    assert not any("values" in name for name in fingerprint())


def test_of_several_with_one_name_and_code_the_one_at_the_same_place_is_found() -> None:
    def made(word: str) -> Evaluator:
        return Evaluator("e", lambda input: [word, input])

    fingerprints = Fingerprints("")
    first, second, another = made("first"), made("second"), Evaluator("e", other_task)
    there = [Evaluator("f", task), first, second, another]
    for each in there:
        twin = twin_of(each, there)
        assert fingerprints.find(each.name, fingerprints.of(each), there, twin) == (each, "")
    # A worker with fewer of them has other code, or another order of its blueprints.
    assert fingerprints.find("e", fingerprints.of(another), [another], 2) == (another, "")
    assert twin_of(made("third"), there) == 0
