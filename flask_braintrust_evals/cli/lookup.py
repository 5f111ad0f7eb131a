"""Finds the application's evaluators."""

from __future__ import annotations

from collections.abc import Iterable

import click

from flask_braintrust_evals.engine.evaluator import Evaluator
from flask_braintrust_evals.engine.registry import Registry
from flask_braintrust_evals.suggestions import did_you_mean


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
        evaluators = every_evaluator(registries)
        hint = did_you_mean(name, sorted({each.name for each in evaluators}))
        raise click.UsageError(f"evaluator {name!r} not found; {hint}")
    if len(found) > 1:
        places = " and ".join(each.location for each in found)
        raise click.UsageError(f"several evaluators are named {name!r}: at {places}")
    return found[0]
