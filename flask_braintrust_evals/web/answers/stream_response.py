"""The response whose body is the stream of a run."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from flask import Response
from werkzeug.wsgi import ClosingIterator

from flask_braintrust_evals.errors import StreamReadError

from . import sse
from .sending import Sending


class StreamResponse(Response):
    """A response with a stream, which is made while it is sent.

    It says so by ``direct_passthrough``, by which functions that are called after each request know
    what to pass by: those that measure, hash or change bodies. Others would read the whole stream
    before any of it is sent; they get an error.

    Args:
        sending: the way of the stream to the client.
        chunks: the stream.
        close: called when the server is done with the response, or nobody has it any more.
    """

    def __init__(
        self, sending: Sending, chunks: Iterable[bytes], close: Callable[[], None]
    ) -> None:
        super().__init__(
            sending.body_of(chunks, close), headers=sse.HEADERS, direct_passthrough=True
        )

    def get_app_iter(self, environ: dict[str, Any]) -> Iterable[bytes]:
        """Return what the server sends."""
        # The usual one would not call what the application has added by call_on_close().
        chunks = self.response if self.direct_passthrough else self.iter_encoded()
        return ClosingIterator(chunks, self.close)  # type: ignore[arg-type]

    def make_sequence(self) -> None:
        """Refuse to read the stream.

        Raises:
            StreamReadError: unless the body has been replaced.
        """
        if not self.is_sequence:
            raise StreamReadError(
                "a function of the application that is called after each request reads the whole"
                " event stream, such as by get_data(), which would hold it back until the run has"
                " ended; let it pass by responses with 'if response.direct_passthrough: return"
                " response'"
            )

    def freeze(self) -> None:
        """Refuse to read the stream. Raises what :meth:`make_sequence` does."""
        self.make_sequence()
        super().freeze()

    def _ensure_sequence(self, mutable: bool = False) -> None:
        self.make_sequence()
        super()._ensure_sequence(mutable)
