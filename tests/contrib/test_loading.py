"""``bp.load()``: files written for ``braintrust eval`` are found, imported, and never run."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import textwrap
import threading
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from braintrust import framework
from flask import Flask

from flask_braintrust_evals import (
    DuplicateEvaluatorError,
    EvalsBlueprint,
    Evaluator,
    RegistrationClosedError,
    RegistrationError,
)
from tests.support import PATIENCE, in_time, python
from tests.web.support import without_settings

from .support import echo, sdk_evaluator

IMPORTS = """\
from braintrust import Eval, EvalAsync, Reporter
def task(input, hooks):
    raise AssertionError("the task was run")
def data():
    raise AssertionError("the data was read")
def exact(output, expected):
    raise AssertionError("the scorer was run")
"""
FIRST_LINE = IMPORTS.count("\n") + 1
"""The line on which what comes after the imports begins."""

Write = Callable[..., Path]


@pytest.fixture
def bp() -> EvalsBlueprint:
    return EvalsBlueprint("evals", __name__)


@pytest.fixture(autouse=True)
def as_it_was(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Imports of one test are not there in the next; the SDK is always left as it was."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    modules = set(sys.modules)
    registry = framework._evals
    before = registry.evaluators, registry.reporters
    yield
    after, lazy = (registry.evaluators, registry.reporters), framework._lazy_load
    # First of all for the tests that come next.
    registry.evaluators, registry.reporters = before
    framework._lazy_load = False
    for name in set(sys.modules) - modules:
        del sys.modules[name]
    assert [after[0] is before[0], after[1] is before[1], lazy] == [True, True, False]
    assert before == ({}, {})


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes a file below the test's folder."""

    def write(path: str, *lines: str, imports: str = IMPORTS) -> Path:
        file = tmp_path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(imports + textwrap.dedent("\n".join(lines)) + "\n", "utf-8")
        return file

    return write


def eval_of(name: str, more: str = "") -> str:
    """A call of ``Eval()``."""
    return f"Eval({name!r}, data=data, task=task, scores=[exact]{more})"


def names(bp: EvalsBlueprint) -> list[str]:
    return [each.name for each in bp.registry]


def locations(bp: EvalsBlueprint) -> dict[str, str]:
    return {each.name: each.location for each in bp.registry}


def refusal(bp: EvalsBlueprint, path: str | os.PathLike[str]) -> str:
    """The text of the error with which a path is refused."""
    with pytest.raises(RegistrationError) as caught:
        bp.load(path)
    return str(caught.value)


# --- Which files ---


def test_a_file_may_be_given_as_a_text_and_as_a_path(write: Write) -> None:
    file = write("eval_one.py", eval_of("one"))
    for path in (file, str(file)):
        bp = EvalsBlueprint("evals", __name__)
        bp.load(path)
        assert names(bp) == ["one"]


def test_a_file_that_is_given_may_have_any_name(bp: EvalsBlueprint, write: Write) -> None:
    bp.load(write("quality.py", eval_of("one")))
    bp.load(write("eval_v1.2-beta.py", eval_of("two")))
    bp.load(write("eval_größe.py", eval_of("three")))
    bp.load(write("eval_[x].py", eval_of("four")))
    assert names(bp) == ["one", "two", "three", "four"]


def test_in_a_folder_files_of_the_sdks_pattern_are_found_at_any_depth(
    bp: EvalsBlueprint, write: Write, tmp_path: Path
) -> None:
    write("evals/eval_b.py", eval_of("b"))
    write("evals/eval_a.py", eval_of("a"))
    write("evals/deep/er/eval_c.py", eval_of("c"))
    write("evals/[odd] name/eval_d.py", eval_of("d"))
    bp.load(tmp_path / "evals")
    # In the order of their paths, on every machine.
    assert names(bp) == ["d", "c", "a", "b"]


@pytest.mark.parametrize(
    "path",
    [
        "evals/quality.py",
        "evals/eval.py",
        "evals/my_eval_x.py",
        "evals/eval_x.pyc",
        "evals/eval_x.txt",
        "evals/eval_x.py/nothing.txt",
        "evals/.hidden/eval_x.py",
        "evals/.venv/lib/eval_x.py",
        "evals/venv/lib/python3.11/site-packages/p/eval_x.py",
        "evals/env/lib/python3.11/site-packages/p/eval_x.py",
        "evals/site-packages/eval_x.py",
        "evals/a/__pycache__/eval_x.py",
        "evals/node_modules/p/eval_x.py",
        "eval_x.py",
    ],
)
def test_in_a_folder_other_files_are_not_touched(
    bp: EvalsBlueprint, write: Write, tmp_path: Path, path: str
) -> None:
    write("evals/eval_one.py", eval_of("one"))
    write(path, "raise AssertionError('imported')")
    bp.load(tmp_path / "evals")
    assert names(bp) == ["one"]


