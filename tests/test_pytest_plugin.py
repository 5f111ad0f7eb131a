"""The plug-in for pytest, in runs of pytest of its own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tests.forked import Forked, nursery
from tests.server import COMMANDS
from tests.support import ROOT

pytestmark = pytest.mark.slow

APP = """
from flask import Flask, current_app
from flask_braintrust_evals import evals_bp

CASES = [{"input": "own", "expected": "OWN!"}, {"input": "b", "expected": "x"}]

def exact(output, expected):
    return output == expected

@evals_bp.evaluator("shout", scores=[exact], data=lambda: iter(CASES))
def shout(input):
    if input == "bad":
        raise ValueError("no good")
    return input.upper() + current_app.config["MARK"]

def create_app():
    app = Flask(__name__)
    app.config.update(MARK="!")
    app.register_blueprint(evals_bp, url_prefix="/evals")
    return app
"""
TESTS = """
import pytest
from app import shout
from flask_braintrust_evals import Evaluator

CASES = [
    {"input": "a", "expected": "A!", "id": "first"},
    {"input": "b", "expected": "x"},
    {"input": "bad"},
]

@pytest.mark.evals("shout", CASES, each_case=True, fail_under={"exact": 1})
def test_each(eval_result):
    assert len(eval_result.results) == 1

@pytest.mark.evals("shout", "cases.jsonl", each_case=True, trial_count=2)
def test_file(eval_result):
    assert len(eval_result.results) == 2

@pytest.mark.evals("shout", each_case=True)
def test_own(eval_result):
    pass

@pytest.mark.evals("shout", CASES, fail_under={"exact": 0.5}, max_failures=1)
def test_whole(eval_result):
    assert len(eval_result.results) == 3

@pytest.mark.evals("shout", CASES, fail_under={"exact": 0.5001}, max_failures=1)
def test_too_low(eval_result):
    raise RuntimeError("its own lines are not reached")

@pytest.mark.evals(Evaluator("given", str.upper), [{"input": "a"}])
def test_given(eval_result):
    assert eval_result.results[0].output == "never"

@pytest.mark.evals("shout", CASES, fail_under={"exct": 0.5}, max_failures=1)
def test_score(eval_result):
    pass

@pytest.mark.evals("shout", [])
def test_nothing(eval_result):
    pass

@pytest.mark.evals("shuot", CASES)
def test_name(eval_result):
    pass

@pytest.mark.evals("shout", CASES, parameters={"x": 1})
def test_parameter(eval_result):
    pass

@pytest.mark.evals(7)
def test_type(eval_result):
    pass

def test_no_mark(eval_result):
    pass

def test_plain():
    pass
"""
BAD = """
import pytest
from flask_braintrust_evals import Evaluator

def exact(output, expected):
    return output == expected

BAD = Evaluator("bad", str.upper, scores=[exact])
CASES = [{"input": "a", "expected": "A"}, {"input": "b", "expected": "x"}]
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("project")
    (folder / "app.py").write_text(APP)
    (folder / "pytest.ini").write_text("[pytest]\nevals_app = app:create_app\n")
    (folder / "cases.jsonl").write_text('{"input": "a", "id": 1}\n{"input": "b", "id": 2}\n')
    (folder / "test_evals.py").write_text(TESTS)
    return folder


def run_pytest(folder: Path, *arguments: str, fresh: bool = False) -> str:
    """Return what pytest prints; it is forked, or in an interpreter of its own if ``fresh``."""
    environ = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{folder}"}
    environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    arguments = ("-p", "flask_braintrust_evals.pytest_plugin", "-v", "--color=no", *arguments)
    with tempfile.TemporaryFile("w+") as output:
        process: subprocess.Popen[bytes] | Forked
        if fresh:
            command = [sys.executable, "-m", "pytest", *arguments]
            process = subprocess.Popen(
                command, cwd=folder, env=environ, stdout=output, stderr=output
            )
        else:
            forks, fds = nursery(False, COMMANDS), (output.fileno(), output.fileno())
            process = forks.fork("pytest", arguments, environ, *fds, directory=folder)
        try:
            process.wait(120)
        finally:
            process.kill()
        output.seek(0)
        return output.read()


def outcomes(output: str) -> dict[str, str]:
    """What became of each test, by its name."""
    lines = [line.split() for line in output.splitlines() if line.startswith("test_evals.py::")]
    return {words[0].partition("::")[2]: words[1] for words in lines if words[1].isupper()}


@pytest.fixture(scope="module")
def output(folder: Path) -> str:
    return run_pytest(folder)


