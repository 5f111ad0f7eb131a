"""What ``flask evals run`` shows of cases, and the files that it writes."""

from __future__ import annotations

import io
import json
import math
import os
import re
import resource
import stat
import sys
from decimal import Decimal
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, Literal

import click
import pytest
from click.testing import Result
from pydantic import BaseModel, Field

from flask_braintrust_evals import Evaluator, Score
from flask_braintrust_evals.cli.commands import run_command
from flask_braintrust_evals.cli.reports.files import check_writable, write_file
from flask_braintrust_evals.cli.running import outcome
from flask_braintrust_evals.cli.terminal.terminal import echo, json_option, styled
from tests.cli.test_run import app_of, evals

HOSTILE = "<script>alert(1)</script> @someone #1 | `x` ``` **b** [l](http://x)"
CASES = [{"input": n, "expected": n + n % 2} for n in range(12)]


def distance(output: int, expected: int) -> Score:
    return Score(name="distance", score=1 - abs(output - expected) / 2, metadata={"note": "why"})


def helper(input: int) -> int:
    raise ValueError(f"bad {input}")


def task(input: int) -> int:
    return helper(input) if input == 4 else input - input // 10


def run(*arguments: str, **options: Any) -> Result:
    settings = {"scores": [distance], "data": CASES, **options}
    return evals(
        app_of(Evaluator("e", settings.pop("task", task), **settings)), "run", "e", *arguments
    )


def heads(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith("case ")]


def test_failures_and_the_worst_cases_are_shown_first() -> None:
    result = run()
    assert heads(result.stdout) == [
        "case 5 failed: ValueError: bad 4",
        "case 12: distance 0.0000",
        "case 2: distance 0.5000",
        "case 4: distance 0.5000",
        "case 6: distance 0.5000",
        "case 8: distance 0.5000",
    ]
    place = f"tests/cli/reports/test_reports.py:{helper.__code__.co_firstlineno + 1} in helper"
    assert f"  at {place}: raise" in result.stdout
    assert "  input: 1\n  output: 1\n  expected: 2\n" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "count"),
    [
        (["--show", "failures"], 1),
        (["--show", "low"], 8),
        (["--show", "low", "--fail-under", "distance=0.5"], 2),
        (["--show", "all"], 12),
    ],
)
def test_other_cases_are_shown_if_one_asks_for_them(arguments: list[str], count: int) -> None:
    assert len(heads(run(*arguments).stdout)) == count


def test_nothing_is_shown_of_cases_that_are_good() -> None:
    assert heads(run(task=lambda input: input + input % 2).stdout) == []


def test_verbose_shows_whole_texts_stacks_and_metadata() -> None:
    def long(input: int) -> Any:
        return helper(input) if input == 4 else "x" * 2000

    def score(output: str) -> Score:
        return Score(name="s", score=0.5, metadata={"because": "y" * 1000})

    cases = [{"input": 4}, {"input": 5, "metadata": {"m": 1}}]
    short, full = (
        run(*arguments, task=long, scores=[score], data=cases).stdout for arguments in ([], ["-v"])
    )
    assert "Traceback" not in short and "x" * 600 not in short and "y" * 1000 not in short
    assert "Traceback" in full and "x" * 2000 in full and "y" * 1000 in full
    assert '  metadata: {"m":1}' in full
    frames = re.findall(r'File "([^"]+)"', full[full.index("Traceback") :])
    assert frames and all("flask_braintrust_evals/" not in frame for frame in frames)


def test_failures_of_scorers_name_their_line() -> None:
    def broken(output: int) -> float:
        raise RuntimeError("out of order")

    result = run(scores=[broken])
    place = f"tests/cli/reports/test_reports.py:{broken.__code__.co_firstlineno + 1} in broken"
    assert f"  at {place}: " in result.stdout
    shown = run("--show", "failures", scores=[broken], data=CASES[:1])
    assert "  broken failed: RuntimeError: out of order" in shown.stdout


def test_the_last_own_frame_is_shown_and_not_that_of_a_library() -> None:
    def parse(input: int) -> Any:
        return json.loads("{")

    result = run(task=parse, data=CASES[:1])
    assert "in parse: return json.loads" in result.stdout


