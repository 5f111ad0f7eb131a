"""What the application sets up for LangChain and for autoevals reaches cases.

LangChain, and the SDK's module for it, are replaced by small ones.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from pathlib import Path
from types import ModuleType
from typing import Any

import autoevals
import pytest
from autoevals import oai, ragas
from autoevals.oai import get_default_embedding_model, get_default_model

from flask_braintrust_evals import Evaluator
from flask_braintrust_evals.contrib import share_variables
from flask_braintrust_evals.contrib.braintrust.evaluators import from_sdk
from flask_braintrust_evals.contrib.braintrust.loading import load
from tests.standin import StandIn
from tests.web.support import api_of, deltas

from .support import echo, sdk_evaluator

NAMES = ("braintrust.integrations.langchain.context", "braintrust_langchain.context")


class LangChain:
    """What LangChain and the SDK's module for it have."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
        module: Any = ModuleType(name)
        variable = ContextVar[Any]("handler", default=None)
        module.braintrust_callback_handler_var = variable
        self.module = module
        self._hooks: list[Any] = [variable]
        langchain: Any = ModuleType("langchain_core.tracers.context")
        langchain.register_configure_hook = lambda hook, inheritable: self._hooks.append(hook)
        monkeypatch.setitem(sys.modules, name, module)
        monkeypatch.setitem(sys.modules, langchain.__name__, langchain)

    def set_global_handler(self, handler: str) -> None:
        self.module.braintrust_callback_handler_var.set(handler)

    def handlers(self) -> list[str]:
        return sorted({each.get() for each in self._hooks} - {None})


@pytest.fixture(params=NAMES)
def langchain(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> LangChain:
    return LangChain(monkeypatch, request.param)


def seen_by(cloud: StandIn, task: Callable[..., Any], then: Callable[[], None]) -> list[Any]:
    api = api_of(cloud, from_sdk(sdk_evaluator(eval_name="echo", task=task)))
    then()
    return [json.loads(each["data"]) for each in deltas(api.events(data=[{"input": 1}]))]


def test_a_handler_that_is_set_before_the_blueprint_is_registered_is_seen_in_cases(
    cloud: StandIn, langchain: LangChain
) -> None:
    langchain.set_global_handler("first")
    assert seen_by(cloud, lambda input: langchain.handlers(), lambda: None) == [["first"]]


def test_one_that_is_set_later_as_for_a_request_is_not(
    cloud: StandIn, langchain: LangChain
) -> None:
    def set_second() -> None:
        langchain.set_global_handler("second")

    langchain.set_global_handler("first")
    assert seen_by(cloud, lambda input: langchain.handlers(), set_second) == [["first"]]
    assert langchain.handlers() == ["second"]


def test_each_registration_shares_what_is_set_by_then(cloud: StandIn, langchain: LangChain) -> None:
    assert seen_by(cloud, lambda input: langchain.handlers(), lambda: None) == [[]]
    langchain.set_global_handler("later")
    assert seen_by(cloud, lambda input: langchain.handlers(), lambda: None) == [["later"]]


def test_one_that_a_file_sets_is_seen_too(
    cloud: StandIn, langchain: LangChain, tmp_path: Path
) -> None:
    file = tmp_path / "eval_chain.py"
    file.write_text(
        "import sys; from braintrust import Eval;"
        f" sys.modules[{langchain.module.__name__!r}].braintrust_callback_handler_var.set('own');"
        " Eval('p', experiment_name='chain', data=[], task=lambda input: 1, scores=[])"
    )
    load(file)
    assert seen_by(cloud, lambda input: langchain.handlers(), lambda: None) == [["own"]]


def test_one_that_a_task_sets_is_seen_in_its_case_alone(
    cloud: StandIn, langchain: LangChain
) -> None:
    def task(input: Any) -> list[str]:
        langchain.set_global_handler("own")
        return langchain.handlers()

    assert seen_by(cloud, task, lambda: None) == [["own"]]
    assert seen_by(cloud, lambda input: langchain.handlers(), lambda: None) == [[]]


def test_the_variable_is_replaced_once(langchain: LangChain) -> None:
    share_variables()
    shared = langchain.module.braintrust_callback_handler_var
    share_variables()
    assert langchain.module.braintrust_callback_handler_var is shared


@pytest.fixture
def after_autoevals() -> Iterator[None]:
    yield
    autoevals.init()


def of_autoevals() -> tuple[Any, str, str, str]:
    models = get_default_model(), ragas._get_model(None), get_default_embedding_model()
    return oai._client_var.get(None), *models


@pytest.mark.usefixtures("after_autoevals")
@pytest.mark.parametrize("blocking", [False, True])
def test_scorers_of_autoevals_use_the_client_and_the_models_that_were_set_before_registration(
    cloud: StandIn, blocking: bool
) -> None:
    found = []

    async def asked(output: Any) -> float:
        return scored(output)

    def scored(output: Any) -> float:
        found.append(of_autoevals())
        return 1

    models = {"completion": "small", "embedding": "vectors"}
    client: Any = object()
    autoevals.init(default_model=models)
    oai._client_var.set(client)  # by init(client=...), which imports the openai package
    evaluator = Evaluator("echo", echo, scores=[scored, asked], blocking=blocking)
    api = api_of(cloud, evaluator)
    autoevals.init(default_model="of one request")
    deltas(api.events(data=[{"input": 1}]))
    assert found == [(client, "small", "small", "vectors")] * 2
    # Elsewhere, autoevals goes on as before.
    assert of_autoevals()[:3] == (None, "of one request", "of one request")


@pytest.mark.usefixtures("after_autoevals")
def test_what_a_scorer_or_a_later_registration_sets_replaces_all_that_was_set_before(
    cloud: StandIn,
) -> None:
    client: Any = object()
    found = []

    def scored(output: Any) -> float:
        found.append(of_autoevals()[:2])
        autoevals.init()
        oai._client_var.set(client)
        found.append(of_autoevals()[:2])
        return 1

    usual = get_default_model()
    for model in ("small", None):
        autoevals.init(default_model=model)
        evaluator = Evaluator("echo", echo, scores=[scored])
        deltas(api_of(cloud, evaluator).events(data=[{"input": 1}]))
    assert found == [(None, "small"), (client, usual), (None, usual), (client, usual)]
