"""The commands of every page run, in order, in one terminal, and write what the page says."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.standin import StandIn

from .interpreters import commands_in
from .pages import PAGES, Block, blocks_of, name_of
from .shell import Shell, matches, prepare_folder

WITH_COMMANDS = [page for page in PAGES if any(each.kind == "sh" for each in blocks_of(page))]
KEY = "..."
"""The API key of pages."""
DATASET = "3f1c2b9e-..."
ROWS = [
    {"input": text, "expected": team}
    for text, team in (
        ("I was charged twice", "billing"),
        ("Where is my invoice?", "billing"),
        ("My parcel did not arrive", "shipping"),
        ("When does it arrive?", "shipping"),
    )
]

pytestmark = pytest.mark.live


@pytest.fixture
def cloud() -> Iterator[StandIn]:
    with StandIn() as cloud:
        cloud.add_user(KEY)
        cloud.add_dataset("acme", "helpdesk", "tickets", ROWS, id=DATASET)
        before = [{**row, "scores": {"exact_match": n > 0}} for n, row in enumerate(ROWS)]
        cloud.add_experiment("acme", "helpdesk", "nightly-1", before)
        yield cloud


@pytest.mark.parametrize("page", WITH_COMMANDS, ids=lambda page: page.name)
def test_the_commands_of_a_page_do_what_it_says(page: Path, cloud: StandIn, tmp_path: Path) -> None:
    if shutil.which("curl") is None and "curl " in page.read_text("utf-8"):
        pytest.skip("curl is not installed")
    prepare_folder(tmp_path)
    environ = {
        "BRAINTRUST_APP_URL": cloud.url,
        "BRAINTRUST_EVALS_ORG_NAME": cloud.org_id("acme"),
        "NO_PROXY": "127.0.0.1",
    }
    with Shell(tmp_path, environ) as shell:
        blocks = [*blocks_of(page)]
        for block, after in zip(blocks, [*blocks[1:], None], strict=True):
            if block.file is not None:
                shell.write(block)
            has_output = after is not None and after.mark.startswith("output")
            for command, variables in commands_in(block):
                run(shell, block, command, variables, after if has_output else None)


def run(
    shell: Shell,
    block: Block,
    command: str,
    variables: dict[str, str],
    expected: Block | None,
) -> None:
    status, written = shell.run(command, variables)
    _, _, should = (expected.mark if expected is not None else "").partition(" ")
    assert status == int(should or 0), f"{name_of(block)}: status {status}\n{written}"
    if expected is not None:
        assert matches(expected.text, written), f"{name_of(expected)}: it writes\n{written}"


def test_outputs_are_compared() -> None:
    assert matches("a ...\nb 0123456789abcdef\n", "a 12\nmore\nb fedcba9876543210  \n\n")
    assert not matches("a\n", "a\nb\n")
    assert not matches("a.b\n", "axb\n")
