"""``flask evals run`` as a process of its own: its bar on a terminal, and signals."""

from __future__ import annotations

import json
import os
import pty
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from flask_braintrust_evals.cli.commands import watch
from flask_braintrust_evals.cli.terminal.interrupts import (
    Terminated,
    catch_interrupt,
    exit_on_interrupt,
)
from tests.forked import nursery
from tests.front import FRONT, NURSERY
from tests.server import COMMANDS
from tests.standin import StandIn
from tests.support import ROOT

FORKED = [sys.executable, "-I", "-S", FRONT]
"""What runs a module in a process that is forked from one with its libraries."""

pytestmark = pytest.mark.slow

APP = """
import asyncio, subprocess, sys, threading
from flask import Flask
from flask_braintrust_evals import EvalsBlueprint

if "chatty" in sys.argv:
    print("hello from the import")
evals_bp = EvalsBlueprint()
CASES = [{"input": n} for n in range(50)]

@evals_bp.evaluator("slow", data=CASES, max_concurrency=1)
def slow(input, hooks):
    if input == 2:
        print("waiting", file=sys.stderr, flush=True)
        hooks.cancel_event.wait(60)
        print("told", file=sys.stderr, flush=True)
    return input

@evals_bp.evaluator("deaf", data=CASES, max_concurrency=1)
def deaf(input, hooks):
    if input == 2:
        print("waiting", file=sys.stderr, flush=True)
        hooks.cancel_event.wait(60)
        print("told", file=sys.stderr, flush=True)
        threading.Event().wait(60)
    return input

def unknown():
    yield from CASES

def until_the_command_has_ended():
    while threading.main_thread().is_alive():
        print("hello from a thread")
    print("hello after the end")

@evals_bp.evaluator("chatty", data=CASES[:1])
def chatty(input):
    print("hello from the task")
    subprocess.run(["echo", "hello from a program"])
    # The interpreter waits for it, as for every thread that is no daemon: no line is cut off.
    threading.Thread(target=until_the_command_has_ended, daemon=False).start()

@evals_bp.evaluator("sleepy", data=CASES, max_concurrency=10)
async def sleepy(input, hooks):
    if input == 9:
        print("waiting", file=sys.stderr, flush=True)
    if input % 2:
        await asyncio.sleep(60)

def making():
    print("making data", file=sys.stderr, flush=True)
    threading.Event().wait(60)

evals_bp.evaluator("stuck", data=making)(lambda input: input)
evals_bp.evaluator("quick", data=CASES)(lambda input: input)
evals_bp.evaluator("endless", data=unknown)(lambda input: input)

app = Flask(__name__)
app.register_blueprint(evals_bp)
"""


@contextmanager
def command(
    folder: Path,
    *arguments: str,
    environ: Mapping[str, str] | None = None,
    stderr: Any = subprocess.PIPE,
    fresh: bool = False,
) -> Iterator[subprocess.Popen[str]]:
    """Start the command; ``fresh``: in an interpreter of its own, and not in one that is forked.

    Its standard input is what asks for forked processes, which it can give to those it starts.
    """
    (folder / "some_app.py").write_text(APP)
    clean = {key: value for key, value in os.environ.items() if not key.startswith("BRAINTRUST")}
    python = [sys.executable, "-m"] if fresh else FORKED
    given = {"PYTHONPATH": str(ROOT), NURSERY: "0", **(environ or {})}
    with subprocess.Popen(
        [*python, "flask", "--app", "some_app", "evals", "run", *arguments],
        cwd=folder,
        env={**clean, **given},
        stdin=nursery(False, COMMANDS).fd,
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def with_key(cloud: StandIn) -> dict[str, str]:
    """The environment of a user whom a cloud knows."""
    cloud.add_user("key")
    return {
        "BRAINTRUST_API_KEY": "key",
        "BRAINTRUST_APP_URL": cloud.url,
        "NO_PROXY": "127.0.0.1",
    }


def press_ctrl_c(process: subprocess.Popen[str], after: str, number: int = signal.SIGINT) -> None:
    assert process.stderr is not None
    assert process.stderr.readline() == f"{after}\n"
    process.send_signal(number)


@pytest.mark.parametrize(
    ("number", "status", "error"),
    [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "interrupted by SIGTERM")],
    ids=["ctrl-c", "sigterm"],
)
def test_a_signal_cancels_and_shows_what_there_is(
    tmp_path: Path, number: int, status: int, error: str
) -> None:
    with command(tmp_path, "slow", "--json") as process:
        press_ctrl_c(process, "waiting", number)
        output, errors = process.communicate(timeout=30)
    assert process.returncode == status, errors
    assert "told\n" in errors
    body = json.loads(output)
    assert [each["output"] for each in body["results"]] == [0, 1], "what was done by then"
    assert (body["cases"], body["interrupted"]) == (2, 1), "and nothing new was begun"
    assert (body["error"], body["passed"]) == (error, False)
    assert body["scores"] == {}


