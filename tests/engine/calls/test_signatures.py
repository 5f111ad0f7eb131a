"""How tasks and scorers are called, and what they are called."""

from __future__ import annotations

import asyncio
import functools
import itertools
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any
from unittest.mock import MagicMock, Mock

import pytest
from asgiref.sync import sync_to_async

from flask_braintrust_evals.engine.calls.introspection import callable_name, place_of
from flask_braintrust_evals.engine.calls.signatures import (
    SCORER_ARGUMENTS,
    ScorerCall,
    TaskCall,
    scorer_calls,
)
from flask_braintrust_evals.errors import DuplicateEvaluatorError, RegistrationError

HOOKS, PARAMETERS = object(), {"p": 1}
ARGUMENTS: dict[str, Any] = {name: f"the {name}" for name in SCORER_ARGUMENTS}
KNOWN = ", ".join(SCORER_ARGUMENTS)


def call(task: Callable[..., Any]) -> Any:
    return TaskCall.of(task)("in", HOOKS, PARAMETERS)


def score(scorer: Any, kind: str = "scorer") -> Any:
    return ScorerCall.of(scorer, kind, 0)(ARGUMENTS)


# Tasks


def only_input(input: Any) -> Any:
    return (input,)


def input_and_hooks(input: Any, hooks: Any) -> Any:
    return input, hooks


def hooks_of_another_name(case: Any, h: Any) -> Any:
    return case, h


def optional_hooks(input: Any, hooks: Any = None) -> Any:
    return input, hooks


def keyword_only_hooks(input: Any, *, hooks: Any) -> Any:
    return input, hooks


def another_default(input: Any, retries: int = 3) -> Any:
    return input, retries


def defaults_before_hooks(input: Any, retries: int = 3, hooks: Any = None) -> Any:
    return input, retries, hooks


def input_and_parameters(input: Any, parameters: Any) -> Any:
    return input, parameters


def keyword_only_parameters(input: Any, *, parameters: Any) -> Any:
    return input, parameters


def everything(input: Any, hooks: Any, parameters: Any) -> Any:
    return input, hooks, parameters


def parameters_before_hooks(input: Any, parameters: Any, hooks: Any) -> Any:
    return input, parameters, hooks


def positional_only(input: Any, hooks: Any, /) -> Any:
    return input, hooks


def any_arguments(*args: Any) -> Any:
    return args


def any_arguments_and_a_keyword(*args: Any, retries: int = 3) -> Any:
    return *args, retries


def any_arguments_and_hooks(*args: Any, hooks: Any) -> Any:
    return *args, hooks


def keywords_in_any_order(*, hooks: Any, input: Any, retries: int = 3) -> Any:
    return (input, hooks)


def any_keywords(input: Any, **kwargs: Any) -> Any:
    return input, kwargs


def by_place(function: Callable[..., Any]) -> Callable[..., Any]:
    """A decorator as many are: it hands on what it is given by place."""

    @functools.wraps(function)
    def wrapper(*args: Any) -> Any:
        return function(*args)

    return wrapper


class Greeter:
    def __call__(self, input: Any, hooks: Any) -> Any:
        return input, hooks

    def method(self, input: Any, hooks: Any) -> Any:
        return input, hooks

    @classmethod
    def of_class(cls, input: Any) -> Any:
        return (input,)

    @staticmethod
    def static(input: Any) -> Any:
        return (input,)