@pytest.mark.parametrize(
    ("message", "hinted"),
    [
        ("dictionary changed size during iteration", True),
        ("SQLite objects created in a thread can only be used in that same thread", True),
        ("There is no current event loop in thread 'eval-3'.", True),
        ("division by zero", False),
    ],
)
def test_failures_that_smell_of_threads_have_a_hint(message: str, hinted: bool) -> None:
    def unsafe(input: int) -> Any:
        raise RuntimeError(message)

    assert ("try --max-concurrency 1" in run(task=unsafe).stdout) is hinted
    alone = run("--max-concurrency", "1", task=unsafe).stdout
    assert "try --max-concurrency 1" not in alone


def test_cases_without_an_expected_are_told() -> None:
    def exact(output: int, expected: int) -> bool:
        return output == expected

    result = run(scores=[exact], data=[{"input": 1}])
    assert "no case has an 'expected', which is an argument of 'exact'" in result.stdout
    body = json.loads(run("--json", scores=[exact], data=[{"input": 1}]).stdout)
    assert len(body["notes"]) == 1


def test_the_json_has_a_format_quantiles_places_and_parameters() -> None:
    body = json.loads(run("--json").stdout)
    assert (body["format"], body["version"]) == ("flask-braintrust-evals/results", 1)
    assert body["parameters"] == {}
    duration = body["metrics"]["duration"]
    assert 0 <= duration["p50"] <= duration["p95"]
    assert body["results"][4]["error_place"].startswith("tests/cli/reports/test_reports.py:")
    assert body["results"][0]["score_metadata"] == {"distance": {"note": "why"}}
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:]+\+00:00", body["started"])


# --- Files ---


def hostile_task(input: str) -> str:
    if input == HOSTILE:
        return HOSTILE
    raise ValueError(HOSTILE)


def written(tmp_path: Path, kind: str, **options: Any) -> str:
    file = tmp_path / f"report.{kind}"
    result = run(f"--{kind}", str(file), **options)
    assert result.stdout, "the report on the terminal is there, too"
    return file.read_text("utf-8")


HOSTILE_CASES = [{"input": HOSTILE, "expected": "x", "id": HOSTILE}, {"input": "fails"}]


def zero(output: str) -> Score:
    return Score(name=HOSTILE, score=0)


def test_markdown_has_tables_and_the_worst_cases(tmp_path: Path) -> None:
    text = written(tmp_path, "markdown")
    lines = text.splitlines()
    assert lines[0] == "### ❌ e\\: 12 cases, 1 failed"
    assert "| score | mean | cases |" in lines
    assert "| distance | 0.6364 | 11 |" in lines
    assert "**case 5**" in lines
    assert "failed: ValueError: bad 4" in lines
    passed = written(tmp_path, "markdown", task=lambda input: input + input % 2)
    assert passed.startswith("### ✅ e")


def test_markdown_says_why_scorers_failed(tmp_path: Path) -> None:
    def broken(output: int) -> float:
        if output > 3:
            raise RuntimeError("out of order")
        return 1.0

    lines = written(tmp_path, "markdown", scores=[broken], task=lambda input: input).splitlines()
    place = f"tests/cli/reports/test\\_reports.py\\:{broken.__code__.co_firstlineno + 2} in broken"
    assert lines[0] == "### ❌ e\\: 12 cases, 0 failed"
    assert lines[2].startswith(
        f"- broken failed on 8 cases, first with RuntimeError\\: out of order, at {place}"
    )


def test_in_markdown_no_text_of_the_data_means_anything(tmp_path: Path) -> None:
    text = written(tmp_path, "markdown", task=hostile_task, scores=[zero], data=HOSTILE_CASES)
    blocks = re.findall(r"^(`{3,})text\n(.*?)^\1$", text, re.MULTILINE | re.DOTALL)
    assert len(blocks) == 2
    assert all("`" * len(fence) not in content for fence, content in blocks)
    outside = re.sub(r"^(`{3,})text\n.*?^\1$", "", text, flags=re.MULTILINE | re.DOTALL)
    for active in ("<script", "@someone", "#1", "](http", "``", "**b"):
        assert not re.search(rf"(?<!\\){re.escape(active)}", outside), active
    tags = re.findall(r"(?<!\\)<[^>]*>", outside)
    assert tags == ["<details>", "<summary>", "</summary>", "</details>"]


def test_markdown_is_never_longer_than_a_comment_may_be(tmp_path: Path) -> None:
    def many(output: int) -> list[Score]:
        return [Score(name=f"{n} {'s' * 1000}", score=0) for n in range(100)]

    text = written(tmp_path, "markdown", data=CASES[:1], scores=[many])
    assert 50_000 < len(text) < 65_536


