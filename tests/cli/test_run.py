"""``flask evals``: what it runs, what it says, and with which status it ends."""

from __future__ import annotations

import contextlib
import json
import re
import sqlite3
import time
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from click.testing import Result
from flask import Flask, current_app
from pydantic import BaseModel

from flask_braintrust_evals import Classification, EvalHooks, EvalsBlueprint, Evaluator
from flask_braintrust_evals.cli import evals_cli
from flask_braintrust_evals.serialization.strict_json import parse_json

BAD = {"input": "bad"}
CASES = [{"input": "a", "expected": "a"}, {"input": "b", "expected": "x"}]


def exact(output: Any, expected: Any) -> bool:
    return bool(output == expected)


def task(input: Any, hooks: EvalHooks) -> Any:
    """Returns its input."""
    if input == "bad":
        raise ValueError("no\x00 good")
    return hooks.parameters.prefix + str(input)


def whole(input: Any, hooks: EvalHooks) -> Any:
    return {"input": input, "metadata": hooks.metadata, "tags": hooks.tags}


def broken(output: Any) -> float:
    raise RuntimeError("out of order")


def app_of(*evaluators: Evaluator) -> Flask:
    app = Flask(__name__)
    app.register_blueprint(EvalsBlueprint("evals", __name__, evaluators=evaluators))
    return app


def echo(**options: Any) -> Evaluator:
    parameters = {
        "prefix": {"type": "string", "default": ""},
        "number": {"type": "integer", "default": 1, "minimum": 1},
        "list": {"type": "array", "default": []},
    }
    return Evaluator("echo", task, scores=[exact], parameters=parameters, **options)


def evals(app: Flask, *arguments: str, input: str | None = None) -> Result:
    return app.test_cli_runner().invoke(args=["evals", *arguments], input=input)


def run(*arguments: str, cases: Any = CASES, evaluator: Evaluator | None = None) -> Result:
    app = app_of(evaluator or echo())
    name = (evaluator or echo()).name
    return evals(app, "run", name, "--data", "-", *arguments, input=json.dumps(cases))


def results(*arguments: str, **options: Any) -> Any:
    return json.loads(run("--json", *arguments, **options).stdout)


# --- Mistakes ---


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["-p", "prefix"], "'prefix' is not of the form NAME=VALUE"),
        (
            ["-p", "nobody=1"],
            "no parameter is named 'nobody'; there are: 'prefix', 'number', ",
        ),
        (["-p", "number=many"], "'--param': number=many: not valid JSON for type integer"),
        (["-p", "number=" + "9" * 5000], "not valid JSON for type integer"),
        (["--junit", "nowhere/junit.xml"], "--junit: 'nowhere' is not a writable folder"),
        (["--junit", "x.out", "--html", "./x.out"], "--junit and --html: 'x.out' is named twice"),
        (["--resume", "x.out", "--markdown", "x.out"], "--resume and --markdown: 'x.out' is named"),
        (["--experiment", ""], "need a value that is not empty"),
        (["--fail-under", "exact=high"], "exact=high: a mean is a number from 0 to 1"),
        (["--fail-under", "exact=2"], "exact=2: a mean is a number from 0 to 1"),
        (["--fail-under", "exct=0.5"], "no scorer is named 'exct'; did you mean 'exact'?"),
        (["--trials", "0"], "0 is not in the range 1<=x<=10000"),
        (["--watch"], "--watch: standard input can be read once; give --data a file"),
        (["--max-concurrency", "0"], "0 is not in the range"),
    ],
)
def test_a_wrong_option_is_an_error_and_nothing_is_run(arguments: list[str], said: str) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert said in result.stderr
    assert result.stdout == ""


def test_a_file_that_a_parameter_is_read_from_is_not_overwritten(tmp_path: Path) -> None:
    prompt = tmp_path / "prompt.md"
    prompt.write_text("long")
    result = run("-p", f"prefix=@{prompt}", "--markdown", str(prompt))
    assert result.exit_code == 2
    assert f"--param prefix and --markdown: '{prompt}' is named twice" in result.stderr
    assert prompt.read_text() == "long"


