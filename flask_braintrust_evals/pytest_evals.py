"""Finds and runs the evaluators of tests, and judges their results, for the plug-in for pytest."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from .cli.inputs.cases import CaseFile
from .cli.inputs.lookup import evaluator_named
from .cli.judging.shown_cases import chosen_cases, is_failure
from .cli.judging.thresholds import too_low_text
from .cli.reports.case_texts import case_lines
from .concurrency.cancellation import Cancellation
from .engine.evaluator import Evaluator
from .engine.running.sources.own_cases import make_cases
from .engine.values.cases import EvalCase
from .engine.values.results import EvalResult
from .engine.values.summary import cases_text
from .errors import EvalsError
from .extension.state import EXTENSION_KEY
from .texts.safe_texts import safe_text

NO_APP = (
    "the mark names evaluator {name!r}, and no application is known to find it in: write, for"
    " instance, 'evals_app = app:create_app' into pytest's settings, or {instead}"
)
OVERRIDE = "override the fixture evals_app in conftest.py"
GIVE_ITSELF = "give the mark the Evaluator itself; with each_case=True, fixtures are not asked"


class MarkError(Exception):
    """A mark is wrong; the message says what to do."""


@dataclass(frozen=True)
class EvalTest:
    """A test, as its mark describes it.

    Attributes:
        evaluator: the evaluator, or its name.
        cases: see :meth:`Evaluator.run`; or the name of a file of cases, relative to ``folder``.
        folder: the folder of the test.
        each_case: whether there is a test for each case.
        fail_under: the numbers that the means of scores must reach, by name.
        max_failures: how many cases may fail.
        options: further arguments of :meth:`Evaluator.run`.
    """

    evaluator: Any
    cases: Any
    folder: Path
    each_case: bool
    fail_under: Mapping[str, float]
    max_failures: int
    options: Mapping[str, Any]

    def run(self, case: EvalCase | None, app: Any) -> EvalResult:
        """Run the evaluator.

        Args:
            case: the case; ``None``: all of them.
            app: the application whose context is entered around each case; ``None``: none.

        Raises:
            MarkError: the mark, the cases or the parameters are wrong.
        """
        evaluator = self.find(app)
        scope = None if app is None else app.app_context
        try:
            cases = self._data() if case is None else [case]
            return evaluator.run(cases, **self.options, scope=scope)
        except (EvalsError, click.ClickException) as error:
            raise MarkError(_message(error)) from error

    def each(self, app: Any) -> list[EvalCase]:
        """Return the cases, for a test of each.

        Raises:
            MarkError: the mark or the cases are wrong.
        """
        evaluator = self.find(app, GIVE_ITSELF)
        try:
            data = self._data()
            data = evaluator.data if data is None else data
            found = make_cases(data, evaluator.name, Cancellation())
            cases = [EvalCase.of(each) for each in found]
        except (EvalsError, click.ClickException) as error:
            raise MarkError(_message(error)) from error
        if not cases:
            raise MarkError("there is no case, and so no test of one")
        return cases

    def find(self, app: Any, instead: str = OVERRIDE) -> Evaluator:
        """Return the evaluator.

        Args:
            app: the application that may have it; ``None``: none.
            instead: what else to do if there is no application, for the message.

        Raises:
            MarkError: it is not known, or is none.
        """
        if isinstance(self.evaluator, Evaluator):
            return self.evaluator
        if not isinstance(self.evaluator, str):
            raise MarkError(f"a mark takes an Evaluator or its name, not {self.evaluator!r}")
        state = None if app is None else app.extensions.get(EXTENSION_KEY)
        if state is None:
            raise MarkError(NO_APP.format(name=self.evaluator, instead=instead))
        try:
            return evaluator_named(self.evaluator, state.registries)
        except click.UsageError as error:
            raise MarkError(error.message) from None

    def problems(self, result: EvalResult) -> list[str]:
        """Return why a result is a bad one, a line each."""
        summary, failures = result.summary, sum(map(is_failure, result.results))
        found = []
        if failures > self.max_failures:
            text = f"{cases_text(failures)} failed in the task or in a scorer"
            found.append(f"{text}, and {self.max_failures} may")
        if summary.interrupted:
            found.append(f"{cases_text(summary.interrupted)} did not end")
        if summary.warning and failures < len(result.results):
            found.append(summary.warning)
        if not result.results:
            found.append("there is no result")
        for name, limit in self.fail_under.items():
            score = result.scores.get(name)
            if score is None or score.mean is None:
                known = ", ".join(result.scores) or "none"
                found.append(f"no case has the score {name}; there are: {known}")
            elif text := too_low_text(name, score.mean, limit):
                found.append(text)
        return found

    def low_cases(self, result: EvalResult) -> list[str]:
        """Return the cases with the lowest scores, in lines, as the command line shows them."""
        limits = self.fail_under
        low = [each for each in chosen_cases(result, "worst", limits) if each.error is None]
        return [click.unstyle(line) for each in low for line in case_lines(each, limits, False)]

    def _data(self) -> Any:
        if not isinstance(self.cases, str | Path):
            return self.cases
        return CaseFile(str(self.folder / self.cases)).cases()


def name_of(case: EvalCase, place: int) -> str:
    """Return the name of the test of a case: its id, or else its place, from 1."""
    return f"case-{place}" if case.id is None else safe_text(case.id)


def described(result: EvalResult) -> dict[str, Any]:
    """Return what the summary needs of a result, as values of JSON."""
    scores = {name: [score.total, score.count] for name, score in result.scores.items()}
    summary = result.summary
    failed = sum(map(is_failure, result.results))
    return {
        "evaluator": result.evaluator,
        "scores": scores,
        "cases": summary.cases,
        "failed": failed,
    }


def summary_lines(results: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return the means of all results of each evaluator, in lines."""
    lines: list[str] = []
    by_name: dict[str, list[Mapping[str, Any]]] = {}
    for each in results:
        by_name.setdefault(each["evaluator"], []).append(each)
    for name in sorted(by_name):
        found = by_name[name]
        cases, failed = (sum(each[key] for each in found) for key in ("cases", "failed"))
        lines.append(f"{name}: {cases_text(cases)}, {failed} failed")
        scores = dict.fromkeys(score for each in found for score in each["scores"])
        for score in scores:
            pairs = [each["scores"][score] for each in found if score in each["scores"]]
            total, count = (sum(column) for column in zip(*pairs, strict=True))
            mean = f"{total / count:.4f}" if count else "no score"
            lines.append(f"  {score}: {mean} over {cases_text(count)}")
    return lines


def _message(error: Exception) -> str:
    return error.message if isinstance(error, click.ClickException) else str(error)
