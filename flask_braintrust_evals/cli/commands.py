"""The commands of ``flask evals``, which list and run evaluators and check a deployed server."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlsplit

import click
from flask import current_app
from flask.cli import AppGroup

from flask_braintrust_evals.config import Session
from flask_braintrust_evals.engine.evaluator import Evaluator
from flask_braintrust_evals.errors import ConfigurationError, EvalsError, RequestError
from flask_braintrust_evals.extension import EXTENSION_KEY, EvalsExtension, current_extension
from flask_braintrust_evals.runs.spec import MAX_CONCURRENCY, MAX_TRIALS

from .finding import DEFAULT_TIMEOUT
from .junit import junit
from .lookup import evaluator_named, every_evaluator
from .outcome import Outcome, run
from .report import as_json, report
from .request import RunOptions, prepare_run
from .server_check import PAGE, ServerCheck
from .terminal import echo, reserve_stdout, styled
from .thresholds import check_score_names, parse_thresholds
from .worker_list import HELLO_TIMEOUT, describe_workers

INTERRUPTED = 130
"""The exit status after Ctrl-C, as in shells."""

commands = AppGroup()

_org = click.option(
    "--org",
    metavar="NAME",
    envvar="BRAINTRUST_ORG_NAME",
    help="The organisation, if the API key has several. Or set BRAINTRUST_ORG_NAME.",
)


@commands.command("list")
def list_evaluators() -> None:
    """List the evaluators, with their scores and parameters."""
    evaluators = every_evaluator(_extension().registries)
    if not evaluators:
        raise click.ClickException("the application has no evaluators")
    for each in evaluators:
        echo(click.style(each.name, bold=True))
        if each.description:
            echo(f"  {each.description.splitlines()[0]}")
        made = [call.name for call in (*each.plan.scorers, *each.plan.classifiers)]
        echo(f"  scores: {', '.join(made) or 'none'}")
        names = each.parameter_set.names
        if names:
            echo(f"  parameters: {', '.join(names)}")


@commands.command("run")
@click.argument("name")
@click.option(
    "--data",
    "data",
    metavar="FILE",
    help="A file of cases (JSON, JSON Lines, CSV), or - for stdin. Default: the evaluator's own.",
)
@click.option(
    "--dataset",
    metavar="ID",
    help="Read the cases from a dataset in Braintrust. Needs an API key.",
)
@click.option(
    "--param",
    "-p",
    "parameters",
    multiple=True,
    metavar="KEY=VALUE",
    help="Set a parameter; the value is read as its declared type. May be given several times.",
)
@click.option(
    "--max-concurrency",
    metavar="N",
    type=click.IntRange(1, MAX_CONCURRENCY),
    help="How many cases run at a time.",
)
@click.option(
    "--trials",
    metavar="N",
    type=click.IntRange(1, MAX_TRIALS),
    help="How often each case is run.",
)
@click.option(
    "--distributed",
    is_flag=True,
    help="Run the cases on the application's Celery workers.",
)
@click.option(
    "--fail-under",
    "thresholds",
    multiple=True,
    metavar="SCORE=NUMBER",
    help="Fail if the mean of a score is below the number. May be given several times.",
)
@click.option(
    "--experiment",
    metavar="NAME",
    help="Record the run in a new experiment with this name. Needs an API key.",
)
@_org
@click.option("--json", "json_wanted", is_flag=True, help="Write the results as JSON.")
@click.option(
    "--junit",
    "junit_file",
    metavar="FILE",
    type=click.Path(dir_okay=False, writable=True, path_type=Path),
    help="Also write the results to a file in JUnit's XML format.",
)
def run_evaluator(
    name: str,
    thresholds: Sequence[str],
    json_wanted: bool,
    junit_file: Path | None,
    **options: Any,
) -> None:
    """Run an evaluator in this process.

    Only --dataset and --experiment call Braintrust. They need an API key in the environment
    variable BRAINTRUST_API_KEY.

    The exit status is 0 if everything succeeded; 1 if a task, a scorer or the run failed, a mean is
    too low, there was no case, spans of an experiment could not be delivered, or Braintrust does
    not have what the options name; 2 if the command, a parameter or the file is wrong; and 130
    after Ctrl-C, which still shows the results so far.
    """
    extension = _extension()
    evaluator = evaluator_named(name, extension.registries)
    limits = parse_thresholds(thresholds)
    check_score_names(limits, [evaluator])
    if junit_file == Path():
        raise click.UsageError("--junit: give the name of a file")
    if junit_file is not None and not os.access(junit_file.parent, os.W_OK):
        raise click.UsageError(f"--junit: {str(junit_file.parent)!r} is not a writable folder")
    output = reserve_stdout() if json_wanted else None
    with _exit_on_ctrl_c():
        outcome = _run(evaluator, RunOptions(**options), extension)
    outcome.check(limits)
    # The file is written first, because printing fails once the reader of a pipe has exited. A
    # failure to write it is reported last, so that the results are printed in spite of it.
    problem = _write_junit(outcome, junit_file) if junit_file is not None else None
    echo(as_json(outcome) if json_wanted else report(outcome), file=output)
    if problem is not None:
        raise click.ClickException(f"{junit_file} cannot be written: {problem}")
    sys.exit(_status(outcome))


def _write_junit(outcome: Outcome, file: Path) -> OSError | None:
    try:
        file.write_text(junit(outcome), "utf-8")
    except OSError as error:
        return error
    return None


def _run(evaluator: Evaluator, options: RunOptions, extension: EvalsExtension) -> Outcome:
    with ExitStack() as held:
        try:
            prepared = prepare_run(evaluator, options, extension.runtime.host(current_app), held)
        except EvalsError as error:
            # A plain RequestError is about the options; others are about Braintrust or the data.
            is_usage = type(error) is RequestError
            raise (click.UsageError if is_usage else click.ClickException)(str(error)) from None
        return run(prepared)


@commands.command("workers")
@click.option(
    "--timeout",
    metavar="SECONDS",
    type=click.FloatRange(0, min_open=True),
    default=HELLO_TIMEOUT,
    show_default=True,
    help="How long workers have to answer.",
)
def list_workers(timeout: float) -> None:
    """List the Celery workers that run cases of this application.

    Each answers with its pool, its free slots, its evaluators, and its version. The exit status is
    1 if none does.
    """
    extension = _extension()
    workers = extension.workers
    if workers is None:
        raise click.ClickException(
            "this application runs its cases itself: set BRAINTRUST_EVALS_EXECUTOR to 'celery'"
        )
    names = [each.name for each in every_evaluator(extension.registries) if each.distributed]
    try:
        dispatcher = workers.dispatcher
        dispatcher.check_broker()
        found = dispatcher.workers(timeout)
    except EvalsError as error:
        raise click.ClickException(str(error)) from None
    if not found:
        raise click.ClickException(str(dispatcher.no_workers()))
    echo(describe_workers(found, names))


@commands.command("check", with_appcontext=False)
@click.argument("url")
@click.option(
    "--evaluator",
    metavar="NAME",
    help="Run this evaluator on its own data. Default: one that only waits.",
)
@_org
@click.option("--origin", default=PAGE, show_default=True, help="The page that calls the server.")
@click.option(
    "--token",
    envvar="BRAINTRUST_API_KEY",
    help="A Braintrust API key. It is safer in the environment variable BRAINTRUST_API_KEY.",
)
@click.option(
    "--timeout",
    metavar="SECONDS",
    type=click.FloatRange(0, min_open=True),
    default=DEFAULT_TIMEOUT,
    show_default=True,
    help="How long an answer may take, and how long a stream may send nothing.",
)
def check_server(
    url: str,
    evaluator: str | None,
    org: str | None,
    origin: str,
    token: str | None,
    timeout: float,
) -> None:
    """Check a deployed server, and say what to change.

    URL is the address that is entered in the Playground. The command sends the requests that a
    browser sends: health, preflights, access, large bodies. It also checks whether a proxy holds
    back the events of a run. The exit status is 0 if there is no problem, else 1.
    """
    parts = _split(url)
    if parts is None:
        raise click.UsageError(f"{url!r} is not an address such as https://tools.example.com/evals")
    try:
        # Session refuses a token that no header can carry without quoting it; requests quotes it.
        checked = Session(token).token
    except ConfigurationError as error:
        raise click.UsageError(str(error)) from None
    if "@" in parts.netloc or parts.query:
        raise click.UsageError("the address must have neither credentials nor a query")
    good = True
    server = ServerCheck(url, checked, org, origin, evaluator, timeout)
    with _exit_on_ctrl_c(), closing(server):
        for finding in server.findings():
            good = good and finding.good
            mark, colour = ("ok  ", "green") if finding.good else ("FAIL", "red")
            echo(f"{click.style(mark, fg=colour)} {styled(finding.what)}")
            if finding.advice:
                echo(f"     {finding.advice}")
    sys.exit(0 if good else 1)


@contextmanager
def _exit_on_ctrl_c() -> Iterator[None]:
    """Exit with status 130 after Ctrl-C. Click would exit with 1, as after a failure."""
    try:
        yield
    except KeyboardInterrupt:
        echo("interrupted", err=True)
        sys.exit(INTERRUPTED)


def _extension() -> EvalsExtension:
    if EXTENSION_KEY not in current_app.extensions:
        raise click.ClickException(
            f"no EvalsBlueprint is registered in the application {current_app.name!r}"
        )
    return current_extension()


def _split(url: str) -> SplitResult | None:
    """Return the parts of an address; ``None``: no request can be sent to it."""
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:  # reading a port that is not a number raises it, too
        return None
    return parts if good else None


def _status(outcome: Outcome) -> int:
    if outcome.interrupted:
        return INTERRUPTED
    return 0 if outcome.is_good else 1
