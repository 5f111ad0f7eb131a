"""A client that reads the streams of many runs at once, and records when results arrive.

It checks that every case has a result, and does nothing else, so that it does not limit the server
that is measured.
"""

from __future__ import annotations

import asyncio
import socket
import statistics
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

import orjson

READ = 1 << 18
RESULT = b'"json_delta"'


class ClientError(Exception):
    """A server did not answer as expected."""


@dataclass
class RunTimes:
    """The progress of one run.

    Attributes:
        first: seconds from the request to the first result.
        end: seconds from the request to the end of the stream.
        results: the ids of the cases that gave a result.
    """

    first: float = 0.0
    end: float = 0.0
    results: set[str] = field(default_factory=set)


@dataclass(frozen=True)
class Timing:
    """The times of all runs of a scenario, in seconds.

    Attributes:
        total: from the first request to the end of the last stream.
        first: until a run's first result; the median of all runs.
        last_first: until a run's first result; the maximum of all runs.
    """

    total: float
    first: float
    last_first: float


class _Unchunked:
    """Removes the head and the chunk sizes from an HTTP answer."""

    def __init__(self) -> None:
        self._rest = b""
        self._in_head = True
        self._chunked = False
        self._left = 0

    def feed(self, data: bytes) -> bytes:
        """Return the next part of the body. Raises `ClientError` for any status but 200."""
        data = self._rest + data
        if self._in_head:
            head, found, rest = data.partition(b"\r\n\r\n")
            if not found:
                self._rest = data
                return b""
            if head.split(b" ", 2)[1:2] != [b"200"]:
                raise ClientError(f"answered {data[:400].decode(errors='replace')}")
            self._in_head = False
            self._chunked = b"transfer-encoding: chunked" in head.lower()
            data = rest
        if not self._chunked:
            self._rest = b""
            return data
        return self._body(data)

    def _body(self, data: bytes) -> bytes:
        out, at = [], 0
        while at < len(data):
            if self._left:
                # The chunk, and the line end after it.
                piece = data[at : at + self._left]
                self._left -= len(piece)
                at += len(piece)
                out.append(piece[: max(0, len(piece) + min(0, self._left - 2))])
                continue
            end = data.find(b"\r\n", at)
            if end < 0:
                break
            self._left = int(data[at:end].split(b";")[0], 16) + 2
            at = end + 2
        self._rest = data[at:]
        return b"".join(out)


def request(port: int, path: str, headers: Mapping[str, str], body: object) -> bytes:
    """Return the bytes of a request."""
    content = orjson.dumps(body)
    lines = [f"POST {path} HTTP/1.1", f"Host: 127.0.0.1:{port}", "Connection: close"]
    lines += ["Content-Type: application/json", f"Content-Length: {len(content)}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + content


async def _run(port: int, sent: bytes) -> RunTimes:
    """Request one run and read its stream to the end."""
    times = RunTimes()
    began = time.perf_counter()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    unchunked, rest = _Unchunked(), b""
    try:
        writer.write(sent)
        while not times.end:
            data = await reader.read(READ)
            if not data:
                raise ClientError(f"the stream broke off after {len(times.results)} results")
            *events, rest = (rest + unchunked.feed(data)).split(b"\n\n")
            for event in events:
                _note(event, times, began)
    finally:
        writer.close()
    return times


def _note(event: bytes, times: RunTimes, began: float) -> None:
    if event.startswith(b"event: progress"):
        if RESULT not in event:
            return
        times.first = times.first or time.perf_counter() - began
        times.results.add(orjson.loads(event.partition(b"\ndata: ")[2])["id"])
    elif event.startswith(b"event: done"):
        times.end = time.perf_counter() - began
    elif event.startswith(b"event: error"):
        raise ClientError(event.decode(errors="replace"))


async def _all_runs(port: int, sent: bytes, runs: int, limit: float) -> list[RunTimes]:
    async def together() -> list[RunTimes]:
        return await asyncio.gather(*(_run(port, sent) for _ in range(runs)))

    return await asyncio.wait_for(together(), limit)


def drive(port: int, sent: bytes, runs: int, cases: int, limit: float) -> Timing:
    """Request all runs at once, and read their streams to the end.

    Args:
        port: the server's.
        sent: the request, the same for each run.
        runs: the number of runs.
        cases: the number of cases of each run.
        limit: seconds that all of this may take.

    Raises:
        TimeoutError: it took longer.
        ClientError: a run failed, or not every case gave a result.
    """
    began = time.perf_counter()
    try:
        times = asyncio.run(_all_runs(port, sent, runs, limit))
    except asyncio.TimeoutError as error:  # not yet the built-in one under Python 3.10
        raise TimeoutError from error
    except OSError as error:
        raise ClientError(f"the connection failed: {error}") from error
    total = time.perf_counter() - began
    for each in times:
        if len(each.results) != cases:
            raise ClientError(f"{len(each.results)} of {cases} cases gave a result")
    firsts = [each.first for each in times]
    return Timing(total, statistics.median(firsts), max(firsts))


def read_run(connection: socket.socket, limit: float) -> int:
    """Read a run's stream to its end, and return the number of cases that gave a result.

    Raises:
        ClientError: the run failed, or the stream broke off.
    """
    times, unchunked, rest = RunTimes(), _Unchunked(), b""
    began = time.perf_counter()
    with connection:
        connection.settimeout(limit)
        while not times.end:
            data = connection.recv(READ)
            if not data:
                raise ClientError(f"the stream broke off after {len(times.results)} results")
            *events, rest = (rest + unchunked.feed(data)).split(b"\n\n")
            for event in events:
                _note(event, times, began)
    return len(times.results)