@pytest.mark.parametrize("above", [".hidden", "site-packages", "venv", "node_modules"])
def test_what_the_folder_itself_lies_in_does_not_matter(
    bp: EvalsBlueprint, write: Write, tmp_path: Path, above: str
) -> None:
    write(f"{above}/evals/eval_one.py", eval_of("one"))
    bp.load(tmp_path / above / "evals")
    assert names(bp) == ["one"]


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("evals/*.py", ["a", "other"]),
        ("evals/eval_?.py", ["a"]),
        ("evals/**/eval_*.py", ["b", "a"]),
        ("**/*.py", ["b", "a", "other"]),
        ("e*/d*/*", ["b"]),
        ("evals/[!e]*.py", ["other"]),
    ],
)
def test_patterns_find_files(
    bp: EvalsBlueprint, write: Write, tmp_path: Path, pattern: str, found: list[str]
) -> None:
    write("evals/eval_a.py", eval_of("a"))
    write("evals/deep/eval_b.py", eval_of("b"))
    write("evals/other.py", eval_of("other"))
    bp.load(f"{tmp_path}/{pattern}")
    assert names(bp) == found


def test_a_pattern_leaves_out_installed_packages_as_a_folder_does(
    bp: EvalsBlueprint, write: Write, tmp_path: Path
) -> None:
    write("eval_one.py", eval_of("one"))
    write("venv/lib/python3.11/site-packages/p/eval_x.py", "raise AssertionError('imported')")
    bp.load(f"{tmp_path}/**/eval_*.py")
    assert names(bp) == ["one"]


@pytest.mark.parametrize("path", ["evals", "evals/", "./evals", "evals/eval_one.py", "*/eval_*.py"])
def test_paths_are_relative_to_the_working_directory(
    bp: EvalsBlueprint, write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    file = write("evals/eval_one.py", eval_of("one"))
    monkeypatch.chdir(tmp_path)
    bp.load(path)
    assert locations(bp) == {"one": f"{file}:{FIRST_LINE}"}


def test_the_working_directory_itself_may_be_given(
    bp: EvalsBlueprint, write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write("eval_one.py", eval_of("one"))
    monkeypatch.chdir(tmp_path)
    bp.load(".")
    assert names(bp) == ["one"]


def test_a_file_that_is_found_twice_is_loaded_once(
    bp: EvalsBlueprint, write: Write, tmp_path: Path
) -> None:
    file = write("evals/eval_one.py", eval_of("one"))
    (tmp_path / "evals" / "eval_link.py").symlink_to(file)
    bp.load(tmp_path / "evals")
    assert names(bp) == ["one"]


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("nothing.py", "there is no file {root}/nothing.py"),
        ("nothing/", "there is no file {root}/nothing"),
        ("*.py", "there is no file {root}/*.py"),
        ("empty", "there is no file named eval_*.py in {root}/empty"),
    ],
)
def test_a_path_without_files_is_an_error_that_says_where_was_looked(
    bp: EvalsBlueprint,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    path: str,
    text: str,
) -> None:
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path)
    assert refusal(bp, path) == f"{path!r}: " + text.format(root=tmp_path)


@pytest.mark.parametrize("name", ["evals.txt", "evals", "eval_x.yaml"])
def test_a_file_that_is_not_of_python_is_an_error(
    bp: EvalsBlueprint, write: Write, name: str
) -> None:
    file = write(name, eval_of("one"))
    text = refusal(bp, file)
    assert str(file) in text
    assert "its name must end with .py" in text


# --- What is in them ---


