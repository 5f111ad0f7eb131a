"""Limits of mean scores, as ``--fail-under`` gives them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from flask_braintrust_evals.cli.inputs.values import bad_option, split_pair
from flask_braintrust_evals.cli.terminal.terminal import echo, styled
from flask_braintrust_evals.engine.evaluator import Evaluator
from flask_braintrust_evals.texts.suggestions import did_you_mean, is_misspelled

ROUNDING = 1e-9
"""Tolerance for a mean below its limit, because sums of floats are not exact."""


def parse_thresholds(options: Sequence[str], hint: str = "--fail-under") -> dict[str, float]:
    """Return numbers from 0 to 1 by the names of scores.

    Args:
        options: each as ``SCORE=NUMBER``.
        hint: the name of the option, for messages.

    Raises:
        click.BadParameter: an option is not ``SCORE=NUMBER``, or the number is not from 0 to 1.
    """
    limits = {}
    for option in options:
        name, text = split_pair(option, option.rpartition("="), hint)
        try:
            limits[name] = float(text)
        except ValueError:
            limits[name] = -1.0
        if not 0 <= limits[name] <= 1:
            raise bad_option(f"{name}={text}: a mean is a number from 0 to 1", hint)
    return limits


def parse_tolerances(options: Sequence[str]) -> tuple[dict[str, float], bool]:
    """Return by how much means may fall, by the names of scores, and whether to look at all scores.

    Args:
        options: each as ``SCORE=NUMBER``, or empty: no score may fall by more than chance.

    Raises:
        click.BadParameter: see :func:`parse_thresholds`.
    """
    named = [option for option in options if option]
    return parse_thresholds(named, "--fail-if-worse"), len(named) < len(options)


def check_tolerances(options: Sequence[str]) -> None:
    """Find the name of an evaluator that an option without a value has taken for its value.

    Raises:
        click.BadParameter: there is one.
    """
    for option in options:
        if option and "=" not in option:
            hint = "write names of evaluators in front of the options"
            raise bad_option(f"{option!r} is not SCORE=NUMBER; {hint}", "--fail-if-worse")


def too_low_text(name: str, mean: float, limit: float) -> str:
    """Return a message if the mean of a score is below its limit; empty: it is not."""
    if mean >= limit - ROUNDING:
        return ""
    return f"{name} is {mean:.4f}, which must be {limit:g} or more"


def check_score_names(
    names: Iterable[str], evaluators: Sequence[Evaluator], hint: str = "--fail-under"
) -> None:
    """Find misspelled names of scores before anything is run.

    A scorer may return scores of other names than its own, which are not known before. So a name
    that is none of a scorer, and no misspelled one either, only causes a warning.

    Args:
        names: the names that an option gives.
        evaluators: what is about to be run.
        hint: the name of the option, for messages.

    Raises:
        click.BadParameter: a name is surely a misspelled one of a scorer.
    """
    scorers = [call.name for each in evaluators for call in each.plan.scorers]
    for name in names:
        if name in scorers:
            continue
        meant = did_you_mean(name, dict.fromkeys(scorers))
        if any(is_misspelled(name, scorer) for scorer in scorers):
            raise bad_option(f"no scorer is named {name!r}; {meant}", hint)
        text = f"{hint}: no scorer is named {name!r}, so one has to return this score; {meant}"
        echo(styled(text, fg="yellow"), err=True)
