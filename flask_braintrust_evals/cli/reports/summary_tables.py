"""Tables of a run's scores, and of its durations, tokens and costs, for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from flask_braintrust_evals.cli.running.outcome import Outcome
from flask_braintrust_evals.cli.terminal.terminal import styled
from flask_braintrust_evals.engine.values.summary import MetricSummary
from flask_braintrust_evals.runs.experiments.comparison import changes

from .quantiles import quantile

SHARES = {"p50": 0.5, "p95": 0.95}
"""The quantiles of metrics, by their names."""
CHANGES = ("change", "better", "worse")
"""The columns of a table of scores that is compared with an earlier run."""


def score_table(outcome: Outcome) -> list[str]:
    """Return the lines of a table of scores; none if there are no scores."""
    rows = score_rows(outcome)
    if not rows:
        return []
    head, *lines = _aligned(rows, least=(0, 7, 6, 7, 6, 6, 6))
    bad = outcome.too_low.keys() | outcome.worse.keys()
    coloured = [
        styled(line, fg="red" if name in bad else None)
        for name, line in zip(outcome.result.scores, lines, strict=True)
    ]
    return [styled(head, bold=True), *coloured]


def metric_table(outcome: Outcome) -> list[str]:
    """Return the lines of a table of durations, tokens and costs; none if no task was called."""
    rows = metric_rows(outcome)
    if not rows:
        return []
    head, *lines = _aligned(rows)
    return [styled(head, bold=True), *map(styled, lines)]


def score_rows(outcome: Outcome) -> list[tuple[str, ...]]:
    """Return the rows of a table of scores, the head first; none if there are no scores."""
    scores = outcome.result.scores
    if not scores:
        return []
    compared = {name: compared_score(outcome, name) for name in scores}
    more: tuple[str, ...] = CHANGES if any(compared.values()) else ()
    if more and outcome.baseline is not None:
        more = (*more, "chance")
    rows: list[tuple[str, ...]] = [("score", "mean", "cases", *more)]
    for name, score in scores.items():
        mean = "-" if score.mean is None else f"{score.mean:.4f}"
        changes = _changes(compared[name])[: len(more)] if compared[name] else ("",) * len(more)
        rows.append((name, mean, str(score.count), *changes))
    return rows


def metric_rows(outcome: Outcome) -> list[tuple[str, ...]]:
    """Return the rows of a table of durations, tokens and costs; none if no task was called."""
    summary, results = outcome.result.summary, outcome.result.results
    rows = [
        _metric_row(name, metric, [each.metrics for each in results])
        for name, metric in summary.metrics.items()
    ]
    rows += [
        _metric_row(name, metric, [each.scorer_metrics for each in results], " of scorers")
        for name, metric in summary.scorer_metrics.items()
    ]
    return [("metric", "mean", *SHARES, "total", "cases"), *rows] if rows else []


def compared_score(outcome: Outcome, name: str) -> dict[str, Any]:
    """Return how a score compares with that of an earlier run; empty: there is none.

    That is the run of the baseline, or else Braintrust's comparison with an earlier experiment.
    ``diff`` is the change of the mean; ``improvements`` and ``regressions`` are counts of cases.
    With a baseline, ``chance`` is the probability of such a change by chance.
    """
    if outcome.baseline is not None:
        change = outcome.baseline.scores.get(name)
        return {} if change is None else change.as_json()
    score = outcome.comparison.scores.get(name)
    return {} if score is None or outcome.comparison.base_name is None else changes(score)


def _changes(compared: dict[str, Any]) -> tuple[str, ...]:
    diff = compared.get("diff")
    change = "-" if diff is None else f"{diff:+.4f}"
    counts = (str(compared["improvements"]), str(compared["regressions"]))
    return (change, *counts, f"{compared['chance']:.3f}" if "chance" in compared else "")


def _metric_row(
    name: str, metric: MetricSummary, of_cases: Sequence[Mapping[str, float]], suffix: str = ""
) -> tuple[str, ...]:
    values = [metrics[name] for metrics in of_cases if name in metrics]
    quantiles = (quantile(values, share) for share in SHARES.values()) if values else (0.0, 0.0)
    amounts = (metric.mean, *quantiles, metric.total)
    return (name + suffix, *(_amount(each, metric.unit) for each in amounts), str(metric.count))


def _amount(value: float, unit: str) -> str:
    if unit == "s":
        return f"{value:.3f} s"
    if unit == "$":
        return f"${value:.6f}"
    return f"{value:.1f}".removesuffix(".0")


def _aligned(rows: Sequence[Sequence[str]], least: Sequence[int] = ()) -> list[str]:
    """Return lines whose first column is aligned to the left, and all others to the right.

    Args:
        rows: the cells.
        least: how wide the columns are at least.
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    widths = [max(width, *least[index : index + 1], 0) for index, width in enumerate(widths)]
    return [
        "  ".join(
            cell.rjust(width) if index else cell.ljust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
