"""Reads the rows of datasets and experiments, one page at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

from flask_braintrust_evals.errors import CloudError

from .http.answers import MAX_PAGE, MAX_PAGE_VALUES
from .http.tokens import keyed_digest
from .sessions.user_session import UserSession

PAGE_SIZE = 1000
"""Rows per request. Braintrust allows about 20 requests per minute for one object."""
MAX_PAGES_WITHOUT_ROWS = 1000
"""Pages in succession that may have no row that is new. Pages go through the history of an object,
so that some of them may have older states of rows alone, or nothing."""

_PAGE: dict[str, Any] = {
    "limit": MAX_PAGE,
    "max_values": MAX_PAGE_VALUES,
    "redirects": True,
}
"""Braintrust's data planes answer with a large page by a redirect to where it is stored."""

ObjectType = Literal["dataset", "experiment"]
Row = dict[str, Any]


def fetch_rows(
    session: UserSession,
    object_type: ObjectType,
    object_id: str,
    *,
    version: str | None = None,
    btql: Mapping[str, Any] | None = None,
) -> Iterator[Row]:
    """Yield the rows of a dataset or an experiment, fetching each page when it is needed.

    Args:
        session: the caller's.
        object_type: the kind of object.
        object_id: its id.
        version: the version to read; ``None``: the newest.
        btql: further parts of the query, as the Playground sends them in ``_internal_btql``. A
            ``limit`` in it is the maximal number of rows.

    Raises:
        CloudError: Braintrust could not be reached or refused the call, its answer has no rows, or
            its pages have no end.
    """
    limit = _limit(btql)
    seen: set[bytes] = set()  # digests, since whoever names the data plane chooses the ids
    count = pages_without_rows = 0
    for page in _pages(session, object_type, object_id, version, btql):
        before = count
        for row in page:
            # A later page may have an older state of the same row.
            if isinstance(id := row.get("id"), str):
                key = keyed_digest(b"", id)
                if key in seen:
                    continue
                seen.add(key)
            if limit is not None and count >= limit:
                return
            count += 1
            yield row
        if limit is not None and count >= limit:
            return
        pages_without_rows = 0 if count > before else pages_without_rows + 1
        if pages_without_rows > MAX_PAGES_WITHOUT_ROWS:
            raise CloudError(
                f"Braintrust gives page after page of {object_type} {object_id} without a new row"
            )


def _limit(btql: Mapping[str, Any] | None) -> int | None:
    limit = (btql or {}).get("limit")
    return limit if isinstance(limit, int) and not isinstance(limit, bool) and limit >= 0 else None


def _pages(
    session: UserSession,
    object_type: ObjectType,
    object_id: str,
    version: str | None,
    btql: Mapping[str, Any] | None,
) -> Iterator[list[Row]]:
    path, key = f"/v1/{object_type}/{object_id}/fetch", "events"
    query: dict[str, Any] = {"limit": PAGE_SIZE}
    body = query  # of which the cursor becomes a part
    if btql:
        path, key = "/btql", "data"
        query = {
            "select": [{"op": "star"}],
            "from": {
                "op": "function",
                "name": {"op": "ident", "name": [object_type]},
                "args": [{"op": "literal", "value": object_id}],
            },
            "limit": PAGE_SIZE,
            **btql,
            "cursor": None,
        }
        body = {"query": query, "use_columnstore": False, "brainstore_realtime": True}
    if version is not None:
        body["version"] = version
    cursors = _Cursors()
    while True:
        answer = session.api("POST", path, json=body, **_PAGE)
        yield _rows(answer, key)
        cursor = answer.get("cursor")
        if not cursor:
            return
        if not isinstance(cursor, str):
            raise CloudError("Braintrust's answer has a cursor that is not a text")
        if cursors.has_come_round(cursor):
            raise CloudError(
                f"Braintrust's pages of {object_type} {object_id} have no end: a cursor came again"
            )
        query["cursor"] = cursor


class _Cursors:
    """Notices when cursors come round, after however many, and keeps one of them (R. P. Brent)."""

    def __init__(self) -> None:
        self._kept: str | None = None
        self._until_next = 1
        self._since = 0

    def has_come_round(self, cursor: str) -> bool:
        if cursor == self._kept:
            return True
        self._since += 1
        if self._since == self._until_next:
            self._kept, self._since, self._until_next = cursor, 0, self._until_next * 2
        return False


def _rows(answer: Any, key: str) -> list[Row]:
    rows = answer.get(key) if isinstance(answer, dict) else None
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise CloudError(f"Braintrust's answer has no rows under {key!r}")
    return rows
