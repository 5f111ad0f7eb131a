"""The options of ``flask evals run``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from flask_braintrust_evals.cli.judging.shown_cases import SHOWN
from flask_braintrust_evals.cli.servers.server_options import org_option
from flask_braintrust_evals.cli.terminal.terminal import json_option
from flask_braintrust_evals.engine.values.option_checks import MAX_RETRIES
from flask_braintrust_evals.runs.spec import MAX_CONCURRENCY, MAX_TRIALS

from .completion import complete_parameters

F = TypeVar("F", bound=Callable[..., Any])

_FILE = click.Path(dir_okay=False, path_type=Path)

_OPTIONS = (
    click.option("--all", "every", is_flag=True, help="Run all evaluators that have own data."),
    click.option(
        "--data",
        metavar="FILE",
        help="A file of cases (JSON, JSON Lines, CSV), or - for stdin. Default: the evaluator's"
        " own.",
    ),
    click.option(
        "--dataset",
        metavar="ID",
        help="Read the cases from a dataset in Braintrust. Needs an API key.",
    ),
    click.option(
        "--limit", metavar="N", type=click.IntRange(1), help="Run the first N cases only."
    ),
    click.option(
        "--sample", metavar="N", type=click.IntRange(1), help="Run N cases, chosen by chance."
    ),
    click.option(
        "--seed",
        metavar="NUMBER",
        type=int,
        help="With --sample: makes the same choice each time.",
    ),
    click.option(
        "--case",
        "case_names",
        multiple=True,
        metavar="ID",
        help="Run the case with this id, or at this place, from 1. May be given several times.",
    ),
    click.option(
        "--failed-from",
        metavar="FILE",
        help="Run the cases that failed in a run whose results --json wrote to this file.",
    ),
    click.option(
        "--param",
        "-p",
        "parameters",
        multiple=True,
        metavar="KEY=VALUE",
        shell_complete=complete_parameters,
        help="Set a parameter; the value is read as its declared type, and KEY=@FILE reads it from"
        " a file. May be given several times.",
    ),
    click.option(
        "--params", "params_file", metavar="FILE", help="Read parameters from a file, in JSON."
    ),
    click.option(
        "--max-concurrency",
        metavar="N",
        type=click.IntRange(1, MAX_CONCURRENCY),
        help="How many cases run at a time.",
    ),
    click.option(
        "--distributed",
        is_flag=True,
        help="Run the cases on the application's Celery workers.",
    ),
    click.option(
        "--trials",
        metavar="N",
        type=click.IntRange(1, MAX_TRIALS),
        help="How often each case is run.",
    ),
    click.option(
        "--retries",
        metavar="N",
        type=click.IntRange(0, MAX_RETRIES),
        help="How often the task is called again for a case that it failed on.",
    ),
    click.option(
        "--resume",
        metavar="FILE",
        type=_FILE,
        help="Write each result to this file at once, and take those that are in it already.",
    ),
    click.option(
        "--cache",
        metavar="DIR",
        type=click.Path(file_okay=False, path_type=Path),
        help="Keep results in this folder, and take those of the same code, parameters and case.",
    ),
    click.option(
        "--fail-under",
        "thresholds",
        multiple=True,
        metavar="SCORE=NUMBER",
        help="Fail if the mean of a score is below the number. May be given several times.",
    ),
    click.option(
        "--max-failures",
        metavar="N|N%",
        help="How many cases may fail, or which share of them. Default: none.",
    ),
    click.option(
        "--baseline",
        metavar="FILE",
        help="Compare with a run whose results --json wrote to this file.",
    ),
    click.option(
        "--fail-if-worse",
        "tolerances",
        multiple=True,
        is_flag=False,
        flag_value="",
        metavar="[SCORE=NUMBER]",
        help="With --baseline: fail if the mean of a score has fallen by more than the number, or"
        " that of any score by more than chance. May be given several times.",
    ),
    click.option(
        "--experiment",
        metavar="NAME",
        help="Record the run in a new experiment with this name. Needs an API key.",
    ),
    org_option,
    click.option(
        "--show",
        type=click.Choice(SHOWN),
        default="worst",
        show_default=True,
        help="Which cases to show.",
    ),
    click.option(
        "-v",
        "--verbose",
        is_flag=True,
        help="Show whole texts, metadata and stack traces of the cases.",
    ),
    json_option("Write the results as JSON."),
    click.option(
        "--junit",
        "junit_file",
        metavar="FILE",
        type=_FILE,
        help="Also write the results to a file in JUnit's XML format.",
    ),
    click.option(
        "--markdown",
        "markdown_file",
        metavar="FILE",
        type=_FILE,
        help="Also write a summary to a file in Markdown, for a comment on a pull request.",
    ),
    click.option(
        "--spans",
        is_flag=True,
        help="Write the traces of cases, too, with --json. Reports in HTML always have them.",
    ),
    click.option(
        "--html",
        "html_file",
        metavar="FILE",
        type=_FILE,
        help="Also write all results to a file that a browser shows.",
    ),
    click.option(
        "--watch",
        is_flag=True,
        help="Run again whenever a file of the application or of the data changes.",
    ),
)


def run_options(command: F) -> F:
    """Add the options to a command, in this order."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command
