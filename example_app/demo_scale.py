"""Runs the example on two Celery workers, and kills one of them in the middle of a run.

python -m example_app.demo_scale [--port 8300]
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

import requests

from .demo import (
    clean_environment,
    events,
    port_is_free,
    say,
    start_server,
    stop,
    wait_until_healthy,
)

EVALUATOR = "reply-draft"
CASES = 60
LEASE = 3
"""Seconds without a sign of life after which a worker is taken to be gone; short, for the demo."""


def main() -> int:
    """Run the demo; return 0 if it succeeded."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--port", type=int, default=8300)
    options = arguments.parse_args()
    redis = shutil.which("redis-server")
    if redis is None:
        say("This demo needs a broker: install Redis (on Debian: apt-get install redis-server).")
        return 1
    if not port_is_free(options.port):
        say(f"Port {options.port} is taken. Free it, or choose another: make demo-scale PORT=8301")
        return 1
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with ExitStack() as held:
        folder = Path(held.enter_context(tempfile.TemporaryDirectory()))
        try:
            return _run(held, folder, redis, options.port)
        except KeyboardInterrupt:
            return 0
        except (RuntimeError, requests.RequestException) as error:
            say(f"The demo failed: {error}")
            return 1


def _run(held: ExitStack, folder: Path, redis: str, port: int) -> int:
    broker_port = _free_port()
    say(f"Starting Redis on port {broker_port} ...")
    broker = subprocess.Popen(
        [redis, "--port", str(broker_port), "--bind", "127.0.0.1", "--save", ""],
        cwd=folder,
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )
    held.callback(stop, broker)
    settings = {
        "CELERY_BROKER_URL": f"redis://127.0.0.1:{broker_port}/0",
        "SECRET_KEY": "only for this demo",
        "BRAINTRUST_EVALS_WORKER_LEASE": str(LEASE),
    }
    workers = [_start_worker(name, settings, folder) for name in ("one", "two")]
    for worker in workers:
        held.callback(_kill, worker)
    server = start_server(port, settings)
    held.callback(stop, server)
    url = f"http://127.0.0.1:{port}/evals"
    wait_until_healthy(server, url)
    _show_workers(settings, wanted=2)
    return 0 if _run_and_kill(url, workers[0]) else 1


def _start_worker(name: str, settings: Mapping[str, str], folder: Path) -> subprocess.Popen[bytes]:
    say(f"Starting Celery worker {name!r} with two processes ...")
    command = [sys.executable, "-m", "celery", "-A", "example_app.make_celery", "worker"]
    command += ["-Q", "braintrust_evals", "--prefetch-multiplier", "1", "-c", "2"]
    return subprocess.Popen(
        [*command, "-n", f"{name}@%h", "--loglevel", "ERROR"],
        env={**clean_environment(), **settings},
        stdout=subprocess.DEVNULL,
        stderr=(folder / f"{name}.log").open("wb"),
        start_new_session=True,
    )


def _show_workers(settings: Mapping[str, str], wanted: int, timeout: float = 60) -> None:
    """Wait until the workers answer, and print what they say."""
    command = [sys.executable, "-m", "flask", "--app", "example_app", "evals", "workers"]
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        answer = subprocess.run(
            command, env={**clean_environment(), **settings}, capture_output=True, text=True
        )
        if answer.returncode == 0 and answer.stdout.count("slots free") == wanted:
            say(f"\n$ flask evals workers\n{answer.stdout}")
            return
        time.sleep(0.3)
    raise RuntimeError(f"the workers did not start: {answer.stdout}{answer.stderr}")


def _run_and_kill(url: str, worker: subprocess.Popen[bytes]) -> bool:
    """Run an evaluator, kill a worker in the middle, and return whether every case succeeded."""
    say(f"Running {EVALUATOR!r} on {CASES} cases at {url}/eval\n")
    cases = [{"input": f"Where is my refund number {number}?"} for number in range(CASES)]
    began = time.monotonic()
    answer = requests.post(
        f"{url}/eval",
        json={"name": EVALUATOR, "data": {"data": cases}, "max_concurrency": 20},
        stream=True,
        timeout=120,
    )
    if answer.status_code != 200:
        raise RuntimeError(f"status {answer.status_code}: {answer.text.strip()}")
    done: set[str] = set()
    failed = 0
    for event, data in events(answer):
        seconds = f"{time.monotonic() - began:5.1f} s"
        if event == "progress":
            progress = json.loads(data)
            if progress["event"] not in ("done", "error"):
                continue
            failed += progress["event"] == "error"
            done.add(progress["id"])
            if len(done) == CASES // 3:
                say(f"{seconds}  {len(done)} cases are done. Killing worker 'one' (kill -9) ...")
                _kill(worker)
            elif len(done) % 10 == 0:
                say(f"{seconds}  {len(done)} cases are done")
        elif event == "summary":
            scores = json.loads(data)["scores"].values()
            shown = ", ".join(f"{each['name']}: {each['score']:.2f}" for each in scores)
            say(f"{seconds}  summary: {len(done)} cases, {failed} failed; {shown}")
        else:
            say(f"{seconds}  {event} {data}")
    return len(done) == CASES and not failed


def _kill(worker: subprocess.Popen[bytes]) -> None:
    """Kill a worker and its processes, as the loss of its machine would."""
    if worker.poll() is None:
        os.killpg(worker.pid, signal.SIGKILL)
        worker.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


if __name__ == "__main__":
    sys.exit(main())
