"""The pages themselves: where links lead, and what is published in them."""

from __future__ import annotations

import json
import re
import runpy
from pathlib import Path

import pytest

from benchmarks.steadiness import table as steady_table
from benchmarks.table import table

from .pages import PAGES, ROOT, blocks_of, prose_of

LINK = re.compile(r"\]\(([^)\s]+)\)")
KINDS = {"dockerfile", "ini", "json", "nginx", "python", "sh", "text", "yaml"}


def test_every_block_is_of_a_kind_that_is_tested() -> None:
    for page in PAGES:
        blocks = [*blocks_of(page)]
        fences = re.findall(r"^```", page.read_text("utf-8"), re.MULTILINE)
        assert len(fences) == 2 * len(blocks), f"{page.name} has a block that is not found"
        kinds = {each.kind for each in blocks if not each.kind.startswith("{")}
        assert kinds <= KINDS, page.name


def anchors_of(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", prose_of(page), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for link in LINK.findall(prose_of(page)):
        if link.startswith("https://"):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        if anchor:
            assert anchor in anchors_of(target), link


@pytest.mark.parametrize("page", [*PAGES, ROOT / "CHANGELOG.md"], ids=lambda page: page.name)
def test_no_line_ends_inside_of_inline_code(page: Path) -> None:
    # It is shown with a space there, and a search of the files does not find it.
    spans = re.findall(r"(?<!`)(`+)(?!`)((?:(?!\n\n).)+?)(?<!`)\1(?!`)", prose_of(page), re.DOTALL)
    assert [text for _, text in spans if "\n" in text] == []


def test_every_page_is_in_the_table_of_contents() -> None:
    index = (ROOT / "docs" / "index.md").read_text("utf-8")
    listed = {line for line in index.splitlines() if re.fullmatch(r"[a-z-]+", line)}
    assert listed == {page.stem for page in (ROOT / "docs").glob("*.md")} - {"index"}


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
