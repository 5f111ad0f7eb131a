"""Pairs of runs, and what a comparison of them must say."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Comparison:
    """Two runs in the format of results, and what is expected of their comparison."""

    path: Path
    before: Mapping[str, Any]
    now: Mapping[str, Any]
    expected: Mapping[str, Any]

    def check(self, found: Mapping[str, Any]) -> None:
        """Compare with what was found, which has the form of :attr:`expected`."""
        counts = ("cases", "only_before", "only_now", "missing")
        assert [found[name] for name in counts] == [self.expected[name] for name in counts]
        for score, expected in zip(found["scores"], self.expected["scores"], strict=True):
            assert score.keys() == expected.keys()
            for name, value in expected.items():
                is_number = isinstance(value, int | float)
                assert score[name] == (pytest.approx(value) if is_number else value), name


def comparisons() -> list[Comparison]:
    """Return all pairs, in the order of their names."""
    return [_read(path) for path in sorted(FOLDER.glob("*.json"))]


def _read(path: Path) -> Comparison:
    value = json.loads(path.read_text("utf-8"))
    return Comparison(path, value["before"], value["now"], value["expected"])
