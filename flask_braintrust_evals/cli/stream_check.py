"""Whether events come when they happen, and whether a run in progress holds up other requests."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import requests

from flask_braintrust_evals.runs.probe import NAME

from .finding import DEFAULT_TIMEOUT, Answer, Finding, chunks, is_timeout, visitor

RUN_TIMEOUT = 60.0
"""Seconds after which a run is no longer watched, whether or not it is done."""
MIN_CASE_SECONDS = 0.3
"""Seconds that a case must take to show whether its end comes later than its beginning."""
ENOUGH_CASES = 3
"""Cases of that kind after which a named evaluator's run is no longer watched."""


class Timing(Enum):
    """Whether the events of a run arrived when they happened."""

    IN_TIME = "in time"
    HELD_BACK = "held back"
    NO_EVENTS = "no events"
    NO_CASE_ENDED = "no case ended"
    CASES_TOO_SHORT = "cases too short"


@dataclass
class _Watched:
    """The events of a run, with their times on the clock of :func:`time.monotonic`."""

    started: dict[str, float] = field(default_factory=dict)
    held_back: list[float] = field(default_factory=list)
    """Per case: its reported duration minus the time between its start and end events, in seconds.
    A large one shows that something buffered the stream."""
    first_end: float | None = None
    last_end: float | None = None
    health: Future[tuple[float, float]] | None = None
    """How long another request took, and when it was answered: sent while the first case ran."""
    error: str = ""

    def add(self, event: str, data: str, now: float) -> None:
        """Add an event that arrived ``now``."""
        if event == "error":
            self.error = data
        elif event == "case_start":
            self.started[str(_object(data).get("id"))] = now
        elif event == "case_result":
            self._add_end(_object(data), now)

    def _add_end(self, case: dict[str, Any], now: float) -> None:
        began = self.started.get(str(case.get("id")))
        duration: Any = case.get("duration")
        is_long = isinstance(duration, int | float) and duration >= MIN_CASE_SECONDS
        if began is not None and is_long:
            self.held_back.append(duration - (now - began))
        if self.first_end is None:
            self.first_end = now
        self.last_end = now

    def judge(self) -> Timing:
        """Return whether the events arrived when they happened."""
        if self.held_back:
            in_time = max(self.held_back) < MIN_CASE_SECONDS / 2
            return Timing.IN_TIME if in_time else Timing.HELD_BACK
        if self.last_end is not None:
            return Timing.CASES_TOO_SHORT
        return Timing.NO_CASE_ENDED if self.started else Timing.NO_EVENTS


class StreamCheck:
    """Watches the events of one run.

    Args:
        http: asks the server.
        url: of the blueprint.
        headers: those that say who asks.
        evaluator: whose own cases are run; ``None``: one that only waits, and is never recorded.
        timeout: seconds that the stream may be silent.
    """

    def __init__(
        self,
        http: requests.Session,
        url: str,
        headers: Mapping[str, str | bytes],
        evaluator: str | None,
        timeout: float = DEFAULT_TIMEOUT,
    ) -> None:
        self._timeout = timeout
        self._http = http
        self._url = url
        self._headers = headers
        self._evaluator = evaluator

    def findings(self) -> Iterator[Finding]:
        """Yield what is found."""
        name = self._evaluator or NAME
        body: dict[str, Any] = {
            "name": name,
            "stream": True,
            "data": {"own": True},
            "case_results": True,
            "experiment_name": "flask evals check",
        }
        usual, _ = self._ask_health()
        began = time.monotonic()
        try:
            with self._http.post(
                f"{self._url}/eval",
                json=body,
                headers=self._headers,
                stream=True,
                timeout=self._timeout,
                allow_redirects=False,
            ) as answer:
                if answer.status_code != 200:
                    what = f"a run of {name!r} answers with status {answer.status_code}"
                    advice = "see the server's log, or name another --evaluator"
                    yield Finding(
                        False, f"{what}: {Answer.read(answer, self._timeout).error}", advice
                    )
                    return
                watched = self._watch(answer)
                encoding = answer.headers.get("Content-Encoding")
        except (requests.Timeout, requests.ConnectionError) as error:
            if not is_timeout(error):
                raise
            what = (
                f"nothing of the stream came for {self._timeout:g} s, and a server sends more often"
                " (BRAINTRUST_EVALS_HEARTBEAT)"
            )
            yield Finding(False, what, _BUFFERING)
            return
        if encoding:
            yield Finding(False, f"the stream is compressed ({encoding})", _COMPRESSION)
        if watched.error:
            advice = "see the server's log, or name another --evaluator"
            yield Finding(False, f"the run failed: {watched.error}", advice)
        else:
            yield from self._judge(watched, began, usual)

    def _watch(self, answer: requests.Response) -> _Watched:
        watched = _Watched()
        until = time.monotonic() + RUN_TIMEOUT
        with ThreadPoolExecutor(1) as aside:
            for event, data in _events(_until(until, chunks(answer))):
                watched.add(event, data, time.monotonic())
                if watched.health is None and watched.started:
                    watched.health = aside.submit(self._ask_health)
                if self._is_enough(watched):
                    break
        return watched

    def _is_enough(self, watched: _Watched) -> bool:
        answered = watched.health is not None and watched.health.done()
        return self._evaluator is not None and len(watched.held_back) >= ENOUGH_CASES and answered

    def _ask_health(self) -> tuple[float, float]:
        """Return how long the answer to another request takes, and when it is there."""
        began = time.monotonic()
        with visitor() as other:  # with a connection of its own, as other clients have
            other.get(f"{self._url}/", timeout=RUN_TIMEOUT, allow_redirects=False)
        ended = time.monotonic()
        return ended - began, ended

    def _judge(self, watched: _Watched, began: float, usual: float) -> Iterator[Finding]:
        timing = watched.judge()
        if timing is Timing.HELD_BACK:
            what = "events do not come when they happen, but several at once"
            yield Finding(False, what, _BUFFERING)
        elif timing is not Timing.IN_TIME:
            name = self._evaluator or NAME
            what = f"the run of {name!r} does not show whether events come when they happen"
            yield Finding(False, what, _ADVICE[timing])
        else:
            after = (watched.first_end or began) - began
            what = f"events come when they happen, the first result after {after:.1f} s"
            yield Finding(True, what)
            # A proxy that holds the stream back would hide when the run was under way.
            yield from _judge_health(watched, usual)


