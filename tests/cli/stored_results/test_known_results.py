"""Runs that are taken up again, and results that are kept."""

from __future__ import annotations

import contextlib
import importlib
import json
import pickle
import sqlite3
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import Result

from flask_braintrust_evals import Evaluator, Score
from flask_braintrust_evals.cli.commands import stores
from flask_braintrust_evals.cli.stored_results import digests
from flask_braintrust_evals.cli.stored_results.journal import Journal
from flask_braintrust_evals.cli.stored_results.result_cache import ResultCache
from tests.cli.test_run import app_of, evals


def own_file() -> dict[Path, str]:
    """This file alone: to find and read all of the tests takes longer than a run."""
    return {Path(__file__): "own.py"}


CASES = [{"input": n, "expected": n, "tags": ["t"], "metadata": {"m": n}} for n in range(6)]


def imports_alone(patch: pytest.MonkeyPatch, *names: str) -> None:
    """Have code be looked for among these modules, not among the hundreds of the tests."""
    modules = {name: sys.modules[name] for name in names}
    patch.setattr(digests, "sys", SimpleNamespace(modules=modules))


class Task:
    """Counts its calls; fails on some inputs."""

    def __init__(self, *failing: int) -> None:
        self.failing = failing
        self.inputs: list[int] = []

    def __call__(self, input: int) -> Any:
        self.inputs.append(input)
        if input in self.failing:
            raise ValueError("no good")
        return {"n": input}


def score(output: Any) -> Score:
    return Score(name="score", score=output["n"] / 10, metadata={"why": "so"})


def run(task: Task, *arguments: str, cases: Any = CASES, **options: Any) -> Result:
    parameters = {"word": {"type": "string", "default": ""}}
    evaluator = Evaluator("e", task, scores=[score], data=cases, parameters=parameters, **options)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(digests, "own_files", own_file)
        return evals(app_of(evaluator), "run", "e", *arguments)


