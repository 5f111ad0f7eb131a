"""The ``flask evals`` group of commands.

Flask imports this module for ``flask --help`` and for any command that it does not know, in every
application. So the commands themselves are imported only for ``flask evals``.
"""

from __future__ import annotations

import click
from flask.cli import AppGroup


class _EvalsGroup(AppGroup):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return _commands().list_commands(ctx)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        return _commands().get_command(ctx, cmd_name)


def _commands() -> click.Group:
    from .commands.evals_group import commands

    return commands


evals_cli = _EvalsGroup("evals", help="Run the application's evaluators.")
