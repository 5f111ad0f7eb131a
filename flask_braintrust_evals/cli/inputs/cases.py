"""Reads cases from a file: JSON, JSON Lines, or CSV with a header."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import click

from flask_braintrust_evals.cli.terminal.terminal import echo, styled
from flask_braintrust_evals.engine.values.cases import FIELDS, EvalCase, misspelled_key
from flask_braintrust_evals.errors import DataError
from flask_braintrust_evals.runs.spec import InlineCases
from flask_braintrust_evals.serialization.strict_json import parse_json
from flask_braintrust_evals.texts.excerpts import MAX_QUOTED, shortened

from .tables import table_cases

LIST_KEYS = ("data", "cases")
"""Keys under which an object that is not a case may have a list of cases."""

_UTF_16 = (b"\xff\xfe", b"\xfe\xff")


class CaseFile:
    """A file of cases, which is read once. Its content decides the format.

    Args:
        source: the name of the file, or ``-`` for standard input.

    Raises:
        click.UsageError: the file cannot be read, or does not hold cases; the message says where.
    """

    def __init__(self, source: str) -> None:
        self._name = "standard input" if source == "-" else source
        try:
            self._content = _read(source)
        except OSError as error:
            text = f"{self._name} cannot be read: {error.strerror or error}"
            raise click.UsageError(text) from None
        self._first: list[EvalCase] | None = self._parsed(warns=True)

    def cases(self) -> list[EvalCase]:
        """Return the cases; new ones each time, because tasks may change them."""
        first, self._first = self._first, None
        return self._parsed(warns=False) if first is None else first

    def _parsed(self, warns: bool) -> list[EvalCase]:
        try:
            cases = parse_cases(self._content)
            if warns:
                _warn_of_ignored(cases, self._name)
            return [_checked(case, number) for number, case in enumerate(cases, 1)]
        except ValueError as error:
            raise click.UsageError(f"{self._name}: {error}") from None


def parse_cases(data: bytes) -> list[dict[str, Any]]:
    """Return the cases of a file, each an object with an ``input``.

    ``playground/assets/cases.js`` does the same for the local page. Both pass the files in
    ``tests/tables``.

    Args:
        data: the content of the file. It may begin with a byte order mark, as Excel writes it.

    Raises:
        ValueError: the file does not hold cases; the message says where.
    """
    cases = _parse(_decoded(data))
    for number, case in enumerate(cases, 1):
        problem = misspelled_key(case) if isinstance(case, dict) else None
        if problem is not None:
            raise ValueError(f"case {number}: {problem}")
        if not isinstance(case, dict) or "input" not in case:
            raise ValueError(f"case {number} must be an object with an 'input'")
    if not cases:
        raise ValueError("there are no cases")
    return cases


def _read(source: str) -> bytes:
    if source != "-":
        return Path(source).read_bytes()
    if sys.stdin is None:
        raise OSError("it is closed")
    return sys.stdin.buffer.read()


def _decoded(data: bytes) -> str:
    try:
        return data.decode("utf-16" if data.startswith(_UTF_16) else "utf-8-sig")
    except UnicodeDecodeError:
        raise ValueError(
            "the text is not UTF-8: save the file with that encoding, in Excel as 'CSV UTF-8'"
        ) from None


def _parse(text: str) -> list[Any]:
    start = text.lstrip()[:1]
    if not start:
        return []
    if start == "[":
        values = _json(text, "not valid JSON")
        assert isinstance(values, list)
        return values
    return _objects(text) if start == "{" else table_cases(text)


def _objects(text: str) -> list[Any]:
    """Return one object, the list that it has, or the objects of JSON Lines."""
    try:
        single = _json(text, "not valid JSON")
    except ValueError:
        # Not splitlines(), which also splits at U+2028 and others: JSON strings may hold them.
        lines = enumerate(re.split("\r\n|\n|\r", text), 1)
        filled = [(number, line) for number, line in lines if line.strip()]
        # Otherwise it is not JSON Lines, and the mistake may be far below the first line.
        if not _is_json(filled[0][1]):
            raise
        return [_json(line, f"line {number} is not valid JSON") for number, line in filled]
    if "input" not in single:
        for key in LIST_KEYS:
            if isinstance(single.get(key), list):
                listed: list[Any] = single[key]
                return listed
    return [single]


def _is_json(line: str) -> bool:
    try:
        _json(line, "")
    except ValueError:
        return False
    return True


def _json(text: str, problem: str) -> Any:
    body = text.lstrip()
    # Spaces stand for white space that JSON does not allow, so that places are those in the file.
    start = re.sub(r"[^\r\n]", " ", text[: len(text) - len(body)])
    text = start + body.rstrip()
    try:
        return parse_json(text)
    except json.JSONDecodeError as error:
        # Of a line of JSON Lines, the error would say that it is in line 1.
        place = "" if "\n" in text else f"{error.msg}: column {error.colno}"
        raise ValueError(f"{problem}: {place or error}") from None


def ignored_keys(cases: list[dict[str, Any]]) -> list[str]:
    """Return the keys of the cases that mean nothing, in order."""
    return sorted({key for case in cases for key in case.keys() - FIELDS})


def _warn_of_ignored(cases: list[dict[str, Any]], name: str) -> None:
    ignored = ignored_keys(cases)
    if ignored:
        keys = shortened(", ".join(map(repr, ignored)), MAX_QUOTED)
        hint = "put what scorers need into 'metadata'"
        echo(styled(f"{name}: these keys of cases are ignored: {keys}; {hint}", fg="yellow"), True)


def _checked(case: dict[str, Any], number: int) -> EvalCase:
    try:
        return InlineCases.case_of(case)
    except DataError as error:
        raise ValueError(f"case {number}: {error}") from None