def test_a_parameter_that_its_schema_forbids_is_an_error() -> None:
    result = run("-p", "number=0")
    assert result.exit_code == 2
    assert "Error: parameter 'number': 0 is less than the minimum of 1" in result.stderr


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "there are no cases"),
        ("[]", "there are no cases"),
        ("input,expected\n", "there are no cases"),
        ("[1]", "case 1 must be an object with an 'input'"),
        ('[{"input": 1}, {"expected": 1}]', "case 2 must be an object with an 'input'"),
        ('[{"input": 1, "tags": 7}]', "case 1: "),
        ("[{", "not valid JSON"),
        ('{"input": 1}\n{"input": ', "line 2 is not valid JSON"),
        ('{"input": 1}\n{"input": ' + "1" * 5000 + "}", "line 2 is not valid JSON: an integer has"),
        ("[" * 1_000_000, "not valid JSON: nested too deeply"),
        ('[{"input": 1e400}]', "not valid JSON: 1e400 is larger than a float can be"),
        ("Input,Expected\na,b\n", "column 'Input' must be written 'input'"),
        ("input,input\na,b\n", "two columns are named 'input'"),
        ('input,expected\n"a,b\n', "row 2: a quoted cell does not end"),
        ("input,metadata\na,[1]\n", "row 2: metadata must be a JSON object, not '[1]'"),
        ("just words", "neither JSON nor CSV with a column 'input'"),
        ("input,expected\na\n", "row 2 has 1 cells, and the header has 2"),
        ("input,metadata\na,b\n", "row 2: metadata must be a JSON object, not 'b'"),
    ],
)
def test_what_is_no_case_is_reported_with_its_place(text: str, said: str) -> None:
    result = evals(app_of(echo()), "run", "echo", "--data", "-", input=text)
    assert result.exit_code == 2
    assert f"standard input: {said}" in result.stderr


@pytest.mark.parametrize("option", ["--params", "--baseline", "--failed-from"])
def test_a_file_with_an_endless_integer_is_an_error(option: str, tmp_path: Path) -> None:
    file = tmp_path / "file.json"
    file.write_text('{"number":\n' + "1" * 5000 + "}")
    result = run(option, str(file))
    assert result.exit_code == 2
    assert "not valid JSON: an integer has more than 4300 digits: line 2 column 1" in result.stderr


def test_the_place_of_an_endless_integer_is_found_beside_long_ones() -> None:
    longest = ", ".join(["1" * 4300] * 250)
    start = time.process_time()
    with pytest.raises(ValueError, match="more than 4300 digits: line 2"):
        parse_json(f"[{longest},\n{'1' * 4301}]")
    assert time.process_time() - start < 5


def test_a_file_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    binary = tmp_path / "cases.json"
    binary.write_bytes(b"\xff\xfe[")
    for path, said in ((tmp_path / "none.json", "No such file"), (binary, "is not UTF-8")):
        result = evals(app_of(echo()), "run", "echo", "--data", str(path))
        assert (result.exit_code, said in result.stderr) == (2, True)


def test_without_cases_there_is_nothing_to_run() -> None:
    result = evals(app_of(echo()), "run", "echo")
    assert result.exit_code == 2
    assert "'echo' has no data of its own: give --data or --dataset" in result.stderr


def test_data_without_a_case_is_no_success() -> None:
    result = evals(app_of(echo(data=[])), "run", "echo")
    assert result.exit_code == 1
    assert result.stdout.startswith("echo: 0 cases, 0 failed in 0.")
    assert result.stdout.endswith(" s; there was no case: the data is empty\n")


def test_data_that_cannot_be_made_is_an_error() -> None:
    def data() -> Any:
        raise OSError("the disk is gone")

    result = evals(app_of(echo(data=data)), "run", "echo")
    assert result.exit_code == 1
    assert "data could not be read: OSError: the disk is gone" in result.stderr


