"""What has reached the stand-in: calls, spans and logged rows, and a way to wait for more."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from threading import Condition
from typing import Any, TypeVar

from .logged import LoggedRow
from .otlp_rows import row_of
from .spans import StoredSpan
from .state import Row

T = TypeVar("T")


@dataclass
class Call:
    """One request. It is listed from its arrival on; `status` stays `None` until it is answered.

    Attributes:
        path: As sent: still quoted, without the query.
        headers: Names in lower case.
        json: The parsed body; `None` where there is none or it is not strict JSON.
        token: From `Authorization: Bearer`, else `None`.
        status: The status sent; `None` while in progress and when the socket was just closed.
        body: After any `Content-Encoding` has been undone.
        port: The client's own, which calls over one connection share.
        at: `time.monotonic()` at arrival, in seconds.
    """

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    json: Any
    token: str | None
    status: int | None = None
    body: bytes = field(default=b"", repr=False)
    port: int = field(default=0, repr=False)
    at: float = field(default_factory=time.monotonic, repr=False)


class Journal:
    """Lists of calls, spans and rows under one condition, which every change notifies."""

    def __init__(self, changed: Condition) -> None:
        self._changed = changed
        self._calls: list[Call] = []
        self._spans: list[StoredSpan] = []
        self._rows: dict[tuple[str, str], LoggedRow] = {}

    @property
    def calls(self) -> list[Call]:
        with self._changed:
            return list(self._calls)

    @property
    def spans(self) -> list[StoredSpan]:
        with self._changed:
            return list(self._spans)

    @property
    def rows(self) -> list[LoggedRow]:
        with self._changed:
            return list(self._rows.values())

    def recorded(self, parent: str) -> list[Row]:
        """The rows of an object, whichever way they came in; a later one of an id replaces it."""
        with self._changed:
            by_id = {row["id"]: row for row in map(row_of, self._of(parent))}
            for (owner, id), logged in self._rows.items():
                if owner == parent:
                    parents = logged.row.get("span_parents")
                    by_id[id] = {**logged.row, "is_root": not parents}
            return list(by_id.values())

    def _of(self, parent: str) -> list[StoredSpan]:
        return [span for span in self._spans if span.parent_header == parent]

    def begin(self, call: Call) -> None:
        with self._changed:
            self._calls.append(call)
            self._changed.notify_all()

    def answered(self, call: Call, status: int | None) -> None:
        with self._changed:
            call.status = status
            self._changed.notify_all()

    def keep(self, spans: Iterable[StoredSpan]) -> None:
        with self._changed:
            self._spans.extend(spans)
            self._changed.notify_all()

    def log(self, row: LoggedRow) -> None:
        """Keep a row; one that changes another takes its place."""
        key = (row.parent, row.row["id"])
        with self._changed:
            before = self._rows.get(key)
            self._rows[key] = row if before is None else before.after(row)
            self._changed.notify_all()

    def reset(self) -> None:
        with self._changed:
            self._calls.clear()
            self._spans.clear()
            self._rows.clear()
            self._changed.notify_all()

    def wait_for(self, predicate: Callable[[], T], timeout: float) -> T:
        """Wait until `predicate()` is true and return its value. Raises `TimeoutError`."""
        with self._changed:
            value = self._changed.wait_for(predicate, timeout)
            if not value:
                seen = [f"{call.method} {call.path} -> {call.status}" for call in self._calls]
                raise TimeoutError(
                    f"nothing satisfied the predicate within {timeout} s; {len(self._spans)} spans"
                    f" and these calls came in: {seen[-20:]}"
                )
            return value
