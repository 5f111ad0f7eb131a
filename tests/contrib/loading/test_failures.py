"""Files that ``bp.load()`` refuses: names that are taken, and files that fail."""

from __future__ import annotations

import logging
import sys
import traceback
from pathlib import Path

import pytest

from flask_braintrust_evals import DuplicateEvaluatorError, EvalsBlueprint, RegistrationError
from tests.contrib.support import echo, sdk_evaluator

from .support import FIRST_LINE, IMPORTS, Write, eval_of, names, refusal

# --- Two of one name ---


def both_places(error: pytest.ExceptionInfo[DuplicateEvaluatorError], *places: str) -> None:
    text = str(error.value)
    assert "two evaluators are named 'twin'" in text
    for place in places:
        assert place in text
    assert "give one of them another " in text


def test_two_of_one_name_in_one_file_are_an_error(bp: EvalsBlueprint, write: Write) -> None:
    file = write("eval_one.py", eval_of("twin"), "", eval_of("twin"))
    with pytest.raises(DuplicateEvaluatorError) as caught:
        bp.load(file)
    both_places(caught, f"one at {file}:{FIRST_LINE},", f"one at {file}:{FIRST_LINE + 2};")
    assert "another experiment_name, as Eval(...) names evaluators after" in str(caught.value)


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
    with pytest.raises(DuplicateEvaluatorError) as caught:
        bp.load(tmp_path)
    text = f"'twin' at {file}:{FIRST_LINE} is registered twice; load its file only once, or, if"
    assert text in str(caught.value)
    # In another blueprint it is another evaluator.
    other = EvalsBlueprint("other", __name__)
    other.load(tmp_path)
    assert names(other) == names(bp) == ["twin"]


def test_two_of_one_name_by_one_line_are_told_so(bp: EvalsBlueprint, write: Write) -> None:
    file = write("eval_one.py", "for model in 'ab':", f"    {eval_of('twin')}")
    with pytest.raises(DuplicateEvaluatorError, match="if this line defines several, give each"):
        bp.load(file)


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


def test_text_that_is_not_utf_8_is_reported_with_the_file(bp: EvalsBlueprint, write: Write) -> None:
    file = write("eval_one.py")
    file.write_bytes(b"NAME = '\xe9'\n")
    assert refusal(bp, file).startswith(f"{file} could not be imported: SyntaxError: ")


def test_a_file_that_cannot_be_read_is_reported_with_the_file(
    bp: EvalsBlueprint, write: Write
) -> None:
    folder = write("eval_folder.py/inside.txt", imports="").parent
    assert f"there is no file named eval_*.py or *.eval.py in {folder}" in refusal(bp, folder)


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
        ("Eval('one', data, task, [exact], trial_count=0)", "trial_count must be"),
        ("Eval('one', data, task, [exact], parameters=5)", "parameters must be"),
        ("Eval('', data, task, [exact])", "an evaluator's name must be a text that is not empty"),
        ("Eval('one', data, task, [exact], metadata=iter([]))", "metadata"),
    ],
)
def test_what_cannot_be_served_is_reported_with_the_place_of_the_call(
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


GUARDED = """
from braintrust import Eval
def task(input): return input
if __name__ == "__main__":
    Eval("one", data=[], task=task, scores=[])
"""
IN_MAIN = """
import asyncio, braintrust
async def main():
    await braintrust.EvalAsync("one", data=[], task=str, scores=[])
if __name__ == '__main__':
    asyncio.run(main())
"""
UNUSED = """
import os
from braintrust import Eval
def main(): Eval("one", data=[], task=str, scores=[])
"""


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (GUARDED, 'only below `if __name__ == "__main__":`, which is not executed when the file'),
        (IN_MAIN, "in a function that is called only below `if __name__"),
        (UNUSED, "only in code that is not executed when the file is imported; call it outside"),
    ],
    ids=["guarded", "in main()", "in a function"],
)
def test_a_file_that_calls_eval_only_when_it_is_run_is_an_error_that_says_so(
    bp: EvalsBlueprint,
    write: Write,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    text: str,
    reason: str,
) -> None:
    file = write("eval_one.py", text, imports="")
    expected = f"{file} defines no evaluators: it calls Eval(...) {reason}"
    assert refusal(bp, file).startswith(f"{str(file)!r}: {expected}")
    write("eval_two.py", eval_of("two"))
    with caplog.at_level(logging.WARNING, "flask_braintrust_evals"):
        bp.load(tmp_path)
    (record,) = caplog.records
    assert record.getMessage().startswith(expected)
    assert names(bp) == ["two"]


@pytest.mark.parametrize(
    ("lines", "advice"),
    [
        (
            ["from .helpers import x"],
            "add a file __init__.py to the folder, or write 'import name' for a file beside this",
        ),
        (
            ["import argparse", "argparse.ArgumentParser().parse_args(['--model'])"],
            "SystemExit: 2; read arguments of the command line, and end the process, only below",
        ),
        (
            ["result = Eval('one', data, task, [exact])", "result.summary.scores['exact']"],
            "KeyError: 'exact'; the result of Eval(...) is empty when the file is loaded",
        ),
        (
            [
                "def show():",
                "    print(Eval('one', data, task, [exact]).summary.scores['x'])",
                "show()",
            ],
            "KeyError: 'x'; the result of Eval(...) is empty when the file is loaded",
        ),
    ],
)
def test_a_file_that_cannot_be_imported_is_an_error_with_advice(
    bp: EvalsBlueprint, write: Write, lines: list[str], advice: str
) -> None:
    assert advice in refusal(bp, write("eval_one.py", *lines))


@pytest.mark.parametrize(
    "call",
    [
        "asyncio.run(EvalAsync('one', data, task, [exact]))",
        "result = Eval('one', data, task, [exact])",
        "result = Eval('one', data, task, [exact]); print(result)",
        "def f():\n    result = Eval('one', data, task, [])\n    1 / 0\n    print(result)\nf()",
    ],
)
def test_a_failure_that_has_nothing_to_do_with_a_result_is_not_said_to_have(
    bp: EvalsBlueprint, write: Write, call: str
) -> None:
    file = write("eval_one.py", "import asyncio", "from braintrust import EvalAsync", call, "1 / 0")
    assert refusal(bp, file).endswith("ZeroDivisionError: division by zero")


@pytest.mark.filterwarnings("ignore:coroutine:RuntimeWarning")
def test_a_call_that_is_not_awaited_is_an_error_that_says_so(
    bp: EvalsBlueprint, write: Write
) -> None:
    file = write("eval_one.py", "import braintrust", "braintrust.EvalAsync('one', data, task, [])")
    assert "it calls EvalAsync(...) without `await`, which does nothing" in refusal(bp, file)


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
