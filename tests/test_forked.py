"""Forked processes behave as those that are started, and have imported no more than those would."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO
from uuid import uuid4

import pytest

from .forked import GIVEN_UP, Nursery
from .front import FRONT, NURSERY
from .server import LIBRARIES, SDK
from .support import eventually, python

pytestmark = pytest.mark.slow

MODULE = """
import os, signal, sys, time

what, fd = sys.argv[1:]
print(what, dict(os.environ), os.read(int(fd), 100), flush=True)
print(sorted({"colorsys", "flask", "wave"} & set(sys.modules)), file=sys.stderr, flush=True)
if what == "wait":
    time.sleep(60)
elif what == "signal":
    os.kill(os.getpid(), signal.SIGTERM)
elif what == "fail":
    raise ValueError("this fails")
sys.exit(int(what))
"""


@pytest.fixture(scope="module", params=[False, True], ids=["unpatched", "patched"])
def nursery(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Nursery]:
    folder = tmp_path_factory.mktemp("modules")
    (folder / "forked_module.py").write_text(MODULE)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(folder), prepend=":")
        nursery = Nursery(request.param, ["colorsys"])
    yield nursery
    nursery.close()
    nursery.wait()


@pytest.mark.parametrize(
    ("what", "status"), [("0", 0), ("7", 7), ("signal", -signal.SIGTERM), ("fail", 1)]
)
def test_it_gets_what_it_is_given_and_its_end_is_told(
    nursery: Nursery, tmp_path: Path, what: str, status: int
) -> None:
    given, output = tmp_path / "given", tmp_path / "output"
    given.write_text("from a file")
    with given.open() as fd, output.open("w") as log:
        files = (log.fileno(), log.fileno(), fd.fileno())
        process = nursery.fork("forked_module", [what, "{2}"], {"SETTING": "a"}, *files)
    assert process.wait(20) == status
    assert process.poll() == status
    first, second, *rest = output.read_text().splitlines()
    assert first == f"{what} {{'SETTING': 'a'}} b'from a file'"
    assert second == "['colorsys']"
    assert bool(rest) == (what == "fail")
    if rest:
        assert rest[-1] == "ValueError: this fails"


def test_a_program_has_a_main_module_of_its_own(nursery: Nursery, tmp_path: Path) -> None:
    program = """if __name__ == "__main__":
        import __main__, sys
        print(__main__.__dict__ is globals(), "Task" in globals(), sys.argv, "{0}")
        print("failed", file=sys.stderr)
        1 / 0
    """
    output, errors = tmp_path / "output", tmp_path / "errors"
    with output.open("w") as one, errors.open("w") as two:
        process = nursery.fork("-c", [program], {}, one.fileno(), two.fileno())
        assert process.wait(20) == 1
    assert output.read_text() == "True False ['-c'] {0}\n"
    first, *_, last = errors.read_text().splitlines()
    assert (first, last) == ("failed", "ZeroDivisionError: division by zero")


def test_several_run_at_once_and_each_ends_for_itself(nursery: Nursery, tmp_path: Path) -> None:
    with (tmp_path / "output").open("w") as log:
        files = (log.fileno(), log.fileno())
        first, second = (nursery.fork("forked_module", ["wait", "0"], {}, *files) for _ in range(2))
        assert first.pid != second.pid
        with pytest.raises(subprocess.TimeoutExpired):
            first.wait(0.05)
        first.kill()
        assert first.wait(20) == -signal.SIGKILL
        assert second.poll() is None
        second.send_signal(signal.SIGINT)
        assert second.wait(20) == -signal.SIGINT


def test_one_that_leads_has_a_group_of_its_own(nursery: Nursery, tmp_path: Path) -> None:
    with (tmp_path / "output").open("w") as log:
        files = (log.fileno(), log.fileno())
        leader = nursery.fork("forked_module", ["wait", "0"], {}, *files, leads=True)
        other = nursery.fork("forked_module", ["wait", "0"], {}, *files)
    assert os.getpgid(leader.pid) == leader.pid
    assert os.getpgid(other.pid) not in (leader.pid, other.pid)
    os.killpg(leader.pid, signal.SIGKILL)
    assert leader.wait(20) == -signal.SIGKILL
    other.kill()


def test_what_a_nursery_has_forked_ends_with_it(tmp_path: Path) -> None:
    nursery = Nursery(False, [])
    with (tmp_path / "output").open("w+") as log:
        process = nursery.fork("-c", [WAITING], dict(os.environ), log.fileno(), log.fileno())
        eventually(lambda: (tmp_path / "output").read_text())
        nursery.close()
        nursery.wait()
        assert process.wait(20) == GIVEN_UP
    eventually(lambda: not Path(f"/proc/{process.pid}").exists())


def test_what_gives_the_same_address_shares_a_nursery(tmp_path: Path) -> None:
    address = f"tests-{uuid4()}"
    first, second = (Nursery(False, [], address) for _ in range(2))
    with (tmp_path / "output").open("w+") as log:
        fds = (log.fileno(), log.fileno())
        processes = [each.fork("-c", [PARENT], {}, *fds) for each in (first, second)]
        assert [each.wait(20) for each in processes] == [0, 0]
        one, other = (tmp_path / "output").read_text().split()
        assert one == other
        first.close()
        process = second.fork("-c", [PARENT], {}, *fds)
        assert process.wait(20) == 0, "it goes on for the other"
        second.close()
        first.wait()


PARENT = "import os; print(os.getppid(), flush=True)"
WAITING = "import time; print('waits', flush=True); time.sleep(60)"
SAYING = """
import os, sys, time
print(os.getcwd(), sys.path[0], sys.argv[1:], os.environ["SETTING"], sys.stdin.readline())
print("to errors", file=sys.stderr, flush=True)
time.sleep(int(sys.argv[1]))
sys.exit(7)
"""


@pytest.fixture
def front(tmp_path: Path) -> Iterator[Callable[[str], subprocess.Popen[str]]]:
    """Starts a front, for a module that waits for so many seconds and then ends with 7."""
    nursery = Nursery(False, [])
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules" / "saying.py").write_text(SAYING)
    environ = {**os.environ, "SETTING": "a", "PYTHONPATH": str(tmp_path / "modules")}
    fd = nursery.fd
    started: list[subprocess.Popen[str]] = []

    def start(seconds: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", FRONT, "saying", seconds, "{0}"],
            cwd=tmp_path,
            env={**environ, NURSERY: f"0,saying={fd}"},
            pass_fds=(fd,),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield start
    nursery.close()
    nursery.wait()
    for process in started:
        process.communicate()


def test_a_front_is_what_it_stands_for(
    front: Callable[[str], subprocess.Popen[str]], tmp_path: Path
) -> None:
    process = front("0")
    output, errors = process.communicate("a line")
    programs = Path(sys.executable).parent
    assert output == f"{tmp_path} {programs} ['0', '{{0}}'] a a line\n"
    assert (errors, process.returncode) == ("to errors\n", 7)


def errors_of_waiting(process: subprocess.Popen[str]) -> IO[str]:
    """What a process writes to its errors, once it has read its input and waits."""
    assert process.stdin is not None
    assert process.stderr is not None
    process.stdin.write("a line\n")
    process.stdin.flush()
    assert process.stderr.readline() == "to errors\n"
    return process.stderr


def test_signals_reach_what_a_front_stands_for(
    front: Callable[[str], subprocess.Popen[str]],
) -> None:
    process = front("60")
    errors = errors_of_waiting(process)
    process.send_signal(signal.SIGINT)
    assert process.wait(20) == -signal.SIGINT
    assert errors.read().endswith("KeyboardInterrupt\n")


def test_what_a_front_stands_for_is_killed_with_it(
    front: Callable[[str], subprocess.Popen[str]],
) -> None:
    process = front("60")
    errors = errors_of_waiting(process)
    process.kill()
    process.wait(20)
    assert errors.read() == "", "the other one held it open, and has ended"


SERVING = """
    import sys
    import gunicorn.app.wsgiapp
    from flask_braintrust_evals import warm_up
    from tests.live.app import create_app
    warm_up()
    assert create_app().test_client().get("/evals/").status_code == 200
"""
MODEL = """
    from braintrust import wrap_openai
    from openai import OpenAI
    wrap_openai(OpenAI(api_key="none")).chat.completions
"""


def test_nothing_is_imported_for_a_server_that_it_would_not_import() -> None:
    printed = python(
        f"{SERVING}    print({{*{LIBRARIES}}} - {{*sys.modules}})\n"
        f"{MODEL}    print({{*{SDK}}} - {{*sys.modules}})",
        seconds=120,  # it imports the most of all
        fresh=True,
    )
    assert printed == "set()\nset()\n"