def test_evaluators_are_never_run(
    bp: EvalsBlueprint, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Without the flag that load() sets, Eval() would ask for an API key, or log in with it.
    monkeypatch.setenv("BRAINTRUST_API_KEY", "sk-of-the-application")
    monkeypatch.setenv("BRAINTRUST_APP_URL", "http://127.0.0.1:1")
    file = write(
        "eval_one.py",
        "result = Eval('one', data=data, task=task, scores=[exact])",
        "assert result.results == []",
    )
    bp.load(file)
    assert names(bp) == ["one"]


def test_what_eval_was_given_is_taken_over(bp: EvalsBlueprint, write: Write) -> None:
    more = ", trial_count=2, max_concurrency=3, timeout=4, metadata={'a': 1}, tags=['t']"
    more += ", project_id='id', description='d', is_public=True, base_experiment_name='b'"
    more += ", parameters={'mood': {'type': 'string', 'default': 'good'}}"
    more += ", classifiers=[lambda output: {'id': 'x'}]"
    bp.load(write("eval_one.py", eval_of("one", more)))
    (one,) = bp.registry
    assert (one.project, one.project_id) == ("one", "id")
    assert (one.trial_count, one.max_concurrency, one.timeout) == (2, 3, 4)
    assert (one.metadata, one.tags, one.description) == ({"a": 1}, ["t"], "d")
    assert (one.is_public, one.base_experiment_name) == (True, "b")
    assert [call.name for call in (*one.plan.scorers, *one.plan.classifiers)] == [
        "exact",
        "classifier_0",
    ]
    assert dict(one.parameter_set.validate({})) == {"mood": "good"}


def test_with_the_name_of_an_experiment_the_name_is_the_sdks(
    bp: EvalsBlueprint, write: Write
) -> None:
    first = eval_of("one", ", experiment_name='x'")
    bp.load(write("eval_one.py", first, eval_of("one", ", experiment_name='y'"), eval_of("one")))
    assert names(bp) == ["one [experiment_name=x]", "one [experiment_name=y]", "one"]
    assert [each.experiment_name for each in bp.registry] == ["x", "y", None]
    assert [each.project for each in bp.registry] == ["one"] * 3


def test_evaluators_work_after_loading(bp: EvalsBlueprint, write: Write) -> None:
    file = write(
        "eval_one.py",
        """
        import asyncio, dataclasses
        from braintrust import Eval, EvalCase, Score

        COUNTS = {}

        async def task(question, context):
            await asyncio.sleep(0)
            COUNTS[question] = COUNTS.get(question, 0) + 1
            return f"{question}{COUNTS[question]}"

        def same(question, truth):
            return Score(name="same", score=float(truth == question))

        Eval(
            "one",
            data=lambda: [EvalCase("a", "a", trial_count=2), {"input": "b", "expected": "x"}],
            task=task,
            scores=[same],
            max_concurrency=1,
        )
        """,
        imports="",
    )
    bp.load(file)
    (one,) = bp.registry
    results = one.run().results
    assert [each.output for each in results] == ["a1", "a2", "b1"]
    assert [each.scores["same"].score for each in results] == [1, 1, 0]


def test_a_file_may_define_many_or_by_a_function_of_its_own(
    bp: EvalsBlueprint, write: Write
) -> None:
    file = write(
        "eval_many.py",
        """
        def define(name):
            Eval(name, data=data, task=task, scores=[exact])

        for number in range(3):
            define(f"number {number}")
        """,
    )
    bp.load(file)
    assert names(bp) == ["number 0", "number 1", "number 2"]


def test_each_place_is_that_of_the_call_of_eval(bp: EvalsBlueprint, write: Write) -> None:
    file = write(
        "eval_many.py",
        eval_of("one"),
        "",
        "Eval(",
        "    'two',",
        "    data=data,",
        "    task=task,",
        "    scores=[exact],",
        ")",
    )
    bp.load(file)
    assert locations(bp) == {
        "one": f"{file}:{FIRST_LINE}",
        "two": f"{file}:{FIRST_LINE + 2}",
    }


def test_an_evaluator_may_be_defined_in_a_module_that_the_file_imports(
    bp: EvalsBlueprint, write: Write
) -> None:
    define = "    Eval(name, data, task, [exact])"
    helper = write("helper.py", "def define(name):", define)
    bp.load(write("eval_one.py", "from helper import define; define('one')", imports=""))
    assert locations(bp) == {"one": f"{helper}:{FIRST_LINE + 1}"}


@pytest.mark.parametrize(
    ("lines", "line"),
    [
        (["await_ = EvalAsync('one', data, task, [exact])", "asyncio.run(await_)"], 2),
        (["asyncio.run(EvalAsync('one', data, task, [exact]))"], 1),
        (
            [
                "async def main():",
                "    await EvalAsync('one', data, task, [exact])",
                "asyncio.run(main())",
            ],
            2,
        ),
    ],
)
def test_an_evaluator_may_be_defined_by_the_async_form(
    bp: EvalsBlueprint, write: Write, lines: list[str], line: int
) -> None:
    file = write("eval_one.py", "import asyncio", *lines)
    bp.load(file)
    assert locations(bp) == {"one": f"{file}:{FIRST_LINE + line}"}


def test_files_may_be_loaded_while_an_event_loop_runs(bp: EvalsBlueprint, write: Write) -> None:
    file = write("eval_one.py", eval_of("one"))

    async def create_app() -> None:
        bp.load(file)
        await asyncio.sleep(0)

    in_time(lambda: asyncio.run(create_app()))
    assert names(bp) == ["one"]


def test_reporters_of_a_file_are_left_aside(bp: EvalsBlueprint, write: Write) -> None:
    reporter = "mine = Reporter('mine', report_eval=lambda *a: 1, report_run=lambda *a: 1)"
    one, two = eval_of("one", ", reporter=mine"), eval_of("two", ", reporter='mine'")
    bp.load(write("eval_one.py", reporter, one, two))
    # Each file may have one of the same name, which the SDK itself only warns of.
    bp.load(write("eval_two.py", reporter, eval_of("three", ", reporter=mine")))
    assert names(bp) == ["one", "two", "three"]


def test_what_stands_below_main_is_not_executed(bp: EvalsBlueprint, write: Write) -> None:
    bp.load(write("eval_one.py", eval_of("one"), "if __name__ == '__main__':", "    1 / 0"))
    assert names(bp) == ["one"]


@pytest.mark.parametrize("name", ["eval_one.py", "eval_v1.2-beta.py"])
def test_annotations_as_text_are_understood(bp: EvalsBlueprint, write: Write, name: str) -> None:
    file = write(
        name,
        """
        from __future__ import annotations
        import dataclasses, typing
        import pydantic
        from braintrust import Eval

        @dataclasses.dataclass
        class Point:
            x: int
            kind: typing.ClassVar[Kind]

        class Kind(pydantic.BaseModel):
            name: str
            inner: Inner | None = None

        class Inner(pydantic.BaseModel):
            depth: int

        class Size(pydantic.BaseModel):
            value: Inner

        def task(input: Point, hooks: typing.Any) -> str:
            kind = Kind.model_validate({"name": "n", "inner": {"depth": "5"}})
            return f"{Point(input)} {kind.inner.depth} {hooks.parameters['size']}"

        def exact(output: str, expected: Kind) -> float:
            return 1

        Eval("one", data=[], task=task, scores=[exact], parameters={"size": Size})
        """,
        imports="",
    )
    bp.load(file)
    (one,) = bp.registry
    (result,) = one.run([{"input": 3}], {"size": {"depth": 1}}).results
    assert result.error is None, result.error
    assert result.output.startswith("Point(x=3) 5 ")


# --- Imports ---


def test_a_file_may_import_what_lies_beside_it_and_in_the_working_directory(
    bp: EvalsBlueprint, write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write("evals/beside_it.py", "NAME = 'beside'", imports="")
    write("where_one_is.py", "NAME = 'here'", imports="")
    write("a_package/__init__.py", imports="")
    write("a_package/inner.py", "NAME = 'inner'", imports="")
    monkeypatch.chdir(tmp_path)
    bp.load(
        write(
            "evals/eval_one.py",
            "import beside_it, where_one_is",
            "from a_package.inner import NAME",
            "Eval(f'{beside_it.NAME} {where_one_is.NAME} {NAME}', data, task, [exact])",
        )
    )
    assert names(bp) == ["beside here inner"]


def test_imports_within_tasks_work_later(bp: EvalsBlueprint, write: Write) -> None:
    write("imported_late.py", "NAME = 'late'", imports="")
    file = write(
        "eval_one.py",
        "def lately(input):",
        "    import imported_late",
        "    return imported_late.NAME",
        "Eval('one', data, lately, [])",
    )
    bp.load(file)
    (one,) = bp.registry
    assert one.run([{"input": 1}]).results[0].output == "late"


def test_files_of_one_name_in_different_folders_are_different_modules(
    bp: EvalsBlueprint, write: Write, tmp_path: Path
) -> None:
    lines = ["VALUE = {0!r}", "Eval(VALUE, data=[], task=lambda input: VALUE, scores=[])"]
    for folder in ("a", "b"):
        write(f"{folder}/eval_same.py", *(line.format(folder) for line in lines))
    bp.load(tmp_path)
    cases = [{"input": 1}]
    assert [each.run(cases).results[0].output for each in bp.registry] == ["a", "b"]


def test_a_file_never_takes_the_place_of_a_module(bp: EvalsBlueprint, write: Write) -> None:
    import json

    bp.load(write("json.py", eval_of("one")))
    assert sys.modules["json"] is json
    assert names(bp) == ["one"]


def test_the_interpreters_own_modules_come_before_those_of_the_folder(
    bp: EvalsBlueprint, write: Write, tmp_path: Path
) -> None:
    write("statistics.py", "raise AssertionError('imported')")
    write("tests/__init__.py", "raise AssertionError('imported')")
    bp.load(write("eval_one.py", eval_of("one")))
    __import__("statistics")
    assert sys.path.index(str(tmp_path)) > 0


# --- Two of one name ---


def both_places(error: pytest.ExceptionInfo[DuplicateEvaluatorError], *places: str) -> None:
    text = str(error.value)
    assert "two evaluators are named 'twin'" in text
    for place in places:
        assert place in text
    assert "give one of them another name" in text


def test_two_of_one_name_in_one_file_are_an_error(bp: EvalsBlueprint, write: Write) -> None:
    file = write("eval_one.py", eval_of("twin"), "", eval_of("twin"))
    with pytest.raises(DuplicateEvaluatorError) as caught:
        bp.load(file)
    both_places(caught, f"one at {file}:{FIRST_LINE},", f"one at {file}:{FIRST_LINE + 2};")


def test_two_of_one_name_and_one_experiment_in_one_file_are_an_error(
    bp: EvalsBlueprint, write: Write
) -> None:
    twin = eval_of("twin", ", experiment_name='x'")
    file = write("eval_one.py", twin, twin)
    with pytest.raises(DuplicateEvaluatorError) as caught:
        bp.load(file)
    assert "'twin [experiment_name=x]'" in str(caught.value)
    assert f"{file}:{FIRST_LINE + 1}" in str(caught.value)


def test_two_of_one_name_in_two_files_are_an_error(
    bp: EvalsBlueprint, write: Write, tmp_path: Path
) -> None:
    one, two = write("eval_one.py", eval_of("twin")), write("eval_two.py", "", eval_of("twin"))
    with pytest.raises(DuplicateEvaluatorError) as caught:
        bp.load(tmp_path)
    both_places(caught, f"{one}:{FIRST_LINE}", f"{two}:{FIRST_LINE + 1}")


def test_one_in_a_file_and_one_by_the_decorator_are_an_error(
    bp: EvalsBlueprint, write: Write
) -> None:
    bp.evaluator("twin")(echo)
    file = write("eval_one.py", eval_of("twin"))
    with pytest.raises(DuplicateEvaluatorError) as caught:
        bp.load(file)
    code = echo.__code__
    both_places(caught, f"{code.co_filename}:{code.co_firstlineno}", f"{file}:{FIRST_LINE}")
    assert [each.task for each in bp.registry] == [echo]


def test_one_in_a_file_and_one_that_is_added_are_an_error(bp: EvalsBlueprint, write: Write) -> None:
    file = write("eval_one.py", eval_of("twin"))
    bp.load(file)
    with pytest.raises(DuplicateEvaluatorError) as caught:
        bp.add(sdk_evaluator(eval_name="twin"))
    both_places(caught, f"one at {file}:{FIRST_LINE},", f"one at {__file__}:")


def test_loading_a_file_again_is_an_error(bp: EvalsBlueprint, write: Write, tmp_path: Path) -> None:
    file = write("eval_one.py", eval_of("twin"))
    bp.load(file)
    with pytest.raises(DuplicateEvaluatorError):
        bp.load(tmp_path)
    # In another blueprint it is another evaluator.
    other = EvalsBlueprint("other", __name__)
    other.load(tmp_path)
    assert names(other) == names(bp) == ["twin"]


# --- Files that cannot be loaded ---

FAILURES = [
    ("1 / 0", ZeroDivisionError, "ZeroDivisionError: division by zero"),
    ("import no_such_module_anywhere", ModuleNotFoundError, "No module named 'no_such_module_any"),
    ("from braintrust import no_such_name", ImportError, "cannot import name 'no_such_name'"),
    ("from . import sibling", ImportError, "attempted relative import"),
    ("def broken(:", SyntaxError, "SyntaxError: invalid syntax"),
    ("raise SystemExit", SystemExit, "SystemExit"),
    ("import sys; sys.exit(3)", SystemExit, "SystemExit: 3"),
    ("raise ValueError('über\\nzwei')", ValueError, "ValueError: über"),
    ("raise Exception", Exception, "Exception"),
    ("Eval('one', data=data, task=task)", ValueError, "At least one of `scores`"),
    ("Eval('one', data=data)", TypeError, "missing 1 required positional argument: 'task'"),
    ("Eval('one', data, task, scores=exact)", TypeError, "'function' object is not iterable"),
]


@pytest.mark.parametrize(("line", "kind", "text"), FAILURES)
def test_a_file_that_fails_is_an_error_with_the_files_own_as_its_cause(
    bp: EvalsBlueprint, write: Write, line: str, kind: type[BaseException], text: str
) -> None:
    file = write("eval_one.py", eval_of("before"), line, eval_of("after"))
    with pytest.raises(RegistrationError) as caught:
        bp.load(file)
    message = str(caught.value)
    assert message.startswith(f"{file} could not be imported: ")
    assert text in message
    assert message == message.rstrip(": ")
    cause = caught.value.__cause__
    assert type(cause) is kind
    shown = "".join(traceback.format_exception(cause))
    assert f'File "{file}", line {FIRST_LINE + 1}' in shown
    assert line.partition("(")[0] in shown
    assert names(bp) == []
    assert not [name for name in sys.modules if name.startswith("eval_one")]


def test_a_file_that_fails_deep_inside_shows_the_whole_way(
    bp: EvalsBlueprint, write: Write
) -> None:
    helper = write("helper_that_fails.py", "def fail():", "    return {}['key']", imports="")
    file = write("eval_one.py", "import helper_that_fails", "helper_that_fails.fail()")
    with pytest.raises(RegistrationError) as caught:
        bp.load(file)
    assert isinstance(caught.value.__cause__, KeyError)
    shown = "".join(traceback.format_exception(caught.value.__cause__))
    assert f'File "{file}", line {FIRST_LINE + 1}' in shown
    assert f'File "{helper}", line 2' in shown


def test_text_that_is_not_utf_8_is_told_with_the_file(bp: EvalsBlueprint, write: Write) -> None:
    file = write("eval_one.py")
    file.write_bytes(b"NAME = '\xe9'\n")
    assert refusal(bp, file).startswith(f"{file} could not be imported: SyntaxError: ")


def test_a_file_that_cannot_be_read_is_told_with_the_file(bp: EvalsBlueprint, write: Write) -> None:
    folder = write("eval_folder.py/inside.txt", imports="").parent
    assert f"there is no file named eval_*.py in {folder}" in refusal(bp, folder)


def test_a_file_that_takes_itself_out_of_the_modules_still_shows_its_own_error(
    bp: EvalsBlueprint, write: Write
) -> None:
    file = write("eval_one.py", "import sys", "del sys.modules[__name__]", "1 / 0")
    assert "ZeroDivisionError" in refusal(bp, file)


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("Eval('one', data, lambda: 1, [exact])", "takes no argument"),
        ("Eval('one', data, task, [exact, 5])", "a scorer must be callable, not 5"),
        ("Eval('one', data, task, [exact, exact])", "has two scorers named 'exact'"),
        ("Eval('one', data, task, [exact], trial_count=0)", "trial_count must be"),
        ("Eval('one', data, task, [exact], parameters=5)", "parameters must be"),
        ("Eval('', data, task, [exact])", "an evaluator's name must be a string"),
        ("Eval('one', data, task, [exact], metadata={'m': iter([])})", "metadata"),
    ],
)
def test_what_cannot_be_served_is_told_with_the_place_of_the_call(
    bp: EvalsBlueprint, write: Write, line: str, text: str
) -> None:
    file = write("eval_one.py", "", line)
    message = refusal(bp, file)
    assert text in message
    assert f"{file}:{FIRST_LINE + 1}" in message
    assert names(bp) == []