@pytest.fixture(params=["--resume", "--cache"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> list[str]:
    if request.param == "--cache":
        pytest.importorskip("diskcache")
    return [request.param, str(tmp_path / "store")]


def test_what_is_done_is_not_done_again(store: list[str]) -> None:
    first = Task()
    before = json.loads(run(first, *store, "--json").stdout)
    second = Task()
    result = run(second, *store, "--json")
    now = json.loads(result.stdout)
    assert (sorted(first.inputs), second.inputs, result.exit_code) == ([0, 1, 2, 3, 4, 5], [], 0)
    assert now["results"] == before["results"]
    assert (now["scores"], now["metrics"]) == (before["scores"], before["metrics"])


def test_what_came_from_where_is_said(store: list[str]) -> None:
    run(Task(), *store, cases=CASES[:4])
    result = run(Task(), *store)
    assert f"4 cases from {'the cache ' if store[0] == '--cache' else ''}{store[1]}, 2 cases" in (
        result.stdout
    )


def test_cases_that_failed_are_run_again(store: list[str]) -> None:
    assert run(Task(2, 4), *store).exit_code == 1
    again = Task()
    assert run(again, *store).exit_code == 0
    assert sorted(again.inputs) == [2, 4]


def test_trials_are_told_apart(store: list[str]) -> None:
    run(Task(), *store, "--trials", "2", cases=CASES[:1])
    again = Task()
    run(again, *store, "--trials", "3", cases=CASES[:1])
    assert again.inputs == [0]


@pytest.mark.parametrize(
    ("arguments", "change"),
    [
        (["-p", "word=other"], {}),
        ([], {"expected": 7}),
        ([], {"metadata": {"m": 7}}),
        ([], {"id": "x"}),
        ([], {"tags": []}),
    ],
)
def test_with_other_parameters_or_another_case_nothing_is_taken(
    store: list[str], arguments: list[str], change: dict[str, Any]
) -> None:
    run(Task(), *store, cases=CASES[:1])
    again = Task()
    run(again, *store, *arguments, cases=[{**CASES[0], **change}])
    assert again.inputs == [0]


def test_with_other_code_nothing_is_taken(
    store: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run(Task(), *store, cases=CASES[:1])
    monkeypatch.setattr(stores, "digest_of_code", lambda: "other")
    again = Task()
    result = run(again, *store, cases=CASES[:1])
    assert again.inputs == [0]
    if store[0] == "--resume":
        assert "has results of other evaluators, code or parameters, not used now" in result.stderr


def test_results_are_those_of_the_code_that_was_loaded(
    store: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    codes = ["old"]
    monkeypatch.setattr(stores, "digest_of_code", lambda: codes[-1])

    def edited(input: int) -> int:
        codes.append("new")  # somebody saves a file during the first run
        return input

    second = Task()
    app = app_of(
        Evaluator("first", edited, data=CASES[:1]), Evaluator("second", second, data=CASES[:1])
    )
    for _ in range(2):
        assert evals(app, "run", "first", "second", *store).exit_code == 0
    assert second.inputs == [0, 0]


def test_results_of_the_first_evaluator_alone_are_not_those_of_other_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    imports_alone(monkeypatch, "flask", __name__)
    app = app_of(*(Evaluator(name, Task(), data=CASES[:1]) for name in ("first", "second")))
    store = ("--resume", str(tmp_path / "journal"))
    evals(app, "run", "first", *store)  # as if the run of both had ended early
    again = evals(app, "run", "first", "second", *store)
    assert (again.exit_code, again.stderr) == (0, "")


def test_own_code_is_what_no_library_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from flask_braintrust_evals.cli.stored_results.digests import digest_of_code, own_files

    package = tmp_path / "some_package"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "used_later.py").write_text("x = 1")
    monkeypatch.syspath_prepend(str(tmp_path))
    importlib.import_module("some_package")
    imports_alone(monkeypatch, "flask", "some_package")
    own = [*own_files()]
    assert {path.name for path in own if tmp_path in path.parents} == {
        "__init__.py",
        "used_later.py",
    }
    assert not any("site-packages" in str(path) for path in own)
    before = digest_of_code()
    (package / "used_later.py").write_text("x = 2")
    assert digest_of_code() != before


def test_code_in_another_folder_is_the_same_code(tmp_path: Path) -> None:
    found = []
    for checkout in ("first", "second"):
        package = tmp_path / checkout / "moved_package"
        package.mkdir(parents=True)
        for name in ("__init__", "part"):
            (package / f"{name}.py").write_text(f"name = {name!r}")
        with pytest.MonkeyPatch.context() as patch:
            patch.syspath_prepend(str(package.parent))
            module = importlib.import_module("moved_package")
            assert Path(str(module.__file__)).parent == package
            imports_alone(patch, "flask", "moved_package")
            found.append(digests.digest_of_code())
            del sys.modules["moved_package"]
    with pytest.MonkeyPatch.context() as patch:
        imports_alone(patch, "flask")
        without = digests.digest_of_code()
    assert found[0] == found[1] != without


def test_code_that_moves_to_another_package_is_other_code(tmp_path: Path) -> None:
    found = []
    for contents in (("a = 1", "a = 2"), ("a = 2", "a = 1")):
        for package, text in zip(("package_one", "package_two"), contents, strict=True):
            (tmp_path / package).mkdir(exist_ok=True)
            (tmp_path / package / "__init__.py").write_text(text)
        with pytest.MonkeyPatch.context() as patch:
            patch.syspath_prepend(str(tmp_path))
            for package in ("package_one", "package_two"):
                importlib.import_module(package)
            imports_alone(patch, "package_one", "package_two")
            found.append(digests.digest_of_code())
            del sys.modules["package_one"], sys.modules["package_two"]
    assert found[0] != found[1]


def test_a_run_that_was_killed_is_taken_up_where_it_stopped(tmp_path: Path) -> None:
    file = tmp_path / "journal.jsonl"
    run(Task(), "--resume", str(file))
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) - 30])  # it was killed while it wrote the last line
    again = Task()
    run(again, "--resume", str(file))
    assert len(again.inputs) == 1
    last = Task()
    run(last, "--resume", str(file))
    assert last.inputs == [], "and the line that was cut off did not spoil the next one"


@pytest.mark.parametrize("length", [5, 100, -5])
def test_a_first_line_that_is_cut_off_spoils_no_later_run(length: int, tmp_path: Path) -> None:
    file = tmp_path / "journal.jsonl"
    case = {"input": 1, "tags": ["日本"]}
    run(Task(), "--resume", str(file), cases=[case])
    whole = file.read_bytes()
    end = whole.index("日本".encode()) + 1 if length < 0 else length
    file.write_bytes(whole[:end])  # it was killed, or the disk was full
    for expected in ([1], []):
        task = Task()
        result = run(task, "--resume", str(file), cases=[case])
        assert (task.inputs, result.exit_code) == (expected, 0), result.output


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('{"a": 1}\n', 1),
        ('{"a": 1}', 1),
        ("words\nwords\n", 1),
        ("words", 1),
        ('[1]\n{"format": 1}\n', 1),
        ('{\n  "name": "x"\n}\n', 2),
        ("[" * 10_000, 1),
        ('{"run": "r", "case": "c", "trial_index": 1e400}', 1),
    ],
)
def test_another_file_is_not_taken_for_a_journal(text: str, line: int, tmp_path: Path) -> None:
    file = tmp_path / "cases.jsonl"
    file.write_text(text)
    task = Task()
    result = run(task, "--resume", str(file))
    assert (result.exit_code, task.inputs, file.read_text()) == (2, [], text)
    assert f"is not what --resume writes (line {line})" in result.stderr


