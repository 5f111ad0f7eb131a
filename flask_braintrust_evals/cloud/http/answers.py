"""Reads the bodies of answers, up to a limit, and their JSON values."""

from __future__ import annotations

import zlib
from typing import Any

import orjson
import requests
from urllib3.exceptions import IncompleteRead

from flask_braintrust_evals.concurrency.turns import let_others_run, wait_after
from flask_braintrust_evals.errors import CloudError
from flask_braintrust_evals.serialization.json_reading import loads
from flask_braintrust_evals.serialization.json_size import exceeds, without_collections

MAX_ANSWER = 8 * 1024 * 1024
"""Maximum bytes of an answer, unpacked."""
MAX_PAGE = 48 * 1024 * 1024
"""Maximum bytes of a page of rows, unpacked."""
MAX_REFUSAL = 64 * 1024
"""Bytes that are read of an answer that is an error."""
MAX_VALUES = 250_000
"""Maximum number of JSON values of an answer: each takes far more memory and time than text."""
MAX_PAGE_VALUES = 2_000_000
"""Maximum number of JSON values of a page of rows."""

_PIECE = 65_536
_STEP = 1024 * 1024
"""Bytes that are unpacked at a time, before other greenlets may run."""
ACCEPTED = {"Accept": "application/json", "Accept-Encoding": "gzip"}
"""Headers that ask for answers that can be read here."""


def read(response: requests.Response, limit: int, what: str) -> bytes:
    """Read a body to its end, and unpack it.

    Args:
        response: the answer; nothing of its body has been read.
        limit: the maximum number of bytes, as sent and unpacked.
        what: names the call, for errors.

    Raises:
        CloudError: the body is too large, or packed in another way than was asked for.
        urllib3.exceptions.HTTPError: it ended half-way, or did not come in time.
    """
    unpacked = _Unpacked(response.headers.get("Content-Encoding", ""), limit, what)
    while piece := response.raw.read(_PIECE, decode_content=False):
        unpacked.add(piece)
    return unpacked.end()


def read_beginning(response: requests.Response, limit: int, what: str) -> bytes:
    """Read a body, or as much of it as the limit allows; empty: it cannot be read."""
    unpacked = _Unpacked(response.headers.get("Content-Encoding", ""), limit, what)
    try:
        while piece := response.raw.read(_PIECE, decode_content=False):
            unpacked.add(piece)
    except CloudError:
        pass
    return bytes(unpacked.content)


class _Unpacked:
    """The bytes of a body, unpacked as they come."""

    def __init__(self, encoding: str, limit: int, what: str) -> None:
        self.content = bytearray()
        self._limit = limit
        self._what = what
        self._packed = 0
        self._encoding = encoding.strip().lower()
        self._decoder = zlib.decompressobj(16 + zlib.MAX_WBITS)

    def add(self, piece: bytes) -> None:
        self._packed += len(piece)
        if self._encoding in ("", "identity"):
            self.content += piece
        elif self._encoding in ("gzip", "x-gzip"):
            self._unpack(piece)
        else:
            raise CloudError(f"Braintrust's answer to {self._what} is packed in an unknown way")
        if len(self.content) > self._limit or self._packed > self._limit:
            raise CloudError(
                f"Braintrust's answer to {self._what} has more than {self._limit:,} bytes"
            )

    def _unpack(self, piece: bytes) -> None:
        while piece and len(self.content) <= self._limit:
            if self._decoder.eof:  # a body may be several packed parts
                self._decoder = zlib.decompressobj(16 + zlib.MAX_WBITS)
            try:
                most = min(_STEP, self._limit + 1 - len(self.content))
                self.content += self._decoder.decompress(piece, most)
            except zlib.error:
                raise CloudError(
                    f"Braintrust's answer to {self._what} cannot be unpacked"
                ) from None
            let_others_run()
            piece = self._decoder.unused_data or self._decoder.unconsumed_tail

    def end(self) -> bytes:
        if self._packed and self._encoding in ("gzip", "x-gzip") and not self._decoder.eof:
            raise IncompleteRead(self._packed, None)  # type: ignore[arg-type]
        return bytes(self.content)


def decode(what: str, content: bytes, max_values: int = MAX_VALUES) -> Any:
    """Return the JSON value of a body; ``None`` for an empty one.

    Args:
        what: names the call, for errors.
        content: the body.
        max_values: values that it may have, at any depth.

    Raises:
        CloudError: it is not JSON, or has too many values.
    """
    if not content:
        return None
    if exceeds(content, max_values, depth=len(content)):  # orjson limits the depth
        raise CloudError(f"Braintrust's answer to {what} has more than {max_values:,} JSON values")
    wait_after(len(content))
    try:
        with without_collections(len(content)):
            return loads(content, pause=lambda: wait_after(len(content)))
    except orjson.JSONDecodeError:
        pass
    raise CloudError(f"Braintrust's answer to {what} is not JSON")
