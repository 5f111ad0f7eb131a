"""``flask evals``: the application's evaluators in a terminal, and in continuous integration."""

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

from .doctor import PAGE, Doctor
from .finding import DEFAULT_TIMEOUT
from .junit import junit
from .lookup import evaluator_named, every_evaluator
from .outcome import Outcome, run
from .report import as_json, report
from .request import RunOptions, prepare_run
from .terminal import say, stdout_set_aside, styled
from .values import parse_thresholds

BAD = click.style("FAIL", fg="red")
INTERRUPTED = 130
"""The exit status of what Ctrl-C has ended, as shells have it."""

evals_cli = AppGroup("evals", help="Run the application's evaluators.")

_org = click.option(
    "--org",
    metavar="NAME",
    envvar="BRAINTRUST_ORG_NAME",
    help="The organisation, where the API key has several. Or set BRAINTRUST_ORG_NAME.",
)


@evals_cli.command("list")
def list_evaluators() -> None:
    """List the evaluators, with their scores and parameters."""
    evaluators = every_evaluator(_extension().registries)
    if not evaluators:
        raise click.ClickException("the application has no evaluators")
    for each in evaluators:
        say(click.style(each.name, bold=True))
        if each.description:
            say(f"  {each.description.splitlines()[0]}")
        made = [call.name for call in (*each.plan.scorers, *each.plan.classifiers)]
        say(f"  scores: {', '.join(made) or 'none'}")
        names = each.parameter_set.names
        if names:
            say(f"  parameters: {', '.join(names)}")


@evals_cli.command("run")
@click.argument("name")
@click.option(
    "--data",
    "data",
    metavar="FILE",
    help="Cases: JSON, JSON Lines or CSV; - for standard input. Default: the evaluator's own.",
)
@click.option("--dataset", metavar="ID", help="Cases: a dataset in Braintrust. Needs an API key.")
@click.option(
    "--param",
    "-p",
    "parameters",
    multiple=True,
    metavar="KEY=VALUE",
    help="A parameter, read as its declared type. May be given several times.",
)
@click.option(
    "--max-concurrency",
    metavar="N",
    type=click.IntRange(1, MAX_CONCURRENCY),
    help="Cases at a time.",
)
@click.option(
    "--trials",
    metavar="N",
    type=click.IntRange(1, MAX_TRIALS),
    help="How often each case is run.",
)
@click.option(
    "--fail-under",
    "thresholds",
    multiple=True,
    metavar="SCORE=NUMBER",
    help="Fail where a score's mean is below the number. May be given several times.",
)
@click.option(
    "--experiment",
    metavar="NAME",
    help="Record the run in a new experiment of this name. Needs an API key.",
)
@_org
@click.option("--json", "json_wanted", is_flag=True, help="Write the results as JSON.")
@click.option(
    "--junit",
    "junit_file",
    metavar="FILE",
    type=click.Path(dir_okay=False, writable=True, path_type=Path),
    help="Write JUnit's XML.",
)
def run_evaluator(
    name: str,
    thresholds: Sequence[str],
    json_wanted: bool,
    junit_file: Path | None,
    **options: Any,
) -> None:
    """Run an evaluator in this process.

    Braintrust is asked for a dataset and for an experiment alone; these need an API key in the
    environment variable BRAINTRUST_API_KEY.

    The exit status is 0 where all went well; 1 where a task, a scorer or the run failed, a mean is
    too low, there was no case, or Braintrust does not have what is asked for; 2 where the command,
    a parameter or the file is wrong; and 130 after Ctrl-C, which still shows what there is.
    """
    extension = _extension()
    evaluator = evaluator_named(name, extension.registries)
    limits = parse_thresholds(thresholds)
    if junit_file == Path():
        raise click.UsageError("--junit: name a file")
    if junit_file is not None and not os.access(junit_file.parent, os.W_OK):
        raise click.UsageError(
            f"--junit: {str(junit_file.parent)!r} is no folder that can be written to"
        )
    output = stdout_set_aside() if json_wanted else None
    with _exit_on_ctrl_c():
        outcome = _run(evaluator, RunOptions(**options), extension)
    outcome.check(limits)
    # The file first, in case nobody reads the output; its failure last, to lose no result by it.
    problem = _write_junit(outcome, junit_file) if junit_file is not None else None
    say(as_json(outcome) if json_wanted else report(outcome), file=output)
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
            prepared = prepare_run(evaluator, options, extension.host(current_app), held)
        except EvalsError as error:
            # What the options ask for is wrong; all others are about what Braintrust has.
            wrong = type(error) is RequestError
            raise (click.UsageError if wrong else click.ClickException)(str(error)) from None
        return run(prepared)


@evals_cli.command("check", with_appcontext=False)
@click.argument("url")
@click.option(
    "--evaluator",
    metavar="NAME",
    help="Watch the events of this evaluator's own cases. Default: one that only waits.",
)
@_org
@click.option("--origin", default=PAGE, show_default=True, help="The page that is to reach it.")
@click.option("--token", envvar="BRAINTRUST_API_KEY", help="Better set as BRAINTRUST_API_KEY.")
@click.option(
    "--timeout",
    metavar="SECONDS",
    type=click.FloatRange(0, min_open=True),
    default=DEFAULT_TIMEOUT,
    show_default=True,
    help="How long the server may send nothing, and an answer may take.",
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

    The server at URL, the address that the Playground is given, is asked as a browser would ask it:
    health, preflights, access, large bodies, and whether something on the way holds events back.
    The exit status is 0 where all is well, else 1.
    """
    parts = _split(url)
    if parts is None:
        raise click.UsageError(f"{url!r} is not an address such as https://tools.example.com/evals")
    try:
        checked = Session(token).token  # whose error, unlike that of requests, does not quote it
    except ConfigurationError as error:
        raise click.UsageError(str(error)) from None
    if "@" in parts.netloc or parts.query:
        raise click.UsageError("the address must have neither credentials nor a query")
    good = True
    doctor = Doctor(url, checked, org, origin, evaluator, timeout)
    with _exit_on_ctrl_c(), closing(doctor):
        for finding in doctor.examine():
            good = good and finding.good
            mark = click.style("ok  ", fg="green") if finding.good else BAD
            say(f"{mark} {styled(finding.what)}")
            if finding.advice:
                say(f"     {finding.advice}")
    sys.exit(0 if good else 1)


@contextmanager
def _exit_on_ctrl_c() -> Iterator[None]:
    """Exit with status 130 after Ctrl-C; click's own status for it is that of a failure."""
    try:
        yield
    except KeyboardInterrupt:
        say("interrupted", err=True)
        sys.exit(INTERRUPTED)


def _extension() -> EvalsExtension:
    if EXTENSION_KEY not in current_app.extensions:
        raise click.ClickException(
            f"no EvalsBlueprint is registered in the application {current_app.name!r}"
        )
    return current_extension()


def _split(url: str) -> SplitResult | None:
    """Take an address apart; ``None`` where it is none that can be asked."""
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:  # a port that is no number shows only when it is asked for
        return None
    return parts if good else None


def _status(outcome: Outcome) -> int:
    if outcome.interrupted:
        return INTERRUPTED
    return 0 if outcome.is_good else 1
