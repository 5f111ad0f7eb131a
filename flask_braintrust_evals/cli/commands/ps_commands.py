"""``flask evals ps`` and ``flask evals cancel``: the runs of a server that are under way."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import click

from flask_braintrust_evals.cli.servers.finding import DEFAULT_TIMEOUT
from flask_braintrust_evals.cli.servers.run_table_text import run_lines
from flask_braintrust_evals.cli.servers.server_options import (
    check_address,
    checked_token,
    credentials,
    org_option,
    refuse_without,
    timeout_option,
    token_option,
)
from flask_braintrust_evals.cli.servers.server_runs import RunsOfMachine, RunsOfServer
from flask_braintrust_evals.cli.terminal.interrupts import exit_on_interrupt
from flask_braintrust_evals.cli.terminal.terminal import echo, styled
from flask_braintrust_evals.errors import EvalsError

F = TypeVar("F", bound=Callable[..., Any])


def _server_options(command: F) -> F:
    for option in (
        timeout_option(DEFAULT_TIMEOUT, "How long the answer of a server may take."),
        token_option,
        org_option,
        click.option(
            "--url",
            metavar="URL",
            help="The address that is entered in the Playground. Default: all servers that you run"
            " on this machine.",
        ),
    ):
        command = option(command)
    return command


@click.command("ps")
@_server_options
@click.option("--json", "json_wanted", is_flag=True, help="Write the list as JSON.")
def list_runs(json_wanted: bool, **options: Any) -> None:
    """List the runs that are under way.

    With --url, they are the runs of one server that were started with your token. Without it, they
    are those of all servers that run on this machine as the same user as this command, whoever has
    started them.

    The exit status is 0 if the list could be had, 1 if not.
    """
    runs = _runs(**options)
    with exit_on_interrupt():
        try:
            listing = runs.listing()
        except EvalsError as error:
            raise click.ClickException(styled(str(error))) from None
    if json_wanted:
        echo(json.dumps(dataclasses.asdict(listing), indent=2))
        return
    for line in run_lines(listing, of_machine=isinstance(runs, RunsOfMachine)):
        echo(line)


@click.command("cancel")
@click.argument("ids", metavar="ID...", nargs=-1, required=True)
@_server_options
def cancel_runs(ids: Sequence[str], **options: Any) -> None:
    """Cancel runs that are under way, by their ids, which "flask evals ps" shows.

    With --url, they must have been started with your token. The client of a run is told that it was
    cancelled; what has been recorded by then stays.

    The exit status is 0 if all of them were cancelled, else 1.
    """
    runs = _runs(**options)
    for id in ids:
        if not id.isascii() or not id.isalnum():
            raise click.UsageError(f"{id!r} is not the id of a run; see 'flask evals ps'")
    good = True
    with exit_on_interrupt():
        for id in ids:
            try:
                runs.cancel(id)
                echo(f"cancelled {id}")
            except EvalsError as error:
                good = False
                echo(f"{id}: {styled(str(error))}", err=True)
    sys.exit(0 if good else 1)


def _runs(
    url: str | None, token: str | None, org: str | None, timeout: float
) -> RunsOfServer | RunsOfMachine:
    if url is None:
        refuse_without("--url", "org", "token", "timeout")
        return RunsOfMachine()
    check_address(url)
    return RunsOfServer(url, credentials(checked_token(token), org), timeout)
