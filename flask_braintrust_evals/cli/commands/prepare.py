"""Makes a run from the options of ``flask evals run``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import click

from flask_braintrust_evals.cli.inputs.cases import CaseFile
from flask_braintrust_evals.cli.inputs.selection import Selection
from flask_braintrust_evals.cli.running.outcome import IDLE_AFTER
from flask_braintrust_evals.cli.servers.server_options import refuse_without
from flask_braintrust_evals.cloud.http.tokens import Token
from flask_braintrust_evals.cloud.sessions.user_session import UserSession, log_in
from flask_braintrust_evals.config.settings import Settings
from flask_braintrust_evals.engine.evaluator import Evaluator
from flask_braintrust_evals.engine.running.cases.executor import CaseExecutor
from flask_braintrust_evals.engine.values.own_dataset import DatasetCases, OwnDataset, OwnExperiment
from flask_braintrust_evals.errors import RequestError
from flask_braintrust_evals.runs.endpoints import endpoints
from flask_braintrust_evals.runs.host import Host, Requester
from flask_braintrust_evals.runs.prepare import prepare
from flask_braintrust_evals.runs.prepared import PreparedRun
from flask_braintrust_evals.runs.spec import (
    DataSource,
    InlineCases,
    OwnCases,
    RunSpec,
)


@dataclass(frozen=True)
class RunOptions:
    """The options that a run of an evaluator is made from.

    Attributes:
        data: a file of cases.
        dataset: the id of a dataset in Braintrust. Without ``data`` and ``dataset``, the cases are
            the evaluator's own.
        selection: which of the cases are run.
        parameters: values of parameters by name.
        max_concurrency: cases at a time.
        trials: how often each case is run.
        retries: how often the task is called again for a case that it failed on.
        experiment: the name of the experiment to record the run in; ``None``: it is not recorded.
        org: the organisation, if the API key has several.
        around: see :class:`RunSpec`.
        distributed: whether the cases run on workers.
        spans: whether the results have the spans of each case.
    """

    data: CaseFile | None = None
    dataset: str | None = None
    selection: Selection = Selection()
    parameters: Mapping[str, Any] | None = None
    max_concurrency: int | None = None
    trials: int | None = None
    retries: int | None = None
    experiment: str | None = None
    org: str | None = None
    around: Callable[[CaseExecutor], CaseExecutor] | None = None
    distributed: bool = False
    spans: bool = False


def prepare_run(
    evaluator: Evaluator, options: RunOptions, host: Host, held: ExitStack
) -> PreparedRun:
    """Log in to Braintrust if the run needs it, and make the run.

    Args:
        evaluator: the evaluator to run.
        options: the command's options, see :func:`check_evaluators`.
        host: the application's part.
        held: the session is closed with it.

    Raises:
        click.ClickException: an option is wrong, or the organisation is not clear.
        EvalsError: a parameter is wrong, or Braintrust refuses the login or what the options name.
    """
    data = _data(options)
    session = _session(evaluator, options, host.settings)
    if session is not None:
        held.callback(session.close)
    spec = RunSpec(
        data,
        options.parameters,
        max_concurrency=options.max_concurrency,
        trial_count=options.trials,
        experiment_name=options.experiment,
        select=options.selection if options.selection.chooses else None,
        retries=options.retries,
        around=options.around,
    )
    recorded = options.experiment is not None
    requester = Requester(
        session,
        recorded=recorded,
        limited=False,
        wants_usage=True,
        distributed=options.distributed,
        wants_spans=options.spans,
    )
    return prepare(evaluator, spec, requester, host, IDLE_AFTER)


def check_evaluators(evaluators: Sequence[Evaluator], options: RunOptions, host: Host) -> None:
    """Check that each evaluator can be run with the options, before the first of them runs.

    Raises:
        click.UsageError: one of them cannot.
    """
    found = [(each, _needed_by(each, options)) for each in evaluators]
    if not any(needed_by for _, needed_by in found):
        refuse_without("--dataset or --experiment", "org")
    for evaluator, needed_by in found:
        if options.distributed:
            _check_distributed(evaluator, host)
        if needed_by and host.settings.api_key is None:
            raise click.UsageError(
                f"{' and '.join(needed_by)}: set BRAINTRUST_API_KEY to your Braintrust API key"
            )


def _check_distributed(evaluator: Evaluator, host: Host) -> None:
    if host.distribution is None:
        raise click.UsageError(
            "--distributed: this application runs its cases itself; set BRAINTRUST_EVALS_EXECUTOR"
            " to 'celery'"
        )
    if not evaluator.distributed:
        raise click.UsageError(
            f"--distributed: evaluator {evaluator.name!r} is declared with distributed=False"
        )


def check_source(data: str | None, dataset: str | None, evaluators: Sequence[Evaluator]) -> None:
    """Check that each evaluator has cases, and not several sources of them.

    Raises:
        click.UsageError: it does not.
    """
    if data is not None and dataset is not None:
        raise click.UsageError("--data and --dataset: give one of them")
    if data is not None or dataset is not None:
        return
    for evaluator in evaluators:
        if evaluator.data is None:
            raise click.UsageError(
                f"evaluator {evaluator.name!r} has no data of its own: give --data or --dataset"
            )


def _data(options: RunOptions) -> DataSource:
    if options.data is not None:
        return InlineCases(options.data.cases())
    if options.dataset is not None:
        return DatasetCases(options.dataset)
    return OwnCases()


def _needed_by(evaluator: Evaluator, options: RunOptions) -> list[str]:
    """Return what needs Braintrust, for messages."""
    given = {"--dataset": options.dataset, "--experiment": options.experiment}
    if "" in given.values():
        raise click.UsageError("--dataset and --experiment need a value that is not empty")
    needed_by = [name for name, value in given.items() if value is not None]
    has_source = options.data is not None or options.dataset is not None
    if not has_source and isinstance(evaluator.data, OwnDataset | OwnExperiment):
        needed_by.append(f"the data of evaluator {evaluator.name!r}")
    return needed_by


def _session(evaluator: Evaluator, options: RunOptions, settings: Settings) -> UserSession | None:
    if not _needed_by(evaluator, options) or settings.api_key is None:
        return None
    only = settings.only_organization
    try:
        token, org = Token(settings.api_key), options.org or only
        return log_in(token, org, endpoints(settings), named_by="--org")
    except RequestError as error:
        raise click.ClickException(str(error)) from None
