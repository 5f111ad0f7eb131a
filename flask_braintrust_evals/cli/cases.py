"""Reads cases from a file: a JSON array, JSON Lines, or CSV with a header."""

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

from flask_braintrust_evals.engine.values.cases import EvalCase
from flask_braintrust_evals.errors import DataError
from flask_braintrust_evals.runs.spec import InlineCases

FIELDS = ("input", "expected", "metadata", "tags", "id")
DELIMITERS = (",", ";", "\t")
MAX_CELL = 100_000_000
"""Maximum characters of a cell. The csv module's limit, 131,072, is too small for documents."""


def read_cases(source: str) -> list[EvalCase]:
    """Read cases from a file; its content decides the format.

    Args:
        source: the name of the file, or ``-`` for standard input.

    Raises:
        click.UsageError: the file cannot be read, or does not hold cases; the message says where.
    """
    name = "standard input" if source == "-" else source
    try:
        # Some spreadsheets write a byte order mark at the start of a file.
        text = _read(source).decode("utf-8-sig")
    except OSError as error:
        raise click.UsageError(f"{name} cannot be read: {error.strerror or error}") from None
    except UnicodeDecodeError as error:
        raise click.UsageError(f"{name} is not UTF-8: {error}") from None
    try:
        return _checked(_parse(text))
    except (ValueError, csv.Error) as error:
        raise click.UsageError(f"{name}: {error}") from None
    except RecursionError:
        raise click.UsageError(f"{name}: nested too deeply") from None


def _read(source: str) -> bytes:
    if source != "-":
        return Path(source).read_bytes()
    if sys.stdin is None:
        raise OSError("it is closed")
    return sys.stdin.buffer.read()


def _parse(text: str) -> Iterable[Any]:
    stripped = text.strip()
    if not stripped:
        raise ValueError("there are no cases")
    if stripped.startswith("["):
        values = _json(stripped, "not valid JSON")
        assert isinstance(values, list)
        return values
    if stripped.startswith("{"):
        return _objects(stripped)
    return _csv(text.strip("\r\n"))


def _objects(text: str) -> list[Any]:
    try:
        return [json.loads(text)]
    except json.JSONDecodeError:
        # Not splitlines(), which also splits at U+2028 and others: JSON strings may hold them.
        lines = enumerate(map(str.strip, text.split("\n")), 1)
        return [_json(line, f"line {number} is not valid JSON") for number, line in lines if line]


def _json(text: str, problem: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"{problem}: {error}") from None


def _csv(text: str) -> list[dict[str, Any]]:
    header, *rows = _rows(text)
    _check_header(header)
    cases = []
    for number, row in enumerate(rows, 2):
        if not row:
            continue
        if len(row) != len(header):
            raise ValueError(f"row {number} has {len(row)} cells, and the header has {len(header)}")
        try:
            cases.append(_case(dict(zip(header, row, strict=True))))
        except ValueError as error:
            raise ValueError(f"row {number}: {error}") from None
    return cases


def _rows(text: str) -> list[list[str]]:
    """Return the rows, the header first, read with the delimiter that suits the header best.

    That is one with which it has a column ``input``, or else the one that gives most columns.
    """
    csv.field_size_limit(MAX_CELL)
    found: list[list[list[str]]] = []
    problem = None
    for delimiter in DELIMITERS:
        lines = io.StringIO(text, newline="")
        rows = csv.reader(lines, delimiter=delimiter, skipinitialspace=True, strict=True)
        try:
            header, *others = rows
        except csv.Error as error:
            problem = problem or error
            continue
        found.append([[name.strip() for name in header], *others])
    if not found:
        assert problem is not None
        raise problem
    return max(found, key=lambda rows: ("input" in rows[0], len(rows[0])))


def _check_header(header: list[str]) -> None:
    if len(header) < 2 and header != ["input"]:
        raise ValueError("neither JSON nor CSV with a column 'input'")
    duplicates = {name for name in header if name and header.count(name) > 1}
    if duplicates:
        raise ValueError(f"two columns are named {min(duplicates)!r}")
    for name in header:
        if name not in FIELDS and name.lower() in FIELDS:
            raise ValueError(f"column {name!r} must be written {name.lower()!r}")


def _case(row: dict[str, str]) -> dict[str, Any]:
    """Return a row as a case.

    Columns with names of their own become metadata; without a column ``input``, they become the
    fields of the input.
    """
    # Some tools number the rows in a column without a name.
    others = {name: cell for name, cell in row.items() if name and name not in FIELDS}
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
    if name == "metadata":
        metadata = _json(text, f"metadata must be a JSON object, not {text[:100]!r}")
        if not isinstance(metadata, dict):
            raise ValueError(f"metadata must be a JSON object, not {text[:100]!r}")
        return metadata
    if name != "id" and text.lstrip()[:1] in ("[", "{"):
        try:
            return json.loads(text)
        except json.JSONDecodeError:
            return text
    return text


def _checked(values: Iterable[Any]) -> list[EvalCase]:
    cases = []
    for number, value in enumerate(values, 1):
        if not isinstance(value, dict) or "input" not in value:
            raise ValueError(f"case {number} must be an object with an 'input'")
        try:
            cases.append(InlineCases.case_of(value))
        except DataError as error:
            raise ValueError(f"case {number}: {error}") from None
    if not cases:
        raise ValueError("there are no cases")
    return cases
