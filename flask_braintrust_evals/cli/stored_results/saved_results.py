"""Reads files of results, as ``--json`` and the local page write them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click

from flask_braintrust_evals.engine.values.cases import EvalCase
from flask_braintrust_evals.serialization.json_writing import dumps_or_reason
from flask_braintrust_evals.serialization.strict_json import parse_json
from flask_braintrust_evals.texts.excerpts import excerpt
from flask_braintrust_evals.texts.safe_texts import safe_text
from flask_braintrust_evals.texts.suggestions import did_you_mean

from .file_kinds import seems_to_be
from .result_format import FORMAT, VERSION


@dataclass(frozen=True)
class SavedCase:
    """The result of a trial of a case in a file.

    Attributes:
        key: tells its case from others; see :func:`key_of`.
        scores: the scores by name.
        failed: whether the task, a scorer or a classifier failed.
    """

    key: str
    scores: Mapping[str, float | None]
    failed: bool


@dataclass(frozen=True)
class SavedRun:
    """The results of one run in a file.

    Attributes:
        evaluator: the name of the evaluator.
        results: the trials of cases.
        body: the run as the file has it; empty: it is not from a file.
    """

    evaluator: str
    results: Sequence[SavedCase] = field(default_factory=list)
    body: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @property
    def score_names(self) -> list[str]:
        """The names of the scores that are a number in at least one case."""
        scores = (pair for each in self.results for pair in each.scores.items())
        return list(dict.fromkeys(name for name, value in scores if value is not None))

    @property
    def failed_keys(self) -> frozenset[str]:
        """The keys of the cases of which a trial failed."""
        return frozenset(each.key for each in self.results if each.failed)


def key_of(id: Any, input: Any) -> str:
    """Return what tells a case from others: its id if it has one, or else its input."""
    if id is not None:
        return f"id {safe_text(id)}"
    value = _as_in_files(json.loads(dumps_or_reason(input)))
    canonical = json.dumps(value, sort_keys=True, ensure_ascii=True)
    return f"input {hashlib.sha256(canonical.encode()).hexdigest()}"


def _as_in_files(value: Any) -> Any:
    """Return a value of JSON as every program reads it again: the page writes 1.0 as 1."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, list):
        return [_as_in_files(each) for each in value]
    if isinstance(value, dict):
        return {key: _as_in_files(each) for key, each in value.items()}
    return value


def key_of_case(case: EvalCase) -> str:
    """Return what tells a case from others; see :func:`key_of`."""
    return key_of(case.id, case.input)


def saved_case(body: Mapping[str, Any]) -> SavedCase:
    """Return the result of a case from its values in a file.

    Raises:
        KeyError, TypeError, AttributeError, ValueError: it has not the format.
    """
    failed = bool(body.get("error") or body.get("scorer_errors"))
    scores = dict(body["scores"])
    for name, value in scores.items():
        if value is not None and not (isinstance(value, int | float) and 0 <= value <= 1):
            raise ValueError(f"the score {name!r} is {excerpt(value)}, and no number from 0 to 1")
    return SavedCase(key_of(body.get("id"), body["input"]), scores, failed)


class SavedResults:
    """The results in a file.

    Args:
        file: the name of the file.
        option: the option that names it, for messages.

    Attributes:
        file: the name of the file.
        runs: the runs in it.

    Raises:
        click.UsageError: it cannot be read, or has no results in a known version of the format.
    """

    def __init__(self, file: str, option: str) -> None:
        self.file = file
        self._option = option
        body = self._read()
        runs = body.get("runs", [body])
        try:
            self.runs = [
                SavedRun(str(run["evaluator"]), [saved_case(each) for each in run["results"]], run)
                for run in runs
            ]
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise self._refused(f"the results are not as --json writes them: {error!r}") from None

    def of(self, evaluator: str) -> SavedRun:
        """Return the run of an evaluator.

        Raises:
            click.UsageError: the file has none.
        """
        for run in self.runs:
            if run.evaluator == evaluator:
                return run
        names = [run.evaluator for run in self.runs]
        raise self._refused(f"no run of {evaluator!r} is in it; {did_you_mean(evaluator, names)}")

    def _read(self) -> dict[str, Any]:
        try:
            text = Path(self.file).read_text("utf-8-sig")
        except OSError as error:
            raise self._refused(f"cannot be read: {error.strerror or error}") from None
        except UnicodeDecodeError:
            raise self._refused("is not UTF-8") from None
        if not text.strip():
            hint = "a shell empties the file that '>' names before the command reads it"
            raise self._refused(f"is empty; {hint}")
        body = mistake = None
        try:
            body = parse_json(text)
        except json.JSONDecodeError as error:
            mistake = error
        if not isinstance(body, dict) or body.get("format") != FORMAT:
            kind = seems_to_be(text)
            if mistake is not None and not kind:
                raise self._refused(f"is not valid JSON: {mistake}")
            seems = f", but seems to be {kind}" if kind else ""
            hint = "write one with --json, or export one from the local page"
            raise self._refused(f"is no file of results{seems}; {hint}")
        if body.get("version") != VERSION:
            known = f"this command reads version {VERSION}"
            given = excerpt(body.get("version"))
            raise self._refused(f"has version {given} of the format; {known}")
        return body

    def _refused(self, problem: str) -> click.UsageError:
        return click.UsageError(f"{self._option}: {self.file}: {problem}")