def test_an_unknown_evaluator_is_reported_with_the_known_ones() -> None:
    result = evals(app_of(echo()), "run", "ech")
    assert (result.exit_code, "did you mean 'echo'?" in result.stderr) == (2, True)


@pytest.mark.parametrize("arguments", [["list"], ["run", "echo"]])
def test_an_application_without_a_blueprint_is_an_error(arguments: list[str]) -> None:
    result = Flask("plain").test_cli_runner().invoke(evals_cli, arguments)
    assert result.exit_code == 1
    assert "no EvalsBlueprint is registered in the application 'plain'" in result.stderr


def test_a_name_that_two_blueprints_have_is_reported_with_their_places() -> None:
    app = app_of(echo())
    app.register_blueprint(EvalsBlueprint("others", __name__, evaluators=[echo()]), url_prefix="/o")
    result = evals(app, "run", "echo")
    assert result.exit_code == 2
    assert result.stderr.count("test_run.py:") == 2


# --- Failures ---


def test_a_failing_task_is_shown_and_fails_the_command() -> None:
    result = run(cases=[*CASES, {"input": "bad"}])
    assert result.exit_code == 1
    lines = result.stdout.splitlines()
    at = lines.index("case 3 failed: ValueError: no\\x00 good")
    place = f"tests/cli/test_run.py:{task.__code__.co_firstlineno + 3} in task"
    assert lines[at + 1 : at + 3] == [
        f'  at {place}: raise ValueError("no\\x00 good")',
        '  input: "bad"',
    ]
    assert lines[-1].startswith("echo: 3 cases, 1 failed in ")


def test_data_gives_the_terminal_no_orders() -> None:
    def task(input: Any) -> Any:
        raise ValueError(f"{input}\r\x1b]0;title\x07")

    result = run(cases=[{"input": "\x9b2J"}], evaluator=Evaluator("e", task))
    assert "ValueError: \\x9b2J\\x0d\\x1b]0;title\\x07" in result.stdout
    assert 'input: "\\x9b2J"' in result.stdout


def test_a_failing_scorer_fails_the_command() -> None:
    result = run(evaluator=Evaluator("e", lambda input: input, scores=[exact, broken]))
    assert result.exit_code == 1
    assert "broken failed on 2 cases, first with RuntimeError: out of order" in result.stdout


@pytest.mark.parametrize(
    ("limit", "status", "said"),
    [
        ("exact=0.5", 0, ""),
        ("exact=0.50000000001", 0, ""),
        ("exact=0.6", 1, "exact is 0.5000, which must be 0.6 or more"),
        ("typo=0.1", 1, "score typo, which must be 0.1 or more; there are: 'exact'"),
    ],
)
def test_a_mean_that_is_too_low_fails_the_command(limit: str, status: int, said: str) -> None:
    result = run("--fail-under", limit)
    assert result.exit_code == status
    assert said in result.stdout


def failing_task(input: Any) -> Any:
    raise ValueError


def interrupted_task(input: Any, hooks: EvalHooks) -> Any:
    hooks.cancel_event.set()
    return input


@pytest.mark.parametrize(
    ("task", "scorer", "cases"),
    [
        (str, broken, CASES),
        (str, lambda output: None, CASES),
        (str, exact, []),
        (failing_task, exact, CASES),
        (interrupted_task, exact, CASES),
    ],
    ids=["the scorer fails", "no case is scored", "no case", "all tasks fail", "interrupted"],
)
def test_a_limit_for_a_score_that_is_missing_is_never_reached(
    task: Any, scorer: Any, cases: Any, tmp_path: Path
) -> None:
    def score(output: Any, expected: Any) -> Any:
        return exact(output, expected) if scorer is exact else scorer(output)

    app = app_of(Evaluator("e", task, scores=[score], data=cases))
    file = tmp_path / "junit.xml"
    arguments = ("run", "e", "--fail-under", "score=0", "--json", "--junit", str(file))
    result = evals(app, *arguments)
    body = json.loads(result.stdout)
    assert (result.exit_code, body["passed"]) == (1, False)
    assert body["too_low"] == {"score": "no case has the score score, which must be 0 or more"}
    (suite,) = ElementTree.parse(file).getroot()
    assert "mean of score" in [test.get("name") for test in suite.findall("testcase")]


