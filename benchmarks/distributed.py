"""Measures runs whose cases run on Celery workers.

    python -m benchmarks.distributed [PART ...]

The parts are ``overhead`` (empty cases, beside bare Celery tasks and beside a run in the server's
own process), ``scaling`` (cases of 100 ms on 1, 2 and 4 workers), ``first`` (the first of 10,000
results, and progress) and ``kill`` (a worker is killed in the middle). Everything shares this
machine's processor cores, so that ratios count, not rates. Prints tables, and writes
``benchmarks/results/distributed.json``.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

from tests.celery.brokers import Broker, RabbitBroker, RedisBroker, why_absent
from tests.celery.processes import ProcessGroup, free_port
from tests.celery.workers import CeleryWorker

from .client import drive, request
from .distributed_app import BARE_QUEUE, NAP, create_app, reply_queue
from .machine import describe, processor_time

RESULT = Path(__file__).parent / "results" / "distributed.json"
QUEUE = "braintrust_evals"
CASES = 1000
WINDOW = 100
ROUNDS = 3
LIMIT = 180.0
"""Seconds that one run may take."""
PARTS = ("overhead", "scaling", "first", "kill")

Row = dict[str, Any]


class Site:
    """A server and some workers on one broker, until the block ends."""

    def __init__(self, held: ExitStack, broker: Broker, folder: Path, executor: str) -> None:
        self._held = held
        self._folder = folder
        self._environ = {"BENCH_BROKER": broker.url}
        self.port = free_port()
        log = folder / f"web-{self.port}.log"
        command = [sys.executable, "-m", "gunicorn", "-k", "gevent", "--log-level", "warning"]
        command += ["-b", f"127.0.0.1:{self.port}", "benchmarks.distributed_app:create_app()"]
        self.web = ProcessGroup(command, log, {**self._environ, "BENCH_EXECUTOR": executor})
        held.callback(self.web.kill)
        self.web.wait_for(self._is_healthy, 60)

    def start_worker(self, name: str, *options: str, queue: str = QUEUE) -> CeleryWorker:
        """Start one more worker."""
        environ = {**self._environ, "BENCH_WORKER": "1"}
        log = self._folder / f"{name}-{self.port}.log"
        module = "benchmarks.distributed_app"
        worker = CeleryWorker(log, module, queue, *options, environ=environ, fresh=True)
        self._held.callback(worker.kill)
        worker.wait_until_ready()
        return worker

    def run(self, evaluator: str, cases: int, window: int = WINDOW) -> tuple[float, float]:
        """Run an evaluator; return the seconds to the end, and to the first result."""
        timing = drive(self.port, self._request(evaluator, cases, window), 1, cases, LIMIT)
        return timing.total, timing.first

    def first(self, evaluator: str, cases: int, what: bytes) -> float:
        """Begin a run; return the seconds to the first line of its stream with ``what``."""
        sent = Request(
            f"http://127.0.0.1:{self.port}/evals/eval",
            json.dumps(_body(evaluator, cases, WINDOW)).encode(),
            {"Content-Type": "application/json"},
        )
        began = time.perf_counter()
        with urlopen(sent, timeout=LIMIT) as answer:
            for line in answer:
                if what in line:
                    return time.perf_counter() - began
        raise RuntimeError(f"there was no {what!r}")

    def _request(self, evaluator: str, cases: int, window: int) -> bytes:
        return request(self.port, "/evals/eval", {}, _body(evaluator, cases, window))

    def _is_healthy(self) -> bool:
        with urlopen(f"http://127.0.0.1:{self.port}/evals/", timeout=2) as answer:
            return bool(answer.status == 200)


def _body(evaluator: str, cases: int, window: int) -> dict[str, Any]:
    data = [{"input": number} for number in range(cases)]
    return {"name": evaluator, "data": {"data": data}, "max_concurrency": window}


@contextmanager
def site(broker: Broker, executor: str = "celery") -> Iterator[Site]:
    """A server without workers."""
    with ExitStack() as held:
        folder = Path(held.enter_context(tempfile.TemporaryDirectory()))
        yield Site(held, broker, folder, executor)


def overhead(broker: Broker) -> list[Row]:
    """Empty cases: here, on workers, and bare tasks; each after the other, several times."""
    rows: list[Row] = []
    with site(broker, "local") as local, site(broker) as remote:
        worker = remote.start_worker("worker", "-c", "2")
        bare = remote.start_worker("bare", "-c", "2", queue=BARE_QUEUE)
        measured: dict[str, list[tuple[float, float, float]]] = {}
        for _ in range(ROUNDS):
            for name, there, runner in (
                ("in the server", local, None),
                ("on workers", remote, worker),
            ):
                measured.setdefault(name, []).append(_costs(there, runner))
            measured.setdefault("bare tasks", []).append(_bare(broker, bare))
    for name, costs in measured.items():
        seconds, owner_time, worker_time = map(statistics.median, zip(*costs, strict=True))
        rows.append(
            {
                "broker": broker.name,
                "what": name,
                "cases per second": CASES / seconds,
                "server, ms per case": owner_time * 1000 / CASES,
                "workers, ms per case": worker_time * 1000 / CASES,
            }
        )
    return rows


def _costs(there: Site, runner: ProcessGroup | None) -> tuple[float, float, float]:
    """Return the seconds of a run, and the processor time of its server and of its workers."""
    before = _used(there.web), _used(runner)
    began = time.perf_counter()
    there.run("empty", CASES)
    seconds = time.perf_counter() - began
    return seconds, _used(there.web) - before[0], _used(runner) - before[1]


def _used(group: ProcessGroup | None) -> float:
    return 0.0 if group is None else processor_time(group.process.pid)


def _bare(broker: Broker, runner: ProcessGroup) -> tuple[float, float, float]:
    """Have bare tasks run, as many as there are cases, from a process of their own; likewise."""
    before = _used(runner)
    command = [sys.executable, "-c", "from benchmarks.distributed import bare_client as c; c()"]
    environ = {**os.environ, "BENCH_BROKER": broker.url}
    ran = subprocess.run(command, env=environ, check=True, stdout=subprocess.PIPE)
    seconds, own = json.loads(ran.stdout)
    return seconds, own, _used(runner) - before


def bare_client() -> None:
    """Order bare tasks with ``apply_async``, count their replies, and print what that took.

    The start of the process does not count.
    """
    celery = create_app().extensions["celery"]
    reply_to = f"bare.{os.getpid()}"
    window = threading.Semaphore(WINDOW)
    done = threading.Event()
    listening = threading.Event()
    text = json.dumps({"case": {"input": 1}, "filler": "x" * 700})

    def listen() -> None:
        left = CASES + 1

        def receive(body: Any, message: Any) -> None:
            nonlocal left
            message.ack()
            window.release()
            left -= 1
            if not left:
                done.set()

        with celery.connection_for_read() as connection:
            with connection.Consumer(reply_queue(reply_to), callbacks=[receive], accept=["json"]):
                listening.set()
                while not done.is_set():
                    try:
                        connection.drain_events(timeout=1)
                    except OSError:
                        continue

    threading.Thread(target=listen, daemon=True).start()
    listening.wait(10)
    task = celery.tasks["bare"]
    task.apply_async((text, reply_to), queue=BARE_QUEUE)  # makes the connection
    began, used = time.perf_counter(), time.process_time()
    for _ in range(CASES):
        window.acquire()
        task.apply_async((text, reply_to), queue=BARE_QUEUE)
    if not done.wait(LIMIT):
        raise SystemExit("bare tasks did not reply")
    took = time.perf_counter() - began, time.process_time() - used
    sys.stdout.write(json.dumps(took))


def scaling(broker: Broker) -> list[Row]:
    """Cases of 100 ms on more and more workers of four processes each."""
    rows: list[Row] = []
    with site(broker) as there:
        started = 0
        for workers in (1, 2, 4):
            while started < workers:
                started += 1
                there.start_worker(f"worker{started}", "-c", "4")
            slots = 4 * workers
            cases = 40 * slots
            there.run("nap", slots, slots)  # every process has imported what it needs
            seconds = min(there.run("nap", cases, 3 * slots)[0] for _ in range(ROUNDS))
            rows.append(
                {
                    "broker": broker.name,
                    "workers": workers,
                    "cases per second": cases / seconds,
                    "of ideal": (cases / slots * NAP) / seconds,
                }
            )
    return rows


def first(broker: Broker) -> list[Row]:
    """The first of 10,000 results, here and on an idle worker, and the first progress."""
    here: list[float] = []
    results: list[float] = []
    progress: list[float] = []
    with site(broker, "local") as local, site(broker) as there:
        there.start_worker("worker", "-c", "2")
        there.run("empty", 10)
        for _ in range(10):
            # Each stream is closed after that, and everything is idle again a moment later.
            for each, times in ((local, here), (there, results)):
                times.append(each.first("empty", 10_000, b'"json_delta"'))
                each.run("empty", 10)
            progress.append(there.first("nap", 1, b'"text_delta"'))
            there.run("empty", 10)
    return [
        {
            "broker": broker.name,
            "first of 10,000 results, ms": statistics.median(results) * 1000,
            "the same in the server, ms": statistics.median(here) * 1000,
            "first progress, ms": statistics.median(progress) * 1000,
        }
    ]


def kill(broker: Broker) -> list[Row]:
    """A run on two workers, with and without one of them killed in the middle."""
    cases = 200
    with site(broker) as there:
        there.start_worker("stays", "-c", "4")
        victim = there.start_worker("dies", "-c", "4")
        there.run("nap", 8, 8)
        whole = there.run("nap", cases, 24)[0]
        threading.Timer(whole / 2, victim.kill).start()
        seconds = there.run("nap", cases, 24)[0]
    return [
        {
            "broker": broker.name,
            "both workers, s": whole,
            "one killed half-way (lease 3 s), s": seconds,
        }
    ]


def table(rows: list[Row]) -> str:
    """Return rows as a table in Markdown."""
    names = list(rows[0])
    lines = [names, ["---"] * len(names)]
    lines += [[_shown(each) for each in row.values()] for row in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _shown(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def main() -> None:
    parts = sys.argv[1:] or PARTS
    measure: Mapping[str, Callable[[Broker], list[Row]]] = {
        "overhead": overhead,
        "scaling": scaling,
        "first": first,
        "kill": kill,
    }
    results: dict[str, Any] = {"machine": describe()}
    for name, make in (("redis", RedisBroker), ("rabbitmq", RabbitBroker)):
        if why_absent(name):
            sys.stderr.write(f"{why_absent(name)}\n")
            continue
        broker: Broker = make()
        try:
            for part in parts:
                sys.stderr.write(f"{broker.name}: {part} ...\n")
                results.setdefault(part, []).extend(measure[part](broker))
        finally:
            broker.stop()
    for part in parts:
        sys.stdout.write(f"\n{part}\n\n{table(results[part])}\n")
    if parts == PARTS:
        RESULT.write_text(json.dumps(results, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
