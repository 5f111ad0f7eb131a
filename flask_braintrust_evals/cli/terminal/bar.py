"""A progress bar on standard error, of one line at most, above which tasks may print."""

from __future__ import annotations

import os
import shutil
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

from flask_braintrust_evals.texts.safe_texts import clean_text

REDRAW_AFTER = 0.1
"""Seconds between two drawings of the bar."""
BAR_WIDTH = 30
"""Characters of the bar itself, at most."""
MIN_BAR = 5
"""Characters below which there is no bar, but numbers alone."""
CLEAR = "\r\x1b[K"
"""Moves to the beginning of the line, and empties it."""


class Bar:
    """A line that says how many cases are done.

    Args:
        label: what is run.
        total: how many cases there are; ``None``: not known.
        terminal: where it is drawn.
    """

    def __init__(self, label: str, total: int | None, terminal: IO[str]) -> None:
        self._label = clean_text(label)
        self._total = total
        self._terminal = terminal
        self._done = 0
        self._began = time.monotonic()
        self._drawn = 0.0
        self._hidden = False
        self.lock = threading.RLock()

    def update(self, steps: int) -> None:
        """Count cases that are done, and draw the bar again if it is time."""
        self._done += steps
        if time.monotonic() - self._drawn >= REDRAW_AFTER:
            with self.lock:
                self.draw()

    def draw(self) -> None:
        """Draw the bar over itself."""
        self._drawn = time.monotonic()
        if not self._hidden:
            self._write(CLEAR + self.line(shutil.get_terminal_size().columns - 1))

    def clear_for(self, text: str) -> None:
        """Make room for a text. While a text has not ended its line, the bar is not drawn."""
        if not self._hidden:
            self._write(CLEAR)
        self._hidden = not text.endswith("\n")

    def finish(self) -> None:
        """Draw it for the last time, and leave its line."""
        with self.lock:
            if self._hidden:
                self._write("\n")
            self._hidden = False
            self.draw()
            self._write("\n")

    def line(self, width: int) -> str:
        """Return the bar as text of at most ``width`` characters."""
        count = f"{self._done}" if self._total is None else f"{self._done}/{self._total}"
        texts = [self._label, count, self._time()]
        room = width - sum(len(text) + 2 for text in texts)
        if self._total and room >= MIN_BAR + 2:
            length = min(BAR_WIDTH, room - 2)
            filled = min(length, length * self._done // self._total)
            texts.insert(1, f"[{'#' * filled}{'-' * (length - filled)}]")
        elif room < 0:
            texts = [count] if len(count) + len(self._label) + 2 > width else texts[:2]
        return "  ".join(texts)[: max(width, 0)]

    def _time(self) -> str:
        seconds = time.monotonic() - self._began
        if self._total is None or not self._done or self._done >= self._total:
            return _clock(seconds)
        return f"{_clock(seconds / self._done * (self._total - self._done))} left"

    def _write(self, text: str) -> None:
        try:
            self._terminal.write(text)
            self._terminal.flush()
        except (OSError, ValueError):  # the terminal is gone
            pass


class _Above:
    """A text stream that writes above the bar.

    Args:
        stream: the stream itself.
        bar: drawn again below what is written.
    """

    def __init__(self, stream: Any, bar: Bar) -> None:
        self._stream = stream
        self._bar = bar

    def write(self, text: str) -> int:
        if not text:  # click tries whether a stream is one of bytes: this one refuses them
            nothing: int = self._stream.write(text)
            return nothing
        with self._bar.lock:
            self._bar.clear_for(text)
            written: int = self._stream.write(text)
            self._stream.flush()
            self._bar.draw()
        return written

    def writelines(self, lines: Any) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


class _NoBar:
    """Replaces the bar if standard error is not a terminal."""

    def update(self, steps: int) -> None:
        pass


@contextmanager
def progress_bar(label: str, total: int | None) -> Iterator[Any]:
    """Yield a bar on standard error, or what does nothing if that is no terminal.

    Meanwhile, what is printed in Python is written above the bar.
    """
    is_shown = sys.stderr is not None and sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
    if not is_shown:
        yield _NoBar()
        return
    stdout, stderr = sys.stdout, sys.stderr
    bar = Bar(label, total, stderr)
    above_out = _Above(stdout, bar) if stdout is not None and stdout.isatty() else stdout
    above_err = _Above(stderr, bar)
    sys.stdout, sys.stderr = above_out, above_err
    try:
        bar.update(0)
        yield bar
    finally:
        bar.finish()
        if sys.stdout is above_out:
            sys.stdout = stdout
        if sys.stderr is above_err:
            sys.stderr = stderr


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
