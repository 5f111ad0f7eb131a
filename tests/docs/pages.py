"""The documentation's pages, and the blocks of code in them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
_FENCED = re.compile(
    r"^(?:<!-- (?P<mark>[\w ]+) -->\n+)?```(?P<kind>[^\n]*)\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
_FILE = re.compile(r"# ([\w./-]+\.py)\n")


@dataclass(frozen=True)
class Block:
    """One block of a page.

    Attributes:
        page: where it is.
        line: on which its text begins.
        kind: the language, such as ``python``; Sphinx's directives begin with a brace.
        text: what it holds.
        mark: what the comment before it says: ``continued``, a block of Python that goes on where
            the one above it ended; or ``output``, what the commands above it write, if they do not
            end well followed by their status.
    """

    page: Path
    line: int
    kind: str
    text: str
    mark: str

    @property
    def file(self) -> str | None:
        """The file that it is, where its first line names one."""
        found = _FILE.match(self.text)
        return None if found is None else found[1]


def blocks_of(page: Path) -> Iterator[Block]:
    """Yield the blocks of a page, in order."""
    text = page.read_text("utf-8")
    for found in _FENCED.finditer(text):
        line = text.count("\n", 0, found.start("text")) + 1
        yield Block(page, line, found["kind"].strip(), found["text"], found["mark"] or "")


def prose_of(page: Path) -> str:
    """Return a page without its blocks."""
    return _FENCED.sub("", page.read_text("utf-8"))


def name_of(block: Block) -> str:
    """Name a block in the output of tests."""
    return f"{block.page.name}:{block.line}"