def test_a_score_that_no_case_has_is_told_without_a_limit_too() -> None:
    result = run(evaluator=Evaluator("e", str, scores=[lambda output: None]))
    assert "no case has a score for 'scorer_0'" in result.stdout


def test_data_that_breaks_off_keeps_what_was_done() -> None:
    def data() -> Any:
        yield {"input": "a"}
        raise OSError("the disk is gone")

    result = evals(app_of(echo(data=data)), "run", "echo", "--max-concurrency", "1")
    assert result.exit_code == 1
    assert re.search(
        "echo: 1 case, 0 failed in .* s; DataError: the data could not be", result.stdout
    )


# --- What is run ---


def test_the_list_names_evaluators_scores_and_parameters() -> None:
    labels = [lambda output: Classification(id="x")]
    plain = Evaluator("plain", lambda input: input, classifiers=labels, description="One.\nTwo.")
    result = evals(app_of(echo(), plain), "list")
    assert result.stdout.splitlines() == [
        "echo",
        "  scores: exact",
        "  parameters:",
        '    prefix: string, default ""',
        "    number: integer, at least 1, default 1",
        "    list: array, default []",
        "plain",
        "  One.",
        "  scores: classifier_0",
    ]


def test_scores_and_metrics_are_tables_and_the_last_line_sums_up() -> None:
    def task(input: Any, hooks: EvalHooks) -> Any:
        hooks.span.log(metrics={"prompt_tokens": 5 if input == "a" else 10})
        return input

    text = run("--show", "failures", evaluator=Evaluator("echo", task, scores=[exact])).stdout
    assert re.sub(r"[0-9.]+ s", "... s", text).splitlines() == [
        "score     mean   cases",
        "exact   0.5000       2",
        "metric            mean      p50      p95    total  cases",
        "duration       ... s  ... s  ... s  ... s      2",
        "prompt_tokens      7.5        5       10       15      2",
        "echo: 2 cases, 0 failed in ... s",
    ]


def test_without_data_the_evaluators_own_is_run() -> None:
    result = evals(app_of(echo(data=CASES)), "run", "echo", "--json")
    assert [each["output"] for each in json.loads(result.stdout)["results"]] == ["a", "b"]


@pytest.mark.parametrize(
    "text",
    [
        '[{"input": "a", "tags": ["x", "y"], "metadata": {"n": "1"}}]',
        '{"input": "a", "tags": ["x", "y"], "metadata": {"n": "1"}}',
        '\ufeff{"input": "a", "tags": ["x", "y"], "metadata": {"n": "1"}}\n\n',
        "input,tags,n\na,x; y,1\n",
        'input,tags,metadata\r\na,"x,y","{""n"": ""1""}"\r\n',
        "input;tags;n\na;x, y;1\n",
        "input\ttags\tn\r\na\tx;y\t1\r\n",
        '"input";"tags";"n"\n"a";"x, y";"1"\n',
        'input, tags, n\na, "x; y", 1\n',
        "\tinput\ttags\tn\n\ta\tx;y\t1\n",
    ],
    ids=[
        "JSON",
        "an object",
        "JSON Lines",
        "CSV",
        "CSV with metadata",
        "semicolons",
        "tabs",
        "quotes and semicolons",
        "spaces after commas",
        "tabs and a column without a name",
    ],
)
def test_each_format_gives_the_same_cases(text: str) -> None:
    app = app_of(Evaluator("whole", whole))
    result = evals(app, "run", "whole", "--data", "-", "--json", input=text)
    (found,) = json.loads(result.stdout)["results"]
    assert found["output"] == {"input": "a", "metadata": {"n": "1"}, "tags": ["x", "y"]}


