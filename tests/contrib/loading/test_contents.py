"""What the files of ``bp.load()`` define is taken over, and never run."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest
from flask import Flask

from flask_braintrust_evals import EvalsBlueprint, Evaluator, RegistrationClosedError
from tests.support import in_time

from .support import FIRST_LINE, Write, eval_of, locations, names, refusal

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


@pytest.mark.parametrize("blocking", [False, True])
def test_evaluators_of_files_block_their_thread_only_if_load_says_so(
    bp: EvalsBlueprint, write: Write, blocking: bool
) -> None:
    bp.load(write("eval_one.py", eval_of("one"), eval_of("two")), blocking=blocking)
    assert [each.plan.blocking for each in bp.registry] == [blocking, blocking]


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
    file = write(
        "eval_one.py",
        "import asyncio",
        "loop = asyncio.get_event_loop()",
        f"result = {eval_of('one')}",
        "assert result.results == []",
        "asyncio.run(EvalAsync('two', data, task, [exact]))",
        "loop.run_until_complete(EvalAsync('three', data, task, [exact]))",
    )
    failing = write("eval_bad.py", "1 / 0")
    closing = [
        write(
            f"eval_{name}.py",
            "import asyncio",
            "loop = asyncio.get_event_loop()",
            f"loop.run_until_complete(EvalAsync({name!r}, data, task, [exact]))",
            "loop.close()",
        )
        for name in ("four", "five")
    ]

    async def create_app() -> None:
        before = asyncio.get_running_loop(), asyncio.current_task()
        for each in (file, *closing):
            bp.load(each)
        refusal(bp, failing)
        assert (asyncio.get_running_loop(), asyncio.current_task()) == before
        await asyncio.sleep(0)

    in_time(lambda: asyncio.run(create_app()))
    assert names(bp) == ["one", "two", "three", "four", "five"]


def test_reporters_of_a_file_are_ignored(bp: EvalsBlueprint, write: Write) -> None:
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


# --- After the first request ---


def test_loading_after_the_first_request_is_an_error(
    bp: EvalsBlueprint, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
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


def test_an_evaluator_is_an_evaluator_of_ours(bp: EvalsBlueprint, write: Write) -> None:
    bp.load(write("eval_one.py", eval_of("one")))
    assert all(type(each) is Evaluator for each in bp.registry)
