"""The outcome of a run as text, for people."""

from __future__ import annotations

from collections.abc import Iterable

from flask_braintrust_evals.cli.judging.shown_cases import chosen_cases
from flask_braintrust_evals.cli.running.outcome import Outcome
from flask_braintrust_evals.cli.terminal.terminal import styled
from flask_braintrust_evals.engine.values.results import CaseError

from .case_texts import case_lines, scorer_failures
from .result_json import experiment_of
from .summary_tables import metric_table, score_table
from .thread_hint import HINT, has_thread_error


def report(outcome: Outcome, show: str, verbose: bool) -> str:
    """Return cases, a table of scores, and a last line with the totals.

    Args:
        outcome: the outcome.
        show: which cases; see :data:`.shown_cases.SHOWN`.
        verbose: whether to show their whole texts, stack traces and metadata.
    """
    result = outcome.result
    lines = _cases(outcome, show, verbose)
    for text, error in scorer_failures(result):
        lines.append(styled(text, fg="red"))
        if error.place:
            lines.append(styled(f"  at {error.place}"))
    lines += score_table(outcome)
    lines += metric_table(outcome)
    lines += _recorded(outcome)
    lines += [styled(text, fg="yellow") for text in _warnings(outcome)]
    lines += [styled(text, fg="red") for text in outcome.problems]
    lines.append(_last_line(outcome))
    return "\n".join(lines)


def _cases(outcome: Outcome, show: str, verbose: bool) -> list[str]:
    result = outcome.result
    chosen = chosen_cases(result, show, outcome.limits)
    lines = [line for each in chosen for line in case_lines(each, outcome.limits, verbose)]
    left_out = len(result.failures) - sum(each.error is not None for each in chosen)
    if left_out > 0:
        lines.append(f"... and {left_out} more that failed (--show failures shows them)")
    return lines


def _warnings(outcome: Outcome) -> Iterable[str]:
    result = outcome.result
    if result.results and result.summary.warning:
        yield result.summary.warning
    yield from result.notes
    yield from outcome.remarks
    if outcome.max_concurrency > 1 and has_thread_error(_errors(outcome)):
        yield HINT


def _errors(outcome: Outcome) -> Iterable[CaseError]:
    for each in outcome.result.results:
        if each.error is not None:
            yield each.error
        yield from each.scorer_errors.values()


def _recorded(outcome: Outcome) -> list[str]:
    experiment = experiment_of(outcome)
    if experiment is None:
        return []
    lines = []
    if "comparisonExperimentName" in experiment:
        lines.append(styled(f"compared with {experiment['comparisonExperimentName']}"))
    if outcome.comparison.skipped:
        lines.append(styled(f"not compared: {outcome.comparison.skipped}", fg="yellow"))
    if outcome.lost_spans:
        lost = f"{outcome.lost_spans} spans could not be delivered: the experiment lacks them"
        lines.append(styled(lost, fg="red"))
    lines.append(
        styled(f"recorded as {experiment['experimentName']}: {experiment['experimentUrl']}")
    )
    return lines


def _last_line(outcome: Outcome) -> str:
    text = f"{outcome.result.head} in {outcome.seconds:.1f} s"
    if outcome.error:
        text += f"; {outcome.error}"
    return styled(text, fg="green" if outcome.is_good else "red")