def test_a_table_without_an_input_is_one_of_inputs() -> None:
    app = app_of(Evaluator("whole", whole))
    text = "question,language,expected\nWhy?,en,because\n"
    result = evals(app, "run", "whole", "--data", "-", "--json", input=text)
    (found,) = json.loads(result.stdout)["results"]
    assert (found["input"], found["expected"]) == (
        {"question": "Why?", "language": "en"},
        "because",
    )


def test_parameters_are_read_as_their_declared_types() -> None:
    seen: list[Any] = []

    def remember(input: Any, hooks: EvalHooks) -> None:
        seen.append(dict(hooks.parameters))

    parameters = {
        "text": {"type": "string"},
        "number": {"type": "number"},
        "flag": {"type": "boolean"},
        "list": {"type": "array"},
        "model": {"type": "model"},
    }
    evaluator = Evaluator("e", remember, parameters=parameters, data=[{"input": 1}])
    given = ["text=1=2", "number=0.5", "flag=true", "list=[1]", "model=another-model"]
    result = evals(app_of(evaluator), "run", "e", *[f"--param={each}" for each in given])
    assert result.exit_code == 0, result.output
    assert seen == [
        {"text": "1=2", "number": 0.5, "flag": True, "list": [1], "model": "another-model"}
    ]


@pytest.mark.parametrize("text", ["q;w\na;b\n", "q\tw\na\tb", '"q","w"\n"a","b"'])
def test_a_table_of_inputs_may_have_any_delimiter(text: str) -> None:
    app = app_of(Evaluator("whole", whole))
    result = evals(app, "run", "whole", "--data", "-", "--json", input=text)
    assert json.loads(result.stdout)["results"][0]["input"] == {"q": "a", "w": "b"}


def test_half_a_character_ends_nothing() -> None:
    cases = [{"input": "bad", "id": "\ud83d", "tags": ["\ud83d"]}]
    assert 'case "\ufffd" failed' in run(cases=cases).stdout
    assert results(cases=cases)["results"][0]["tags"] == ["\ufffd"]


def test_texts_may_hold_what_other_ends_of_lines_are() -> None:
    text = "a\u2028b\u0085c"
    lines = "\n \n".join(json.dumps({"input": text}, ensure_ascii=False) for _ in range(2))
    app = app_of(Evaluator("whole", whole))
    result = evals(app, "run", "whole", "--data", "-", "--json", input=lines)
    assert [each["input"] for each in json.loads(result.stdout)["results"]] == [text, text]


def test_a_cell_may_be_long() -> None:
    app = app_of(Evaluator("length", lambda input: len(input)))
    result = evals(app, "run", "length", "--data", "-", "--json", input=f"input\n{'x' * 200_000}\n")
    assert json.loads(result.stdout)["results"][0]["output"] == 200_000


@pytest.mark.parametrize(
    ("given", "value"),
    [
        ("maybe=5", "5"),
        ("maybe=null", None),
        ("maybe=words", "words"),
        ("either=5", 5),
        ("either=five", "five"),
        ("anything=[1]", [1]),
        ("anything=[1", "[1"),
        ("digits=5=6", "5=6"),
    ],
)
def test_where_a_text_is_allowed_it_needs_no_quotes(given: str, value: Any) -> None:
    class Parameters(BaseModel):
        maybe: str | None = ""
        either: str | int = ""
        anything: Any = ""
        digits: str = ""

    evaluator = Evaluator(
        "e",
        lambda input, parameters: getattr(parameters, given.partition("=")[0]),
        parameters=Parameters,
    )
    assert (
        results("-p", given, evaluator=evaluator, cases=[{"input": 1}])["results"][0]["output"]
        == value
    )