def test_ctrl_c_again_does_not_wait_for_tasks_that_go_on(tmp_path: Path) -> None:
    with command(tmp_path, "deaf", "--json") as process:
        press_ctrl_c(process, after="waiting")
        press_ctrl_c(process, after="told")
        output, errors = process.communicate(timeout=4)  # and not the grace period of 5 seconds
    assert process.returncode == 130, errors
    assert "Traceback" not in errors
    assert [each["output"] for each in json.loads(output)["results"]] == [0, 1]


def test_what_was_done_by_ctrl_c_is_in_the_experiment(tmp_path: Path) -> None:
    with StandIn() as cloud:
        with command(
            tmp_path, "slow", "--experiment", "nightly", environ=with_key(cloud)
        ) as process:
            press_ctrl_c(process, after="waiting")
            output, errors = process.communicate(timeout=30)
        assert process.returncode == 130, errors
        assert "recorded as nightly: " in output
        assert re.search("slow: 2 cases, 0 failed, 1 interrupted in .* s; interrupted", output)
        spans = {each.json("braintrust.input_json"): each for each in cloud.spans_named("eval")}
    assert spans.keys() == {0, 1, 2}
    assert [spans[n].status_code for n in range(3)] == ["UNSET", "UNSET", "ERROR"]
    assert "braintrust.output_json" not in spans[2].attributes, "it is not taken for a result"


def test_spans_that_a_second_ctrl_c_abandons_are_counted(tmp_path: Path) -> None:
    with StandIn() as cloud:
        cloud.fault("POST", "/otel/v1/traces", status=503, times=None)
        arguments = ("deaf", "--experiment", "nightly", "--json")
        with command(tmp_path, *arguments, environ=with_key(cloud)) as process:
            press_ctrl_c(process, after="waiting")
            press_ctrl_c(process, after="told")
            output, errors = process.communicate(timeout=10)
    assert process.returncode == 130, errors
    assert json.loads(output)["lost_spans"] == 4, "a case without scorers has two"


def test_ctrl_c_before_the_first_case_has_its_status_too(tmp_path: Path) -> None:
    with command(tmp_path, "stuck") as process:
        press_ctrl_c(process, after="making data")
        _, errors = process.communicate(timeout=10)
    assert process.returncode == 130
    assert "Traceback" not in errors


def test_what_a_task_prints_is_not_in_the_json(tmp_path: Path) -> None:
    with command(tmp_path, "chatty", "--json") as process:
        output, errors = process.communicate(timeout=30)
    assert process.returncode == 0, errors
    assert json.loads(output)["cases"] == 1
    for place in ("the import", "the task", "a program", "a thread"):
        assert f"hello from {place}\n" in errors
    assert "hello after the end\n" in errors


def test_coroutines_that_ctrl_c_has_cancelled_are_no_failures(tmp_path: Path) -> None:
    with command(tmp_path, "sleepy", "--json") as process:
        press_ctrl_c(process, after="waiting")
        output, errors = process.communicate(timeout=30)
    assert process.returncode == 130, errors
    body = json.loads(output)
    assert body["failed"] == 0
    assert {each["input"] % 2 for each in body["results"]} == {0}


def test_ctrl_c_while_spans_are_delivered_counts_what_is_not(tmp_path: Path) -> None:
    with StandIn() as cloud:
        gate = cloud.gate("POST", "/otel/v1/traces")
        arguments = ("quick", "--experiment", "nightly", "--json")
        with command(tmp_path, *arguments, environ=with_key(cloud)) as process:
            cloud.wait_for(lambda: cloud.calls_to("POST", "/otel/v1/traces"))
            process.send_signal(signal.SIGINT)
            cloud.wait_for(lambda: cloud.calls_to("POST", "/otel/v1/traces")[1:])
            process.send_signal(signal.SIGINT)
            output, errors = process.communicate(timeout=20)
        gate.release()
    assert process.returncode == 130, errors
    body = json.loads(output)
    assert (body["cases"], body["lost_spans"]) == (50, 100)


