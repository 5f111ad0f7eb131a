"""Which files ``bp.load()`` finds: by name, in folders, by pattern."""

from __future__ import annotations

from pathlib import Path

import pytest

from flask_braintrust_evals import EvalsBlueprint

from .support import FIRST_LINE, Write, eval_of, locations, names, refusal


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
    write("evals/deep/e.eval.py", eval_of("e"))
    write("evals/eval_f.eval.py", "assert '.' not in __name__", eval_of("f"))
    bp.load(tmp_path / "evals")
    # In the order of their paths, on every machine.
    assert names(bp) == ["d", "e", "c", "a", "b", "f"]


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


def test_a_pattern_omits_installed_packages_as_a_folder_does(
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
        ("empty", "there is no file named eval_*.py or *.eval.py in {root}/empty"),
    ],
)
def test_a_path_without_files_is_an_error_that_names_the_searched_folder(
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