def test_the_limits_of_requests_do_not_bind_who_can_change_the_evaluator(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for limit in ("MAX_TRIALS", "MAX_CASES", "MAX_RUNNING_CASES", "CONCURRENCY_LIMIT"):
        monkeypatch.setenv(f"BRAINTRUST_EVALS_{limit}", "1")
    found = results("--trials", "3", cases=[{"input": 1}, {"input": 2}])
    assert [each["output"] for each in found["results"]] == ["1"] * 3 + ["2"] * 3


def test_trials_and_the_applications_context() -> None:
    evaluator = Evaluator("e", lambda input: current_app.name)
    found = results("--trials", "3", cases=[{"input": 1}], evaluator=evaluator)
    assert [each["trial_index"] for each in found["results"]] == [0, 1, 2]
    assert {each["output"] for each in found["results"]} == {__name__}


def test_the_json_has_everything() -> None:
    body = results("--fail-under", "exact=0.9", cases=[*CASES, {"input": "bad"}])
    assert body["passed"] is False
    assert body["scores"] == {"exact": {"mean": 0.5, "count": 2}}
    assert (body["cases"], body["failed"], body["error"]) == (3, 1, None)
    assert list(body["too_low"]) == ["exact"]
    first, _, bad = body["results"]
    assert first.pop("seconds") > 0
    assert first.pop("metrics").keys() == {"duration"}
    duration = body["metrics"]["duration"]
    assert (duration["count"], duration["unit"]) == (3, "s")
    assert duration["mean"] == pytest.approx(duration["total"] / 3)
    assert (body["scorer_metrics"], body["comparison"]) == ({}, None)
    assert first == {
        "id": None,
        "index": 0,
        "trial_index": 0,
        "input": "a",
        "expected": "a",
        "output": "a",
        "error": None,
        "error_place": None,
        "error_stack": None,
        "scores": {"exact": 1.0},
        "score_metadata": {},
        "classifications": {},
        "scorer_errors": {},
        "metadata": {},
        "tags": [],
        "scorer_metrics": {},
    }
    assert bad["error"] == "ValueError: no\x00 good"


def test_junit_has_a_test_for_each_case_and_each_score_that_is_too_low(tmp_path: Path) -> None:
    file = tmp_path / "junit.xml"
    run(
        "--junit",
        str(file),
        "--fail-under",
        "exact=0.9",
        cases=[*CASES, {**BAD, "id": "of its own"}],
    )
    (suite,) = ElementTree.parse(file).getroot()
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("4", "1", "1")
    names = [test.get("name") for test in suite.findall("testcase")]
    assert names == ["case 1", "case 2", 'case "of its own"', "mean of exact"]
    error = suite.find("testcase/error")
    assert error is not None
    assert (error.get("type"), error.get("message")) == ("ValueError", "no\ufffd good")
    assert "Traceback" in (error.text or "")
    property_ = suite.find("properties/property")
    assert property_ is not None
    assert (property_.get("name"), property_.get("value")) == ("exact", "0.500000")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
def test_results_are_shown_though_junits_file_cannot_be_written() -> None:
    result = run("--junit", "/dev/full")
    assert result.exit_code == 1
    assert "\necho: 2 cases, 0 failed in " in result.stdout
    assert "/dev/full cannot be written: " in result.stderr


def rows() -> Any:
    with contextlib.closing(sqlite3.connect(":memory:")) as database:
        for (number,) in database.execute("values (1), (2), (3)"):
            yield {"input": f"{current_app.name} {number}"}


@pytest.mark.parametrize("arguments", [(), ("--limit", "2")])
def test_data_may_be_read_from_a_database_row_by_row(arguments: tuple[str, ...]) -> None:
    app = app_of(echo(data=rows))
    result = evals(app, "run", "echo", "--json", "--max-concurrency", "3", *arguments)
    assert result.exit_code == 0, result.output
    count = len(arguments) or 3
    assert [f"{app.name} {number}" in result.output for number in (1, 2, 3)] == [
        number <= count for number in (1, 2, 3)
    ]
