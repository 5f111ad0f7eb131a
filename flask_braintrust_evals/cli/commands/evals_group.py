"""The commands of ``flask evals``, which list and run evaluators and check a deployed server."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import closing
from typing import IO, Any

import click
from flask import current_app
from flask.cli import AppGroup

from flask_braintrust_evals.cli.inputs.files_read import files_read
from flask_braintrust_evals.cli.inputs.lookup import (
    NO_EVALUATORS,
    evaluators_named,
    every_evaluator,
)
from flask_braintrust_evals.cli.judging.thresholds import check_tolerances
from flask_braintrust_evals.cli.running.outcome import Outcome
from flask_braintrust_evals.cli.servers.finding import DEFAULT_TIMEOUT
from flask_braintrust_evals.cli.servers.server_check import PAGE, ServerCheck
from flask_braintrust_evals.cli.servers.server_options import (
    check_address,
    check_origin,
    checked_token,
    org_option,
    timeout_option,
    token_option,
)
from flask_braintrust_evals.cli.terminal.interrupts import exit_on_interrupt, status_of
from flask_braintrust_evals.cli.terminal.terminal import echo, json_option, styled
from flask_braintrust_evals.errors import EvalsError
from flask_braintrust_evals.extension.state import EXTENSION_KEY, EvalsExtension, current_extension

from .completion import complete_evaluators
from .listing import listed, listed_as_json
from .ps_commands import cancel_runs, list_runs
from .run_command import RunCommand
from .run_options import run_options
from .watch import run_again_and_again
from .worker_list import HELLO_TIMEOUT, describe_workers

commands = AppGroup()
commands.add_command(list_runs)
commands.add_command(cancel_runs)


@commands.command("list")
@json_option("Write the list as JSON.")
def list_evaluators(output: IO[str] | None) -> None:
    """List the evaluators, with their scores, parameters and own data."""
    evaluators = every_evaluator(_extension().registries)
    if not evaluators:
        raise click.ClickException(NO_EVALUATORS)
    echo(listed(evaluators) if output is None else listed_as_json(evaluators), file=output)


@commands.command("run")
@click.argument("names", metavar="[NAME]...", nargs=-1, shell_complete=complete_evaluators)
@run_options
def run_evaluators(names: Sequence[str], every: bool, watch: bool, **options: Any) -> None:
    """Run evaluators in this process.

    Only --dataset, --experiment and datasets of evaluators call Braintrust. They need an API key in
    the environment variable BRAINTRUST_API_KEY.

    The exit status is 0 if everything succeeded; 1 if more tasks or scorers failed than may, the
    run failed, a mean is too low or worse than that of the baseline, there was no case, spans of an
    experiment could not be delivered, or Braintrust does not have what the options name; 2 if the
    command, a parameter or a file is wrong; and 130 after Ctrl-C, or 143 after SIGTERM, which still
    show the results so far.
    """
    extension = _extension()
    check_tolerances(options["tolerances"])
    evaluators = evaluators_named(names, every, extension.registries)
    if watch:
        if options["data"] == "-":
            raise click.UsageError("--watch: standard input can be read once; give --data a file")
        with exit_on_interrupt():
            run_again_and_again([file for _, file in files_read(options)], options["output"])
    several = every or len(names) > 1
    command = RunCommand(evaluators, several, options)
    with exit_on_interrupt():
        outcomes = command.execute(extension.runtime.host(current_app))
    sys.exit(_status(outcomes))


@commands.command("workers")
@timeout_option(HELLO_TIMEOUT, "How long workers have to answer.")
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
@org_option
@click.option("--origin", default=PAGE, show_default=True, help="The page that calls the server.")
@token_option
@timeout_option(
    DEFAULT_TIMEOUT, "How long an answer may take, and how long a stream may send nothing."
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
    checked = checked_token(token)
    check_address(url)
    check_origin(origin)
    good = True
    server = ServerCheck(url, checked, org, origin, evaluator, timeout)
    with exit_on_interrupt(), closing(server):
        for finding in server.findings():
            good = good and finding.good
            mark, colour = ("ok  ", "green") if finding.good else ("FAIL", "red")
            echo(f"{click.style(mark, fg=colour)} {styled(finding.what)}")
            if finding.advice:
                echo(f"     {finding.advice}")
    sys.exit(0 if good else 1)


def _extension() -> EvalsExtension:
    if EXTENSION_KEY not in current_app.extensions:
        raise click.ClickException(
            f"no EvalsBlueprint is registered in the application {current_app.name!r}"
        )
    return current_extension()


def _status(outcomes: Sequence[Outcome]) -> int:
    for each in outcomes:
        if each.interrupted:
            return status_of(each.signal)
    return 0 if all(each.is_good for each in outcomes) else 1
