"""Finds the application's evaluators."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import click

from flask_braintrust_evals.engine.evaluator import Evaluator
from flask_braintrust_evals.engine.registry import Registry
from flask_braintrust_evals.texts.suggestions import did_you_mean


def every_evaluator(registries: Iterable[Registry]) -> list[Evaluator]:
    """Return the evaluators of all blueprints."""
    return [each for registry in registries for each in registry]


def evaluator_named(name: str, registries: Iterable[Registry]) -> Evaluator:
    """Return the evaluator with this name.

    Raises:
        click.UsageError: no blueprint has one, or several have.
    """
    registries = list(registries)
    found = [each for each in (registry.find(name) for registry in registries) if each is not None]
    if not found:
        if Path(name).is_file():
            hint = f"a file of cases is given by --data {name}"
        else:
            evaluators = every_evaluator(registries)
            hint = did_you_mean(name, sorted({each.name for each in evaluators}))
        raise click.UsageError(f"evaluator {name!r} not found; {hint}")
    if len(found) > 1:
        places = " and ".join(each.location for each in found)
        raise click.UsageError(
            f"several evaluators are named {name!r}: at {places}; give one of them another name"
        )
    return found[0]


def evaluators_named(
    names: Sequence[str], every: bool, registries: Iterable[Registry]
) -> list[Evaluator]:
    """Return the evaluators with these names, each once.

    Args:
        names: the names.
        every: all that have own data instead.
        registries: those of all blueprints.

    Raises:
        click.UsageError: there are none, or one of the names is not that of one evaluator.
    """
    registries = list(registries)
    if every and names:
        raise click.UsageError("--all runs all evaluators: give no names")
    if not every and not names:
        known = ", ".join(each.name for each in every_evaluator(registries)) or "none"
        raise click.UsageError(f"give the name of an evaluator, or --all; there are: {known}")
    if every:
        found = [each for each in every_evaluator(registries) if each.data is not None]
        if not found:
            raise click.UsageError("--all: no evaluator has data of its own")
        return found
    return [evaluator_named(name, registries) for name in dict.fromkeys(names)]
