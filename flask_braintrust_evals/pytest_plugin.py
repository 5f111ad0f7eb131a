"""A plug-in for pytest: tests that run evaluators, as a whole or with a test for each case.

pytest loads it wherever the package is installed, so it imports what it needs when a test asks for
it. ``docs/testing.md`` shows how to use it.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from .engine.evaluator import Evaluator
    from .engine.values.results import EvalResult
    from .pytest_evals import EvalTest

MARK = "evals"
FIXTURE = "eval_result"
RESULT = "evals_result"
"""The attribute of a report with what its test says of an evaluator."""

_app_key = pytest.StashKey[Any]()
_result_key = pytest.StashKey[Any]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the setting that names the application."""
    parser.addini(
        "evals_app",
        "the Flask application whose evaluators marks name, such as 'app:create_app'",
        default="",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Describe the mark."""
    config.addinivalue_line(
        "markers",
        f"{MARK}(evaluator, cases=None, *, each_case=False, fail_under=None, max_failures=0,"
        f" parameters=None, ...): runs an evaluator, for tests with the fixture '{FIXTURE}'",
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Make a test for each case where the mark of a test asks for it."""
    definition = metafunc.definition
    if FIXTURE not in metafunc.fixturenames:
        # A mark of a class or a module may be for some of its tests only.
        if any(mark.name == MARK for mark in definition.own_markers):
            pytest.fail(
                f"{definition.nodeid}: @pytest.mark.{MARK} runs nothing, because the test does not"
                f" have the fixture {FIXTURE}; make it an argument of the test",
                pytrace=False,
            )
        return
    if definition.get_closest_marker(MARK) is None:
        return  # the fixture says what is missing
    test = _test_of(definition)
    if not test.each_case:
        return
    from .pytest_evals import MarkError, name_of

    problem = None
    try:
        cases = test.each(_app_of(metafunc.config))
    except MarkError as error:
        problem = error
    if problem is not None:  # not in the handler, so that pytest shows nothing else
        pytest.fail(f"{definition.nodeid}: {problem}", pytrace=False)
    names = [name_of(case, place) for place, case in enumerate(cases, 1)]
    metafunc.parametrize(FIXTURE, cases, ids=names, indirect=True)


@pytest.fixture
def evals_app(request: pytest.FixtureRequest) -> Any:
    """The application in whose context cases run: that of the setting ``evals_app``, or ``None``.

    Override it in a ``conftest.py`` to make the application otherwise.
    """
    return _app_of(request.config)


@pytest.fixture
def eval_result(request: pytest.FixtureRequest, evals_app: Any) -> EvalResult:
    """The result of the evaluator that the mark ``evals`` names: on all cases, or on one of them.

    The test fails before its first line if more cases failed than may, if a mean is too low, or if
    a score is missing in all cases.
    """
    from .pytest_evals import MarkError

    problem = None
    try:
        result = _test_of(request.node).run(getattr(request, "param", None), evals_app)
    except MarkError as error:
        problem = error
    if problem is not None:
        pytest.fail(str(problem), pytrace=False)
    request.node.stash[_result_key] = result
    return result


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_call(item: pytest.Item) -> None:
    """Fail a test whose result is bad, before its own assertions.

    Not where its function is called: plugins for coroutines call that in another way.
    """
    result = item.stash.get(_result_key, None)
    if result is None:
        return
    test = _test_of(item)
    if problems := test.problems(result):
        lines = [*problems, "", *test.low_cases(result), str(result)]
        pytest.fail("\n".join(lines), pytrace=False)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, Any, None]:
    """Put what an evaluator gave into the report of its test, which pytest-xdist passes on."""
    outcome = yield
    report, result = outcome.get_result(), item.stash.get(_result_key, None)
    if report.when == "call" and result is not None:
        from .pytest_evals import described

        setattr(report, RESULT, described(result))


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Show the means of scores of each evaluator that tests ran."""
    reports = [each for found in terminalreporter.stats.values() for each in found]
    # Reports of subtests, which have a class of their own, repeat what that of their test says.
    of_tests = [each for each in reports if type(each) is pytest.TestReport]
    results = [getattr(each, RESULT) for each in of_tests if hasattr(each, RESULT)]
    if not results:
        return
    from .pytest_evals import summary_lines

    terminalreporter.write_sep("=", "evaluators")
    for line in summary_lines(results):
        terminalreporter.write_line(line)


def _test_of(item: Any) -> EvalTest:
    """Return what the mark of a test says; fail if there is none, or if it is wrong."""
    mark = item.get_closest_marker(MARK)
    if mark is None:
        example = f"@pytest.mark.{MARK}(evaluator)"
        pytest.fail(f"{item.nodeid}: the fixture {FIXTURE} needs {example}", pytrace=False)
    if sum(each.name == MARK for each in item.own_markers) > 1:
        problem = "is there twice, and a test runs one evaluator; write a test for each"
        pytest.fail(f"{item.nodeid}: @pytest.mark.{MARK} {problem}", pytrace=False)
    try:
        return _read(item.path.parent, *mark.args, **mark.kwargs)
    except TypeError as error:
        problem = str(error).removeprefix("_read() ")
    pytest.fail(f"{item.nodeid}: @pytest.mark.{MARK} {problem}", pytrace=False)


def _read(
    folder: Path,
    evaluator: str | Evaluator,
    cases: Any = None,
    *,
    each_case: bool = False,
    fail_under: Mapping[str, float] | None = None,
    max_failures: int = 0,
    parameters: Mapping[str, Any] | None = None,
    max_concurrency: int | None = None,
    trial_count: int | None = None,
    timeout: float | None = None,
    retries: int | None = None,
) -> EvalTest:
    """Return what a mark says. Wrong arguments are a ``TypeError``."""
    from .pytest_evals import EvalTest

    options = {
        "parameters": parameters,
        "max_concurrency": max_concurrency,
        "trial_count": trial_count,
        "timeout": timeout,
        "retries": retries,
    }
    limits = {} if fail_under is None else fail_under
    if not _are_limits(limits):
        raise TypeError(
            "fail_under must be a dict of numbers from 0 to 1 by score, such as"
            f" {{'exact_match': 0.9}}, not {limits!r}"
        )
    if not isinstance(max_failures, int) or isinstance(max_failures, bool) or max_failures < 0:
        raise TypeError(f"max_failures must be a number of cases from 0, not {max_failures!r}")
    return EvalTest(evaluator, cases, folder, each_case, limits, max_failures, options)


def _are_limits(value: Any) -> bool:
    return isinstance(value, Mapping) and all(
        isinstance(limit, int | float) and not isinstance(limit, bool) and 0 <= limit <= 1
        for limit in value.values()
    )


def _app_of(config: pytest.Config) -> Any:
    """Return the application that the setting names, made once; ``None``: it names none."""
    name = config.getini("evals_app")
    if not name:
        return None
    if _app_key not in config.stash:
        from click import Command, Context
        from flask.cli import NoAppException, ScriptInfo

        # Flask looks in the working folder, and pytest may be started in another one.
        path = str(config.rootpath / str(name))
        problem = None
        try:
            info = ScriptInfo(app_import_path=path)
            with Context(Command("pytest"), obj=info):  # as a command of flask, which serves nobody
                config.stash[_app_key] = info.load_app()
        except NoAppException as error:
            problem = str(error)
        if problem is not None:  # not in the handler, so that pytest shows nothing else
            pytest.fail(f"evals_app is {name!r}: {problem}", pytrace=False)
    return config.stash[_app_key]
