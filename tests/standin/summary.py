"""An experiment's scores and metrics, from all its rows and spans, against an earlier one's."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any

from . import metrics
from .journal import Journal
from .metrics import Numbers
from .state import Experiment, Row

_Values = dict[str, dict[str, list[float]]]
"""A name, then the case's input as JSON, then one number per trial."""


@dataclass
class _Trace:
    """What one trial of a case has."""

    case: str
    scores: list[Numbers] = field(default_factory=list)
    metrics: Numbers = field(default_factory=dict)


def summarize(journal: Journal, experiment: Experiment, base: Experiment | None) -> Row:
    """The `scores` and `metrics` of a summary, by name."""
    mine = [*_traces(journal, experiment)]
    theirs = [*_traces(journal, base)] if base is not None else []
    scores, scores_before = _scores(mine), _scores(theirs)
    numbers, numbers_before = _metrics(mine), _metrics(theirs)
    return {
        "scores": {
            name: {
                "name": name,
                "score": _mean(by_case),
                **_changes(by_case, scores_before.get(name), 1),
            }
            for name, by_case in sorted(scores.items())
        },
        "metrics": {
            name: {
                "name": name,
                "metric": _mean(by_case),
                "unit": metrics.unit(name),
                **_changes(by_case, numbers_before.get(name), -1),
            }
            for name, by_case in sorted(numbers.items())
        },
    }


def _changes(
    mine: dict[str, list[float]], theirs: dict[str, list[float]] | None, better: int
) -> Row:
    """The changes of the cases that both have; `better` is the sign of a change for the better."""
    if theirs is None:
        return {"improvements": 0, "regressions": 0}
    changes = [fmean(mine[case]) - fmean(theirs[case]) for case in mine.keys() & theirs.keys()]
    return {
        "diff": _mean(mine) - _mean(theirs),
        "improvements": sum(change * better > 0 for change in changes),
        "regressions": sum(change * better < 0 for change in changes),
    }


def _mean(by_case: dict[str, list[float]]) -> float:
    return fmean(number for numbers in by_case.values() for number in numbers)


def _scores(traces: list[_Trace]) -> _Values:
    found: _Values = defaultdict(lambda: defaultdict(list))
    for trace in traces:
        for scores in trace.scores:
            for name, score in scores.items():
                found[name][trace.case].append(score)
    return found


def _metrics(traces: list[_Trace]) -> _Values:
    found: _Values = defaultdict(lambda: defaultdict(list))
    for trace in traces:
        for name, value in trace.metrics.items():
            found[name][trace.case].append(value)
    return found


def _traces(journal: Journal, experiment: Experiment) -> Iterator[_Trace]:
    for rows in (experiment.rows, journal.recorded(f"experiment_id:{experiment.id}")):
        inputs = {row.get("root_span_id"): row.get("input") for row in rows if row["is_root"]}
        found: dict[Any, _Trace] = {}
        for row in rows:
            root = row.get("root_span_id")
            case = json.dumps(inputs.get(root), sort_keys=True)
            trace = found.setdefault(root, _Trace(case))
            _note(trace, row.get("scores"))
            for name, value in metrics.of_row(row).items():
                trace.metrics[name] = trace.metrics.get(name, 0.0) + value
        yield from found.values()


def _note(trace: _Trace, scores: Row | None) -> None:
    trace.scores.append({k: float(v) for k, v in (scores or {}).items() if v is not None})
