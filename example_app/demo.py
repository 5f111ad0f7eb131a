"""Starts the example under gunicorn, runs an evaluator over HTTP and prints the events.

python -m example_app.demo [--port 8300] [--once]
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from typing import Any

import requests

from .evaluators import TICKETS


def main() -> int:
    """Run the demo; return 0 if it succeeded."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--port", type=int, default=8300)
    arguments.add_argument("--once", action="store_true", help="stop after one run")
    options = arguments.parse_args()
    if not port_is_free(options.port):
        say(f"Port {options.port} is taken. Free it, or choose another: make demo PORT=8301")
        return 1
    # Handled like Ctrl-C, so that the server is stopped, too.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    server = start_server(options.port)
    try:
        url = f"http://127.0.0.1:{options.port}/evals"
        wait_until_healthy(server, url)
        ok = run(url, "ticket-triage", TICKETS)
        if not options.once and ok:
            page = f"http://localhost:{options.port}/evals/playground"
            say(f"\nStill serving {url} (no token needed). In a browser: {page}")
            say("Or try another evaluator here:")
            say(f"  curl {url}/list")
            body = '{"name": "reply-draft", "data": [{"input": "Where is my refund?"}]}'
            say(f"  curl -N {url}/eval -H 'Content-Type: application/json' -d '{body}'")
            say("Or in another terminal:")
            say("  .venv/bin/flask --app example_app evals run ticket-triage")
            say("Ctrl-C stops it.")
            return server.wait()
        return 0 if ok else 1
    except KeyboardInterrupt:
        return 0
    except (RuntimeError, requests.RequestException) as error:
        say(f"The demo failed: {error}")
        return 1
    finally:
        stop(server)


def port_is_free(port: int) -> bool:
    """Return whether a server can use the port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def start_server(port: int, settings: Mapping[str, str] | None = None) -> subprocess.Popen[bytes]:
    """Start gunicorn with gevent, as its configuration file says.

    Args:
        port: the port of 127.0.0.1 that it listens on.
        settings: further variables of its environment.
    """
    here = os.path.dirname(__file__)
    command = [sys.executable, "-m", "gunicorn", "-c", os.path.join(here, "gunicorn.conf.py")]
    say(f"Starting gunicorn with gevent on port {port} ...")
    return subprocess.Popen(
        [*command, "--log-level", "warning", "example_app:create_app()"],
        env={**clean_environment(), "PORT": str(port), **(settings or {})},
        # Ctrl-C reaches this program only, which then stops the server.
        start_new_session=True,
    )


def clean_environment() -> dict[str, str]:
    """Return the environment of a process of the demo.

    It needs no account, and must not use one that is set up on this machine.
    """
    unwanted = ("BRAINTRUST", "CELERY", "GUNICORN")
    clean = {k: v for k, v in os.environ.items() if not k.startswith(unwanted)}
    return {**clean, "BRAINTRUST_EVALS_AUTH": "none"}


def wait_until_healthy(server: subprocess.Popen[bytes], url: str, timeout: float = 30) -> None:
    """Wait until the server answers, at most ``timeout`` seconds."""
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        if server.poll() is not None:
            raise RuntimeError(f"gunicorn ended with status {server.returncode}")
        try:
            if requests.get(url, timeout=1).json() == {"status": "ok"}:
                return
        except requests.RequestException:
            time.sleep(0.1)
    raise RuntimeError(f"{url} did not answer within {timeout:g} seconds")


def run(url: str, name: str, cases: list[dict[str, str]]) -> bool:
    """Run an evaluator and print its events; return whether they are as expected."""
    say(f"Running {name!r} on {len(cases)} cases at {url}/eval\n")
    body = {"name": name, "data": {"data": cases}, "parameters": {"default_team": "front desk"}}
    began = time.monotonic()
    answer = requests.post(f"{url}/eval", json=body, stream=True, timeout=30)
    if answer.status_code != 200:
        raise RuntimeError(f"status {answer.status_code}: {answer.text.strip()}")
    seen = []
    for event, data in events(answer):
        seen.append(event)
        say(f"{(time.monotonic() - began) * 1000:7.1f} ms  {describe(event, data)}")
    return seen[-2:] == ["summary", "done"] and seen.count("progress") == 2 * len(cases)


def events(answer: requests.Response) -> Iterator[tuple[str, str]]:
    """Yield the type and the data of each event of a stream, as it arrives."""
    event, data = "", []
    for line in answer.iter_lines(chunk_size=1):
        field, _, value = line.decode().partition(": ")
        if field == "event":
            event = value
        elif field == "data":
            data.append(value)
        elif not line and event:
            yield event, "\n".join(data)
            event, data = "", []


def describe(event: str, data: str) -> str:
    """Return an event as a line of text."""
    if event == "progress":
        progress: dict[str, Any] = json.loads(data)
        shown = {"json_delta": "output", "done": "case done"}.get(progress["event"], "error")
        return f"{event:9} case {progress['id']}  {shown}  {progress['data']}"
    if event == "summary":
        scores = json.loads(data)["scores"].values()
        return f"{event:9} " + ", ".join(f"{s['name']}: {s['score']:.2f}" for s in scores)
    return f"{event:9} {data}"


def stop(server: subprocess.Popen[bytes]) -> None:
    """Stop the server; kill it if it has not ended after 10 seconds."""
    if server.poll() is None:
        server.send_signal(signal.SIGTERM)
        try:
            server.wait(10)
        except subprocess.TimeoutExpired:
            server.kill()


def say(text: str) -> None:
    """Print a line without a delay, also to a pipe."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
