"""Every language model that is named anywhere is the one of ``tests/example_model.py``."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.example_model import EXAMPLE_MODEL

from .pages import ROOT

FOLDERS = ("flask_braintrust_evals", "example_app", "docs", "tests", "benchmarks")
TEXTS = {".py", ".md", ".js", ".html", ".css", ".svg", ".json", ".toml", ".txt", ".csv", ".jsonl"}
MODEL = re.compile(
    r"\b(?:gpt-\d|claude-(?:\d|fable|haiku|opus|sonnet)|gemini-\d|llama-?\d|mistral-)[\w.-]*\w"
    r"|\bo[1-9]-(?:mini|preview|pro)\b"
)


def files() -> Iterator[Path]:
    yield from (path for path in ROOT.iterdir() if path.suffix in TEXTS)
    for folder in FOLDERS:
        for path in (ROOT / folder).rglob("*"):
            if path.suffix in TEXTS and not path.is_relative_to(ROOT / "docs" / "_build"):
                yield path


def models_in(text: str) -> list[str]:
    return [found[0] for found in MODEL.finditer(text)]


def test_no_other_model_is_named() -> None:
    others = {
        f"{path.relative_to(ROOT)}: {model}"
        for path in files()
        if path != Path(__file__)
        for model in models_in(path.read_text("utf-8", errors="replace"))
        if model != EXAMPLE_MODEL
    }
    assert not others


def test_pages_name_the_model() -> None:
    assert EXAMPLE_MODEL in models_in((ROOT / "docs" / "parameters.md").read_text("utf-8"))


@pytest.mark.parametrize(
    ("text", "models"),
    [
        ("the model gpt-5-mini.", ["gpt-5-mini"]),
        ('"gpt-6.1-terra"', ["gpt-6.1-terra"]),
        (
            "claude-sonnet-9, gemini-3.0-pro and o4-mini",
            ["claude-sonnet-9", "gemini-3.0-pro", "o4-mini"],
        ),
        ("a chat with a gpt or Claude, o1 and h1-mini", []),
    ],
)
def test_models_are_found_by_their_names(text: str, models: list[str]) -> None:
    assert models_in(text) == models
