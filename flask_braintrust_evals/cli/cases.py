"""Cases from a file: a JSON array, JSON Lines, or CSV with a header."""

from __future__ import annotations

import csv
import io
import json
import re
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click

from flask_braintrust_evals.engine.cases import EvalCase
from flask_braintrust_evals.errors import DataError

FIELDS = ("input", "expected", "metadata", "tags", "id")


def read_cases(source: str) -> list[dict[str, Any]]:
    """Read cases.

    Args:
        source: a file's name, or ``-`` for standard input. The format is told by the text itself.

    Raises:
        click.UsageError: there is no such file, or what it holds is no cases; says where.
    """
    name = "standard input" if source == "-" else source
    try:
        # The mark that some spreadsheets begin their files with is no part of the text.
        raw = sys.stdin.buffer.read() if source == "-" else Path(source).read_bytes()
        text = raw.decode("utf-8-sig").strip()
    except OSError as error:
        raise click.UsageError(f"{name} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise click.UsageError(f"{name} is not UTF-8: {error}") from None
    try:
        return _checked(_parse(text))
    except ValueError as error:
        raise click.UsageError(f"{name}: {error}") from None


def _parse(text: str) -> Iterable[Any]:
    if not text:
        raise ValueError("there are no cases")
    if text.startswith("["):
        values = _json(text, "not valid JSON")
        assert isinstance(values, list)
        return values
    if text.startswith("{"):
        return _objects(text)
    return _csv(text)


def _objects(text: str) -> list[Any]:
    try:
        return [json.loads(text)]
    except json.JSONDecodeError:
        lines = enumerate(text.splitlines(), 1)
        return [_json(line, f"line {number} is not valid JSON") for number, line in lines if line]


def _json(text: str, problem: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"{problem}: {error}") from None


def _csv(text: str) -> list[dict[str, Any]]:
    header, *rows = csv.reader(io.StringIO(text, newline=""), strict=True)
    if len(header) < 2 and header != ["input"]:
        raise ValueError("neither JSON nor CSV with a column 'input'")
    cases = []
    for number, row in enumerate(rows, 2):
        if not row:
            continue
        if len(row) != len(header):
            raise ValueError(f"row {number} has {len(row)} cells, and the header has {len(header)}")
        cases.append(_case(dict(zip(map(str.strip, header), row, strict=True))))
    return cases


def _case(row: dict[str, str]) -> dict[str, Any]:
    """A row as a case: other columns are metadata, or, without ``input``, the input's fields."""
    others = {name: cell for name, cell in row.items() if name not in FIELDS}
    case = {
        name: _cell(name, cell)
        for name, cell in row.items()
        if name in FIELDS and (cell or name == "input")
    }
    if "input" not in row:
        case["input"] = others
    elif others:
        case["metadata"] = {**others, **case.get("metadata", {})}
    return case


def _cell(name: str, text: str) -> Any:
    if name == "tags":
        return [each for each in re.split(r"[;,]\s*", text) if each]
    if name == "metadata" or text.lstrip()[:1] in ("[", "{"):
        try:
            return json.loads(text)
        except json.JSONDecodeError:
            if name == "metadata":
                raise ValueError(f"metadata must be JSON, not {text[:100]!r}") from None
    return text


def _checked(values: Iterable[Any]) -> list[dict[str, Any]]:
    cases = []
    for number, value in enumerate(values, 1):
        if not isinstance(value, dict) or "input" not in value:
            raise ValueError(f"case {number} must be an object with an 'input'")
        try:
            EvalCase.of(value)
        except DataError as error:
            raise ValueError(f"case {number}: {error}") from None
        cases.append(value)
    if not cases:
        raise ValueError("there are no cases")
    return cases
