"""The runs of an application that are under way in this process."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any, Literal

from flask_braintrust_evals.errors import RunCancelledError
from flask_braintrust_evals.runs.prepared import PreparedRun
from flask_braintrust_evals.texts.excerpts import MAX_QUOTED, shortened

MAX_LISTED = 1000
"""Runs that a list has at most."""
Cancelled = Literal["cancelled", "ended", "unknown"]
"""The outcome of cancelling a run: it is cancelled, had ended, or is not there."""


class RunTable:
    """The runs that are under way, each with an id that nobody can guess. Thread-safe.

    Attributes:
        secret: what the digests of callers are made with, of which a run keeps that of its own.
    """

    def __init__(self) -> None:
        self.secret = os.urandom(32)
        self._entries: dict[str, _Entry] = {}

    def add(self, prepared: PreparedRun, caller: bytes | None) -> Callable[[], None]:
        """Add a run, and return the function that takes it away again.

        Args:
            prepared: the run.
            caller: a digest of its caller, made with ``secret``; ``None``: callers are not known.
        """
        entry = _Entry(secrets.token_hex(16), caller, prepared)
        self._entries[entry.id] = entry

        def remove() -> None:
            self._entries.pop(entry.id, None)

        return remove

    def listing(self, caller: bytes | None) -> dict[str, Any]:
        """Return the runs of a caller, the oldest first, as values of JSON.

        Args:
            caller: the digest of the caller; ``None``: the runs of all.
        """
        mine = [each.description() for each in list(self._entries.values()) if each.is_of(caller)]
        return bounded(mine)

    def cancel(self, id: str, caller: bytes | None, by: str) -> Cancelled:
        """Cancel a run.

        Args:
            id: the id of the run. A run of another caller is as unknown as one that is not there.
            caller: the digest of the caller; ``None``: any run.
            by: who cancels it, for its client.
        """
        entry = self._entries.get(id)
        if entry is None or not entry.is_of(caller):
            return "unknown"
        return "cancelled" if entry.cancel(by) else "ended"


def bounded(runs: Iterable[Mapping[str, Any]], omitted: int = 0) -> dict[str, Any]:
    """Return descriptions of runs, the oldest first, as many as a list may have.

    ``omitted`` is how many others are not among them.
    """
    ordered = sorted(runs, key=lambda run: str(run["started"]))
    omitted += max(0, len(ordered) - MAX_LISTED)
    return {"runs": ordered[:MAX_LISTED], "omitted": omitted}


@dataclass(frozen=True, eq=False)
class _Entry:
    id: str
    caller: bytes | None = field(repr=False)
    prepared: PreparedRun
    started: float = field(default_factory=time.time)
    began: float = field(default_factory=time.monotonic)

    def is_of(self, caller: bytes | None) -> bool:
        return caller is None or caller == self.caller

    def cancel(self, by: str) -> bool:
        """Cancel the run; return whether it had not ended."""
        run = self.prepared.run
        reason = RunCancelledError(f"the run was cancelled {by}")
        run.give_up(reason)
        return run.error is reason

    def description(self) -> dict[str, Any]:
        about, summary = self.prepared.recording.description, self.prepared.run.summary
        started = datetime.fromtimestamp(self.started, timezone.utc)
        return {
            "id": self.id,
            "evaluator": self.prepared.evaluator,
            "organization": _short(self.prepared.org_name),
            "project": _short(about.get("projectName")),
            "experiment": _short(about.get("experimentName")),
            "state": "ending" if self.prepared.run.state.is_end else "running",
            "started": started.isoformat(timespec="milliseconds"),
            "duration": round(time.monotonic() - self.began, 3),
            "cases": summary.cases,
            "failed_cases": summary.failed,
            "total_cases": self.prepared.size_hint,
        }


def _short(text: Any) -> str | None:
    return None if text is None else shortened(str(text), MAX_QUOTED)
