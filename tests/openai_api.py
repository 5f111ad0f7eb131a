"""A stand-in for the OpenAI API: a real HTTP server that answers chats with what it was asked."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        text = f"echo {body['messages'][-1]['content']}"
        common = {"id": "chat-1", "created": 1, "model": body["model"]}
        if body.get("stream"):
            self._answer("text/event-stream", _stream(common, text))
        else:
            self._answer("application/json", json.dumps(_chat(common, text)))

    def _answer(self, content_type: str, text: str) -> None:
        data = text.encode()
        self.send_response(200)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:
        pass


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128  # crowds of cases connect at once


def _chat(common: dict[str, Any], text: str) -> dict[str, Any]:
    message = {"role": "assistant", "content": text}
    return {
        **common,
        "object": "chat.completion",
        "choices": [{"index": 0, "finish_reason": "stop", "message": message}],
        "usage": {"prompt_tokens": 2, "completion_tokens": 3, "total_tokens": 5},
    }


def _stream(common: dict[str, Any], text: str) -> str:
    chunks = [
        {
            **common,
            "object": "chat.completion.chunk",
            "choices": [{"index": 0, "finish_reason": None, "delta": {"content": word}}],
        }
        for word in text.split(" ")
    ]
    return "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks) + "data: [DONE]\n\n"


@contextmanager
def openai_api() -> Iterator[str]:
    """Serve the API; yields its address."""
    server = _Server(("127.0.0.1", 0), _Handler)
    thread = threading.Thread(target=server.serve_forever, name="openai", daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
