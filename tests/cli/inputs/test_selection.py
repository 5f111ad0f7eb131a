"""Which cases ``flask evals run`` runs, of which evaluators, and with which parameters."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import Result

from flask_braintrust_evals import EvalsBlueprint, Evaluator
from flask_braintrust_evals.cli.commands import run_command
from flask_braintrust_evals.cli.commands.prepare import prepare_run
from flask_braintrust_evals.cli.inputs.lookup import evaluator_named, evaluators_named
from tests.cli.test_run import app_of, evals, exact

CASES: list[dict[str, Any]] = [
    {"input": "a", "expected": "a"},
    {"input": "b", "expected": "x", "id": "named"},
    {"input": "bad", "expected": "x"},
    {"input": "d", "expected": "d", "id": 7},
]


def task(input: Any) -> Any:
    if input == "bad":
        raise ValueError("no good")
    return input


def evaluator(**options: Any) -> Evaluator:
    return Evaluator("echo", task, scores=[exact], **{"data": CASES, **options})


def run(*arguments: str, **options: Any) -> Result:
    return evals(app_of(evaluator(**options)), "run", "echo", *arguments)


def body_of(*arguments: str, **options: Any) -> Any:
    return json.loads(run("--json", *arguments, **options).stdout)


def indexes(*arguments: str, **options: Any) -> list[int]:
    return [each["index"] for each in body_of(*arguments, **options)["results"]]


def generated() -> Any:
    yield from CASES


@pytest.mark.parametrize("kind", ["list", "made", "iterator"])
@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--limit", "2"], [0, 1]),
        (["--limit", "20"], [0, 1, 2, 3]),
        (["--case", "named"], [1]),
        (["--case", "7", "--case", "1"], [0, 3]),
        (["--case", "3"], [2]),
        (["--sample", "20"], [0, 1, 2, 3]),
        (["--case", "named", "--case", "3", "--limit", "1"], [1]),
    ],
)
def test_chosen_cases_keep_their_places(
    kind: str, arguments: list[str], expected: list[int]
) -> None:
    data = {"list": CASES, "made": generated, "iterator": generated()}[kind]
    assert indexes(*arguments, data=data) == expected


def test_the_name_of_a_chosen_case_is_that_in_the_whole_data() -> None:
    assert "case 3 failed: ValueError: no good" in run("--case", "3").stdout


def test_trials_of_chosen_cases_are_all_run() -> None:
    cases = [{"input": "a"}, {"input": "b", "trial_count": 2}]
    found = body_of("--case", "2", data=cases)["results"]
    assert [(each["index"], each["trial_index"]) for each in found] == [(1, 0), (1, 1)]


def test_a_sample_is_the_same_for_a_seed_and_in_the_order_of_the_data() -> None:
    cases = [{"input": n} for n in range(200)]
    first = indexes("--sample", "20", "--seed", "3", data=cases)
    assert first == sorted(first) and len({*first}) == 20
    assert indexes("--sample", "20", "--seed", "3", data=cases) == first
    assert indexes("--sample", "20", "--seed", "4", data=cases) != first


def test_a_sample_without_a_seed_says_which_one_gives_it_again() -> None:
    cases = [{"input": n} for n in range(200)]
    result = run("--sample", "20", "--json", data=cases)
    seed = result.stderr.partition("the sample is that of --seed ")[2].split()[0]
    found = [each["index"] for each in json.loads(result.stdout)["results"]]
    assert indexes("--sample", "20", "--seed", seed, data=cases) == found


def test_cases_of_a_file_are_chosen_too(tmp_path: Path) -> None:
    file = tmp_path / "cases.json"
    file.write_text(json.dumps(CASES))
    assert indexes("--data", str(file), "--case", "named") == [1]


def test_the_cases_that_failed_are_run_again(tmp_path: Path) -> None:
    file = tmp_path / "results.json"
    file.write_text(run("--json").stdout)
    assert indexes("--failed-from", str(file)) == [2]
    moved = [CASES[3], CASES[2]]
    assert indexes("--failed-from", str(file), data=moved) == [1], "found by what it is"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--case", "nobody"], "--case: no case has the id 'nobody'"),
        (["--case", "2"], "--case: no case has the id '2'"),
        (["--seed", "1"], "--seed: give --sample, too"),
        (["--org", "acme"], "--org: give --dataset or --experiment, too"),
        (["--limit", "0"], "0 is not in the range"),
        (["--failed-from", "none.json"], "--failed-from: none.json: cannot be read"),
    ],
)
def test_a_wrong_choice_is_an_error_and_nothing_is_run(arguments: list[str], said: str) -> None:
    result = run(*arguments)
    assert (result.exit_code, said in result.stderr, result.stdout) == (2, True, "")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[", "is not valid JSON"),
        ("[1]", "is no file of results; write one with --json"),
        ("input;expected\na;b\n", "is no file of results, but seems to be CSV; write one"),
        ("<!doctype html>\n<p>\n", "seems to be HTML; write"),
        ('<!DOCTYPE HTML><p>\n<script id="report-data">', "seems to be a report in HTML; write"),
        ('<?xml version="1.0"?>', "seems to be XML; write"),
        ("### \u2705 echo\\: 1 case\n", "seems to be Markdown; write"),
        ('{"input": 1}\r\n{"input": 2}\r\n', "seems to be JSON Lines; write"),
        (
            '{"format": "flask-braintrust-evals/journal", ',
            "seems to be what --resume writes; write",
        ),
        ('{"format": "flask-braintrust-evals/results",\n', "is not valid JSON"),
        ("\n", "is empty; a shell empties the file that '>' names"),
        ('{"format": "another"}', "is no file of results"),
        (
            '{"format": "flask-braintrust-evals/results", "version": 99}',
            "has version 99 of the format; this command reads version 1",
        ),
        (
            '{"format": "flask-braintrust-evals/results", "version": [[[[[1]]]]]}',
            "has version [[[[...]]]] of the format",
        ),
        (
            '{"format": "flask-braintrust-evals/results", "version": 1, "evaluator": "echo"}',
            "the results are not as --json writes them: KeyError('results')",
        ),
        (
            '{"format": "flask-braintrust-evals/results", "version": 1, "evaluator": "echo",'
            ' "results": [{"input": 1, "scores": {"exact": "high"}}]}',
            "the score 'exact' is 'high', and no number",
        ),
        (
            '{"format": "flask-braintrust-evals/results", "version": 1, "evaluator": "echo",'
            ' "results": [{"input": 1, "scores": {"exact": 1' + "0" * 400 + "}}]}",
            "and no number from 0 to 1",
        ),
        (
            '{"format": "flask-braintrust-evals/results", "version": 1, "evaluator": "ehco",'
            ' "results": []}',
            "no run of 'echo' is in it; did you mean 'ehco'?",
        ),
        (
            '{"format": "flask-braintrust-evals/results", "version": 1, "evaluator": "echo",'
            ' "results": []}',
            "no case in",
        ),
    ],
)
def test_a_file_that_has_no_results_is_an_error(text: str, said: str, tmp_path: Path) -> None:
    file = tmp_path / "results.json"
    file.write_text(text)
    result = run("--failed-from", str(file))
    assert (result.exit_code, result.stdout) == (2, "")
    assert said in result.stderr


# --- Several evaluators ---


def two(**options: Any) -> Any:
    parameters = {"word": {"type": "string", "default": ""}}
    first = Evaluator("first", task, scores=[exact], data=CASES[:2], parameters=parameters)
    second = Evaluator("second", str.upper, scores=[exact], data=CASES[:1])
    return app_of(first, second, Evaluator("without data", task))


def test_several_evaluators_are_run_in_one_process_and_reported_in_one_file(
    tmp_path: Path,
) -> None:
    from xml.etree import ElementTree

    file = tmp_path / "junit.xml"
    result = evals(two(), "run", "first", "second", "--json", "--junit", str(file))
    body = json.loads(result.stdout)
    assert (body["format"], body["version"]) == ("flask-braintrust-evals/results", 1)
    assert [each["evaluator"] for each in body["runs"]] == ["first", "second"]
    suites = ElementTree.parse(file).getroot()
    assert suites.get("tests") == "3"
    assert [(suite.get("name"), suite.get("tests")) for suite in suites] == [
        ("first", "2"),
        ("second", "1"),
    ]


def test_all_are_those_with_own_data() -> None:
    result = evals(two(), "run", "--all", "--show", "failures")
    lines = [line for line in result.stdout.splitlines() if "cases, " in line or "case, " in line]
    assert [line.partition(":")[0] for line in lines] == ["first", "second"]


def test_one_whose_data_cannot_be_read_does_not_keep_the_others_from_running(
    tmp_path: Path,
) -> None:
    def broken() -> Any:
        raise ZeroDivisionError("division by zero")

    app = app_of(
        Evaluator("first", task, data=CASES[:2]),
        Evaluator("broken", task, data=broken),
        Evaluator("second", task, data=CASES[:2]),
    )
    file = tmp_path / "report.xml"
    result = evals(app, "run", "--all", "--json", "--junit", str(file))
    assert result.exit_code == 1
    runs = {each["evaluator"]: each for each in json.loads(result.stdout)["runs"]}
    assert {name: len(each["results"]) for name, each in runs.items()} == {
        "first": 2,
        "broken": 0,
        "second": 2,
    }
    why = "evaluator 'broken': data could not be read: ZeroDivisionError: division by zero"
    assert runs["broken"]["error"].endswith(why)
    assert not runs["broken"]["passed"]
    assert why in file.read_text("utf-8")
    shown = evals(app, "run", "--all")
    assert (shown.exit_code, shown.stdout.count(why)) == (1, 1)
    alone = evals(app, "run", "broken")
    assert (alone.exit_code, why in alone.stderr) == (1, True)


@pytest.mark.parametrize(
    ("number", "status", "error"),
    [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "interrupted by SIGTERM")],
    ids=["ctrl-c", "sigterm"],
)
def test_a_signal_before_an_evaluator_has_begun_loses_no_results_of_those_before(
    number: int, status: int, error: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def prepare(evaluator: Evaluator, *arguments: Any) -> Any:
        if evaluator.name == "second":
            signal.raise_signal(number)
        return prepare_run(evaluator, *arguments)

    monkeypatch.setattr(run_command, "prepare_run", prepare)
    file = tmp_path / "report.md"
    result = evals(two(), "run", "--all", "--json", "--markdown", str(file))
    first, second = json.loads(result.stdout)["runs"]
    assert (result.exit_code, first["state"], len(first["results"])) == (status, "finished", 2)
    assert (second["state"], second["error"]) == ("interrupted", error)
    assert "first" in file.read_text("utf-8")
    alone = evals(two(), "run", "second", "--json")
    assert (alone.exit_code, alone.stdout) == (status, ""), "there is nothing to show"


def test_spans_without_json_are_an_error_and_nothing_is_run() -> None:
    result = evals(two(), "run", "--all", "--spans")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "--spans: give --json, too" in result.stderr


def test_a_limit_is_for_the_evaluators_that_have_the_score() -> None:
    def other(output: Any) -> float:
        return 1.0

    app = app_of(
        Evaluator("first", task, scores=[other], data=CASES[:2]),
        Evaluator("second", task, scores=[exact], data=CASES[:2]),
    )
    result = evals(app, "run", "--all", "--fail-under", "exact=0.9", "--json")
    first, second = json.loads(result.stdout)["runs"]
    assert (result.exit_code, first["passed"], second["passed"]) == (1, True, False)
    nowhere = evals(app, "run", "--all", "--fail-under", "unknown=0.9", "--json")
    assert (nowhere.exit_code, nowhere.stdout.count("no case has the score unknown")) == (1, 1)
    assert "no scorer is named 'unknown'" in nowhere.stderr


def test_a_parameter_is_for_the_evaluators_that_have_it() -> None:
    result = evals(two(), "run", "first", "second", "-p", "word=x", "--json")
    first, second = json.loads(result.stdout)["runs"]
    assert (first["parameters"], second["parameters"]) == ({"word": "x"}, {})


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "give the name of an evaluator, or --all; there are: first, second, without data"),
        (["--all", "first"], "--all runs all evaluators: give no names"),
        (["first", "without data"], "'without data' has no data of its own"),
        (["first", "secnd"], "evaluator 'secnd' not found; did you mean 'second'"),
        (
            ["first", "tests/tables/plain.csv"],
            "evaluator 'tests/tables/plain.csv' not found; a file of cases is given by --data",
        ),
        (["setup.py"], "'setup.py' not found; bp.load('setup.py') serves the evaluators of that"),
        (["Makefile"], "evaluator 'Makefile' not found; there are: 'first', 'second'"),
        (["a" * 300], f"evaluator '{'a' * 300}' not found; there are: 'first', 'second'"),
        (["first", "second", "-p", "wrd=1"], "no parameter is named 'wrd'; did you mean 'word'?"),
    ],
)
def test_a_mistake_in_names_is_an_error_and_nothing_is_run(arguments: list[str], said: str) -> None:
    result = evals(two(), "run", *arguments)
    assert (result.exit_code, said in result.stderr, result.stdout) == (2, True, "")


def test_where_there_are_no_evaluators_it_is_said_what_may_be_missing() -> None:
    none = [EvalsBlueprint("evals", __name__).registry]
    with pytest.raises(click.UsageError, match="'cases.csv' not found; .* import the modules"):
        evaluator_named("cases.csv", none)
    with pytest.raises(click.UsageError, match="name of an evaluator.* import the modules"):
        evaluators_named([], False, none)


def test_a_parameter_that_one_of_several_needs_is_missed_before_the_others_run() -> None:
    ran: list[Any] = []
    app = app_of(
        Evaluator("first", ran.append, data=CASES),
        Evaluator("second", task, data=CASES, parameters={"n": {"type": "integer"}}),
    )
    result = evals(app, "run", "--all")
    assert (result.exit_code, ran) == (2, [])
    assert "evaluator 'second': parameter 'n' is required" in result.stderr


# --- Parameters from files ---


def parametrized(tmp_path: Path, *arguments: str) -> Result:
    def show(input: Any, parameters: Any) -> Any:
        return dict(parameters)

    parameters = {
        "text": {"type": "string", "default": ""},
        "number": {"type": "integer", "default": 1},
    }
    evaluator = Evaluator("show", show, parameters=parameters, data=[{"input": 1}])
    return evals(app_of(evaluator), "run", "show", "--json", *arguments)


def test_parameters_come_from_files(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("two\nlines")
    (tmp_path / "number").write_text("5\n")
    (tmp_path / "all.json").write_text('{"number": 7, "text": "of the file"}')
    result = parametrized(
        tmp_path, "-p", f"text=@{tmp_path / 'text'}", "-p", f"number=@{tmp_path / 'number'}"
    )
    assert json.loads(result.stdout)["results"][0]["output"] == {"text": "two\nlines", "number": 5}
    result = parametrized(tmp_path, "--params", str(tmp_path / "all.json"), "-p", "text=@@own")
    assert json.loads(result.stdout)["parameters"] == {"number": 7, "text": "@own"}
    assert json.loads(result.stdout)["results"][0]["output"] == {"text": "@own", "number": 7}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "cannot be read: No such file"),
        (b"{", "is not valid JSON"),
        (b"[]", "must hold a JSON object"),
        (b"\xff", "is not UTF-8"),
        (b'{"nubmer": 1}', "no parameter is named 'nubmer'; did you mean 'number'?"),
        (b'{"number": "1"}', "parameter 'number': '1' is not of type 'integer'"),
    ],
)
def test_a_wrong_file_of_parameters_is_an_error(
    content: bytes | None, said: str, tmp_path: Path
) -> None:
    file = tmp_path / "params.json"
    if content is not None:
        file.write_bytes(content)
    result = parametrized(tmp_path, "--params", str(file))
    assert (result.exit_code, said in result.stderr, result.stdout) == (2, True, "")


def test_a_text_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    result = parametrized(tmp_path, "-p", "text=@nowhere")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "--param text: nowhere cannot be read: No such file" in result.stderr
