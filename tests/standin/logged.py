"""Rows that the SDK logs, and how later rows of the same id change them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from .state import Row


@dataclass(frozen=True)
class LoggedRow:
    """One span that the SDK has recorded, as it is after all rows that changed it.

    Attributes:
        token: Of the request that brought the row last.
        parent: As in `x-bt-parent`: `experiment_id:…`, `project_id:…` or `playground_id:…`.
        is_change: Whether the row only changes one that came before it.
    """

    token: str
    parent: str
    row: Row
    is_change: bool = False

    @property
    def name(self) -> str | None:
        return self._attributes.get("name")

    @property
    def type(self) -> str | None:
        """Braintrust's type of the span: `eval`, `task`, `score`, `classifier`."""
        return self._attributes.get("type")

    @property
    def _attributes(self) -> Row:
        return self.row.get("span_attributes") or {}

    def after(self, later: LoggedRow) -> LoggedRow:
        """What is left of this row when a later one of the same id comes in."""
        if not later.is_change:
            return later
        row = _merge(self.row, later.row)
        if self.row.get("tags") and later.row.get("tags"):
            # The one list that is added to, as the SDK does where it merges rows itself.
            row["tags"] = list(dict.fromkeys([*self.row["tags"], *later.row["tags"]]))
        return replace(later, row=row)


def _merge(old: Any, new: Any) -> Any:
    if not isinstance(old, dict) or not isinstance(new, dict):
        return new
    return {**old, **{key: _merge(old.get(key), value) for key, value in new.items()}}
