"""Finds the application's evaluators."""

from __future__ import annotations

import os.path
from collections.abc import Iterable, Sequence
from pathlib import PurePath

import click

from flask_braintrust_evals.engine.evaluator import Evaluator
from flask_braintrust_evals.engine.registry import Registry
from flask_braintrust_evals.texts.suggestions import did_you_mean

CASE_SUFFIXES = frozenset((".json", ".jsonl", ".ndjson", ".csv", ".tsv"))
"""How the names of files of cases usually end."""

NO_EVALUATORS = (
    "the application has no evaluators; import the modules that define them where it is made"
)


def every_evaluator(registries: Iterable[Registry]) -> list[Evaluator]:
    """Return the evaluators of all blueprints."""
    return [each for registry in registries for each in registry]


def evaluator_named(name: str, registries: Iterable[Registry], hint: str = "") -> Evaluator:
    """Return the evaluator with this name.

    Args:
        name: the name.
        registries: those of all blueprints.
        hint: what to do if there is none, for the message; empty: similar names are suggested.

    Raises:
        click.UsageError: no blueprint has one, or several have.
    """
    registries = list(registries)
    found = [each for each in (registry.find(name) for registry in registries) if each is not None]
    if not found:
        known = sorted({each.name for each in every_evaluator(registries)})
        hint = hint or (did_you_mean(name, known) if known else NO_EVALUATORS)
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
        known = ", ".join(each.name for each in every_evaluator(registries))
        hint = f"there are: {known}" if known else NO_EVALUATORS
        raise click.UsageError(f"give the name of an evaluator, or --all; {hint}")
    if every:
        found = [each for each in every_evaluator(registries) if each.data is not None]
        if not found:
            raise click.UsageError("--all: no evaluator has data of its own")
        return found
    return [evaluator_named(name, registries, _file_hint(name)) for name in dict.fromkeys(names)]


def _file_hint(name: str) -> str:
    """Return what to do with a file that was given as a name; empty: it is none."""
    # Unlike Path.is_file(), it is no error for a name that is too long.
    if not os.path.isfile(name):
        return ""
    suffix = PurePath(name).suffix.lower()
    if suffix in CASE_SUFFIXES:
        return f"a file of cases is given by --data {name}"
    return f"bp.load({name!r}) serves the evaluators of that file" if suffix == ".py" else ""
