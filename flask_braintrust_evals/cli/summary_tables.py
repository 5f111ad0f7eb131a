"""Tables of a run's scores, and of its durations, tokens and costs, for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from flask_braintrust_evals.engine.values.summary import MetricSummary

from .outcome import Outcome
from .terminal import styled


def score_table(outcome: Outcome) -> list[str]:
    """Return the lines of a table of scores; none if there are no scores."""
    scores = outcome.result.scores
    if not scores:
        return []
    width = max(len("score"), *map(len, scores))
    compared = {name: compared_score(outcome, name) for name in scores}
    more = f"  {'change':>7}  {'better':>6}  {'worse':>6}" if any(compared.values()) else ""
    head = f"{'score':<{width}}  {'mean':>7}  {'cases':>6}{more}"
    lines = [styled(head, bold=True)]
    for name, score in scores.items():
        mean = "-" if score.mean is None else f"{score.mean:.4f}"
        colour = "red" if name in outcome.too_low else None
        row = f"{name:<{width}}  {mean:>7}  {score.count:>6}{_changes(compared[name])}"
        lines.append(styled(row, fg=colour))
    return lines


def metric_table(outcome: Outcome) -> list[str]:
    """Return the lines of a table of durations, tokens and costs; none if no task was called."""
    summary = outcome.result.summary
    rows = [_metric_row(name, metric) for name, metric in summary.metrics.items()]
    rows += [
        _metric_row(f"{name} of scorers", metric) for name, metric in summary.scorer_metrics.items()
    ]
    if not rows:
        return []
    head, *lines = _aligned([("metric", "mean", "total", "cases"), *rows])
    return [styled(head, bold=True), *map(styled, lines)]


def compared_score(outcome: Outcome, name: str) -> dict[str, Any]:
    """Return Braintrust's comparison of a score with an earlier experiment; empty: there is none.

    ``diff`` is the change of the mean; ``improvements`` and ``regressions`` are counts of cases.
    """
    score: Mapping[str, Any] | None = outcome.comparison.scores.get(name)
    if score is None or outcome.comparison.base_name is None:
        return {}
    found: dict[str, Any] = {key: score.get(key) or 0 for key in ("improvements", "regressions")}
    if isinstance(score.get("diff"), int | float):
        found["diff"] = score["diff"]
    return found


def _changes(compared: dict[str, Any]) -> str:
    if not compared:
        return ""
    diff = compared.get("diff")
    change = "-" if diff is None else f"{diff:+.4f}"
    return f"  {change:>7}  {compared['improvements']:>6}  {compared['regressions']:>6}"


def _metric_row(name: str, metric: MetricSummary) -> tuple[str, str, str, str]:
    return (
        name,
        _amount(metric.mean or 0.0, metric.unit),
        _amount(metric.total, metric.unit),
        str(metric.count),
    )


def _amount(value: float, unit: str) -> str:
    if unit == "s":
        return f"{value:.3f} s"
    if unit == "$":
        return f"${value:.6f}"
    return f"{value:.1f}".removesuffix(".0")


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return lines whose first column is aligned to the left, and all others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.rjust(width) if index else cell.ljust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]