def test_there_is_a_test_for_each_case_or_one_for_all(output: str) -> None:
    assert outcomes(output) == {
        "test_each[first]": "PASSED",
        "test_each[case-2]": "FAILED",
        "test_each[case-3]": "FAILED",
        "test_file[1]": "PASSED",
        "test_file[2]": "PASSED",
        "test_own[case-1]": "PASSED",
        "test_own[case-2]": "PASSED",
        "test_whole": "PASSED",
        "test_too_low": "FAILED",
        "test_given": "FAILED",
        "test_score": "FAILED",
        "test_nothing": "FAILED",
        "test_name": "ERROR",
        "test_parameter": "ERROR",
        "test_type": "ERROR",
        "test_no_mark": "ERROR",
        "test_plain": "PASSED",
    }


@pytest.mark.parametrize(
    "said",
    [
        "exact is 0.0000, which must be 1 or more\n\ncase 1: exact 0.0000\n"
        '  input: "b"\n  output: "B!"\n  expected: "x"\nshout: 1 case, 0 failed\n',
        "1 case failed in the task or in a scorer, and 0 may\n",
        ' in shout: raise ValueError("no good")',
        '  expected: "x"\nshout: 3 cases, 1 failed\n',
        "assert 'A' == 'never'",
        "no case has the score exct; there are: exact",
        "there was no case: the data is empty",
        "evaluator 'shuot' not found; did you mean 'shout'?",
        "no parameter is named 'x'; there are: none",
        "a mark takes an Evaluator or its name, not 7",
        "test_no_mark: the fixture eval_result needs @pytest.mark.evals(evaluator)",
    ],
)
def test_what_is_wrong_is_shown(output: str, said: str) -> None:
    assert said in output
    assert "During handling" not in output
    assert "its own lines are not reached" not in output.replace("raise RuntimeError", "")


def test_the_summary_has_the_means_of_each_evaluator(output: str) -> None:
    summary = output.partition("= evaluators =")[2]
    assert "\nshout: 18 cases, 4 failed\n  exact: " in summary
    assert "\ngiven: 1 case, 0 failed\n" in summary


def test_processes_of_xdist_send_their_results(folder: Path) -> None:
    output = run_pytest(folder, "-p", "xdist.plugin", "-n", "2", "-k", "whole or each")
    summary = output.partition("= evaluators =")[2]
    assert "\nshout: 6 cases, 2 failed\n  exact: 0.5000 over 4 cases\n" in summary


def test_cases_are_selected_by_name_and_repeated_when_they_have_failed(folder: Path) -> None:
    selected = run_pytest(folder, "-k", "first", "-o", "log_cli=true")
    assert "ORG_NAME" not in selected, "it is a warning for servers"
    assert "test_evals.py::test_each[first]" in selected and " 1 passed" in selected
    run_pytest(folder, "-k", "each")
    again = run_pytest(folder, "--lf", "-k", "each")
    assert set(outcomes(again)) == {"test_each[case-2]", "test_each[case-3]"}


def test_without_an_application_names_are_unknown(folder: Path) -> None:
    output = run_pytest(folder, "-o", "evals_app=", "-k", "whole", "--ignore-glob=*none*")
    assert "no application is known to find it in: write, for instance, 'evals_app = " in output


def test_an_application_that_cannot_be_found_is_named_with_its_setting(folder: Path) -> None:
    output = run_pytest(folder, "-o", "evals_app=nosuch", "-k", "whole", "--ignore-glob=*none*")
    assert "evals_app is 'nosuch': Could not import 'nosuch'." in output
    assert "Traceback" not in output


def test_an_application_is_found_beside_the_settings_from_another_folder(tmp_path: Path) -> None:
    project = tmp_path / "project"
    (project / "checks").mkdir(parents=True)
    (project / "app.py").write_text(APP)
    (project / "pytest.ini").write_text("[pytest]\nevals_app = app:create_app\n")
    (project / "checks" / "test_evals.py").write_text(
        "import pytest\n"
        "@pytest.mark.evals('shout', [{'input': 'a'}])\n"
        "def test_it(eval_result): pass\n"
    )
    assert "1 passed" in run_pytest(tmp_path, "project")
    (project / "checks" / "__init__.py").touch()
    assert "1 passed" in run_pytest(project / "checks")


MISTAKES = {
    "misspelled": (
        "@pytest.mark.evals('shout', fail_udner={'exact': 1})",
        "@pytest.mark.evals got an unexpected keyword argument 'fail_udner'",
    ),
    "twice": (
        "@pytest.mark.evals(BAD, CASES)\n@pytest.mark.evals('shout')",
        "@pytest.mark.evals is there twice, and a test runs one evaluator",
    ),
    "no_case": (
        "@pytest.mark.evals(BAD, [], each_case=True)",
        "there is no case, and so no test of one",
    ),
    "no_application": (
        "@pytest.mark.evals('shout', CASES, each_case=True)",
        "the mark names evaluator 'shout', and no application is known to find it in: write,"
        " for instance, 'evals_app = app:create_app' into pytest's settings, or give the mark"
        " the Evaluator itself; with each_case=True, fixtures are not asked",
    ),
}


