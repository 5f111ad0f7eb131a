"""A real gunicorn in a subprocess, and a client that reads its streams as they come."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from types import TracebackType
from typing import Any

import requests

from .forked import Forked, nursery

ROOT = Path(__file__).parent.parent
START_UP = 30.0
SERVING = (
    "flask_braintrust_evals.blueprint.evals_blueprint",
    "flask_braintrust_evals.blueprint.views",
    "flask_braintrust_evals.engine.parameters.declare",
    "flask_braintrust_evals.extension.runtime",
    "flask_braintrust_evals.web.answers.own_answer",
)
"""What imports all of this package that a run needs."""
LIBRARIES = (
    *SERVING,
    *("asyncio", "flask", "flask_cors", "gunicorn.app.wsgiapp", "jinja2.ext", "jinja2.sandbox"),
    *("jsonschema", "mstache", "opentelemetry.exporter.otlp.proto.common.trace_encoder"),
    *("opentelemetry.proto.collector.trace.v1.trace_service_pb2", "opentelemetry.sdk.trace"),
    *("orjson", "pydantic.fields", "pydantic.main", "pydantic.types", "regex", "requests"),
)
"""What the application of the live tests has imported with its first run."""
COMMANDS = (
    *("flask.cli", "flask_braintrust_evals.cli.commands.evals_group", "pytest"),
    *(
        # Flask imports these for whatever command it runs.
        each.module
        for each in entry_points(group="flask.commands")
        if not each.module.startswith("flask_braintrust_evals")
    ),
    *(each for each in LIBRARIES if not each.startswith("gunicorn")),
)
"""What commands import."""
SDK = (
    *LIBRARIES,
    *("braintrust.integrations.openai", "httpcore2", "openai.resources.audio.audio"),
    *("openai.resources.beta.beta", "openai.resources.chat.completions"),
    *("openai.resources.embeddings", "openai.resources.images", "openai.resources.moderations"),
    "openai.resources.responses.responses",
)
"""The same, of an application whose model is OpenAI's, traced by the SDK."""


@dataclass(frozen=True)
class Sent:
    """One event as it came over the wire."""

    event: str
    data: str
    at: float

    @property
    def json(self) -> Any:
        return json.loads(self.data)


