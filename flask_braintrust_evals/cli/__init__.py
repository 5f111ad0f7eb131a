"""``flask evals``: the application's evaluators in a terminal, and in continuous integration."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

import click
from flask import current_app
from flask.cli import AppGroup

from flask_braintrust_evals.config import Session
from flask_braintrust_evals.engine.evaluator import Evaluator
from flask_braintrust_evals.engine.saved_parameters import SavedParameterSet
from flask_braintrust_evals.errors import ConfigurationError, EvalsError
from flask_braintrust_evals.extension import current_extension

from .cases import read_cases
from .doctor import PAGE, Doctor
from .junit import junit
from .outcome import Outcome, run
from .report import as_json, report
from .values import parse_parameters, parse_thresholds

BAD = click.style("FAIL", fg="red")
INTERRUPTED = 130
"""The exit status of what Ctrl-C has ended, as shells have it."""

evals_cli = AppGroup("evals", help="Run the application's evaluators.")


@evals_cli.command("list")
def list_evaluators() -> None:
    """List the evaluators: name, scores, parameters."""
    evaluators = _evaluators()
    if not evaluators:
        raise click.ClickException("the application has no evaluators")
    for each in evaluators:
        click.secho(each.name, bold=True)
        if each.description:
            click.echo(f"  {each.description.splitlines()[0]}")
        made = [call.name for call in (*each.scorer_calls, *each.classifier_calls)]
        click.echo(f"  scores: {', '.join(made) or 'none'}")
        names = _parameter_names(each)
        if names:
            click.echo(f"  parameters: {', '.join(names)}")


@evals_cli.command("run")
@click.argument("name")
@click.option(
    "--data",
    "data",
    metavar="FILE",
    help="Cases: JSON, JSON Lines or CSV; - for standard input. Default: the evaluator's own.",
)
@click.option(
    "--param",
    "-p",
    "parameters",
    multiple=True,
    metavar="KEY=VALUE",
    help="A parameter, read as its declared type. May be given several times.",
)
@click.option("--max-concurrency", type=click.IntRange(1, 1000), help="Cases at a time.")
@click.option("--trials", type=click.IntRange(1), help="How often each case is run.")
@click.option(
    "--fail-under",
    "thresholds",
    multiple=True,
    metavar="SCORE=NUMBER",
    help="Fail where a score's mean is below the number. May be given several times.",
)
@click.option("--json", "json_wanted", is_flag=True, help="Write the results as JSON.")
@click.option("--junit", "junit_file", type=click.File("w", lazy=True), help="Write JUnit's XML.")
def run_evaluator(
    name: str,
    data: str | None,
    parameters: Sequence[str],
    max_concurrency: int | None,
    trials: int | None,
    thresholds: Sequence[str],
    json_wanted: bool,
    junit_file: Any,
) -> None:
    """Run the evaluator NAME in this process, without Braintrust.

    The exit status is 0 where all went well; 1 where a task, a scorer or the run failed, or a mean
    is too low; 2 where the command is wrong; and 130 after Ctrl-C, which still shows what there is.
    """
    evaluator = _evaluator(name)
    limits = parse_thresholds(thresholds, evaluator)
    values = parse_parameters(parameters, evaluator)
    try:
        outcome = run(
            evaluator,
            None if data is None else read_cases(data),
            values,
            max_concurrency=max_concurrency,
            trial_count=trials,
            default_concurrency=current_extension().settings.max_concurrency,
            scope=current_app._get_current_object().app_context,  # type: ignore[attr-defined]
        )
    except EvalsError as error:
        raise click.ClickException(str(error)) from None
    outcome.check(limits)
    click.echo(as_json(outcome) if json_wanted else report(outcome))
    if junit_file is not None:
        junit_file.write(junit(outcome))
    sys.exit(_status(outcome))


@evals_cli.command("check", with_appcontext=False)
@click.argument("url")
@click.option("--org", help="The organisation, where the API key has several.")
@click.option("--origin", default=PAGE, show_default=True, help="The page that is to reach it.")
@click.option("--token", envvar="BRAINTRUST_API_KEY", help="Better set as BRAINTRUST_API_KEY.")
def check_server(url: str, org: str | None, origin: str, token: str | None) -> None:
    """Check the deployed server at URL, as a browser would find it, and say what to change.

    Health, preflights, access, and whether something on the way holds events back. The exit status
    is 0 where all is well, else 1.
    """
    if urlsplit(url).scheme not in ("http", "https"):
        raise click.UsageError(f"{url!r} is not an address such as https://tools.example.com/evals")
    try:
        checked = Session(token).token  # whose error, unlike that of requests, does not quote it
    except ConfigurationError as error:
        raise click.UsageError(str(error)) from None
    good = True
    for finding in Doctor(url, checked, org, origin).examine():
        good = good and finding.good
        click.echo(f"{click.style('ok  ', fg='green') if finding.good else BAD} {finding.what}")
        if not finding.good:
            click.echo(f"     {finding.advice}")
    sys.exit(0 if good else 1)


def _status(outcome: Outcome) -> int:
    if outcome.interrupted:
        return INTERRUPTED
    return 0 if outcome.is_good else 1


def _evaluators() -> list[Evaluator]:
    return [each for registry in current_extension().registries for each in registry]


def _evaluator(name: str) -> Evaluator:
    found = [each for each in _evaluators() if each.name == name]
    if not found:
        known = ", ".join(sorted({each.name for each in _evaluators()})) or "none"
        raise click.UsageError(f"no evaluator is named {name!r}; there are: {known}")
    if len(found) > 1:
        places = " and ".join(each.location for each in found)
        raise click.UsageError(f"several evaluators are named {name!r}: at {places}")
    return found[0]


def _parameter_names(evaluator: Evaluator) -> list[str]:
    parameters = evaluator.parameter_set
    if isinstance(parameters, SavedParameterSet):
        return list(parameters.schema.get("properties", {}))
    return [each.name for each in parameters]
