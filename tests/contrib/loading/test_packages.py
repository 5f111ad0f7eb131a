"""Files in packages, and files that import each other."""

from __future__ import annotations

import sys
import types
from pathlib import Path

import pytest

from flask_braintrust_evals import EvalsBlueprint

from .support import Write, eval_of, names

ONCE = "import sys; sys.once_more = getattr(sys, 'once_more', []) + [__name__]"


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the modules that had ``ONCE``, each time that they were executed."""
    found: list[str] = []
    monkeypatch.setattr(sys, "once_more", found, raising=False)
    return found


def executed() -> list[str]:
    return list(getattr(sys, "once_more"))  # noqa: B009 (mypy does not know it)


@pytest.mark.usefixtures("runs")
def test_relative_imports_work_in_packages_and_run_each_file_once(
    bp: EvalsBlueprint, write: Write, tmp_path: Path
) -> None:
    write("outer_pkg/__init__.py", ONCE, imports="")
    write("outer_pkg/shared.py", ONCE, "NAME = 'shared'", imports="")
    write("outer_pkg/evals/__init__.py", ONCE, imports="")
    write("outer_pkg/evals/helpers.py", ONCE, "from ..shared import NAME", imports="")
    for each in ("a", "b"):
        write(
            f"outer_pkg/evals/eval_{each}.py",
            ONCE,
            "from .helpers import NAME",
            "from ..shared import NAME as again",
            "from outer_pkg.evals import helpers",
            f"Eval(f'{{NAME}} {each}', data=[], task=lambda input: __package__, scores=[exact])",
        )
    bp.load(tmp_path)
    assert names(bp) == ["shared a", "shared b"]
    package = "outer_pkg.evals"
    assert [each.task(1) for each in bp.registry] == [package, package]
    assert executed() == [
        "outer_pkg",
        package,
        f"{package}.eval_a",
        f"{package}.helpers",
        "outer_pkg.shared",
        f"{package}.eval_b",
    ]


@pytest.mark.usefixtures("runs")
@pytest.mark.parametrize("in_package", [False, True])
@pytest.mark.parametrize(("importing", "imported"), [("a", "b"), ("b", "a")])
def test_a_file_that_another_one_imports_is_registered_once(
    bp: EvalsBlueprint,
    write: Write,
    tmp_path: Path,
    importing: str,
    imported: str,
    in_package: bool,
) -> None:
    if in_package:
        write("some_pkg/__init__.py", imports="")
    dot = "." if in_package else ""
    write(f"some_pkg/eval_{imported}.py", ONCE, "NAME = 'x'", eval_of("base"))
    write(
        f"some_pkg/eval_{importing}.py",
        ONCE,
        f"from {dot}eval_{imported} import NAME",
        eval_of("more"),
    )
    bp.load(tmp_path)
    assert sorted(names(bp)) == ["base", "more"]
    assert len(executed()) == 2


@pytest.mark.usefixtures("runs")
@pytest.mark.parametrize("in_package", [False, True])
@pytest.mark.parametrize("first", ["eval_a_common", "eval_z_common", "common"])
def test_files_may_make_their_evaluators_by_a_function_of_another_file(
    bp: EvalsBlueprint,
    write: Write,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    first: str,
    in_package: bool,
) -> None:
    if in_package:
        write("team_pkg/__init__.py", imports="")
    dot = "." if in_package else ""
    write(
        f"team_pkg/{first}.py",
        ONCE,
        "def make(name):",
        "    return Eval(name, data=data, task=task, scores=[exact])",
    )
    for name in ("greeter", "other"):
        write(f"team_pkg/eval_{name}.py", ONCE, f"from {dot}{first} import make", f"make({name!r})")
    bp.load(tmp_path)
    assert sorted(names(bp)) == ["greeter", "other"]
    assert len(executed()) == 3
    assert not caplog.records


def test_a_file_may_make_one_and_have_another_file_make_more(
    bp: EvalsBlueprint, write: Write, tmp_path: Path
) -> None:
    write(
        "eval_a.py",
        "def make(name):",
        "    return Eval(name, data=data, task=task, scores=[exact])",
        "make('a')",
    )
    write("eval_b.py", "from eval_a import make", "make('b')")
    bp.load(tmp_path)
    assert names(bp) == ["a", "b"]


@pytest.mark.usefixtures("runs")
def test_a_package_may_import_its_files_itself(
    bp: EvalsBlueprint, write: Write, tmp_path: Path
) -> None:
    write("eager_pkg/__init__.py", "from . import eval_a, eval_b", imports="")
    write("eager_pkg/eval_a.py", ONCE, eval_of("a"))
    write("eager_pkg/eval_b.py", ONCE, eval_of("b"))
    bp.load(tmp_path / "eager_pkg")
    assert names(bp) == ["a", "b"]
    assert executed() == ["eager_pkg.eval_a", "eager_pkg.eval_b"]


def test_a_file_is_one_module_whoever_imports_it(
    bp: EvalsBlueprint, write: Write, tmp_path: Path
) -> None:
    write("eval_a.py", "class Answer: pass", "import sys", "me = sys.modules[__name__]")
    write(
        "eval_b.py",
        "import eval_a",
        "assert eval_a is eval_a.me",
        "assert eval_a.__spec__.name == eval_a.__name__",
        eval_of("b"),
    )
    bp.load(tmp_path)
    assert names(bp) == ["b"]


def test_files_of_one_name_in_two_folders_are_imported_each_by_its_neighbours(
    bp: EvalsBlueprint, write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in ("one", "two"):
        write(f"{folder}/eval_a.py", f"NAME = {folder!r}")
        forget = "import sys; sys.modules.pop('eval_a', None)"
        write(
            f"{folder}/eval_b.py",
            forget,
            "import eval_a",
            "Eval(eval_a.NAME, data=data, task=task, scores=[exact])",
        )
    bp.load(tmp_path)
    assert names(bp) == ["one", "two"]


def test_a_package_whose_name_another_one_has_is_ignored(
    bp: EvalsBlueprint, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = types.ModuleType("taken_pkg")
    other.__path__ = ["/somewhere/else"]
    monkeypatch.setitem(sys.modules, "taken_pkg", other)
    write("taken_pkg/__init__.py", "raise AssertionError('imported')", imports="")
    bp.load(write("taken_pkg/eval_one.py", eval_of("one")))
    assert names(bp) == ["one"]
    assert sys.modules["taken_pkg"] is other


def test_a_module_of_a_package_is_not_replaced_when_its_file_is_loaded_again(
    bp: EvalsBlueprint, write: Write
) -> None:
    write("again_pkg/__init__.py", imports="")
    write("again_pkg/helpers.py", "NAME = 'x'", imports="")
    file = write("again_pkg/eval_one.py", "from .helpers import NAME", eval_of("one"))
    bp.load(file)
    module = sys.modules["again_pkg.eval_one"]
    other = EvalsBlueprint("other", __name__)
    other.load(file)
    assert names(other) == ["one"]
    assert sys.modules["again_pkg.eval_one"] is module


@pytest.mark.parametrize("name", ["eval_v1.2-beta.py", "eval_one.py"])
def test_any_file_name_may_use_relative_imports(
    bp: EvalsBlueprint, write: Write, name: str
) -> None:
    write("named_pkg/__init__.py", imports="")
    write("named_pkg/helpers.py", "NAME = 'x'", imports="")
    bp.load(write(f"named_pkg/{name}", "from .helpers import NAME", eval_of("one")))
    assert names(bp) == ["one"]