class Page(HTMLParser):
    """The tags of a page, and the texts of its scripts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.scripts: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        # The parser knows that what is in a script, up to its end, is no markup.
        if self.cdata_elem == "script":
            self.scripts.append(data)

    @property
    def results(self) -> Any:
        """The results that are in the page."""
        return json.loads(self.scripts[0])


def test_a_page_has_every_case_and_needs_nothing_else(tmp_path: Path) -> None:
    base = tmp_path / "base.json"
    base.write_text(run("--json").stdout)
    file = tmp_path / "report.html"
    run("--html", str(file), "--baseline", str(base), "--fail-under", "distance=0.9")
    text = file.read_text("utf-8")
    page = Page(text)
    assert "default-src 'none'; script-src 'sha256-" in text
    assert not {"img", "link", "iframe"} & {*page.tags}
    assert "src=" not in text and "url(" not in text and "@import" not in text
    (found,) = page.results["runs"]
    assert len(found["results"]) == 12
    assert found["results"][4]["error"] == "ValueError: bad 4"
    assert "test_reports.py" in found["results"][4]["error_stack"]
    assert [each["name"] for each in found["results"][0]["spans"]] == ["task", "distance", "eval"]
    assert page.results["passed"] is False and "distance" in found["too_low"]
    assert page.results["compared_with"] == [json.loads(base.read_text())]


def test_spans_are_written_as_json_if_one_asks_for_them(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "spans" not in json.loads(run("--json").stdout)["results"][0]
    results = json.loads(run("--json", "--spans").stdout)["results"]
    (failed,) = (each for each in results[4]["spans"] if each["name"] == "task")
    assert failed["error"] == "ValueError: bad 4" and "in helper" in failed["error_stack"]
    monkeypatch.setattr(outcome, "MAX_SPANS_BYTES", 1)
    results = json.loads(run("--json", "--spans", "--limit", "2").stdout)["results"]
    assert [(each["spans"], each["spans_cut"]) for each in results] == [([], 3)] * 2


def test_in_a_page_no_text_of_the_data_means_anything(tmp_path: Path) -> None:
    plain = Page(written(tmp_path, "html", data=CASES[:2]))
    cases = [{"input": "</script><!-- \u2028 \ud800 <b>"}, *HOSTILE_CASES]
    hostile = Page(written(tmp_path, "html", task=hostile_task, scores=[zero], data=cases))
    assert hostile.tags == plain.tags
    assert hostile.scripts[1:] == plain.scripts[1:]
    results = hostile.results["runs"][0]["results"]
    assert HOSTILE in str(results)
    assert results[0]["input"].startswith("</script><!-- \u2028 ")


@pytest.mark.parametrize("kind", ["junit", "markdown", "html"])
def test_a_file_that_cannot_be_written_is_an_error(kind: str) -> None:
    nowhere = run(f"--{kind}", f"nowhere/report.{kind}")
    assert (nowhere.exit_code, nowhere.stdout) == (2, "")
    assert f"--{kind}: 'nowhere' is not a writable folder" in nowhere.stderr


def test_a_file_that_another_option_names_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "link.csv").symlink_to(tmp_path / "cases.csv")
    used = [("--data", tmp_path / "cases.csv"), ("--resume", Path("/dev/null"))]
    with pytest.raises(click.UsageError, match="--data and --html: .* is named twice"):
        check_writable(tmp_path / "link.csv", "--html", used)
    check_writable(tmp_path / "report.html", "--html", used)
    check_writable(Path("/dev/null"), "--html", used)


def test_a_file_is_written_as_a_whole(tmp_path: Path) -> None:
    file, link, pipe = (tmp_path / name for name in ("results.md", "link.md", "pipe"))
    file.write_text("former")
    file.chmod(0o604)
    link.symlink_to(file)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(OSError, match="too large"):
            write_file(link, "x" * 100_000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert (sorted(os.listdir(tmp_path)), file.read_text()) == (["link.md", "results.md"], "former")
    write_file(link, "é")
    assert (link.is_symlink(), file.read_text("utf-8")) == (True, "é")
    assert stat.S_IMODE(file.stat().st_mode) == 0o604
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    assert run("--markdown", str(pipe)).exit_code == 1
    assert os.read(reader, 10).startswith(b"### ")
    os.close(reader)


def test_a_report_can_be_part_of_what_the_command_prints_into_a_file(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("before ")
    former = os.dup(1)
    try:
        with log.open("ab") as file:
            os.dup2(file.fileno(), 1)
        check_writable(Path("/dev/stdout"), "--markdown", {})
        write_file(Path("/dev/stdout"), "report ")
        os.write(1, b"after")
    finally:
        os.dup2(former, 1)
        os.close(former)
    assert log.read_text() == "before report after"


def test_results_that_cannot_be_printed_are_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(text: str, file: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(run_command, "echo", fail)
    result = run("--json", "--junit", str(tmp_path / "junit.xml"))
    assert (result.exit_code, result.exception.__class__) == (1, SystemExit)
    assert "standard output: [Errno 28] No space left on device" in result.stderr
    assert (tmp_path / "junit.xml").exists()


def test_json_goes_nowhere_where_standard_output_is_closed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def write(output: Any) -> None:
        assert output is not None, "JSON is wanted"
        with output:
            echo("{}", file=output)

    errors = io.StringIO()
    monkeypatch.setattr(sys, "stderr", errors)
    monkeypatch.setattr(sys, "stdout", None)  # as Python has it
    command = json_option("Write JSON.")(click.Command("write", params=[], callback=write))
    command.main(["--json"], standalone_mode=False)
    assert errors.getvalue() == ""


@pytest.mark.parametrize("encoding", ["latin-1", "iso8859-15"])
def test_what_a_stream_cannot_encode_is_written_as_escapes(encoding: str) -> None:
    written = io.BytesIO()
    stream = io.TextIOWrapper(written, encoding)
    echo("é 日 b", file=stream)
    assert written.getvalue().decode(encoding) == "é \\u65e5 b\n"


@pytest.mark.parametrize(
    ("variable", "value", "coloured"),
    [("TERM", "xterm", True), ("TERM", "dumb", False), ("NO_COLOR", "1", False)],
)
def test_colours_are_for_terminals_that_have_them(
    variable: str, value: str, coloured: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("TERM", "NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(variable, value)
    terminal = io.StringIO()
    monkeypatch.setattr(terminal, "isatty", lambda: True, raising=False)
    echo(styled("text", fg="red"), file=terminal)
    assert ("\x1b[31m" in terminal.getvalue()) is coloured


# --- The list, and completion ---


def test_the_list_as_json_has_types_defaults_and_own_data() -> None:
    parameters = {
        "word": {"type": "string", "enum": ["a", "b"], "default": "a", "description": "Which."},
        "number": {"type": "integer"},
        "model": {"type": "model", "default": "small"},
    }
    made = Evaluator("made", task, data=lambda: CASES, parameters=parameters)
    result = evals(app_of(made, Evaluator("e", task, data=CASES)), "list", "--json")
    first, second = json.loads(result.stdout)
    assert (first["has_data"], first["cases"]) == (True, None)
    assert (second["has_data"], second["cases"]) == (True, 12)
    assert first["location"].rpartition(":")[0].endswith("test_reports.py")
    word, number, model = first["parameters"]
    assert word == {
        "name": "word",
        "type": "string",
        "required": False,
        "default": "a",
        "description": "Which.",
        "choices": ["a", "b"],
    }
    assert (number["type"], number["required"], number["default"]) == ("integer", True, None)
    assert (model["type"], model["default"]) == ("model", "small")


def test_the_list_is_for_people() -> None:
    parameters = {
        "word": {"type": "string", "enum": ["a", "b"], "default": "a", "description": "Which."},
        "number": {"type": ["integer", "null"]},
    }
    made = Evaluator("made", task, data=lambda: CASES, parameters=parameters)
    result = evals(app_of(made, Evaluator("e", task, data=CASES)), "list")
    assert result.stdout.splitlines() == [
        "made",
        "  scores: none",
        "  parameters:",
        '    word: string, one of "a", "b", default "a" (Which.)',
        "    number: integer or null, required",
        "  own data: yes",
        "e",
        "  scores: none",
        "  own data: 12 cases",
    ]


class Temperature(BaseModel):
    value: float = Field(0.5, ge=0, le=2, description="How free the model is")


class Tone(BaseModel):
    value: Literal["friendly", "formal"] | None = None


class Person(BaseModel):
    name: str
    age: int = Field(ge=0)


@pytest.mark.parametrize(
    ("declared", "line", "more"),
    [
        (
            {"type": "integer", "minimum": 1, "exclusiveMaximum": 9, "default": 1},
            "integer, at least 1, below 9, default 1",
            {"limits": {"minimum": 1, "exclusiveMaximum": 9}},
        ),
        (
            {"type": "string", "pattern": "^[A-Z\n]{3}$", "maxLength": 3},
            r"string, length at most 3, matches ^[A-Z\n]{3}$, required",
            {"limits": {"maxLength": 3, "pattern": "^[A-Z\n]{3}$"}},
        ),
        ({"const": 5, "type": "integer"}, "integer, one of 5, required", {"choices": [5]}),
        (
            {"type": "string", "enum": [*"abcdefghi"]},
            'string, one of "a", "b", "c", "d", "e", "f", "g", "h", …, required',
            {"choices": [*"abcdefghi"]},
        ),
        (
            Temperature,
            "number, at least 0, at most 2, default 0.5 (How free the model is)",
            {"limits": {"minimum": 0, "maximum": 2}},
        ),
        (
            Tone,
            'string or null, one of "friendly", "formal", null, default null',
            {"choices": ["friendly", "formal", None]},
        ),
        (Person, "object, fields name, age, required", {"fields": ["name", "age"]}),
        (
            {"type": "number", "minimum": Decimal("0.5"), "maximum": math.inf, "default": 1},
            "number, at least 0.5, at most Infinity, default 1",
            {"limits": {"minimum": "0.5", "maximum": "Infinity"}},
        ),
        (
            {"type": "string", "enum": ["a", "b"], "anyOf": [{"minLength": 1}, {"type": "null"}]},
            'string, one of "a", "b", length at least 1, required',
            {"choices": ["a", "b"], "limits": {"minLength": 1}},
        ),
        (
            {"type": "string", "allOf": [{"minLength": 2}], "maxLength": 5},
            "string, length at least 2, length at most 5, required",
            {"limits": {"minLength": 2, "maxLength": 5}},
        ),
        (
            {"type": ["string", "null"], "anyOf": [{"enum": ["a", None]}, {"type": "null"}]},
            'string or null, one of "a", null, required',
            {"choices": ["a", None]},
        ),
    ],
)
def test_the_list_says_which_values_are_allowed(
    declared: Any, line: str, more: dict[str, Any]
) -> None:
    app = app_of(Evaluator("e", task, parameters={"p": declared}))
    assert f"    p: {line}\n" in evals(app, "list").stdout
    ((described,),) = (
        each["parameters"] for each in json.loads(evals(app, "list", "--json").stdout)
    )
    assert {key: described[key] for key in described if key in ("choices", "limits", "fields")} == (
        more
    )


def test_parameters_that_are_saved_are_listed_with_their_values() -> None:
    from flask_braintrust_evals.engine.parameters.saved import SavedParameterSet

    schema = {
        "type": "object",
        "properties": {
            "a": {"type": "string"},
            "b": {"$ref": "#/$defs/two", "maximum": 9, "default": 2},
        },
        "$defs": {"two": {"type": "integer", "minimum": 2}},
    }
    evaluator = Evaluator("e", task, parameters=SavedParameterSet(schema, {"a": "saved"}, {}))
    result = evals(app_of(evaluator), "list")
    assert (
        '    a: string, default "saved"\n    b: integer, at least 2, at most 9, default 2\n'
        in result.stdout
    )


def test_a_shell_completes_evaluators_and_parameters() -> None:
    from click.shell_completion import BashComplete
    from flask.cli import FlaskGroup

    alone, shared = ({name: {"type": "string", "default": ""}} for name in ("alone", "shared"))
    first = Evaluator("first", task, parameters={**alone, **shared})
    app = app_of(first, Evaluator("second", task, parameters=shared))
    cli = FlaskGroup(create_app=lambda: app)
    complete = BashComplete(cli, {}, "flask", "_FLASK_COMPLETE")
    for words, completed in (
        ("evals run ", ["first", "second"]),
        ("evals run f", ["first"]),
        ("evals run first ", ["second"]),
        ("evals run first -p ", ["alone=", "shared="]),
        ("evals run second -p ", ["shared="]),
        ("evals run first --param al", ["alone="]),
    ):
        arguments = words.split()
        incomplete = "" if words.endswith(" ") else arguments.pop()
        found = complete.get_completions(arguments, incomplete)
        assert [each.value for each in found] == completed, words


def test_completion_of_an_application_that_cannot_be_loaded_is_empty() -> None:
    from click.shell_completion import BashComplete
    from flask.cli import FlaskGroup

    def broken() -> Any:
        raise RuntimeError

    complete = BashComplete(FlaskGroup(create_app=broken), {}, "flask", "_FLASK_COMPLETE")
    assert complete.get_completions(["evals", "run"], "") == []