@pytest.mark.parametrize(
    ("task", "expected"),
    [
        pytest.param(only_input, ("in",), id="input"),
        pytest.param(input_and_hooks, ("in", HOOKS), id="input and hooks"),
        pytest.param(hooks_of_another_name, ("in", HOOKS), id="hooks of another name"),
        pytest.param(optional_hooks, ("in", HOOKS), id="hooks with a default"),
        pytest.param(keyword_only_hooks, ("in", HOOKS), id="hooks by keyword only"),
        pytest.param(another_default, ("in", 3), id="a default that is not hooks"),
        pytest.param(defaults_before_hooks, ("in", 3, HOOKS), id="a default before hooks"),
        pytest.param(input_and_parameters, ("in", PARAMETERS), id="parameters"),
        pytest.param(keyword_only_parameters, ("in", PARAMETERS), id="parameters by keyword only"),
        pytest.param(everything, ("in", HOOKS, PARAMETERS), id="hooks and parameters"),
        pytest.param(
            parameters_before_hooks, ("in", PARAMETERS, HOOKS), id="parameters before hooks"
        ),
        pytest.param(positional_only, ("in", HOOKS), id="positional only"),
        pytest.param(any_arguments, ("in",), id="any positional arguments"),
        pytest.param(any_arguments_and_a_keyword, ("in", 3), id="any arguments and a default"),
        pytest.param(any_arguments_and_hooks, ("in", HOOKS), id="any arguments and hooks"),
        pytest.param(by_place(input_and_hooks), ("in", HOOKS), id="decorated, by place"),
        pytest.param(any_keywords, ("in", {}), id="any keyword arguments"),
        pytest.param(keywords_in_any_order, ("in", HOOKS), id="by keyword only, input last"),
        pytest.param(Greeter(), ("in", HOOKS), id="object"),
        pytest.param(Greeter().method, ("in", HOOKS), id="bound method"),
        pytest.param(Greeter.of_class, ("in",), id="class method"),
        pytest.param(Greeter.static, ("in",), id="static method"),
        pytest.param(lambda case, h: (case, h), ("in", HOOKS), id="lambda"),
        pytest.param(functools.partial(another_default, retries=5), ("in", 5), id="partial"),
        pytest.param(
            functools.partial(input_and_hooks, hooks="fixed"),
            ("in", "fixed"),
            id="partial of hooks",
        ),
        pytest.param(
            functools.partial(input_and_hooks, "first"), ("first", "in"), id="partial input"
        ),
        pytest.param(str, "in", id="builtin class"),
        pytest.param(len, 2, id="builtin function"),
    ],
)
def test_a_task_is_given_what_its_signature_asks_for(
    task: Callable[..., Any], expected: Any
) -> None:
    assert call(task) == expected


def no_argument() -> None: ...


def keyword_input(*, input: Any) -> Any:
    return (input,)


def third_argument(input: Any, hooks: Any, model: str) -> None: ...


def keyword_argument(input: Any, *, model: str) -> None: ...


WRITE_IT_AS = "write it as task(input) or task(input, hooks)"


@pytest.mark.parametrize(
    ("task", "message"),
    [
        pytest.param("greet", "a task must be callable, not 'greet'", id="no callable"),
        pytest.param(
            no_argument, f"task 'no_argument' takes no argument; {WRITE_IT_AS}", id="no argument"
        ),
        pytest.param(
            third_argument,
            "task 'third_argument' requires the argument 'model', which is not passed to tasks;"
            f" {WRITE_IT_AS}",
            id="third argument",
        ),
    ],
)
def test_a_task_that_could_not_be_called_is_refused(task: Any, message: str) -> None:
    with pytest.raises(RegistrationError) as refused:
        TaskCall.of(task)

    assert str(refused.value) == message


@pytest.mark.parametrize("task", [keyword_input, keyword_argument])
def test_a_task_whose_arguments_cannot_be_given_by_place_is_called_rightly_or_refused(
    task: Callable[..., Any],
) -> None:
    try:
        task_call = TaskCall.of(task)
    except RegistrationError:
        return
    assert task_call("in", HOOKS, PARAMETERS) == ("in",)


# Scorers


