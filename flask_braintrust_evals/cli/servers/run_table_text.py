"""Describes runs that are under way, for ``flask evals ps``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from flask_braintrust_evals.cli.terminal.terminal import styled

from .server_runs import RunList, silent_text

_WIDEST = 30
"""Characters of a cell. Ids are longer, and are shown whole."""
_COLUMNS = ("id", "evaluator", "organization", "experiment", "cases", "failed", "for")


def run_lines(listing: RunList, of_machine: bool) -> list[str]:
    """Return the lines of a table.

    Args:
        listing: the runs.
        of_machine: whether they are those of several servers, each of which is named.
    """
    lines = []
    if listing.runs:
        columns = (*_COLUMNS, "application", "process") if of_machine else _COLUMNS
        lines += _table(columns, [_row(each) for each in listing.runs])
    else:
        lines.append("no run is under way" if of_machine else "no run of yours is under way")
    if listing.omitted:
        lines.append(f"and {listing.omitted} more")
    if listing.silent_processes:
        lines.append(silent_text(listing.silent_processes))
    return lines


def _row(run: Mapping[str, Any]) -> dict[str, str]:
    cases, total = run.get("cases"), run.get("total_cases")
    duration = _duration(run.get("duration"))
    return {
        "id": _cell(run.get("id"), 100),
        "evaluator": _cell(run.get("evaluator")),
        "organization": _cell(run.get("organization")),
        "experiment": _cell(run.get("experiment")),
        "cases": _cell(cases if total is None else f"{cases} of {total}"),
        "failed": _cell(run.get("failed_cases")),
        "for": duration if run.get("state") == "running" else f"{duration}, ending",
        "application": _cell(run.get("application")),
        "process": _cell(run.get("process")),
    }


def _cell(value: Any, widest: int = _WIDEST) -> str:
    if value is None:
        return "-"
    text = styled(str(value)).replace("\n", " ")
    return text if len(text) <= widest else text[: widest - 1] + "…"


def _duration(seconds: Any) -> str:
    if not isinstance(seconds, int | float):
        return "-"
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def _table(columns: Sequence[str], rows: Sequence[Mapping[str, str]]) -> list[str]:
    widths = {name: max(len(name), *(len(row[name]) for row in rows)) for name in columns}
    header = {name: name for name in columns}
    return [
        "  ".join(row[name].ljust(widths[name]) for name in columns).rstrip()
        for row in (header, *rows)
    ]
