"""Decides under which name a blueprint lists and runs each of its evaluators."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Sequence

from flask_braintrust_evals.errors import DuplicateEvaluatorError

from .evaluator import Evaluator
from .values.names import free_name


def by_name(evaluators: Sequence[Evaluator]) -> dict[str, Evaluator]:
    """Return evaluators by names that are all different, in their order.

    An evaluator keeps its own name. Only one that has a long name, too, makes room for another of
    the same name: it then has its long name, if every process gives it the same one, or else a
    number. So the names do not depend on what changes with each process.

    Raises:
        DuplicateEvaluatorError: two evaluators have the same name, and neither can make room.
    """
    count = Counter(each.name for each in evaluators)
    known: dict[str, Evaluator] = {}
    names: list[str | None] = []
    for each in evaluators:
        name: str | None = each.name
        if each.long_name is not None and count[each.name] > 1:
            name = each.long_name.text if each.long_name.is_stable else None
        names.append(name)
        if name is not None and known.setdefault(name, each) is not each:
            raise DuplicateEvaluatorError(_duplicate(name, known[name], each))
    result: dict[str, Evaluator] = {}
    for each, given in zip(evaluators, names, strict=True):
        name = free_name(each.name, known) if given is None else given
        named = each if name == each.name else dataclasses.replace(each, name=name)
        result[name] = known[name] = named
    return result


def with_long_name(name: str, evaluators: Sequence[Evaluator]) -> Evaluator | None:
    """Return the evaluator that has this long name; ``None``: none has, or several have.

    If there is only one evaluator whose long name changes with each process, it also has the long
    names that other processes gave it.
    """
    long_names = [(each, each.long_name) for each in evaluators if each.long_name is not None]
    same = [each for each, long_name in long_names if long_name.text == name]
    changing = [
        each
        for each, long_name in long_names
        if not long_name.is_stable and name.startswith(long_name.prefix)
    ]
    for found in (same, changing):
        if len(found) == 1:
            return found[0]
    return None


def _duplicate(name: str, known: Evaluator, other: Evaluator) -> str:
    if known.location == other.location:
        return (
            f"evaluator {name!r} at {other.location} is registered twice; load its file only once,"
            " or, if this line defines several, give each of them a name of its own"
        )
    project = name.partition(" [experiment_name=")[0]
    if all(each.number_scorers and each.project == project for each in (known, other)):
        # Those of Eval(...), which alone number scorers: another name would be another project.
        advice = "another experiment_name, as Eval(...) names evaluators after their project"
    else:
        advice = f"another name, such as {name + '-2'!r}"
    return (
        f"two evaluators are named {name!r}: one at {known.location}, one at {other.location}; give"
        f" one of them {advice}"
    )
