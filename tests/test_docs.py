"""The documentation: every block of Python in it runs, and every link in it leads somewhere.

A block that is preceded by ``<!-- continued -->`` goes on where the block above it ended; any other
starts anew. A block whose first line is a comment with the name of a file is that file, for the
blocks that follow. Blocks run in an empty folder, and reach nothing but this machine.
"""

from __future__ import annotations

import json
import os
import re
import runpy
import socket
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import braintrust
import pytest

import flask_braintrust_evals
from benchmarks.steadiness import table as steady_table
from benchmarks.table import table
from flask_braintrust_evals import EvalsBlueprint

from .standin import StandIn

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^(<!-- continued -->\n+)?```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FENCED = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
FILE = re.compile(r"# ([\w./-]+\.py)\n")
LINK = re.compile(r"\]\(([^)\s]+)\)")
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"greeting": {"type": "string", "default": "hello"}},
}


@dataclass(frozen=True)
class Block:
    """One block of a page: its text, the line on which that begins, and whether it goes on."""

    page: Path
    line: int
    text: str
    continued: bool


def blocks_of(page: Path) -> Iterator[Block]:
    text = page.read_text("utf-8")
    for found in BLOCK.finditer(text):
        line = text.count("\n", 0, found.start(2)) + 1
        yield Block(page, line, found[2], found[1] is not None)


def chains() -> list[list[Block]]:
    """The blocks that are run one after another in the same namespace."""
    found: list[list[Block]] = []
    for page in PAGES:
        for block in blocks_of(page):
            if not block.continued:
                found.append([])
            found[-1].append(block)
    return found


def name_of(chain: list[Block]) -> str:
    return f"{chain[0].page.name}:{chain[0].line}"


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """An empty folder, no settings of whoever runs the tests, no network, and nothing left behind.

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
    yield
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


@pytest.mark.parametrize("chain", chains(), ids=name_of)
def test_an_example_runs(chain: list[Block], request: pytest.FixtureRequest) -> None:
    if any("load_parameters(" in block.text for block in chain):
        request.getfixturevalue("saved")
    # A module of its own, in which pydantic and dataclasses find what annotations name.
    module = ModuleType(f"example_of_{chain[0].page.stem}_{chain[0].line}".replace("-", "_"))
    module.__file__ = str(Path("app.py").resolve())
    sys.modules[module.__name__] = module
    for block in chain:
        file = FILE.match(block.text)
        if file is not None:
            Path(file[1]).parent.mkdir(parents=True, exist_ok=True)
            Path(file[1]).write_text(block.text, "utf-8")
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
        "README.md",
        "evaluators.md",
        "parameters.md",
        "coming-from-braintrust-eval.md",
    }
    for page in PAGES:
        marks = page.read_text("utf-8").count("```python")
        assert marks == len([*blocks_of(page)]), f"{page.name} has a block that is not found"


def anchors_of(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", FENCED.sub("", page.read_text("utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for link in LINK.findall(FENCED.sub("", page.read_text("utf-8"))):
        if link.startswith("https://"):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        if anchor:
            assert anchor in anchors_of(target), link


def test_the_picture_of_parameters_shows_what_is_listed_for_them() -> None:
    pictures = ROOT / "docs" / "pictures"
    drawn = runpy.run_path(str(pictures / "make_parameters_picture.py"))["draw"]()
    assert drawn == (pictures / "parameters.svg").read_text("utf-8")


def test_the_published_figures_are_those_of_the_published_run() -> None:
    results = json.loads((ROOT / "benchmarks" / "results" / "published.json").read_text("utf-8"))
    page = (ROOT / "docs" / "performance.md").read_text("utf-8")
    assert f"```text\n{table(results)}```\n" in page
    steadiness = ROOT / "benchmarks" / "results" / "steadiness.json"
    assert f"```text\n{steady_table(json.loads(steadiness.read_text('utf-8')))}```\n" in page