_ADVICE = {
    Timing.NO_CASE_ENDED: f"name an --evaluator of which a case ends within {RUN_TIMEOUT:g} s",
    Timing.CASES_TOO_SHORT: f"name an --evaluator whose cases take more than {MIN_CASE_SECONDS} s",
    Timing.NO_EVENTS: "there were no events: see the server's log, and what the proxy changes",
}
_BUFFERING = (
    "switch buffering off on the way: in nginx 'proxy_buffering off;' for this location, in"
    ' ingress-nginx the annotation proxy-buffering "off"; of load balancers, one that streams:'
    " Amazon's API Gateway does so only in the response transfer mode STREAM"
)
_COMPRESSION = (
    "leave text/event-stream out of the compression: in nginx out of gzip_types, in Apache out of"
    " what mod_deflate filters, in Traefik by the compress middleware's excludedContentTypes"
)
_ONE_AT_A_TIME = (
    "start gunicorn with --worker-class gevent, or gthread with --threads: sync workers serve one"
    " request at a time, and cut streams off after --timeout seconds"
)


def _judge_health(watched: _Watched, usual: float) -> Iterator[Finding]:
    """Yield whether a request that was sent during the run was answered before its end."""
    if watched.health is None or watched.last_end is None:  # there was no case
        return
    try:
        took, answered = watched.health.result()
    except requests.RequestException as error:
        what = f"while a run was under way, health was not answered: {type(error).__name__}"
        yield Finding(False, what, _ONE_AT_A_TIME)
        return
    # A request that waits for the run to end takes as long as the run. A distant server is always
    # slow, and from far away a request arrives when the run is over.
    after_the_run = answered >= watched.last_end
    if after_the_run and took - usual >= MIN_CASE_SECONDS:
        what = "while a run is under way, no other request is answered"
        yield Finding(False, what, _ONE_AT_A_TIME)
    elif after_the_run and usual > MIN_CASE_SECONDS:
        what = f"whether a run holds up others cannot be told: each answer takes {usual:.1f} s"
        yield Finding(True, what, "look from nearer, or name an --evaluator that takes longer")
    else:
        yield Finding(True, "other requests are answered while a run is under way")


def _until(time_up: float, some: Iterable[bytes]) -> Iterator[bytes]:
    for chunk in some:
        yield chunk
        if time.monotonic() > time_up:
            return


def _events(chunks: Iterable[bytes]) -> Iterator[tuple[str, str]]:
    """Yield the type and the data of each event, as soon as it is whole."""
    text = b""
    for chunk in chunks:
        *blocks, text = (text + chunk).split(b"\n\n")
        for block in blocks:
            # Not by splitlines(), for which texts have more ends of lines than events have.
            lines = re.split("\r\n|\n|\r", block.decode("utf-8", "replace"))
            fields = [line.partition(": ")[::2] for line in lines]
            event = next((value for name, value in fields if name == "event"), "")
            yield event, "\n".join(value for name, value in fields if name == "data")


def _object(data: str) -> dict[str, Any]:
    try:
        value = json.loads(data)
    except json.JSONDecodeError:
        return {}
    return value if isinstance(value, dict) else {}