def scorer_taking(kind: str, names: tuple[str, ...]) -> Callable[..., dict[str, Any]]:
    listed = ", ".join(names)
    signature = {
        "by place or keyword": listed,
        "by keyword only": f"*, {listed}",
        "by place only": f"{listed}, /",
    }[kind]
    body = ", ".join(f"{name}={name}" for name in names)
    scorer: Callable[..., dict[str, Any]] = eval(
        f"lambda {signature if names else ''}: dict({body})"
    )
    return scorer


@pytest.mark.parametrize("kind", ["by place or keyword", "by keyword only", "by place only"])
@pytest.mark.parametrize("size", range(len(SCORER_ARGUMENTS) + 1))
def test_a_scorer_may_take_any_of_the_arguments(kind: str, size: int) -> None:
    for names in itertools.combinations(SCORER_ARGUMENTS, size):
        for ordered in (names, names[::-1]):
            expected = {name: ARGUMENTS[name] for name in names}
            assert score(scorer_taking(kind, ordered)) == expected, ordered


def any_keyword(**kwargs: Any) -> Any:
    return kwargs


def output_and_any_keyword(output: Any, expected: Any = None, **kwargs: Any) -> Any:
    return {"output": output, "expected": expected, **kwargs}


def mixed(output: Any, /, expected: Any, *, tags: Any) -> Any:
    return output, expected, tags


def with_default(output: Any, threshold: float = 0.5) -> Any:
    return output, threshold


def place_only_default_between(output: Any, threshold: float = 0.5, expected: Any = None, /) -> Any:
    return threshold


class Judge:
    def __call__(self, output: Any) -> Any:
        return output

    def method(self, expected: Any) -> Any:
        return expected


@pytest.mark.parametrize(
    ("scorer", "expected"),
    [
        pytest.param(any_keyword, ARGUMENTS, id="any keyword"),
        pytest.param(output_and_any_keyword, ARGUMENTS, id="some and any keyword"),
        pytest.param(mixed, ("the output", "the expected", "the tags"), id="of every kind"),
        pytest.param(with_default, ("the output", 0.5), id="a default of its own"),
        pytest.param(place_only_default_between, 0.5, id="a default between, by place only"),
        pytest.param(
            functools.partial(with_default, threshold=0.9), ("the output", 0.9), id="partial"
        ),
        pytest.param(
            functools.partial(mixed, expected="fixed"),
            ("the output", "fixed", "the tags"),
            id="partial that fixes an argument",
        ),
        pytest.param(Judge(), "the output", id="object"),
        pytest.param(Judge, "the output", id="class"),
        pytest.param(Judge().method, "the expected", id="bound method"),
        pytest.param(lambda input: input, "the input", id="lambda"),
        pytest.param(lambda: 1, 1, id="no argument"),
    ],
)
def test_a_scorer_is_given_what_its_signature_asks_for(scorer: Any, expected: Any) -> None:
    assert score(scorer) == expected


def unknown_argument(output: Any, model: str) -> None: ...


class NeedsKey:
    def __init__(self, key: str) -> None: ...

    def __call__(self, output: Any) -> None: ...


class NotCallable:
    def __repr__(self) -> str:
        return "<not callable>"


@pytest.mark.parametrize("kind", ["scorer", "classifier"])
@pytest.mark.parametrize(
    ("scorer", "message"),
    [
        pytest.param("accuracy", "a {kind} must be callable, not 'accuracy'", id="text"),
        pytest.param(None, "a {kind} must be callable, not None", id="none"),
        pytest.param(NotCallable, "a {kind} must be callable, not <not callable>", id="class"),
        pytest.param(
            SimpleNamespace(handler=len),
            "a {kind} must be callable, not namespace(handler=<built-in function len>); pass its"
            " handler, which is a function",
            id="function of Braintrust",
        ),
        pytest.param(
            unknown_argument,
            "{kind} 'unknown_argument' requires the argument 'model', which is not passed to"
            f" {{kind}}s; a {{kind}} may take any of {KNOWN}",
            id="unknown argument",
        ),
        pytest.param(
            NeedsKey,
            "{kind} 'NeedsKey' is a class that cannot be called without arguments"
            " (NeedsKey.__init__() missing 1 required positional argument: 'key');"
            " pass an instance of it",
            id="class that needs arguments",
        ),
    ],
)
def test_a_scorer_that_could_not_be_called_is_refused(scorer: Any, message: str, kind: str) -> None:
    with pytest.raises(RegistrationError) as refused:
        ScorerCall.of(scorer, kind, 0)

    assert str(refused.value) == message.format(kind=kind)


