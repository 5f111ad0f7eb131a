"""Fixtures of the tests of ``bp.load()``."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from .support import IMPORTS, SDK, Write


@pytest.fixture(autouse=True)
def unchanged_interpreter(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Imports of one test are not there in the next; the SDK is always left as it was."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    modules = set(sys.modules)
    before = SDK.registry.evaluators, SDK.registry.reporters
    assert before == ({}, {})
    yield
    unchanged = SDK.restore(*before)
    for name in set(sys.modules) - modules:
        file = getattr(sys.modules[name], "__file__", None)
        # Others may be extensions, which can be imported only once per process.
        if file is not None and Path(file).is_relative_to(tmp_path):
            del sys.modules[name]
    assert unchanged
    assert before == ({}, {})


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes a file below the test's folder."""

    def write(path: str, *lines: str, imports: str = IMPORTS) -> Path:
        file = tmp_path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(imports + textwrap.dedent("\n".join(lines)) + "\n", "utf-8")
        return file

    return write
