"""Checks whether events arrive when they happen, and whether a run blocks other requests."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import requests

from flask_braintrust_evals.runs.probe import NAME

from . import advice
from .event_stream import events_of
from .finding import DEFAULT_TIMEOUT, Answer, Finding, chunks, is_timeout, new_session

RUN_TIMEOUT = 60.0
"""Seconds after which the check disconnects from a run that is not done."""
MIN_CASE_SECONDS = 0.3
"""Seconds that a case must take. A shorter one does not show whether its events were held back."""
MAX_CASES = 3
"""Cases of that length after which the check disconnects from the run of a named evaluator."""


class Timing(Enum):
    """The result of comparing when the events of a run arrived with when they happened."""

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
    """A request for health, sent when the first case has started: the seconds that it took, and
    when it was answered."""
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
    """Starts one run and watches its events.

    Args:
        http: sends the request.
        url: the address of the blueprint.
        headers: the headers with the credentials.
        evaluator: the evaluator to run on its own data; ``None``: one that only waits, and whose
            runs are never recorded.
        timeout: seconds for which the stream may send nothing.
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
        """Yield each finding, the first one after the run."""
        # The first request after a start is slow: it imports what requests need.
        usual = min(self._request_health()[0] for _ in range(2))
        began = time.monotonic()
        try:
            with self._start_run() as answer:
                if answer.status_code != 200:
                    yield self._refusal(answer)
                    return
                watched = self._watch(answer)
                encoding = answer.headers.get("Content-Encoding")
        except (requests.Timeout, requests.ConnectionError) as error:
            if not is_timeout(error):
                raise
            what = (
                f"the stream sent nothing for {self._timeout:g} s, and a server sends more often"
                " (BRAINTRUST_EVALS_HEARTBEAT)"
            )
            yield Finding(False, what, advice.BUFFERING)
            return
        if encoding not in (None, "identity"):
            yield Finding(False, f"the stream is compressed ({encoding})", _COMPRESSION)
        if watched.error:
            yield Finding(False, f"the run failed: {watched.error}", _SEE_LOG)
        else:
            yield from self._judge(watched, began, usual)

    def _start_run(self) -> requests.Response:
        body: dict[str, Any] = {
            "name": self._evaluator or NAME,
            "stream": True,
            "data": {"own": True},
            "case_results": True,
            "experiment_name": "flask evals check",
        }
        return self._http.post(
            f"{self._url}/eval",
            json=body,
            headers=self._headers,
            stream=True,
            timeout=self._timeout,
            allow_redirects=False,
        )

    def _refusal(self, answer: requests.Response) -> Finding:
        said = Answer.read(answer, self._timeout)
        name = self._evaluator or NAME
        what = f"a run of {name!r} answers with status {said.status}: {said.error}"
        return Finding(False, what, advice.on_refusal(said) or _SEE_LOG)

    def _watch(self, answer: requests.Response) -> _Watched:
        watched = _Watched()
        deadline = time.monotonic() + RUN_TIMEOUT
        with ThreadPoolExecutor(1) as pool:
            for event, data in events_of(_until(deadline, chunks(answer))):
                watched.add(event, data, time.monotonic())
                if watched.health is None and watched.started:
                    watched.health = pool.submit(self._request_health)
                if self._is_enough(watched):
                    break
        return watched

    def _is_enough(self, watched: _Watched) -> bool:
        answered = watched.health is not None and watched.health.done()
        return self._evaluator is not None and len(watched.held_back) >= MAX_CASES and answered

    def _request_health(self) -> tuple[float, float]:
        """Return how many seconds a request for health takes, and when it is answered."""
        began = time.monotonic()
        with new_session() as other:  # on a connection of its own, like another client
            other.get(f"{self._url}/", timeout=RUN_TIMEOUT, allow_redirects=False)
        ended = time.monotonic()
        return ended - began, ended

    def _judge(self, watched: _Watched, began: float, usual: float) -> Iterator[Finding]:
        timing = watched.judge()
        if timing is Timing.HELD_BACK:
            what = "events do not come when they happen, but several at once"
            yield Finding(False, what, advice.BUFFERING)
        elif timing is not Timing.IN_TIME:
            name = self._evaluator or NAME
            what = f"the run of {name!r} does not show whether events come when they happen"
            yield Finding(False, what, _ADVICE[timing])
        else:
            after = (watched.first_end or began) - began
            what = f"events come when they happen, the first result after {after:.1f} s"
            yield Finding(True, what)
            # Only if the events arrive in time, the check knows when the run was in progress.
            yield from _judge_health(watched, usual)


_ADVICE = {
    Timing.NO_CASE_ENDED: f"name an --evaluator with a case that ends within {RUN_TIMEOUT:g} s",
    Timing.CASES_TOO_SHORT: f"name an --evaluator whose cases take more than {MIN_CASE_SECONDS} s",
    Timing.NO_EVENTS: "no event arrived: see the server's log, and check what the proxy changes",
}
_SEE_LOG = "see the server's log, or name another --evaluator"
_COMPRESSION = (
    "do not compress text/event-stream: in nginx remove it from gzip_types, in Apache from what"
    " mod_deflate filters, in Traefik add it to the compress middleware's excludedContentTypes"
)
_ONE_AT_A_TIME = (
    "start gunicorn with --worker-class gevent, or gthread with --threads: sync workers serve one"
    " request at a time, and cut streams off after --timeout seconds. Start uWSGI with --threads,"
    " and an ASGI server with a2wsgi instead of asgiref's WsgiToAsgi"
)


def _judge_health(watched: _Watched, usual: float) -> Iterator[Finding]:
    """Yield a finding: whether the request sent during the run was answered before its end."""
    if watched.health is None or watched.last_end is None:  # there was no case
        return
    try:
        took, answered = watched.health.result()
    except requests.RequestException as error:
        what = f"while a run was under way, health was not answered: {type(error).__name__}"
        yield Finding(False, what, _ONE_AT_A_TIME)
        return
    if answered < watched.last_end:
        yield Finding(True, "other requests are answered while a run is under way")
    elif took - usual >= MIN_CASE_SECONDS:  # it has waited for the end of the run
        what = "while a run is under way, no other request is answered"
        yield Finding(False, what, _ONE_AT_A_TIME)
    else:  # it may have reached the server only after the run
        what = (
            "it is not clear whether a run blocks other requests: one that takes"
            f" {usual:.1f} s was answered only after the run"
        )
        yield Finding(True, what, "check again, from a closer machine or with a slower --evaluator")


def _until(deadline: float, chunks: Iterable[bytes]) -> Iterator[bytes]:
    for chunk in chunks:
        yield chunk
        if time.monotonic() > deadline:
            return


def _object(data: str) -> dict[str, Any]:
    try:
        value = json.loads(data)
    except json.JSONDecodeError:
        return {}
    return value if isinstance(value, dict) else {}