class Scorer:
    """As the base of autoevals' scorers is."""

    async def _run_eval_async(self, *args: Any, **kwargs: Any) -> Any:
        raise AssertionError("the plain form is at hand")

    async def eval_async(self, output: Any, expected: Any = None, **kwargs: Any) -> Any:
        return await self._run_eval_async(output, expected, **kwargs)


class Levenshtein(Scorer):
    """As the scorers of autoevals are: callable, and with an asynchronous twin."""

    def __call__(self, output: Any, expected: Any = None, **kwargs: Any) -> Any:
        return ("sync", output, expected, sorted(kwargs))

    def _name(self) -> str:
        return "EditDistance"


class AsyncOnly:
    async def eval_async(self, output: Any) -> Any:
        return output

    def _name(self) -> str:
        return "async-only"


@pytest.mark.parametrize("scorer", [Levenshtein, Levenshtein()], ids=["class", "instance"])
def test_a_scorer_of_autoevals_works_as_it_is(scorer: Any) -> None:
    scorer_call = ScorerCall.of(scorer, "scorer", 0)

    assert scorer_call.name == "EditDistance"
    others = sorted(ARGUMENTS.keys() - {"output", "expected"})
    assert scorer_call(ARGUMENTS) == ("sync", "the output", "the expected", others)


class AsyncJudge(Levenshtein):
    async def _run_eval_async(self, output: Any, *args: Any, **kwargs: Any) -> Any:
        return ("async", output)


class AsyncEntry(Levenshtein):
    async def eval_async(self, output: Any, expected: Any = None, **kwargs: Any) -> Any:
        return ("async", output)


class Twofold:
    def __call__(self, output: Any) -> Any:
        raise AssertionError("the SDK prefers the asynchronous form")

    async def eval_async(self, output: Any) -> Any:
        return ("async", output)


@pytest.mark.parametrize(
    "scorer", [AsyncJudge, AsyncJudge(), AsyncEntry, AsyncEntry(), Twofold, Twofold()]
)
def test_a_scorer_with_an_asynchronous_form_of_its_own_is_called_by_it(scorer: Any) -> None:
    coroutine = ScorerCall.of(scorer, "scorer", 0)(ARGUMENTS)
    assert asyncio.run(coroutine) == ("async", "the output")


def test_a_scorer_that_has_only_eval_async_is_called_by_it() -> None:
    scorer_call = ScorerCall.of(AsyncOnly(), "scorer", 0)
    coroutine = scorer_call(ARGUMENTS)
    coroutine.close()

    assert (scorer_call.name, scorer_call.positional, scorer_call.keywords) == (
        "async-only",
        (),
        ("output",),
    )


@pytest.mark.parametrize("kind", [Mock, MagicMock], ids=lambda each: each.__name__)
def test_a_mock_as_scorer_is_called_itself(kind: type[Mock]) -> None:
    mock = kind(return_value=1)
    assert score(mock) == 1
    assert ScorerCall.of(mock, "scorer", 0).name == kind.__name__
    mock.assert_called_once()


class TextName:
    _name = "not a method"

    def __call__(self, output: Any) -> None: ...