def test_a_mistake_in_a_mark_names_its_test(tmp_path: Path) -> None:
    for name, (mark, _) in MISTAKES.items():
        test = f"def test_{name}(eval_result): pass\n"
        (tmp_path / f"test_{name}.py").write_text(f"{BAD}\n{mark}\n{test}")
    output = run_pytest(tmp_path)
    for name, (_, said) in MISTAKES.items():
        assert f"test_{name}: {said}" in output, name
    assert " passed" not in output and " skipped" not in output


def test_tests_that_are_coroutines_fail_too(tmp_path: Path) -> None:
    (tmp_path / "test_evals.py").write_text(
        BAD
        + """
@pytest.fixture
def anyio_backend():
    return "asyncio"

@pytest.mark.anyio
@pytest.mark.evals(BAD, CASES, fail_under={"exact": 1})
async def test_bad(eval_result):
    raise RuntimeError("its own lines are not reached")

@pytest.mark.anyio
@pytest.mark.evals(BAD, CASES, fail_under={"exact": 0.5})
async def test_good(eval_result):
    assert len(eval_result.results) == 2
"""
    )
    output = run_pytest(tmp_path, "-p", "anyio.pytest_plugin")
    assert outcomes(output) == {"test_bad": "FAILED", "test_good": "PASSED"}
    assert "exact is 0.5000, which must be 1 or more" in output


@pytest.mark.skipif(not hasattr(pytest, "Subtests"), reason="pytest 9 has them")
def test_results_of_tests_with_subtests_count_once(tmp_path: Path) -> None:
    (tmp_path / "test_evals.py").write_text(
        BAD
        + """
@pytest.mark.evals(BAD, CASES)
def test_parts(eval_result, subtests):
    for each in eval_result.results:
        with subtests.test(each.case.input):
            assert each.output
"""
    )
    output = run_pytest(tmp_path)
    assert "2 subtests passed" in output
    assert "\nbad: 2 cases, 0 failed\n" in output


def test_a_mark_without_the_fixture_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "test_evals.py").write_text(
        BAD + "@pytest.mark.evals(BAD, CASES)\ndef test_forgotten(): pass\n"
    )
    output = run_pytest(tmp_path)
    assert "test_forgotten: @pytest.mark.evals runs nothing, because the test does not" in output
    assert " passed" not in output


def test_a_mark_of_a_class_may_be_for_some_of_its_tests(tmp_path: Path) -> None:
    (tmp_path / "test_evals.py").write_text(
        BAD
        + """
@pytest.mark.evals(BAD, CASES)
class TestBoth:
    def test_with(self, eval_result): pass
    def test_without(self): pass
"""
    )
    assert "2 passed" in run_pytest(tmp_path)


def test_a_wrong_limit_is_an_error_before_anything_is_run(tmp_path: Path) -> None:
    limits = {
        "fail_under=0.5": "numbers from 0 to 1 by score, such as {'exact_match': 0.9}, not 0.5",
        "fail_under={'exact': '1'}": "not {'exact': '1'}",
        "fail_under={'exact': 90}": "not {'exact': 90}",
        "fail_under=[]": "not []",
        "max_failures='5%'": "max_failures must be a number of cases from 0, not '5%'",
        "max_failures=-1": "max_failures must be a number of cases from 0, not -1",
    }
    for number, options in enumerate(limits):
        (tmp_path / f"test_{number}.py").write_text(
            "import pytest\nfrom flask_braintrust_evals import Evaluator\n"
            "def task(input): raise AssertionError('it was run')\n"
            f"@pytest.mark.evals(Evaluator('e', task), [{{'input': 1}}], {options})\n"
            "def test_limit(eval_result): pass\n"
        )
    output = run_pytest(tmp_path)
    for options, said in limits.items():
        assert said in output, options
    assert re.search(r"\b6 errors? ", output)
    assert "it was run" not in output.replace("AssertionError('it was run')", "")


def test_sessions_without_evaluators_import_next_to_nothing(tmp_path: Path) -> None:
    (tmp_path / "test_plain.py").write_text(
        "import sys\n"
        "def test_plain():\n"
        "    assert 'flask' not in sys.modules\n"
        "    assert 'flask_braintrust_evals.engine.evaluator' not in sys.modules\n"
    )
    assert "1 passed" in run_pytest(tmp_path, fresh=True)