def test_one_file_that_fails_registers_nothing_of_the_others(
    bp: EvalsBlueprint, write: Write, tmp_path: Path
) -> None:
    write("eval_one.py", eval_of("one"))
    two = write("eval_two.py", "1 / 0")
    assert str(two) in refusal(bp, tmp_path)
    assert names(bp) == []
    two.write_text(IMPORTS + eval_of("two"), "utf-8")
    bp.load(tmp_path)
    assert names(bp) == ["one", "two"]


@pytest.mark.parametrize("text", ["", "# Nothing\n", "def define():\n    Eval\n"])
def test_a_file_without_evaluators_is_an_error_if_it_is_the_only_one(
    bp: EvalsBlueprint, write: Write, text: str
) -> None:
    file = write("eval_one.py", text, imports="")
    assert refusal(bp, file) == f"{str(file)!r}: none of the files there calls Eval(...)"


def test_a_file_without_evaluators_among_others_is_warned_of(
    bp: EvalsBlueprint, write: Write, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    empty = write("eval_empty.py", imports="")
    write("eval_one.py", eval_of("one"))
    with caplog.at_level(logging.WARNING, "flask_braintrust_evals"):
        bp.load(tmp_path)
    assert names(bp) == ["one"]
    assert [record.getMessage() for record in caplog.records] == [
        f"{empty} defines no evaluators: it makes no call of Eval(...)"
    ]


# --- What is left behind ---


@pytest.mark.parametrize("line", ["", "1 / 0", "import sys; sys.exit()", "def broken(:"])
def test_the_sdk_is_left_as_it_was(bp: EvalsBlueprint, write: Write, line: str) -> None:
    registry: Any = vars(framework)["_evals"]
    mine: Any = framework.EvaluatorInstance(sdk_evaluator(), None)
    reporter = framework.Reporter("mine", lambda *args: 1, lambda *args: True)
    registry.evaluators["mine"] = mine
    registry.reporters["mine"] = reporter
    mine_of_file = "Reporter('mine', report_eval=lambda *a: 1, report_run=lambda *a: 1)"
    # The application's own names are not taken: a file is looked at by itself.
    file = write("eval_one.py", eval_of("mine"), mine_of_file, line)
    try:
        if line:
            refusal(bp, file)
        else:
            bp.load(file)
            assert names(bp) == ["mine"]
        assert framework._evals is registry
        assert registry.evaluators == {"mine": mine}
        assert registry.reporters == {"mine": reporter}
        assert framework._lazy_load is False
    finally:
        registry.evaluators.clear()
        registry.reporters.clear()


def test_an_interrupt_passes_through_and_leaves_the_sdk_as_it_was(
    bp: EvalsBlueprint, write: Write
) -> None:
    file = write("eval_one.py", eval_of("one"), "raise KeyboardInterrupt")
    with pytest.raises(KeyboardInterrupt):
        bp.load(file)
    assert names(bp) == []
    assert framework._lazy_load is False


def test_the_search_path_is_only_added_to_and_only_once(
    bp: EvalsBlueprint, write: Write, tmp_path: Path
) -> None:
    before = list(sys.path)
    write("eval_one.py", eval_of("one"))
    write("eval_two.py", eval_of("two"))
    bp.load(tmp_path)
    assert sys.path[: len(before)] == before
    assert sys.path.count(str(tmp_path)) == 1


def test_files_may_be_loaded_in_several_threads_at_once(write: Write) -> None:
    count = 8
    barrier = threading.Barrier(count)
    folders = []
    for number in range(count):
        # The interpreter changes threads at each wait: each file is imported in many pieces.
        define = [eval_of(f"{number}-{each}") for each in range(5)]
        lines = [line for each in define for line in ("time.sleep(0)", each)]
        file = write(f"{number}/eval_same.py", "import time", *lines)
        folders.append(file.parent)
    blueprints = [EvalsBlueprint(f"evals-{number}", __name__) for number in range(count)]

    def load(number: int) -> None:
        barrier.wait(PATIENCE)
        blueprints[number].load(folders[number])

    threads = [threading.Thread(target=load, args=(n,), daemon=True) for n in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
        assert not thread.is_alive()
    for number, bp in enumerate(blueprints):
        assert names(bp) == [f"{number}-{each}" for each in range(5)]
    # Each puts back what it found, which must not be what another had put there.
    assert type(framework._evals.evaluators) is dict


def test_a_file_may_import_an_application_that_loads_files_itself(tmp_path: Path) -> None:
    # In a process of its own: a load() that waits for itself would never let go.
    inner, outer = tmp_path / "inner" / "eval_inner.py", tmp_path / "eval_outer.py"
    inner.parent.mkdir()
    inner.write_text(IMPORTS + eval_of("inner"), "utf-8")
    application = tmp_path / "the_application.py"
    application.write_text(
        "from flask_braintrust_evals import EvalsBlueprint\n"
        "bp = EvalsBlueprint('evals', __name__)\n"
        f"bp.load({str(inner)!r})\n",
        "utf-8",
    )
    outer.write_text(
        IMPORTS + eval_of("before") + "\nimport the_application\n" + eval_of("after"), "utf-8"
    )
    printed = python(
        f"""
        from flask_braintrust_evals import EvalsBlueprint
        bp = EvalsBlueprint("evals", __name__)
        bp.load({str(outer)!r})
        import the_application
        for each in (bp, the_application.bp):
            print([evaluator.name for evaluator in each.registry])
        """,
        seconds=20,
    )
    assert printed.splitlines() == ["['before', 'after']", "['inner']"]


# --- After the first request ---


def test_loading_after_the_first_request_is_an_error(
    bp: EvalsBlueprint, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_settings(monkeypatch)
    monkeypatch.setenv("BRAINTRUST_EVALS_AUTH", "none")
    app = Flask(__name__)
    bp.load(write("eval_before.py", eval_of("before")))
    app.register_blueprint(bp, url_prefix="/evals")
    bp.load(write("eval_after.py", eval_of("after registration")))
    client = app.test_client()
    assert list(client.get("/evals/list").get_json()) == ["before", "after registration"]
    file = write("eval_late.py", eval_of("late"))
    with pytest.raises(RegistrationClosedError) as caught:
        bp.load(file)
    assert f"evaluator 'late' ({file}:{FIRST_LINE}) comes too late" in str(caught.value)
    assert list(client.get("/evals/list").get_json()) == ["before", "after registration"]


# --- Without the SDK ---

WITHOUT_THE_SDK = """
    import sys

    class Without:
        # Finds all but the SDK, as where it is not installed.
        def __init__(self, finder):
            self.finder = finder

        def __getattr__(self, name):
            return getattr(self.finder, name)

        def find_spec(self, name, *args):
            if name.partition(".")[0] != "braintrust":
                return self.finder.find_spec(name, *args)

    HOW
    from flask import Flask
    from flask_braintrust_evals import EvalsBlueprint, Evaluator, RegistrationError
    bp = EvalsBlueprint("evals", __name__)
    bp.evaluator("echo", scores=[lambda output: 1])(lambda input: input)
    assert bp.registry.get("echo").run([{"input": 5}]).results[0].output == 5
    app = Flask(__name__)
    app.config["BRAINTRUST_EVALS_AUTH"] = "none"
    app.register_blueprint(bp, url_prefix="/evals")
    for act in (lambda: bp.load("evals/"), lambda: bp.add(print)):
        try:
            act()
        except RegistrationError as error:
            print(error)
        else:
            raise AssertionError
    client = app.test_client()
    assert list(client.get("/evals/list").get_json()) == ["echo"]
    body = {"name": "echo", "data": [{"input": 5}], "stream": False}
    answer = client.post("/evals/eval", json=body)
    assert answer.status_code == 200, answer.text
    assert "braintrust.framework" not in sys.modules
"""


@pytest.mark.parametrize(
    "how",
    [
        "sys.modules['braintrust'] = None",
        "sys.meta_path[:] = [Without(finder) for finder in sys.meta_path]",
    ],
)
def test_without_the_sdk_all_else_works_and_load_says_what_to_install(how: str) -> None:
    load, add = python(WITHOUT_THE_SDK.replace("HOW", how)).splitlines()
    assert load.startswith(
        "load() needs the braintrust package, 0.30 or later: install"
        " 'flask-braintrust-evals[braintrust]'"
    )
    assert add.startswith("add() takes an Evaluator, not <built-in function print>")


def test_the_sdk_is_not_imported_before_it_is_asked_for() -> None:
    printed = python(
        """
        import sys
        from flask_braintrust_evals import EvalsBlueprint, Evaluator
        bp = EvalsBlueprint("evals", __name__, evaluators=[Evaluator("e", lambda input: input)])
        print(any(name.partition(".")[0] == "braintrust" for name in sys.modules))
        """
    )
    assert printed == "False\n"


def test_an_evaluator_is_an_evaluator_of_ours(bp: EvalsBlueprint, write: Write) -> None:
    bp.load(write("eval_one.py", eval_of("one")))
    assert all(type(each) is Evaluator for each in bp.registry)
