"""Limits how many runs a process has at a time: in all, of one caller, and of one organisation."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from flask_braintrust_evals.config.settings import Settings
from flask_braintrust_evals.errors import QuotaError, TooManyRunsError
from flask_braintrust_evals.runs.probe import PROBE


@dataclass(frozen=True)
class Owner:
    """The caller and the organisation that something is counted for.

    Attributes:
        caller: a digest that is the same for all requests of one caller; ``None``: the server does
            not know its callers apart, so that there is no quota of a caller.
        org_id: the id of the caller's organisation; ``None``: it has none.
    """

    caller: bytes | None = field(default=None, repr=False)
    org_id: str | None = None

    @property
    def name(self) -> str | None:
        """What logs call the caller: the beginning of the digest."""
        return None if self.caller is None else self.caller.hex()[:12]


@dataclass(frozen=True)
class Limit:
    """A number, and the setting that changes it, in brackets; empty: none does."""

    value: int
    setting: str = ""

    def __str__(self) -> str:
        return str(self.value)


class Slots:
    """Counts up to a limit, and up to a quota of each caller and each organisation. Thread-safe.

    Args:
        what: what is counted, with a verb, such as ``"runs are under way"``.
        total: how many there may be.
        per_caller: how many of one caller.
        per_org: how many of one organisation.
    """

    def __init__(self, what: str, total: Limit, per_caller: Limit, per_org: Limit) -> None:
        self._what = what
        self._total = total
        self._per_caller = per_caller
        self._per_org = per_org
        self._taken = 0
        self._by_owner: dict[bytes | str, int] = {}  # by digest of a caller and id of organisation
        self._lock = threading.Lock()

    @property
    def taken(self) -> int:
        """Number of slots that are taken."""
        return self._taken

    @property
    def is_full(self) -> bool:
        """Whether all slots are taken."""
        return self._taken >= self._total.value

    def check(self, owner: Owner) -> None:
        """Check that there is a free slot now.

        Raises:
            TooManyRunsError: all slots are taken.
            QuotaError: the caller, or the organisation, has all that it may have.
        """
        with self._lock:
            self._check(owner)

    def take(self, owner: Owner) -> Callable[[], None]:
        """Take a slot, and return the function that gives it back. It must be called once.

        Raises what :meth:`check` does.
        """
        with self._lock:
            self._check(owner)
            self._add(owner, 1)
        return lambda: self._release(owner)

    @contextmanager
    def taken_by(self, owner: Owner) -> Iterator[None]:
        """Take a slot for the duration of a ``with`` block. Raises what :meth:`check` does."""
        release = self.take(owner)
        try:
            yield
        finally:
            release()

    def _check(self, owner: Owner) -> None:
        if self._taken >= self._total.value:
            raise TooManyRunsError(
                f"{self._total} {self._what} in this process, which is its"
                f" limit{self._total.setting}; try again soon"
            )
        for key, quota, who in (
            (owner.caller, self._per_caller, "caller"),
            (owner.org_id, self._per_org, "organisation"),
        ):
            if key is not None and self._by_owner.get(key, 0) >= quota.value:
                raise QuotaError(
                    f"{quota} {self._what} for this {who} in this process, which is the quota of"
                    f" each {who}{quota.setting}; try again when one of them has ended"
                )

    def _release(self, owner: Owner) -> None:
        with self._lock:
            self._add(owner, -1)

    def _add(self, owner: Owner, count: int) -> None:
        self._taken += count
        for key in (owner.caller, owner.org_id):
            if key is not None:
                number = self._by_owner.get(key, 0) + count
                if number:
                    self._by_owner[key] = number
                else:
                    del self._by_owner[key]


class RunSlots:
    """The slots of one process.

    Args:
        settings: the settings of the application.

    Attributes:
        runs: those of runs.
        bodies: those of requests whose bodies are being received: as many as there may be runs.
        probes: those of the runs of ``flask evals check``, which take none of ``runs``.
    """

    def __init__(self, settings: Settings) -> None:
        limits = (
            Limit(settings.max_runs, " (BRAINTRUST_EVALS_MAX_RUNS)"),
            Limit(settings.runs_per_caller, " (BRAINTRUST_EVALS_MAX_RUNS_PER_CALLER)"),
            Limit(settings.runs_per_org, " (BRAINTRUST_EVALS_MAX_RUNS_PER_ORG)"),
        )
        self.runs = Slots("runs are under way", *limits)
        self.bodies = Slots("requests are being received", *limits)
        self.probes = Slots("checks are under way", Limit(4), Limit(2), Limit(4))

    def of(self, evaluator: str) -> Slots:
        """Return the slots for runs of an evaluator, by its name."""
        return self.probes if evaluator == PROBE.name else self.runs
