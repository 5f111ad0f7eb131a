"""A Flask application without this project: what gunicorn and Flask alone take for a request."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from typing import ClassVar

from flask import Flask, Response, request

from .base import ROOT, Server

WAITS = 1.0
"""Seconds that it waits before it ends a stream."""


class PlainFlask(Server):
    """The same kind of worker, and an application that only waits."""

    key = "plain"
    title = "a Flask application that only waits"
    path = "/evals/eval"
    keeps_listener: ClassVar[bool] = True

    @classmethod
    def prepare(cls) -> dict[str, str]:
        return {}

    def command(self) -> list[str]:
        bind = f"fd://{self._listener.fileno()}"
        command = [sys.executable, "-m", "gunicorn", "--bind", bind, "--worker-class", "gevent"]
        command += ["--worker-connections", "2500", "--graceful-timeout", "5"]
        return [*command, "--pythonpath", str(ROOT), "benchmarks.servers.plain_flask:create_app()"]


def create_app() -> Flask:
    app = Flask(__name__)

    @app.get("/evals/")
    def index() -> dict[str, bool]:
        return {"ok": True}

    @app.post("/evals/eval")
    def evaluate() -> Response:
        request.get_json()
        return Response(_stream(), mimetype="text/event-stream")

    return app


def _stream() -> Iterator[str]:
    time.sleep(WAITS)
    yield "event: done\ndata: \n\n"
