"""Files of cases as other programs write them, and what they must be read as."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent
_SUFFIX = ".expected.json"


@dataclass(frozen=True)
class TableFile:
    """A file of cases: its path, and its cases or the beginning of the error.

    Attributes:
        ignored: which keys of the cases mean nothing.
    """

    path: Path
    cases: list[dict[str, Any]] | None
    error: str | None
    ignored: list[str]

    def check(self, cases: Any, error: str | None, ignored: list[str] | None) -> None:
        """Compare with what was read."""
        if self.error is None:
            assert error is None, error
            # As text, so that 1 is not true.
            assert _text(cases) == _text(self.cases)
            assert ignored == self.ignored
        else:
            assert error is not None, cases
            assert error.startswith(self.error)


def table_files() -> list[TableFile]:
    """Return all files, in the order of their names."""
    return [_file(path) for path in sorted(FOLDER.glob(f"*{_SUFFIX}"))]


def _file(expected: Path) -> TableFile:
    value = json.loads(expected.read_text("utf-8"))
    path = expected.with_name(expected.name.removesuffix(_SUFFIX))
    return TableFile(path, value.get("cases"), value.get("error"), value.get("ignored", []))


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True)
