"""Forked processes behave as those that are started, and have imported no more than those would."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from .forked import Nursery
from .server import LIBRARIES, SDK
from .support import python

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


SERVING = """
    import sys
    import gunicorn.app.wsgiapp
    from tests.live.app import create_app
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
        f"{MODEL}    print({{*{SDK}}} - {{*sys.modules}})"
    )
    assert printed == "set()\nset()\n"
