"""The states of a run, of which four are its endings."""

from __future__ import annotations

from enum import Enum


class RunState(Enum):
    """The state of a run, between its start and its end. It moves downwards only.

    ::

        NEW ──▶ RUNNING ──┬──────────────▶ DONE        all cases are done
                   │      │
                   ▼      ├──────────────▶ GIVEN_UP    the time-out passed, or give_up()
                STOPPING ─┤
                   │      └──────────────▶ CANCELLED   the consumer stopped reading: close()
                   ├─────────────────────▶ CANCELLED   stop(), and the last event is delivered
                   └─────────────────────▶ FAILED      the data or a worker failed, likewise
    """

    NEW = "new"
    """Nothing has started."""
    RUNNING = "running"
    """Workers take cases. Others start when the consumer receives ``CaseStarted``."""
    STOPPING = "stopping"
    """No case starts any more. Events of running cases are still delivered."""
    DONE = "done"
    """All cases are done."""
    FAILED = "failed"
    """The data, or a worker, failed; cases that had started by then are done."""
    CANCELLED = "cancelled"
    """The run was stopped, or its consumer stopped reading before its end."""
    GIVEN_UP = "given up"
    """The run was ended while cases were running, which are reported as failed."""

    @property
    def is_end(self) -> bool:
        """Return whether the run has ended. Tasks that do not return may still be running."""
        return self not in (RunState.NEW, RunState.RUNNING, RunState.STOPPING)
