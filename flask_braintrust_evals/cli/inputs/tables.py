"""Reads cases from a table: CSV with a header, as spreadsheets and other programs write it.

``playground/assets/tables.js`` does the same for the local page. Both pass the files in
``tests/tables``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from flask_braintrust_evals.serialization.strict_json import parse_json
from flask_braintrust_evals.texts.suggestions import is_misspelled

FIELDS = ("input", "expected", "metadata", "tags", "id")
DELIMITERS = (",", ";", "\t")
NO_TABLE = "neither JSON nor CSV with a column 'input'"

_DELIMITER_LINE = re.compile(r'"?sep=([^\r\n])"?[,;\t]*(?:\r\n|\n|\r|$)', re.IGNORECASE)
"""A first line by which Excel is told the delimiter."""

Row = tuple[int, list[str]]
"""The number of a row, from 1, and its cells."""


def table_cases(text: str) -> list[dict[str, Any]]:
    """Return the cases of a table. Rows whose cells are all empty are skipped.

    Raises:
        ValueError: it is no table of cases; the message says where.
    """
    (_, names), *rows = _rows(text)
    names = [name.strip(" \t") for name in names]
    _check_names(names)
    cases = []
    for number, cells in rows:
        while len(cells) > len(names) and not cells[-1]:
            cells.pop()
        if len(cells) != len(names):
            raise ValueError(
                f"row {number} has {len(cells)} cells, and the header has {len(names)}"
            )
        try:
            cases.append(_case(dict(zip(names, cells, strict=True))))
        except ValueError as error:
            raise ValueError(f"row {number}: {error}") from None
    return cases


def _rows(text: str) -> list[Row]:
    """Return the rows that are not empty, the header first."""
    told = _DELIMITER_LINE.match(text)
    delimiter = told[1] if told else _delimiter(text)
    text = text[told.end() :] if told else text
    rows = _filled(_split(text, delimiter))
    if not rows:
        raise ValueError("there are no cases")
    if any(name.startswith(" ") for name in rows[0][1][1:]):
        # Somebody typed a space behind each delimiter. Elsewhere, spaces belong to the cells.
        rows = _filled(_split(text, delimiter, skip_spaces=True))
    return rows


def _filled(rows: Iterator[Row]) -> list[Row]:
    return [row for row in rows if any(row[1])]


def _delimiter(text: str) -> str:
    """Return the delimiter that suits the header best.

    That is one with which it has a column ``input``, or else the one that gives most columns.
    """
    found: list[tuple[bool, int, str]] = []
    problem = None
    for delimiter in DELIMITERS:
        try:
            header = next((cells for _, cells in _split(text, delimiter) if any(cells)), [])
        except ValueError as error:
            problem = problem or error
            continue
        names = [name.strip(" \t") for name in header]
        found.append(("input" in names, len(names), delimiter))
    if not found:
        assert problem is not None
        raise problem
    return max(found, key=lambda each: each[:2])[2]


def _split(text: str, delimiter: str, skip_spaces: bool = False) -> Iterator[Row]:
    """Yield all rows. Quoted cells may hold delimiters, line ends and, doubled, quotes.

    The csv module is not used: its limit for the size of a cell, which is too small for documents,
    can only be changed for the whole process.
    """
    cell_end = re.compile(f"[{re.escape(delimiter)}\r\n]")
    at, number, cells = 0, 1, list[str]()
    while True:
        while skip_spaces and text.startswith(" ", at):
            at += 1
        if text.startswith('"', at):
            cell, at = _quoted(text, at + 1, number)
            while text.startswith(" ", at):
                at += 1
            if at < len(text) and not cell_end.match(text, at):
                raise ValueError(f"row {number}: a cell goes on after its closing quote")
        else:
            found = cell_end.search(text, at)
            end = found.start() if found else len(text)
            cell, at = text[at:end], end
        cells.append(cell)
        if text.startswith(delimiter, at):
            at += 1
            continue
        yield number, cells
        at += 2 if text.startswith("\r\n", at) else 1
        if at >= len(text):
            return
        number, cells = number + 1, []


def _quoted(text: str, at: int, number: int) -> tuple[str, int]:
    """Return the content of a quoted cell, and the place behind its closing quote."""
    parts = []
    while True:
        end = text.find('"', at)
        if end < 0:
            raise ValueError(f"row {number}: a quoted cell does not end")
        parts.append(text[at:end])
        if not text.startswith('"', end + 1):
            return "".join(parts), end + 1
        parts.append('"')
        at = end + 2


def _check_names(names: list[str]) -> None:
    if len(names) < 2 and names != ["input"]:
        raise ValueError(NO_TABLE)
    for at, name in enumerate(names):
        if name and name in names[:at]:
            raise ValueError(f"two columns are named {name!r}")
    for name in names:
        if name not in FIELDS and name.lower() in FIELDS:
            raise ValueError(f"column {name!r} must be written {name.lower()!r}")
        for field in FIELDS:
            if name not in FIELDS and field not in names and is_misspelled(name, field):
                raise ValueError(f"there is a column {name!r}; did you mean {field!r}?")


def _case(row: dict[str, str]) -> dict[str, Any]:
    """Return a row as a case.

    Columns with names of their own become metadata; without a column ``input``, they become the
    fields of the input.
    """
    # Some tools number the rows in a column without a name.
    others = {name: cell for name, cell in row.items() if name and name not in FIELDS}
    case = {
        name: _value(name, cell)
        for name, cell in row.items()
        if name in FIELDS and (cell or name == "input")
    }
    if "input" not in row:
        case["input"] = others
    elif others:
        case["metadata"] = {**others, **case.get("metadata", {})}
    return case


def _value(name: str, text: str) -> Any:
    if name == "metadata":
        metadata = _json_or_text(text)
        if not isinstance(metadata, dict):
            raise ValueError(f"metadata must be a JSON object, not {text[:100]!r}")
        return metadata
    value = text if name == "id" else _json_or_text(text)
    if name != "tags" or isinstance(value, list):
        return value
    tags = (each.strip(" \t\r\n") for each in re.split("[;,]", text))
    return [each for each in tags if each]


def _json_or_text(text: str) -> Any:
    """Return the JSON value of a text that begins like an array or an object, or else the text."""
    if text.lstrip(" \t\r\n")[:1] not in ("[", "{"):
        return text
    try:
        return parse_json(text)
    except json.JSONDecodeError:
        return text
