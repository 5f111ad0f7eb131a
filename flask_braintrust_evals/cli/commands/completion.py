"""Completes names of evaluators and parameters in a shell."""

from __future__ import annotations

from typing import Any

import click
from click.shell_completion import CompletionItem

from flask_braintrust_evals.cli.inputs.lookup import every_evaluator
from flask_braintrust_evals.engine.evaluator import Evaluator
from flask_braintrust_evals.extension.state import EXTENSION_KEY


def complete_evaluators(
    ctx: click.Context, param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Return the evaluators whose names begin like this."""
    given = ctx.params.get(param.name or "") or ()
    return [
        CompletionItem(each.name, help=(each.description or "").partition("\n")[0] or None)
        for each in _evaluators(ctx)
        if each.name.startswith(incomplete) and each.name not in given
    ]


def complete_parameters(
    ctx: click.Context, param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Return the parameters of the evaluators that are named so far, as ``NAME=``."""
    # An option without its value, which is being completed, keeps click from naming the others.
    named = ctx.params.get("names") or ctx.args
    evaluators = [each for each in _evaluators(ctx) if not named or each.name in named]
    names = dict.fromkeys(name for each in evaluators for name in each.parameter_set.names)
    return [CompletionItem(f"{name}=") for name in names if name.startswith(incomplete)]


def _evaluators(ctx: click.Context) -> list[Evaluator]:
    """Return the evaluators of the application; none if it cannot be loaded."""
    script: Any = ctx.find_root().obj
    try:
        state = script.load_app().extensions[EXTENSION_KEY]
    except Exception:  # a shell has no place for what is wrong with it
        return []
    return every_evaluator(state.registries)
