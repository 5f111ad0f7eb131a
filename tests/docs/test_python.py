"""Every block of Python in the documentation runs.

A block that is marked ``continued`` goes on where the block above it ended; any other starts anew.
A block whose first line is a comment with the name of a file is that file, for what follows: blocks
that go on, or the commands of its page, which ``test_commands.py`` runs. Blocks run in an empty
folder, and reach nothing but this machine.
"""

from __future__ import annotations

import logging
import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import braintrust
import pytest

import flask_braintrust_evals
from flask_braintrust_evals import EvalsBlueprint
from tests.standin import StandIn

from .pages import PAGES, Block, blocks_of, name_of

pytestmark = pytest.mark.slow

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"greeting": {"type": "string", "default": "hello"}},
}


def chains() -> list[list[Block]]:
    """The blocks that are run one after another in the same namespace."""
    found: list[list[Block]] = []
    for page in PAGES:
        for block in blocks_of(page):
            if block.kind != "python":
                continue
            if block.mark != "continued":
                found.append([])
            found[-1].append(block)
    return [chain for chain in found if chain[-1].file is None]


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """An empty folder, no settings of this machine, no network; and everything is undone.

    Imports are undone too: files of one name in two examples are two modules.
    """
    for name in [name for name in os.environ if name.startswith("BRAINTRUST_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("BRAINTRUST_DISABLE_ATEXIT_FLUSH", "true")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(flask_braintrust_evals, "evals_bp", EvalsBlueprint())
    monkeypatch.setattr(sys, "path", [*sys.path])
    connect = socket.socket.connect

    def connect_here(self: socket.socket, address: Any) -> None:
        assert address[0] == "127.0.0.1", f"an example wants to reach {address}"
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", connect_here)
    modules = {*sys.modules}
    root, ours = logging.getLogger(), logging.getLogger("flask_braintrust_evals")
    levels = [(logger, logger.level) for logger in (root, ours)]
    monkeypatch.setattr(root, "handlers", [*root.handlers])
    yield
    for logger, level in levels:
        logger.setLevel(level)
    for name in [*sys.modules.keys() - modules]:
        file = getattr(sys.modules[name], "__file__", None)
        if file is not None and Path(file).is_relative_to(tmp_path):
            del sys.modules[name]


@pytest.fixture
def saved(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """A cloud with saved parameters, which the braintrust SDK is logged in to."""
    monkeypatch.setenv("BRAINTRUST_PARAMETERS_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with StandIn() as cloud:
        cloud.add_user("token-ada")
        cloud.add_parameters("acme", "helpdesk", "greeter-config", SCHEMA, {"greeting": "hi"})
        monkeypatch.setenv("BRAINTRUST_APP_URL", cloud.url)
        braintrust.logger._internal_reset_global_state()
        braintrust.login(app_url=cloud.url, api_key="token-ada")
        yield
        braintrust.logger._close_login_state(braintrust.logger._state)
        braintrust.logger._internal_reset_global_state()


@pytest.mark.parametrize("chain", chains(), ids=lambda chain: name_of(chain[0]))
def test_an_example_runs(chain: list[Block], request: pytest.FixtureRequest) -> None:
    if any("load_parameters(" in block.text for block in chain):
        request.getfixturevalue("saved")
    # A module of its own, in which pydantic and dataclasses find what annotations name.
    module = ModuleType(f"example_of_{chain[0].page.stem}_{chain[0].line}".replace("-", "_"))
    module.__file__ = str(Path("app.py").resolve())
    sys.modules[module.__name__] = module
    for block in chain:
        if block.file is not None:
            Path(block.file).parent.mkdir(parents=True, exist_ok=True)
            Path(block.file).write_text(block.text, "utf-8")
            continue
        code = "\n" * (block.line - 1) + block.text  # failures show the page and the line
        exec(compile(code, str(block.page), "exec", dont_inherit=True), module.__dict__)
    for value in [*vars(module).values()]:
        if isinstance(value, EvalsBlueprint):
            run_evaluators(value)


def run_evaluators(bp: EvalsBlueprint) -> None:
    """What an example serves also works."""
    for evaluator in bp.registry:
        (result,) = evaluator.run([{"input": "a", "expected": "A"}], trial_count=1).results
        assert (result.error, result.scorer_errors) == (None, {}), evaluator.name


def test_there_are_examples_on_every_page_that_shows_how_to_write_something() -> None:
    pages = {chain[0].page.name for chain in chains()}
    assert pages >= {
        "coming-from-braintrust-eval.md",
        "evaluators.md",
        "parameters.md",
        "testing.md",
    }