class Answering:
    """Has an attribute of any name, as a mock does."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return only_input

    def __call__(self, input: Any) -> None: ...


@pytest.mark.parametrize(
    ("function", "name"),
    [
        pytest.param(only_input, "only_input", id="function"),
        pytest.param(functools.partial(only_input), "only_input", id="partial"),
        pytest.param(functools.partial(functools.partial(only_input)), "only_input", id="partial²"),
        pytest.param(functools.partial(Levenshtein()), "EditDistance", id="partial of an object"),
        pytest.param(Greeter().method, "method", id="bound method"),
        pytest.param(Greeter(), "Greeter", id="object"),
        pytest.param(Greeter, "Greeter", id="class"),
        pytest.param(TextName(), "TextName", id="_name that is no method"),
        pytest.param(Answering(), "Answering", id="func that is not a partial's"),
        pytest.param(Mock(), "Mock", id="mock"),
        pytest.param(len, "len", id="builtin"),
        pytest.param(lambda: 1, "<lambda>", id="lambda"),
    ],
)
def test_a_callable_is_known_as(function: Any, name: str) -> None:
    assert callable_name(function) == name


def test_the_place_of_an_object_is_that_of_its_call_whatever_its_attributes_are() -> None:
    assert place_of(Answering()) == place_of(Answering.__call__) != place_of(only_input)
    assert place_of(Mock()) == place_of(Mock.__call__)


@pytest.mark.parametrize(
    "wrap", [functools.partial, functools.lru_cache, sync_to_async], ids=lambda each: each.__name__
)
def test_the_place_of_what_wraps_a_function_is_the_functions(wrap: Any) -> None:
    assert place_of(functools.partial(wrap(only_input))) == place_of(only_input)
    assert place_of(wrap(only_input)) == place_of(only_input)


def test_lambdas_are_named_by_their_place() -> None:
    scorers = [lambda output: 1, only_input, lambda output: 0]

    names = [each.name for each in scorer_calls(scorers, "scorer", "e")]
    assert names == ["scorer_0", "only_input", "scorer_2"]
    assert scorer_calls([lambda output: None], "classifier", "e")[0].name == "classifier_0"


def test_two_scorers_of_one_name_are_refused() -> None:
    with pytest.raises(DuplicateEvaluatorError) as refused:
        scorer_calls([Judge(), with_default, Judge], "scorer", "greeter")

    line = Judge.__call__.__code__.co_firstlineno
    assert str(refused.value) == (
        f"evaluator 'greeter' has two scorers named 'Judge', both at {__file__}:{line};"
        " nobody could tell their results apart, so rename one of them"
    )


def test_two_scorers_of_one_name_are_refused_with_both_places() -> None:
    def first(output: Any) -> float:
        return 1

    def second(output: Any) -> float:
        return 0

    second.__name__ = "first"
    with pytest.raises(DuplicateEvaluatorError) as refused:
        scorer_calls([first, functools.partial(second)], "classifier", "greeter")

    assert str(refused.value) == (
        "evaluator 'greeter' has two classifiers named 'first', one at"
        f" {__file__}:{first.__code__.co_firstlineno}, one at"
        f" {__file__}:{second.__code__.co_firstlineno}; nobody could tell their"
        " results apart, so rename one of them"
    )


@pytest.mark.parametrize("scorers", [None, (), []], ids=["none", "tuple", "list"])
def test_there_may_be_no_scorers(scorers: Any) -> None:
    assert scorer_calls(scorers, "scorer", "greeter") == ()


@pytest.mark.parametrize(
    ("scorers", "shown"),
    [
        ("accuracy", "'accuracy'"),
        (len, "<built-in function len>"),
        (5, "5"),
        ({"a": len}, "{'a': <built-in function len>}"),
        ({len}, "{<built-in function len>}"),
    ],
    ids=["text", "function", "number", "dict", "set"],
)
def test_scorers_that_are_no_list_are_refused(scorers: Any, shown: str) -> None:
    with pytest.raises(RegistrationError) as refused:
        scorer_calls(scorers, "scorer", "greeter")

    assert str(refused.value) == (
        f"evaluator 'greeter': scores must be a list, not {shown}; write scores=[scorer]"
    )
