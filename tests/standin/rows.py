"""Rows of datasets and experiments: filling them in, filtering them, and paging."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping
from typing import Any

from .answers import Refusal
from .state import Cloud, Dataset, Experiment, Row, Table, make_id

DEFAULT_LIMIT = 1000


def dataset_rows(
    cloud: Cloud, dataset: Dataset, rows: Iterable[Mapping[str, Any]], version: str | None = None
) -> list[Row]:
    """Rows as the cloud stores them; fields that are given stay as they are."""
    filled: list[Row] = []
    for index, row in enumerate(rows):
        xact, created = cloud.stamp()
        id = row.get("id") or make_id("row", dataset.id, version or "", str(index))
        span = make_id("span", id)
        defaults = {
            "id": id,
            "_xact_id": xact if version is None else version,
            "created": created,
            "project_id": dataset.record["project_id"],
            "dataset_id": dataset.id,
            "span_id": span,
            "root_span_id": span,
            "is_root": True,
        }
        blank = dict.fromkeys(["input", "expected", "metadata", "tags", "origin"])
        filled.append({**defaults, **blank, **row})
    return filled


def experiment_rows(
    cloud: Cloud, experiment: Experiment, rows: Iterable[Mapping[str, Any]]
) -> list[Row]:
    """Spans as the cloud stores them; one that is no root belongs to the root before it."""
    filled: list[Row] = []
    root = ""
    for index, row in enumerate(rows):
        xact, created = cloud.stamp()
        id = row.get("id") or make_id("row", experiment.id, str(index))
        span = make_id("span", id)
        is_root = row.get("is_root", not row.get("span_parents"))
        if is_root:
            root = span
        defaults = {
            "id": id,
            "_xact_id": xact,
            "created": created,
            "project_id": experiment.record["project_id"],
            "experiment_id": experiment.id,
            "span_id": span,
            "root_span_id": root or span,
            "span_parents": None if is_root else [root],
            "is_root": is_root,
        }
        blank = dict.fromkeys(
            ["input", "output", "expected", "scores", "metadata", "metrics", "tags", "origin"]
        )
        filled.append({**defaults, **blank, **row})
    return filled


def page(
    table: Table,
    *,
    version: str | None,
    limit: Any,
    cursor: Any,
    cap: int | None,
    cursor_on_last_page: bool,
    whole_traces: bool = False,
    where: Any = None,
) -> tuple[list[Row], str | None]:
    """One page and the cursor of the next.

    Args:
        cap: The largest page served, whatever the limit.
        cursor_on_last_page: As the real cloud: only an empty page comes without a cursor.
        whole_traces: Count traces rather than rows, as `fetch` does.
    """
    if limit is not None and (type(limit) is not int or limit < 0):
        raise Refusal(400, "limit must be a non-negative integer")
    units = _units([row for row in table.as_of(version) if matches(row, where)], whole_traces)
    # The query is part of the cursor: one that is carried over to another query is refused.
    query = [table.id, version, where]
    start = 0 if cursor is None else _offset(cursor, query)
    size = min(DEFAULT_LIMIT if limit is None else limit, cap or len(units))
    chosen = units[start : start + size]
    end = start + len(chosen)
    more = bool(chosen) and (cursor_on_last_page or end < len(units))
    text = json.dumps([query, end])
    following = base64.urlsafe_b64encode(text.encode()).decode() if more else None
    return [row for unit in chosen for row in unit], following


def matches(row: Row, where: Any) -> bool:
    """Whether a row passes a BTQL filter of `eq`, `ne`, `in`, `isnull`, `and` and `or`."""
    match where:
        case None:
            return True
        case {"op": "and", "children": [*children]}:
            return all(matches(row, child) for child in children)
        case {"op": "or", "children": [*children]}:
            return any(matches(row, child) for child in children)
        case {
            "op": "eq" | "ne" as op,
            "left": {"op": "ident", "name": [*path]},
            "right": {"op": "literal", "value": value},
        }:
            return (_at(row, path) == value) is (op == "eq")
        case {
            "op": "in",
            "left": {"op": "ident", "name": [*path]},
            "right": {"op": "literal", "value": [*values]},
        }:
            return _at(row, path) in values
        case {"op": "isnull", "expr": {"op": "ident", "name": [*path]}}:
            return _at(row, path) is None
    raise Refusal(400, f"The stand-in does not play this filter: {json.dumps(where)}")


def _at(value: Any, path: list[Any]) -> Any:
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def _units(rows: list[Row], whole_traces: bool) -> list[list[Row]]:
    if not whole_traces:
        return [[row] for row in rows]
    traces: dict[str, list[Row]] = {}
    for row in rows:
        traces.setdefault(row["root_span_id"], []).append(row)
    return list(traces.values())


def _offset(cursor: Any, query: list[Any]) -> int:
    try:
        made_for, offset = json.loads(base64.urlsafe_b64decode(cursor))
    except (TypeError, ValueError) as error:
        raise Refusal(400, "Invalid cursor") from error
    if made_for != query:
        raise Refusal(400, "The cursor belongs to another query")
    return int(offset)
