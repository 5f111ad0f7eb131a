"""Arguments of scorers whose names the SDK does not know: it passes what is left by position."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from braintrust import framework
from hypothesis import given, settings
from hypothesis import strategies as st

from flask_braintrust_evals import RegistrationError
from flask_braintrust_evals.contrib.braintrust.evaluators import from_sdk

from .support import CASES, both_scores, sdk_evaluator

GIVEN = ("input", "expected", "metadata", "output", "trace", "id", "tags")
"""What the SDK gives to scorers, in its order."""

SIGNATURES = [
    "output",
    "input, output, expected",
    "expected, output",
    "tags, id, trace, metadata",
    "question, truth",
    "a, b, c",
    "a, b, c, d, e, f, g",
    "output, truth",
    "question, output",
    "question, input",  # `input` is taken by then, and gets what comes next
    "question, output, input",
    "question, input=None",
    "question=5",
    "question=5, truth=6",
    "question, truth=6",
    "output, threshold=0.5, *, strict=True",
    "*, question",
    "*, question, output",
    "question, *, truth",
    "question, *places",
    "*places",
    "**others",
    "output, **others",
    "question, **others",
    "question, truth, **others",
    "question, output, **others",
    "question=5, **others",
    "a, b, c, d, e, f, g, **others",
    "*places, question, **others",
    "metadata, a, id, b, output, c",
    "expected, a, b=1, *, c, input=2, **others",
]


def scorer_of(signature: str) -> Callable[..., Any]:
    """A scorer of this signature that returns the arguments it was given."""
    scope: dict[str, Any] = {}
    exec(f"def scorer({signature}):\n    return dict(locals())", scope)
    scorer: Callable[..., Any] = scope["scorer"]
    return scorer


def as_the_sdk_calls(scorer: Callable[..., Any]) -> Any:
    arguments: Any = framework._call_user_fn_args
    positional, named = arguments(scorer, {name: name for name in GIVEN})
    return scorer(*positional, **named)


def as_we_call(scorer: Any) -> Any:
    (call,) = from_sdk(sdk_evaluator(scores=[scorer])).plan.scorers
    given = call({"parameters": "parameters", **{name: name for name in GIVEN}})
    # What takes everything also gets the parameters, which the SDK does not have for scorers.
    given.get("others", {}).pop("parameters", None)
    return given


@pytest.mark.parametrize("signature", SIGNATURES)
def test_arguments_get_what_the_sdk_gives_them(signature: str) -> None:
    scorer = scorer_of(signature)
    assert as_we_call(scorer) == as_the_sdk_calls(scorer)


@pytest.mark.parametrize("signature", ["question", "question, truth", "question, **others"])
@pytest.mark.parametrize("kind", ["bound method", "object", "class"])
def test_arguments_of_objects_get_what_the_sdk_gives_them(signature: str, kind: str) -> None:
    scorer = scorer_of(signature)
    scope: dict[str, Any] = {"scorer": scorer}
    names = "".join(f", {name}={name}" for name in ("question", "truth") if name in signature)
    rest = ", **others" if "others" in signature else ""
    body = f"return scorer({(names + rest)[2:]})"
    exec(
        f"class Judge:\n    def __call__(self, {signature}):\n        {body}\n"
        f"    def eval(self):\n        raise AssertionError",
        scope,
    )
    judge: Any = scope["Judge"]
    given = {"bound method": judge().__call__, "object": judge(), "class": judge}[kind]
    assert as_we_call(given) == as_the_sdk_calls(scorer)


@st.composite
def signatures(draw: st.DrawFn) -> str:
    """Signatures of known and unknown names, in an order that Python takes."""
    names = draw(st.lists(st.sampled_from((*GIVEN, "a", "b", "c", "d")), unique=True, max_size=9))
    by_place = names[: draw(st.integers(0, len(names)))]
    by_name = names[len(by_place) :]
    without = draw(st.integers(0, len(by_place)))
    parts = by_place[:without] + [f"{name}='default'" for name in by_place[without:]]
    if by_name:
        parts.append(draw(st.sampled_from(("*", "*places"))))
        parts += [name + draw(st.sampled_from(("", "='default'"))) for name in by_name]
    return ", ".join(parts)


@pytest.mark.slow
@pytest.mark.parametrize("rest", ["", "**others"])
@settings(deadline=None, max_examples=200, database=None)
@given(signature=signatures())
def test_any_arguments_get_what_the_sdk_gives_them(signature: str, rest: str) -> None:
    scorer = scorer_of(", ".join(filter(None, (signature, rest))))
    try:
        expected = as_the_sdk_calls(scorer)
    except TypeError:  # too many arguments: an error of each case there, of registration here
        with pytest.raises(RegistrationError):
            as_we_call(scorer)
    else:
        assert as_we_call(scorer) == expected


@pytest.mark.parametrize("signature", ["a, b, c, d, e, f, g, h", "a, /", "a, /, output"])
def test_arguments_that_even_the_sdk_cannot_give_are_an_error_at_registration(
    signature: str,
) -> None:
    scorer = scorer_of(signature)
    with pytest.raises(TypeError):
        as_the_sdk_calls(scorer)
    with pytest.raises(
        RegistrationError, match="requires the argument '[ah]', which is not passed"
    ):
        from_sdk(sdk_evaluator(scores=[scorer]))


def test_an_async_scorer_of_other_names_is_waited_for() -> None:
    async def scorer(question: Any, truth: Any) -> float:
        await asyncio.sleep(0)
        return 1.0 if question == truth else 0.25

    theirs, ours = both_scores(sdk_evaluator(data=CASES, scores=[scorer]))
    assert ours == theirs == [{"scorer": 1}, {"scorer": 0.25}]
