"""Outcomes in Markdown, for a comment on a pull request."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from flask_braintrust_evals.cli.judging.shown_cases import chosen_cases
from flask_braintrust_evals.cli.running.outcome import Outcome
from flask_braintrust_evals.engine.values.results import CaseResult
from flask_braintrust_evals.serialization.json_writing import dumps_or_reason
from flask_braintrust_evals.texts.excerpts import shortened
from flask_braintrust_evals.texts.safe_texts import clean_text

from .case_texts import case_name, scorer_failures
from .summary_tables import metric_rows, score_rows

MAX_CASES = 10
"""Cases of each evaluator that are shown."""
MAX_TEXT = 200
"""Characters of an input, an output or an error that are shown."""
MAX_LENGTH = 60_000
"""Characters of the whole text. GitHub refuses comments of more than 65,536."""

_ACTIVE = re.compile(r"([\\`*_{}\[\]()<>+!|~:&-])")
_MENTIONS = re.compile("([@#])")


def markdown(outcomes: Sequence[Outcome]) -> str:
    """Return a table of scores for each outcome, what is wrong, and the worst cases.

    No text of the data is taken for Markdown, HTML or a mention of somebody.
    """
    text = "\n\n".join("\n".join(_outcome(each)) for each in outcomes)
    if len(text) > MAX_LENGTH:
        text = f"{text[:MAX_LENGTH]}\n```\n\n… cut off here"
    return f"{clean_text(text)}\n"


def _outcome(outcome: Outcome) -> Iterable[str]:
    result = outcome.result
    yield f"### {'✅' if outcome.is_good else '❌'} {escaped(result.head)}"
    problems = [*filter(None, [outcome.error]), *outcome.problems]
    problems += [f"{outcome.lost_spans} spans could not be delivered"] if outcome.lost_spans else []
    for text, error in scorer_failures(result):
        problems.append(f"{text}, at {error.place}" if error.place else text)
    if problems:
        yield ""
        yield from (f"- {escaped(text)}" for text in problems)
    for rows in (score_rows(outcome), metric_rows(outcome)):
        if rows:
            yield ""
            yield from _table(rows)
    notes = [*filter(None, [result.summary.warning]), *result.notes, *outcome.remarks]
    if outcome.comparison.base_name is not None:
        notes.append(f"compared with {outcome.comparison.base_name}")
    if notes:
        yield ""
        yield from (f"- {escaped(text)}" for text in notes)
    if outcome.experiment is not None:
        yield ""
        yield f"Recorded as <{outcome.experiment['experimentUrl']}>"
    yield from _cases(outcome)


def _cases(outcome: Outcome) -> Iterable[str]:
    cases = chosen_cases(outcome.result, "worst", outcome.limits)[:MAX_CASES]
    if not cases:
        return
    yield ""
    yield "<details><summary>Failed cases, and those with the lowest scores</summary>"
    for each in cases:
        yield ""
        yield f"**{escaped(case_name(each))}**"
        yield ""
        yield from _fenced(_lines(each))
    yield ""
    yield "</details>"


def _lines(result: CaseResult) -> Iterable[str]:
    if result.error is not None:
        yield f"failed: {shortened(str(result.error), MAX_TEXT)}"
        if result.error.place:
            yield f"at {result.error.place}"
    for name, score in result.scores.items():
        yield f"{name}: {'none' if score.score is None else format(score.score, '.4f')}"
    yield f"input: {shortened(dumps_or_reason(result.case.input), MAX_TEXT)}"
    if result.output_json is not None:
        yield f"output: {shortened(result.output_json, MAX_TEXT)}"
    if result.case.expected is not None:
        yield f"expected: {shortened(dumps_or_reason(result.case.expected), MAX_TEXT)}"


def escaped(text: str) -> str:
    """Return a text as Markdown that shows it as it is, on one line."""
    plain = _ACTIVE.sub(r"\\\1", " ".join(text.split()))
    # A backslash does not keep GitHub from mentioning people and issues; what nobody sees does.
    return _MENTIONS.sub("\\1\u200b", plain)


def _table(rows: Sequence[Sequence[str]]) -> Iterable[str]:
    head, *others = rows
    yield f"| {' | '.join(map(escaped, head))} |"
    yield f"|---{'|--:' * (len(head) - 1)}|"
    yield from (f"| {' | '.join(map(_cell, row))} |" for row in others)


def _cell(text: str) -> str:
    # A minus sign or a dot of a number need no backslash, which would be hard to read in the file.
    is_number = re.fullmatch(r"[$+\-]?[\d.]+( s)?|-", text) is not None
    return text if is_number else escaped(text)


def _fenced(lines: Iterable[str]) -> Iterable[str]:
    """Yield lines in a block of code whose fence is longer than any run of backticks in it."""
    texts = [" ".join(line.split("\n")) for line in lines]
    runs = [len(found) for text in texts for found in re.findall("`+", text)]
    fence = "`" * max(3, 1 + max(runs, default=0))
    yield f"{fence}text"
    yield from texts
    yield fence
