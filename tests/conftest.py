"""Fixtures of all packages' tests."""

from __future__ import annotations

import fcntl
import functools
import gc
import os
import re
import signal
import sys
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from .parts import FAST
from .rules import LateRule
from .standin import StandIn
from .support import TOKEN

TESTS = Path(__file__).parent
WHOLLY = re.compile(r"^pytestmark = .*pytest\.mark\.(live|slow)\b", re.MULTILINE)
"""Marks every test of a file."""
PARTLY = re.compile(r"\b(mark\.(live|slow)|\w*(broker|rabbitmq|redis|start_worker))\b")
"""What a file has of which a test is marked, by itself or for its fixtures."""
SLOW = "live or slow"
"""The expression of marks that the tests have which :data:`~tests.parts.FAST` leaves out."""
RABBITMQ = "rabbitmq"
"""What the names of tests have that need RabbitMQ."""


def pytest_configure() -> None:
    """Have SIGINT end what tests start, also where a shell has started them in the background."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Do not even import files of which every test is left out, nor what is beside them alone."""
    part = config.option.markexpr
    if part not in (FAST, SLOW):
        return None
    files = [collection_path] if collection_path.is_file() else collection_path.rglob("test_*.py")
    return all(_is_left_out(file, part) for file in files) or None


@functools.cache
def _is_left_out(file: Path, part: str) -> bool:
    if not fnmatch(file.name, "test_*.py"):
        return False
    text = file.read_text("utf-8")
    return WHOLLY.search(text) is not None if part == FAST else PARTLY.search(text) is None


@pytest.hookimpl(wrapper=True)
def pytest_collection(session: pytest.Session) -> Iterator[None]:
    """Have one of several processes compile the tests, where they are not, and the others wait.

    To compile them all takes each process longer than to import them.
    """
    worker = getattr(session.config, "workerinput", None)
    if worker is None or sys.dont_write_bytecode or _most_are_compiled():
        return (yield)
    with (TESTS / "__pycache__" / f"{worker['testrunuid']}.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if os.fstat(lock.fileno()).st_size:
            fcntl.flock(lock, fcntl.LOCK_UN)
            return (yield)
        result = yield
        lock.write("compiled")
        return result


def _most_are_compiled() -> bool:
    modules = {file.stem for file in TESTS.rglob("test_*.py")}
    compiled = {file.name.partition(".")[0] for file in TESTS.rglob("*-pytest-*.pyc")}
    return len(modules & compiled) > len(modules) / 2


def pytest_collection_finish() -> None:
    """Let the garbage collector skip all that is there for as long as the process is."""
    gc.collect()
    gc.freeze()


LONGEST = (
    RABBITMQ,
    "tests/celery/test_same_results.py",
    "tests/browser/test_page.py",
    "tests/web/test_attacks.py",
    "tests/live/test_load.py",
    "tests/celery/test_faults.py",
    "tests/docs/test_commands.py",
    "tests/celery/test_servers.py",
    "tests/live/test_hostile_requests.py",
    "tests/live/test_sessions.py",
    "tests/applications/test_servers.py",
)
"""What one process runs as a whole, and takes longest. The longest first."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Put what takes long first: at the end, one process would run it while the others wait.

    Raises:
        pytest.UsageError: the name of a test has an address, which differs in each of several
            processes, so that they would run nothing; or a test is marked in a file in which
            nothing says so, so that a run of the marked tests would leave it out.
    """
    for path in {item.path for item in items if {"live", "slow"} & marks_of(item)}:
        if PARTLY.search(path.read_text("utf-8")) is None:
            raise pytest.UsageError(f"have tests.conftest.PARTLY find what is marked in {path}")
    named = [item.nodeid for item in items if re.search(r" at 0x[0-9a-f]+", item.nodeid)]
    if named:
        raise pytest.UsageError(f"give the parameters ids without addresses: {', '.join(named)}")
    if hasattr(config, "workerinput"):  # one of several processes
        items.sort(key=_order)


def _order(item: pytest.Item) -> tuple[int, bool, bool]:
    group, marks = group_of(item.nodeid), marks_of(item)
    place = LONGEST.index(group) if group in LONGEST else len(LONGEST)
    return place, "live" not in marks, "slow" not in marks


def marks_of(item: pytest.Item) -> set[str]:
    """Return the names of a test's marks."""
    return {mark.name for mark in item.iter_markers()}


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Have one process run all tests of a group."""
    if config.getvalue("dist") != "loadscope":
        return None
    from xdist.scheduler import LoadScopeScheduling

    class Scheduling(LoadScopeScheduling):  # type: ignore[misc]
        def _split_scope(self, nodeid: str) -> str:
            return group_of(nodeid)

    return Scheduling(config, log)


def group_of(nodeid: str) -> str:
    """Return the group of a test: its module, or RabbitMQ, which then starts only once."""
    module, _, name = nodeid.partition("::")
    return RABBITMQ if RABBITMQ in name else module


# These are hooks: a fixture for every test costs each of them a tenth of a millisecond.


@pytest.hookimpl(wrapper=True)
def pytest_runtestloop() -> Iterator[None]:
    """Take away every setting that the machine's own environment may have."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Flask, "url_rule_class", LateRule)
        for name in list(os.environ):
            if name.startswith(("BRAINTRUST_", "OTEL_")) or name in ("WHITELISTED_ORIGIN", "NETRC"):
                patch.delenv(name)
        patch.setenv("NO_PROXY", "127.0.0.1", prepend=",")
        return (yield)


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """Let the garbage collector skip what a module has imported and what pytest keeps of it."""
    if nextitem is None or nextitem.path != item.path:
        gc.collect()
        gc.freeze()


@pytest.fixture
def cloud() -> Iterator[StandIn]:
    """The stand-in, with one user who is in one organisation."""
    with StandIn() as cloud:
        cloud.add_user(TOKEN)
        yield cloud