def test_a_journal_that_cannot_be_made_is_named_once(tmp_path: Path) -> None:
    file = tmp_path / "none" / "run.jsonl"
    result = run(Task(), "--resume", str(file))
    assert result.exit_code == 2
    assert f"--resume: {file} cannot be used: No such file or directory\n" in result.stderr


def test_an_experiment_would_lack_what_is_not_run(tmp_path: Path) -> None:
    result = run(Task(), "--resume", str(tmp_path / "j"), "--experiment", "nightly")
    assert result.exit_code == 2
    assert "--resume and --experiment: give one of them" in result.stderr


@pytest.mark.parametrize("failing", ["find", "keep"])
def test_a_store_that_fails_costs_no_result(
    store: list[str], failing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: Any) -> None:
        raise OSError(28, "No space left on device")

    of_option = Journal if store[0] == "--resume" else ResultCache
    monkeypatch.setattr(of_option, failing, fail)
    result = run(Task(), *store, "--json")
    assert (result.exit_code, len(json.loads(result.stdout)["results"])) == (1, 6)
    assert result.stderr.count("[Errno 28] No space left on device") == 2, "at once, and last"


@pytest.mark.slow
def test_a_journal_on_a_full_disk_is_taken_up_later(tmp_path: Path) -> None:
    file = tmp_path / "journal.jsonl"
    code = f"""
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
from contextlib import closing, suppress
from pathlib import Path
from flask_braintrust_evals.cli.stored_results.journal import Journal
with closing(Journal(Path({str(file)!r}))) as journal:
    for number in range(9):
        with suppress(OSError):
            journal.keep("run", "case", number, {{"output": "\u65e5" * 30}})
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
    with contextlib.closing(Journal(file)) as journal:
        kept = [journal.find("run", "case", number) is not None for number in range(9)]
    assert file.stat().st_size == 1001, "a line was cut off, and is ended now"
    assert 0 < sum(kept) < 9


def test_a_cache_never_reads_pickled_objects(tmp_path: Path) -> None:
    pytest.importorskip("diskcache")
    folder = tmp_path / "cache"
    run(Task(), "--cache", str(folder), cases=CASES[:1])
    executed: list[Any] = []

    class Hostile:
        def __reduce__(self) -> Any:
            return executed.append, (1,)

    with contextlib.closing(sqlite3.connect(folder / "cache.db")) as database, database:
        (rows,) = database.execute("select count(*) from Cache").fetchone()
        assert rows == 1
        database.execute("update Cache set mode = 4, value = ?", (pickle.dumps([Hostile()]),))
    again = Task()
    result = run(again, "--cache", str(folder), cases=CASES[:1])
    assert (again.inputs, executed, result.exit_code) == ([0], [], 0)
    last = Task()
    run(last, "--cache", str(folder), cases=CASES[:1])
    assert last.inputs == []


@pytest.mark.parametrize("expired", [False, True])
def test_a_cache_has_no_file_but_its_database(tmp_path: Path, expired: bool) -> None:
    pytest.importorskip("diskcache")
    folder, other = tmp_path / "cache", tmp_path / "other"
    other.write_text("{}")
    large = {"n": "x" * 100_000}
    with contextlib.closing(ResultCache(folder)) as cache:
        cache.keep("run", "case", 0, large)
        assert cache.find("run", "case", 0) == large
    assert {each.name for each in folder.iterdir()} == {"cache.db"}
    with contextlib.closing(sqlite3.connect(folder / "cache.db")) as database, database:
        database.execute("update Cache set mode = 3, value = null, filename = '../other'")
        database.execute("update Cache set expire_time = ?", (1 if expired else None,))
    with contextlib.closing(ResultCache(folder)) as cache:
        assert cache.find("run", "case", 0) is None
        cache.keep("run", "another" if expired else "case", 0, large)
    assert other.exists()
