"""Single cases of a run as text, for people: those that failed, and those with low scores."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from flask_braintrust_evals.cli.terminal.terminal import styled
from flask_braintrust_evals.engine.values.results import CaseError, CaseResult, EvalResult
from flask_braintrust_evals.engine.values.summary import cases_text
from flask_braintrust_evals.serialization.json_writing import dumps_or_reason
from flask_braintrust_evals.texts.excerpts import shortened
from flask_braintrust_evals.texts.safe_texts import safe_text

MAX_ID = 100
"""Maximum characters of an id that are shown."""
MAX_TEXT = 500
"""Maximum characters of an input, an output or an error that are shown."""


def case_name(result: CaseResult) -> str:
    """Return the name of a case in messages: its id if it has one, else its place, from 1.

    An id is in quotes, so that a number is not mistaken for a place.
    """
    id = result.case.id
    name = (
        f"case {result.ref.index + 1}"
        if id is None
        else f'case "{shortened(safe_text(id), MAX_ID)}"'
    )
    return f"{name}, trial {result.ref.trial_index + 1}" if result.ref.trial_index else name


def scorer_failures(result: EvalResult) -> Iterator[tuple[str, CaseError]]:
    """Yield for each scorer that failed on how many cases it did, and its first error."""
    for name, count in result.summary.scorer_errors.items():
        error = next(r.scorer_errors[name] for r in result.results if name in r.scorer_errors)
        first = shortened(str(error), MAX_TEXT)
        yield f"{name} failed on {cases_text(count)}, first with {first}", error


def case_lines(result: CaseResult, limits: Mapping[str, float], verbose: bool) -> list[str]:
    """Return what people want to know of a case, in lines.

    Args:
        result: the case.
        limits: the limits of scores, by name; scores below them are red.
        verbose: whether to show whole texts, stack traces and metadata.
    """
    lines = [_head(result, limits, verbose)]
    if result.error is not None:
        lines += _error_lines(result.error, verbose)
    for name, error in result.scorer_errors.items():
        lines.append(styled(f"  {name} failed: {_cut(str(error), verbose)}", fg="red"))
        lines += _error_lines(error, verbose)
    fields = {"input": dumps_or_reason(result.case.input)}
    if result.output_json is not None:
        fields["output"] = result.output_json
    if result.case.expected is not None:
        fields["expected"] = dumps_or_reason(result.case.expected)
    if verbose and result.metadata:
        fields["metadata"] = dumps_or_reason(result.metadata)
    if verbose:
        fields |= _score_metadata(result)
        fields["seconds"] = f"{result.duration:.3f}"
    return [*lines, *(styled(f"  {name}: {_cut(text, verbose)}") for name, text in fields.items())]


def _head(result: CaseResult, limits: Mapping[str, float], verbose: bool) -> str:
    name = case_name(result)
    if result.error is not None:
        return styled(f"{name} failed: {_cut(str(result.error), verbose)}", fg="red")
    scores = []
    for score in result.scores.values():
        value = "none" if score.score is None else f"{score.score:.4f}"
        is_low = score.score is not None and score.score < limits.get(score.name, 1)
        scores.append(styled(f"{score.name} {value}", fg="yellow" if is_low else None))
    return f"{styled(name)}: {', '.join(scores)}" if scores else styled(name)


def _error_lines(error: CaseError, verbose: bool) -> list[str]:
    if verbose and error.stack:
        return [f"    {styled(line)}" for line in error.stack.rstrip("\n").split("\n")]
    return [styled(f"  at {error.place}")] if error.place else []


def _score_metadata(result: CaseResult) -> dict[str, str]:
    return {
        f"metadata of {name}": dumps_or_reason(score.metadata)
        for name, score in result.scores.items()
        if score.metadata
    }


def _cut(text: str, verbose: bool) -> str:
    return text if verbose else shortened(text, MAX_TEXT)
