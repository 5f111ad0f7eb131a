"""``flask evals run``: checks its options, runs evaluators, and writes their results."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import click

from flask_braintrust_evals.cli.inputs.cases import CaseFile
from flask_braintrust_evals.cli.inputs.files_read import files_read
from flask_braintrust_evals.cli.inputs.selection import Selection
from flask_braintrust_evals.cli.inputs.values import parse_parameters
from flask_braintrust_evals.cli.judging.max_failures import MaxFailures
from flask_braintrust_evals.cli.judging.thresholds import (
    check_score_names,
    parse_thresholds,
    parse_tolerances,
)
from flask_braintrust_evals.cli.reports.files import check_writable, write_file
from flask_braintrust_evals.cli.reports.html_report import html_report
from flask_braintrust_evals.cli.reports.junit import junit
from flask_braintrust_evals.cli.reports.markdown import markdown
from flask_braintrust_evals.cli.reports.report import report
from flask_braintrust_evals.cli.reports.result_json import as_json
from flask_braintrust_evals.cli.running.outcome import Outcome, run
from flask_braintrust_evals.cli.stored_results.saved_results import SavedResults
from flask_braintrust_evals.cli.terminal.terminal import echo
from flask_braintrust_evals.engine.evaluator import Evaluator
from flask_braintrust_evals.errors import EvalsError, RequestError
from flask_braintrust_evals.runs.host import Host

from .judgement import Judgement
from .prepare import RunOptions, check_evaluators, check_source, prepare_run
from .stores import Stores


@dataclass(frozen=True)
class RunCommand:
    """The command with its options, which :mod:`.run_options` describes.

    Attributes:
        evaluators: what is run, one after another.
        several: whether several evaluators could have been asked for.
        given: the other options by name, as click passes them.
    """

    evaluators: Sequence[Evaluator]
    several: bool
    given: Mapping[str, Any]

    def execute(self, host: Host) -> list[Outcome]:
        """Check all options, run the evaluators, and write the results.

        Args:
            host: the application's part in every run.

        Raises:
            click.ClickException: an option is wrong, or a file cannot be written.
        """
        if self.given["spans"] and self.given["output"] is None:
            raise click.UsageError("--spans: give --json, too; reports in HTML always have them")
        judgement = self._judgement()
        options = self._options()
        values = self._parameters
        files = self._files()
        outcomes: list[Outcome] = []
        with ExitStack() as held:
            stores = Stores(self.given["resume"], self.given["cache"], held)
            if self.given["resume"] is not None and self.given["experiment"] is not None:
                raise click.UsageError("--resume and --experiment: give one of them")
            check_evaluators(self.evaluators, options, host)
            stores.warn_of_others(zip(self.evaluators, values, strict=True))
            for evaluator, parameters in zip(self.evaluators, values, strict=True):
                known = stores.of(evaluator, parameters)
                around = None if known is None else known.around
                own = replace(options, parameters=parameters, around=around)
                outcome = self._run(evaluator, own, host)
                outcome.parameters = parameters
                outcome.remarks = [] if known is None else known.origins
                judgement.judge(outcome, evaluator)
                outcomes.append(outcome)
                if outcome.interrupted:
                    break
        judgement.judge_all(outcomes)
        # Files are written first, because printing fails once the reader of a pipe has exited. A
        # failure to write one is reported last, so that the results are printed in spite of it.
        problems = [_write(path, text(outcomes)) for path, text in files] + stores.problems
        try:
            echo(self._text(outcomes), file=self.given["output"])
        except BrokenPipeError:
            raise  # click ends without a message
        except OSError as error:
            problems.append(f"the results cannot be written to standard output: {error}")
        for problem in filter(None, problems):
            raise click.ClickException(problem)
        return outcomes

    def _run(self, evaluator: Evaluator, options: RunOptions, host: Host) -> Outcome:
        try:
            with ExitStack() as held:
                try:
                    prepared = prepare_run(evaluator, options, host, held)
                except KeyboardInterrupt as error:
                    if not self.several:
                        raise
                    return Outcome.not_started(evaluator.name, error)
                outcome = run(prepared)
        except EvalsError as error:
            # A plain RequestError is about the options; others are about Braintrust or the data.
            if type(error) is RequestError:
                raise click.UsageError(str(error)) from None
            if not self.several:
                raise click.ClickException(str(error)) from None
            return Outcome.not_started(evaluator.name, error)
        outcome.max_concurrency = (
            options.max_concurrency or evaluator.max_concurrency or host.settings.max_concurrency
        )
        return outcome

    def _text(self, outcomes: Sequence[Outcome]) -> str:
        if self.given["output"] is not None:
            return as_json(outcomes, self.several, self.given["spans"])
        show, verbose = self.given["show"], self.given["verbose"]
        return "\n\n".join(report(each, show, verbose) for each in outcomes)

    def _judgement(self) -> Judgement:
        limits = parse_thresholds(self.given["thresholds"])
        check_score_names(limits, self.evaluators)
        tolerances, every = parse_tolerances(self.given["tolerances"])
        check_score_names(tolerances, self.evaluators, "--fail-if-worse")
        baseline = self.given["baseline"]
        if baseline is None and self.given["tolerances"]:
            raise click.UsageError("--fail-if-worse: give --baseline, too")
        saved = None if baseline is None else SavedResults(baseline, "--baseline")
        if saved is not None:
            for evaluator in self.evaluators:
                saved.of(evaluator.name)
        max_failures = MaxFailures.parse(self.given["max_failures"])
        return Judgement(self.evaluators, limits, max_failures, saved, tolerances, every)

    def _options(self) -> RunOptions:
        given = self.given
        check_source(given["data"], given["dataset"], self.evaluators)
        return RunOptions(
            data=None if given["data"] is None else CaseFile(given["data"]),
            dataset=given["dataset"],
            selection=self._selection(),
            max_concurrency=given["max_concurrency"],
            trials=given["trials"],
            retries=given["retries"],
            experiment=given["experiment"],
            org=given["org"],
            distributed=given["distributed"],
            spans=given["spans"] or given["html_file"] is not None,
        )

    @cached_property
    def _parameters(self) -> list[dict[str, Any]]:
        options, file = self.given["parameters"], self.given["params_file"]
        values = parse_parameters(options, file, self.evaluators)
        for evaluator, of_one in zip(self.evaluators, values, strict=True):
            try:
                evaluator.parameter_set.validate(of_one)
            except RequestError as error:
                where = f"evaluator {evaluator.name!r}: " if len(values) > 1 else ""
                raise click.UsageError(f"{where}{error}") from None
        return values

    def _selection(self) -> Selection:
        given = self.given
        failed = None
        if given["failed_from"] is not None:
            if self.several:
                raise click.UsageError("--failed-from: name one evaluator")
            saved = SavedResults(given["failed_from"], "--failed-from")
            failed = saved.of(self.evaluators[0].name).failed_keys
            if not failed:
                raise click.UsageError(f"--failed-from: no case in {given['failed_from']} failed")
        seed = given["seed"]
        if seed is not None and given["sample"] is None:
            raise click.UsageError("--seed: give --sample, too")
        if given["sample"] is not None and seed is None:
            seed = random.randrange(1_000_000)
            echo(f"the sample is that of --seed {seed}", err=True)
        return Selection(given["case_names"], failed, given["limit"], given["sample"], seed or 0)

    def _files(self) -> list[tuple[Path, Callable[[Sequence[Outcome]], str]]]:
        """Return the files to write, and what makes their texts."""
        writers = {"junit": junit, "markdown": markdown, "html": html_report}
        used = files_read(self.given)
        if self.given["resume"] is not None:
            used.append(("--resume", Path(self.given["resume"])))
        files: list[tuple[Path, Callable[[Sequence[Outcome]], str]]] = []
        for name, writer in writers.items():
            path: Path | None = self.given[f"{name}_file"]
            if path is not None:
                check_writable(path, f"--{name}", used)
                used.append((f"--{name}", path))
                files.append((path, writer))
        return files


def _write(file: Path, text: str) -> str:
    """Write a file; return a message if it cannot be written, else an empty text."""
    try:
        write_file(file, text)
    except OSError as error:
        return f"{file} cannot be written: {error}"
    return ""
