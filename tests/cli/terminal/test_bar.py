"""The progress bar: one line at most, and what tasks print is above it."""

from __future__ import annotations

import io
import sys
from contextlib import redirect_stderr, redirect_stdout

import click
import pytest

from flask_braintrust_evals.cli.terminal import bar as module
from flask_braintrust_evals.cli.terminal.bar import Bar, progress_bar


class Terminal(io.StringIO):
    """Takes what is written, as a terminal."""

    def isatty(self) -> bool:
        return True

    @property
    def lines(self) -> list[str]:
        """What a terminal shows in the end."""
        shown = []
        for line in self.getvalue().split("\n"):
            shown.append(line.rpartition("\r")[2].replace("\x1b[K", ""))
        return shown


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    monkeypatch.setattr(module, "REDRAW_AFTER", 0.0)
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setenv("TERM", "xterm")
    return Terminal()


def say(text: str, end: str = "\n", err: bool = False) -> None:
    """Write as print() does: the end of the line apart."""
    stream = sys.stderr if err else sys.stdout
    stream.write(text)
    stream.write(end)


@pytest.mark.parametrize("width", [0, 1, 5, 9, 12, 20, 40, 59, 80, 500])
@pytest.mark.parametrize("total", [None, 3, 100_000])
@pytest.mark.parametrize("label", ["e", "a long name of an evaluator, with an é"])
def test_a_bar_is_never_wider_than_its_terminal(width: int, total: int | None, label: str) -> None:
    bar = Bar(label, total, io.StringIO())
    bar.update(3)
    assert len(bar.line(width)) <= width


def test_a_bar_shows_name_count_and_time_if_there_is_room() -> None:
    bar = Bar("shout", 4, io.StringIO())
    bar.update(1)
    line = bar.line(60)
    assert line.startswith("shout  [#######")
    assert "  1/4  0:00 left" in line
    assert bar.line(20) == "shout  1/4"
    assert bar.line(6) == "1/4"


def test_what_is_printed_is_above_the_bar(terminal: Terminal) -> None:
    with redirect_stdout(terminal), redirect_stderr(terminal), progress_bar("shout", 3) as bar:
        bar.update(1)
        say("printed by the task")
        say("in ", end="")
        bar.update(1)
        say("pieces")
        say("to standard error", err=True)
        click.echo("by click", err=True)
        bar.update(1)
    printed = ["printed by the task", "in pieces", "to standard error", "by click"]
    assert terminal.lines[:4] == printed
    assert terminal.lines[4].startswith("shout  [") and "3/3" in terminal.lines[4]
    assert terminal.lines[5] == ""


def test_a_line_that_has_not_ended_is_not_drawn_over(terminal: Terminal) -> None:
    with redirect_stdout(terminal), redirect_stderr(terminal), progress_bar("shout", 3) as bar:
        say("half a line", end="")
        bar.update(3)
    assert terminal.lines[0] == "half a line"
    assert "3/3" in terminal.lines[1]


@pytest.mark.parametrize("kind", ["no terminal", "dumb"])
def test_without_a_terminal_that_can_move_its_cursor_there_is_no_bar(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = Terminal() if kind == "dumb" else io.StringIO()
    monkeypatch.setenv("TERM", "dumb" if kind == "dumb" else "xterm")
    with redirect_stderr(out), progress_bar("shout", 3) as bar:
        bar.update(3)
    assert out.getvalue() == ""


def test_a_terminal_that_is_gone_does_not_end_the_run() -> None:
    class Gone(Terminal):
        def write(self, text: str) -> int:
            raise OSError

    bar = Bar("shout", 3, Gone())
    bar.update(3)
    bar.finish()
