"""Makes fingerprints of evaluators, by which a worker with other code is noticed."""

from __future__ import annotations

import hashlib
import json
import re
import sys
from collections.abc import Iterable, Mapping
from typing import Any

from flask_braintrust_evals._version import __version__
from flask_braintrust_evals.engine.evaluator import Evaluator
from flask_braintrust_evals.engine.parameters.values import ParameterSet
from flask_braintrust_evals.serialization.json_writing import dumps_or_reason

from .code_of import described

_LENGTH = 16
_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")
_ADVICE = "restart the worker with the code of the server"
_VALUES = "the values given to"
_ADVICE_ON_VALUES = (
    "these are default arguments, arguments of functools.partial and texts of closures, which must"
    " be the same on all hosts: what differs from host to host, such as an address, is to be read"
    " when the function is called"
)


class Fingerprints:
    """Makes the fingerprints of evaluators, each once.

    Args:
        release: the release of the application, which is a part of all of them.
    """

    def __init__(self, release: str) -> None:
        self._release = release
        # The evaluator is kept, so that no other one can get its id.
        self._known: dict[int, tuple[Evaluator, Mapping[str, str]]] = {}

    def of(self, evaluator: Evaluator) -> Mapping[str, str]:
        """Return texts by what they stand for, in words for people.

        Two evaluators with the same texts have the same code, as far as can be seen: what a task
        calls is not looked at. ``BRAINTRUST_EVALS_RELEASE`` is there to tell such code apart.
        """
        known = self._known.get(id(evaluator))
        if known is None:
            known = self._known[id(evaluator)] = evaluator, self._make(evaluator)
        return known[1]

    def find(
        self,
        name: str,
        fingerprint: Mapping[str, str],
        evaluators: Iterable[Evaluator],
        twin: int = 0,
    ) -> tuple[Evaluator | None, str]:
        """Return the evaluator with a name and a fingerprint, or what is wrong with those given.

        Args:
            name: the name.
            fingerprint: the fingerprint.
            evaluators: those there are.
            twin: which one of this name it is, where several have the fingerprint; see
                :func:`twin_of`.
        """
        named = [each for each in evaluators if each.name == name]
        if not named:
            return None, f"has no evaluator {name!r}; {_ADVICE}"
        # Of closures, only texts and functions are in fingerprints: tasks of one factory may have
        # the same one.
        for each in (*named[twin : twin + 1], *named):
            if self.of(each) == fingerprint:
                return each, ""
        different = differences(self.of(named[0]), fingerprint)
        are_values = all(each.startswith(_VALUES) for each in different)
        return (
            None,
            f"has another version of evaluator {name!r}; what differs: {', '.join(different)};"
            f" {_ADVICE_ON_VALUES if are_values else _ADVICE}",
        )

    def _make(self, evaluator: Evaluator) -> Mapping[str, str]:
        plan = evaluator.plan
        scorers = [call.name for call in plan.scorers]
        classifiers = [call.name for call in plan.classifiers]
        task, handler = described(plan.task.function), described(plan.error_score_handler)
        all_scorers = [described(call.function) for call in (*plan.scorers, *plan.classifiers)]
        options = [plan.task_timeout, plan.retries]
        values = {
            "task": task.values,
            "scorers": [each.values for each in all_scorers if each.values],
            "error_score_handler": handler.values,
        }
        return {
            "the release": self._release,
            "the version of flask-braintrust-evals": __version__,
            "the version of Python": f"{sys.version_info.major}.{sys.version_info.minor}",
            "its parameters": _digest(_parameters(evaluator)),
            "its scorers": _digest(scorers),
            "its classifiers": _digest(classifiers),
            "its options": _digest(options),
            "the code of its task": _digest(task.code),
            "the code of its scorers": _digest([each.code for each in all_scorers]),
            "the code of its error_score_handler": _digest(handler.code),
            **{f"{_VALUES} its {name}": _digest(each) for name, each in values.items() if each},
        }


def twin_of(evaluator: Evaluator, evaluators: Iterable[Evaluator]) -> int:
    """Return the place of an evaluator among those of its name; 0 if it is not there."""
    named = [each for each in evaluators if each.name == evaluator.name]
    return next((index for index, each in enumerate(named) if each is evaluator), 0)


def differences(ours: Mapping[str, str], theirs: Mapping[str, str]) -> list[str]:
    """Return in words what differs between two fingerprints."""
    names = {**ours, **theirs}
    return [
        f"{name} ({theirs.get(name) or 'none'} there, {ours.get(name) or 'none'} here)"
        if name.startswith("the version") or name == "the release"
        else name
        for name in names
        if ours.get(name) != theirs.get(name)
    ]


def _parameters(evaluator: Evaluator) -> Any:
    declared = evaluator.parameter_set
    if not isinstance(declared, ParameterSet):
        return [declared.schema, declared.source]
    return [
        [each.name, each.kind, each.schema, _default(each.default), each.null_is_absent]
        for each in declared
    ]


def _default(value: Any) -> str:
    # The text of an object may have its address, which differs from process to process.
    return _ADDRESS.sub("", dumps_or_reason(value))


def _digest(value: Any) -> str:
    if isinstance(value, Iterable) and not value:
        return ""
    text = json.dumps(value, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:_LENGTH]