class Gunicorn:
    """gunicorn on a free port of 127.0.0.1, ready when the constructor returns.

    The socket is bound here and handed over, so that no other process can take the port meanwhile.

    Args:
        app: what gunicorn serves.
        worker_class: gunicorn's kind of worker.
        options: further ones of gunicorn's command line.
        environ: variables beside those of this process.
        log: what gunicorn writes to; a temporary file if None.
        wait: whether to return only when the server answers.
        libraries: what is imported already in the process that the server is forked from.
        fresh: start gunicorn by its command line, in an interpreter of its own, and fork nothing.
            Tests do so where the start, the end or the memory of a process is their subject, or
            where a library reads settings while it is imported. Under gevent, a forked master is
            patched as its workers are; not so with ``--preload``, where workers patch after the
            imports.
    """

    def __init__(
        self,
        app: str = "tests.live.app:create_app()",
        *,
        worker_class: str = "gevent",
        options: tuple[str, ...] = (),
        environ: Mapping[str, str] | None = None,
        log: Path | None = None,
        wait: bool = True,
        libraries: tuple[str, ...] = LIBRARIES,
        fresh: bool = False,
    ) -> None:
        # As many as gunicorn lets wait by itself. By default it is 128, and in a crowd some clients
        # get their connection a minute later.
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=2048)
        self.port = self._listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._log = log.open("wb") if log else tempfile.NamedTemporaryFile("w+b", suffix=".log")
        arguments = ["--worker-class", worker_class, "--workers", "1", "--graceful-timeout", "5"]
        arguments += [*options, app]
        clean = {k: v for k, v in os.environ.items() if not k.startswith("BRAINTRUST")}
        variables = {**clean, **(environ or {})}
        self.process: subprocess.Popen[bytes] | Forked
        if fresh:
            self.process = self._start(arguments, variables)
        else:
            patched = worker_class == "gevent" and "--preload" not in options
            forks = nursery(patched, libraries)
            arguments = ["--bind", "fd://{2}", *arguments]
            log_fd = self._log.fileno()
            fds = (log_fd, log_fd, self._listener.fileno())
            self.process = forks.fork("gunicorn", arguments, variables, *fds)
        if wait:
            try:
                self._wait_until_ready()
            except BaseException:
                self.close()
                raise

    def _start(self, arguments: list[str], environ: dict[str, str]) -> subprocess.Popen[bytes]:
        """Start gunicorn by its command line, in an interpreter of its own."""
        fd = self._listener.fileno()
        return subprocess.Popen(
            [sys.executable, "-m", "gunicorn", "--bind", f"fd://{fd}", *arguments],
            cwd=ROOT,
            env=environ,
            stdout=self._log,
            stderr=subprocess.STDOUT,
            pass_fds=(fd,),
        )

    @property
    def log(self) -> str:
        """Everything that the server has written so far."""
        return Path(self._log.name).read_text("utf-8", "replace")

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + START_UP
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise RuntimeError(f"gunicorn ended:\n{self.log}")
            try:
                requests.get(f"{self.url}/ready", timeout=1)
                return
            except requests.RequestException:
                continue
        raise RuntimeError(f"gunicorn did not answer:\n{self.log}")

    def close(self) -> None:
        """Stop the server, without waiting for what it is doing."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGQUIT)
            try:
                self.process.wait(15)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self._listener.close()
        self._log.close()

    def __enter__(self) -> Gunicorn:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is not None and self._log is not None:
            sys.stderr.write(f"--- gunicorn's log ---\n{self.log}\n")
        self.close()


class Stream:
    """The answer of ``POST /eval``, read event by event."""

    def __init__(self, answer: requests.Response) -> None:
        self.answer = answer
        self._lines = self._read_lines()
        self._events = self._read()

    def __iter__(self) -> Iterator[Sent]:
        return self._events

    def next(self) -> Sent:
        """Return the next event, as soon as it is there."""
        return next(self._events)

    def next_comment(self) -> str:
        """Wait for a comment line and return it; events before it are dropped."""
        return next(line for line in self._lines if line.startswith(":"))

    def close(self) -> None:
        """Leave, as a browser does whose tab is closed."""
        self.answer.close()

    def _read_lines(self) -> Iterator[str]:
        # requests' own iter_lines keeps a line back until the next bytes arrive.
        rest = b""
        for chunk in self.answer.iter_content(chunk_size=None):
            *lines, rest = (rest + chunk).split(b"\n")
            yield from (line.decode() for line in lines)

    def _read(self) -> Iterator[Sent]:
        event, data = "", []
        for line in self._lines:
            if line.startswith("event: "):
                event = line[7:]
            elif line.startswith("data: "):
                data.append(line[6:])
            elif not line and event:
                yield Sent(event, "\n".join(data), time.monotonic())
                event, data = "", []


class Client:
    """Speaks to a server as the Playground does."""

    def __init__(self, url: str, token: str | None = "token-ada", org: str | None = "acme") -> None:
        self.url = url
        self.headers = {"Origin": "https://www.braintrust.dev"}
        if token is not None:
            self.headers["x-bt-auth-token"] = token
        if org is not None:
            self.headers["x-bt-org-name"] = org

    def manifest(self) -> Any:
        answer = requests.get(f"{self.url}/list", headers=self.headers, timeout=30)
        answer.raise_for_status()
        return answer.json()

    def post(self, body: Any, **options: Any) -> requests.Response:
        return requests.post(
            f"{self.url}/eval", json=body, headers=self.headers, timeout=30, **options
        )

    def stream(self, name: str, data: Any, **fields: Any) -> Stream:
        """Start a run and return its stream."""
        answer = self.post({"name": name, "data": data, "stream": True, **fields}, stream=True)
        assert answer.status_code == 200, answer.text
        return Stream(answer)

    def run(self, name: str, data: Any, **fields: Any) -> list[Sent]:
        """Run to the end and return all events."""
        return list(self.stream(name, data, **fields))


def cases(*inputs: Any) -> dict[str, Any]:
    """Inline data in which the task is expected to return its input."""
    return {"data": [{"input": each, "expected": each} for each in inputs]}


def of_case(events: list[Sent], case_id: str) -> list[dict[str, Any]]:
    """Return the progress events of one case, in order."""
    progress = [each.json for each in events if each.event == "progress"]
    return [each for each in progress if each["id"] == case_id]


def outputs(events: list[Sent]) -> list[Any]:
    """Return what the tasks returned, in the order of arrival."""
    progress = [each.json for each in events if each.event == "progress"]
    return [json.loads(each["data"]) for each in progress if each["event"] == "json_delta"]
