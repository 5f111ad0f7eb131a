"""A stand-in for Braintrust, which keeps the spans that it gets: ``python -m benchmarks.sink``

It checks the token and accepts everything else. Spans are counted only on request, when nothing is
being measured: while a server is measured, the process only reads bytes. It writes its port as its
first line.
"""

from __future__ import annotations

import asyncio
import gzip
import sys
import time
from collections.abc import Iterator
from typing import Any

import orjson
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

TOKEN = "token-benchmark"
ORG = "benchmarks"
HEAD_END = b"\r\n\r\n"
PAGE = 1000
"""Rows of a dataset in one answer."""


class Kept:
    """The requests with spans since the last reset."""

    def __init__(self) -> None:
        self.otlp: list[bytes] = []
        self.rows: list[bytes] = []
        self._ended: set[bytes | str] = set()
        self.bytes = 0
        self.requests = 0
        self.pages = 0
        """Pages of datasets that were requested."""

    def add(self, path: str, body: bytes) -> None:
        (self.otlp if path == "/otel/v1/traces" else self.rows).append(body)
        self.bytes += len(body)
        self.requests += 1

    def finished_spans(self) -> int:
        """Return the number of different spans that have arrived with an end."""
        for body in self.otlp:
            self._ended.update(_otlp_spans(body))
        for body in self.rows:
            self._ended.update(_row_spans(body))
        self.otlp, self.rows = [], []
        return len(self._ended)


def _otlp_spans(body: bytes) -> Iterator[bytes]:
    for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
        for scope in resource.scope_spans:
            yield from (span.span_id for span in scope.spans if span.end_time_unix_nano)


def _row_spans(body: bytes) -> Iterator[str]:
    # A row may come in two parts: one when its span starts, one when it ends.
    for row in orjson.loads(body)["rows"]:
        if (row.get("metrics") or {}).get("end"):
            yield row["id"]


class Sink(asyncio.Protocol):
    """One connection."""

    url = ""
    kept = Kept()
    counting = 0.0
    """Seconds of processor time that counting has taken; not a part of what is measured."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._head = b""
        self._length = 0
        self._transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while True:
            if not self._head:
                end = self._buffer.find(HEAD_END)
                if end < 0:
                    return
                self._head = bytes(self._buffer[:end])
                del self._buffer[: end + len(HEAD_END)]
                self._length = int(_header(self._head, b"content-length") or b"0")
            if len(self._buffer) < self._length:
                return
            body = bytes(self._buffer[: self._length])
            del self._buffer[: self._length]
            head, self._head = self._head, b""
            self._answer(head, body)

    def _answer(self, head: bytes, body: bytes) -> None:
        path = head.split(b" ", 2)[1].decode("latin-1").partition("?")[0]
        if path.startswith("/benchmark/"):
            self._write(200, _control(path))
        elif _header(head, b"authorization") != f"Bearer {TOKEN}".encode():
            self._write(401, {"Code": "UnauthorizedError", "Message": "not the token"})
        elif path in ("/otel/v1/traces", "/logs3"):
            zipped = _header(head, b"content-encoding") == b"gzip"
            self.kept.add(path, gzip.decompress(body) if zipped else body)
            self._write(200, {} if path == "/logs3" else None)
        elif path.endswith("/fetch"):
            self._write(200, _page(path, orjson.loads(body or b"{}")))
        else:
            self._write(200, _object(path))

    def _write(self, status: int, value: Any) -> None:
        # An OTLP answer without a partial failure is an empty message.
        body = b"" if value is None else orjson.dumps(value)
        kind = "x-protobuf" if value is None else "json"
        head = f"HTTP/1.1 {status} .\r\nContent-Type: application/{kind}\r\n"
        self._transport.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)


def _header(head: bytes, name: bytes) -> bytes:
    for line in head.split(b"\r\n")[1:]:
        key, _, value = line.partition(b":")
        if key.strip().lower() == name:
            return value.strip()
    return b""


def _control(path: str) -> Any:
    if path == "/benchmark/reset":
        Sink.kept = Kept()
    kept = Sink.kept
    began = time.process_time()
    spans = kept.finished_spans()
    Sink.counting += time.process_time() - began
    return {
        "cpu": time.process_time() - Sink.counting,
        "requests": kept.requests,
        "bytes": kept.bytes,
        "spans": spans,
        "pages": kept.pages,
    }


def _page(path: str, query: dict[str, Any]) -> Any:
    """Return a page of a dataset. Its id has the number of its rows, such as ``rows-1000``."""
    rows, first = int(path.split("/")[-2].partition("-")[2]), int(query.get("cursor") or 0)
    events = [
        {"id": f"row-{n}", "input": f"input number {n}", "expected": f"input number {n}"}
        for n in range(first, min(first + PAGE, rows))
    ]
    kept = Sink.kept
    kept.pages += 1
    return {"events": events, "cursor": str(first + PAGE) if first + PAGE < rows else None}


def _object(path: str) -> Any:
    if path == "/api/apikey/login":
        org = {"id": "org", "name": ORG, "git_metadata": None, "is_universal_api": None}
        urls = {"api_url": Sink.url, "proxy_url": Sink.url, "realtime_url": "wss://invalid"}
        return {"org_info": [{**org, **urls}]}
    if path == "/version":
        return {"version": "sink", "logs3_payload_max_bytes": None}
    name = path.rsplit("/", 1)[-1] if path.startswith("/v1/dataset/") else "object"
    return {"id": name, "org_id": "org", "name": name}


async def serve() -> None:
    server = await asyncio.get_running_loop().create_server(Sink, "127.0.0.1", 0, backlog=1024)
    port = server.sockets[0].getsockname()[1]
    Sink.url = f"http://127.0.0.1:{port}"
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()
    await asyncio.to_thread(sys.stdin.read)  # until the process that started this one has ended
    server.close()


if __name__ == "__main__":
    asyncio.run(serve())
