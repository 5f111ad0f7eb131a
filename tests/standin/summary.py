"""An experiment's scores, from all its rows and spans, against an earlier experiment's."""

from __future__ import annotations

import json
from collections import defaultdict
from statistics import fmean
from typing import Any

from .journal import Journal
from .state import Experiment, Row

_Scores = dict[str, dict[str, list[float]]]
"""Score name, then the case's input as JSON, then one number per trial."""


def summarize(journal: Journal, experiment: Experiment, base: Experiment | None) -> Row:
    """The `scores` of a summary, by name."""
    mine = _scores(journal, experiment)
    theirs = _scores(journal, base) if base is not None else {}
    return {
        name: _compared(name, by_case, theirs.get(name)) for name, by_case in sorted(mine.items())
    }


def _compared(
    name: str, mine: dict[str, list[float]], theirs: dict[str, list[float]] | None
) -> Row:
    score = _mean(mine)
    summary: Row = {"name": name, "score": score, "improvements": 0, "regressions": 0}
    if theirs is not None:
        changes = [fmean(mine[case]) - fmean(theirs[case]) for case in mine.keys() & theirs.keys()]
        summary["diff"] = score - _mean(theirs)
        summary["improvements"] = sum(change > 0 for change in changes)
        summary["regressions"] = sum(change < 0 for change in changes)
    return summary


def _mean(by_case: dict[str, list[float]]) -> float:
    return fmean(number for numbers in by_case.values() for number in numbers)


def _scores(journal: Journal, experiment: Experiment) -> _Scores:
    found: _Scores = defaultdict(lambda: defaultdict(list))
    inputs = {row["root_span_id"]: row["input"] for row in experiment.rows if row["is_root"]}
    for row in experiment.rows:
        _note(found, inputs.get(row["root_span_id"]), row["scores"])
    recorded = journal.recorded(f"experiment_id:{experiment.id}")
    inputs = {row.get("root_span_id"): row.get("input") for row in recorded if row["is_root"]}
    for row in recorded:
        _note(found, inputs.get(row.get("root_span_id")), row.get("scores"))
    return found


def _note(found: _Scores, case_input: Any, scores: Row | None) -> None:
    case = json.dumps(case_input, sort_keys=True)
    for name, score in (scores or {}).items():
        if score is not None:
            found[name][case].append(float(score))
