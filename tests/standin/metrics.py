"""The numbers of a recorded row, as the cloud sums them up."""

from __future__ import annotations

from .state import Row

Numbers = dict[str, float]

_UNITS = {"duration": "s", "estimated_cost": "$"}


def unit(name: str) -> str:
    return _UNITS.get(name, "tok")


def of_row(row: Row) -> Numbers:
    """A row's part in its trace's metrics: that of a scorer has none, and only a task's lasts."""
    kind, numbers = row.get("span_attributes") or {}, row.get("metrics") or {}
    if kind.get("purpose") == "scorer":
        return {}
    found = {
        name: float(value)
        for name, value in numbers.items()
        if name == "estimated_cost" or name.split("_")[-1] == "tokens"
    }
    if kind.get("type") == "task" and {"start", "end"} <= numbers.keys():
        found["duration"] = numbers["end"] - numbers["start"]
    return found
