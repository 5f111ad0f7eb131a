"""Evaluators of files have the same names in every process, whatever their experiments are."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from flask_braintrust_evals import EvalsBlueprint
from flask_braintrust_evals.errors import NotFoundError
from tests.support import python

from .support import Write, eval_of, names

CHANGING = ", experiment_name=f'run-{os.getpid()}-{time.time_ns()}'"
CHANGING_TOO = ", experiment_name=time.strftime('%c') + str(os.getpid())"


def listed(folder: Path) -> list[str]:
    """The names that a process of its own lists."""
    script = f"""
    from flask_braintrust_evals import EvalsBlueprint
    bp = EvalsBlueprint("evals", __name__)
    bp.load({str(folder)!r})
    for each in bp.registry:
        assert bp.registry.get(each.name) is each
        assert bp.registry.get(each.long_name.text if each.long_name else each.name) is each
        print(each.name)
    """
    return python(script, fresh=True).splitlines()


@pytest.mark.slow
def test_two_processes_list_the_same_names(write: Write, tmp_path: Path) -> None:
    write(
        "eval_one.py",
        "import os, time",
        eval_of("alone", CHANGING),
        eval_of("twin", CHANGING),
        eval_of("twin", CHANGING_TOO),
        eval_of("mixed", CHANGING),
        eval_of("mixed", ", experiment_name='nightly'"),
        eval_of("mixed"),
        "for model in ('small', 'large'):",
        f"    {eval_of('loop', CHANGING)}",
    )
    write("eval_two.py", "import os, time", eval_of("twin", CHANGING))
    first, second = listed(tmp_path), listed(tmp_path)
    assert first == second
    assert first == [
        "alone",
        "twin",
        "twin (2)",
        "mixed (2)",
        "mixed [experiment_name=nightly]",
        "mixed",
        "loop",
        "loop (2)",
        "twin (3)",
    ]


def test_the_order_of_loading_decides_no_more_than_a_number(
    bp: EvalsBlueprint, write: Write
) -> None:
    bp.load(write("eval_one.py", eval_of("one", ", experiment_name='x'")))
    assert names(bp) == ["one"]
    bp.load(write("eval_two.py", eval_of("one")))
    assert names(bp) == ["one [experiment_name=x]", "one"]
    assert bp.registry.get("one").experiment_name is None


def test_an_experiment_named_in_a_constant_of_the_file_is_written_in_it(
    bp: EvalsBlueprint, write: Write
) -> None:
    line = eval_of("one", ", experiment_name=NAME")
    bp.load(write("eval_one.py", "NAME = 'x'", line, eval_of("one")))
    assert names(bp) == ["one [experiment_name=x]", "one"]


def test_an_experiment_may_be_named_where_a_function_of_another_file_is_called(
    bp: EvalsBlueprint, write: Write, tmp_path: Path
) -> None:
    write(
        "common.py",
        "def make(name):",
        "    return Eval('p', data=data, task=task, scores=[exact], experiment_name=name)",
    )
    write("eval_one.py", "from common import make", "make('nightly')", "make('wee' + 'kly')")
    bp.load(tmp_path)
    assert names(bp) == ["p [experiment_name=nightly]", "p"]


@pytest.mark.parametrize("expression", ["f'{os.getpid()}'", "str(os.getpid())"])
def test_the_experiment_and_the_project_of_a_run_stay_those_of_the_file(
    bp: EvalsBlueprint, write: Write, expression: str
) -> None:
    bp.load(write("eval_one.py", "import os", eval_of("one", f", experiment_name={expression}")))
    (one,) = bp.registry
    assert (one.name, one.project, one.experiment_name) == ("one", "one", str(os.getpid()))
    for name in ("one", f"one [experiment_name={os.getpid()}]", "one [experiment_name=earlier]"):
        assert bp.registry.get(name) is one
    with pytest.raises(NotFoundError, match="not found"):
        bp.registry.get("one [experiment=1]")
