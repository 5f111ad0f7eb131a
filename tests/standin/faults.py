"""Faults and gates: what makes the stand-in misbehave, or wait, on demand."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from threading import Condition, Event
from types import TracebackType
from typing import Any

from .answers import Answer, error_answer
from .journal import Call

GATE_LIMIT = 30.0
"""Seconds after which a forgotten gate lets its calls through."""

_NONSENSE = b"<!doctype html><title>Welcome</title><p>This is no JSON."


class _Rule:
    """Which calls something applies to: a method (`*` for any) and a pattern for the whole path."""

    def __init__(self, method: str, path: str, after: int) -> None:
        self._method = method.upper()
        self._path = re.compile(path)
        self._after = after
        self._seen = 0

    def counts(self, call: Call) -> bool:
        if self._method not in ("*", call.method) or not self._path.fullmatch(call.path):
            return False
        self._seen += 1
        return self._seen > self._after


class Fault(_Rule):
    """One way to misbehave. `hits` counts the calls it was played on."""

    def __init__(
        self,
        method: str,
        path: str,
        *,
        status: int | None,
        body: Any,
        headers: Mapping[str, str] | None,
        delay: float,
        drip: float,
        drip_after: int,
        close: bool,
        half: bool,
        nonsense: bool,
        times: int | None,
        after: int,
    ) -> None:
        super().__init__(method, path, after)
        self.hits = 0
        self.close = close
        self.half = half
        self._times = times
        self._delay = delay
        self._drip = drip
        self._drip_after = drip_after
        self._cancelled = Event()
        self._answer = _canned(status, body, headers or {}, nonsense)

    @property
    def answer(self) -> Answer | None:
        """The answer that takes the place of the real one, if any does."""
        return self._answer

    @property
    def spent(self) -> bool:
        return self._cancelled.is_set() or self.hits == self._times

    def sit_out_delay(self) -> None:
        if self._delay:
            self._cancelled.wait(self._delay)

    def in_pieces(self, data: bytes) -> Iterator[bytes]:
        """The bytes of an answer as they are to be sent, each after its pause."""
        if not self._drip:
            yield data
            return
        yield data[: self._drip_after]
        for index in range(self._drip_after, len(data)):
            if self._cancelled.wait(self._drip):
                return
            yield data[index : index + 1]

    def cancel(self) -> None:
        """Play it no more, and cut short a delay in progress."""
        self._cancelled.set()


class Gate(_Rule):
    """Holds matching calls until released; leaving it as a context manager releases it too.

    Attributes:
        reached: Set as soon as a call waits here.
        waiting: How many calls wait here now; `StandIn.wait_for` notices its changes.
    """

    def __init__(self, method: str, path: str, *, after: int, changed: Condition) -> None:
        super().__init__(method, path, after)
        self.reached = Event()
        self.waiting = 0
        self._open = Event()
        self._changed = changed

    def hold(self) -> None:
        if self._open.is_set():
            return
        with self._changed:
            self.waiting += 1
            self.reached.set()
            self._changed.notify_all()
        self._open.wait(GATE_LIMIT)
        with self._changed:
            self.waiting -= 1
            self._changed.notify_all()

    def release(self) -> None:
        """Let every call through, from now on."""
        self._open.set()

    def __enter__(self) -> Gate:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.release()


class Faults:
    """All faults and gates in force."""

    def __init__(self, changed: Condition) -> None:
        self._changed = changed
        self._faults: list[Fault] = []
        self._gates: list[Gate] = []

    def add_fault(self, fault: Fault) -> None:
        with self._changed:
            self._faults.append(fault)

    def add_gate(self, gate: Gate) -> None:
        with self._changed:
            self._gates.append(gate)

    def pass_gates(self, call: Call) -> None:
        with self._changed:
            matching = [gate for gate in self._gates if gate.counts(call)]
        for gate in matching:
            gate.hold()

    def pick(self, call: Call) -> Fault | None:
        """The oldest fault that still applies; it alone is counted as played."""
        with self._changed:
            # Each matching fault counts the call, so that `after` means calls, not leftovers.
            matching = [fault for fault in self._faults if fault.counts(call)]
            fault = next((fault for fault in matching if not fault.spent), None)
            if fault is not None:
                fault.hits += 1
            return fault

    def reset(self) -> None:
        with self._changed:
            for gate in self._gates:
                gate.release()
            for fault in self._faults:
                fault.cancel()
            self._gates.clear()
            self._faults.clear()


def _canned(
    status: int | None, body: Any, headers: Mapping[str, str], nonsense: bool
) -> Answer | None:
    if nonsense:
        return Answer(status or 200, _NONSENSE, "text/html", headers)
    if body is not None:
        raw = body if isinstance(body, (bytes, str)) else json.dumps(body)
        return Answer(
            status or 200, raw if isinstance(raw, bytes) else raw.encode(), headers=headers
        )
    if status is None:
        return None
    if status < 400:
        return Answer(status, b"", headers=headers)
    return error_answer(status, headers=headers)