@pytest.mark.parametrize(("name", "count"), [("quick", "50/50"), ("endless", "50")])
def test_a_terminal_shows_how_far_it_is(tmp_path: Path, name: str, count: str) -> None:
    ours, theirs = pty.openpty()
    with command(tmp_path, name, "--json", stderr=theirs) as process:
        os.close(theirs)
        shown = b""
        while True:
            try:
                read = os.read(ours, 4096)
            except OSError:  # the terminal's other side is closed
                break
            if not read:
                break
            shown += read
        output, _ = process.communicate(timeout=30)
    os.close(ours)
    assert process.returncode == 0
    assert json.loads(output)["cases"] == 50, "and nothing of the bar is in it"
    last = (
        re.sub(r"\x1b\[[?\d]*\w", "", shown.decode()).replace("\r", "\n").strip().splitlines()[-1]
    )
    assert name in last
    assert re.search(rf"(^|\s){count}(\s|$)", last), last


WAITING = "waiting for a change; press Ctrl-C to stop\n"


def test_a_watched_run_is_run_again_when_the_code_or_the_data_changes(tmp_path: Path) -> None:
    data = tmp_path / "cases.jsonl"
    data.write_text('{"input": 1}\n')
    arguments = ("endless", "--data", "cases.jsonl", "--json", "--watch")
    # It starts itself again, by its own command line: python -m flask and so on.
    program = tmp_path / "python"
    program.write_text(f'#!/bin/sh\ntest "$1" = -m && shift && exec {shlex.join(FORKED)} "$@"\n')
    program.chmod(0o755)
    (tmp_path / "sitecustomize.py").write_text(f"import sys\nsys.executable = {str(program)!r}\n")
    path = os.pathsep.join((str(tmp_path), str(ROOT)))
    with command(tmp_path, *arguments, environ={"PYTHONPATH": path}, fresh=True) as process:
        assert process.stderr is not None
        assert process.stderr.readline() == WAITING
        data.write_text('{"input": 1}\n{"input": 2}\n')
        assert process.stderr.readline() == WAITING
        (tmp_path / "some_app.py").write_text(
            APP.replace("lambda input: input", "lambda input: 77")
        )
        assert process.stderr.readline() == WAITING
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=30)
    assert (process.returncode, errors) == (130, "interrupted\n")
    first, second, third = re.findall(r"^\{.*?^\}$", output, re.MULTILINE | re.DOTALL)
    found = [
        [each["output"] for each in json.loads(body)["results"]] for body in (first, second, third)
    ]
    assert found == [[1], [1, 2], [77, 77]]


def test_ctrl_c_lets_a_watched_run_end_itself(tmp_path: Path) -> None:
    file = tmp_path / "ended"
    run = (
        "import os, pathlib, signal, time; signal.signal(signal.SIGINT, signal.SIG_IGN);"
        " os.kill(os.getppid(), signal.SIGINT); time.sleep(0.5);"
        f" pathlib.Path({str(file)!r}).touch()"
    )
    with pytest.raises(KeyboardInterrupt):
        watch._run([sys.executable, "-S", "-c", run])
    assert file.exists()


def test_sigterm_ends_a_watched_run_too() -> None:
    run = "import os, signal; os.kill(os.getppid(), signal.SIGTERM); signal.pause()"
    with pytest.raises(SystemExit) as raised, exit_on_interrupt():
        watch._run([sys.executable, "-S", "-c", run])
    assert raised.value.code == 143


def test_sigterm_may_come_twice_and_then_ctrl_c_ends_at_once() -> None:
    usual = [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)]
    with pytest.raises(SystemExit) as raised, exit_on_interrupt(), catch_interrupt() as got:
        for _ in range(2):
            signal.raise_signal(signal.SIGTERM)
        assert got == [signal.SIGTERM]
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        raise Terminated
    assert raised.value.code == 143
    assert usual == [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)]


def test_a_process_that_ignores_ctrl_c_goes_on_ignoring_it() -> None:
    usual = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with exit_on_interrupt(), catch_interrupt() as got:
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGTERM)
        assert got == [signal.SIGTERM]
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, usual)


def test_a_signal_needs_no_standard_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", None)  # as Python has it where it is closed
    with exit_on_interrupt(), catch_interrupt() as got:
        signal.raise_signal(signal.SIGTERM)
    assert got == [signal.SIGTERM]


def test_a_run_that_was_killed_is_taken_up_by_the_next_one(tmp_path: Path) -> None:
    arguments = ("slow", "--resume", "journal.jsonl")
    with command(tmp_path, *arguments) as process:
        assert process.stderr is not None
        assert process.stderr.readline() == "waiting\n"
        process.kill()
    with command(tmp_path, *arguments) as process:
        press_ctrl_c(process, after="waiting")
        output, errors = process.communicate(timeout=30)
    assert process.returncode == 130, errors
    assert "2 cases from journal.jsonl, 0 cases run now\n" in output
    assert "slow: 2 cases, 0 failed, 1 interrupted in " in output
