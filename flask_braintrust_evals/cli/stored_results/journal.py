"""A file that gets each result as soon as it is there, so that a run can be taken up again."""

from __future__ import annotations

import json
import threading
from collections.abc import Collection, Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

import click

from flask_braintrust_evals.serialization.strict_json import parse_json
from flask_braintrust_evals.texts.safe_texts import clean_text

from .result_format import VERSION

FORMAT = "flask-braintrust-evals/journal"
"""What each line of a journal says of itself."""
_BEGINNING = f'{{"format": "{FORMAT}", '
"""How each line begins, also one that was cut off."""

_Key = tuple[str, str, int]


class Journal:
    """Results in JSON Lines: one line for each trial of a case that did not fail.

    Several runs may be in one file. What a process that was killed has left of a line is ignored.

    Args:
        path: the file; it is made if there is none.

    Attributes:
        name: what it is called in messages.

    Raises:
        click.UsageError: it cannot be read or written, or is no journal.
    """

    def __init__(self, path: Path) -> None:
        self.name = str(path)
        self._lock = threading.Lock()
        self._known: dict[_Key, Mapping[str, Any]] = {}
        try:
            # The last line may end within a character.
            text = path.read_text("utf-8", "replace") if path.exists() else ""
            self._file: IO[str] = path.open("a", encoding="utf-8")
        except OSError as error:
            raise click.UsageError(
                f"--resume: {path} cannot be used: {error.strerror or error}"
            ) from None
        self._read(text)
        if text and not text.endswith("\n"):
            self._file.write("\n")

    def has_others(self, runs: Collection[str]) -> bool:
        """Return whether there are results, and none is of these runs."""
        return bool(self._known) and all(key[0] not in runs for key in self._known)

    def find(self, run: str, case: str, trial_index: int) -> Mapping[str, Any] | None:
        """Return a result that was in the file at first; ``None``: it had none."""
        return self._known.get((run, case, trial_index))

    def keep(self, run: str, case: str, trial_index: int, body: Mapping[str, Any]) -> None:
        """Write a result, so that it is there even if the process is killed.

        Nothing is written if it was in the file at first.
        """
        if self.find(run, case, trial_index) is not None:
            return
        line = {
            "format": FORMAT,
            "version": VERSION,
            "run": run,
            "case": case,
            "trial_index": trial_index,
            "result": body,
        }
        text = clean_text(json.dumps(line, ensure_ascii=False))
        with self._lock:
            self._file.write(f"{text}\n")
            self._file.flush()

    def close(self) -> None:
        """Close the file."""
        # What could not be written is reported when it is kept, and would be written again here.
        with suppress(OSError):
            self._file.close()

    def _read(self, text: str) -> None:
        for number, line in enumerate(text.split("\n"), 1):
            if not line.strip():
                continue
            try:
                entry = parse_json(line)
                key = (str(entry["run"]), str(entry["case"]), int(entry["trial_index"]))
                known = entry["format"] == FORMAT and entry["version"] == VERSION
                result = entry["result"]
            except (ValueError, KeyError, TypeError):
                if line.startswith(_BEGINNING) or _BEGINNING.startswith(line):
                    continue  # cut off
                known = False
            if not known:
                self.close()
                raise click.UsageError(
                    f"--resume: {self.name} is not what --resume writes (line {number}); name a"
                    " file that does not exist yet"
                )
            self._known[key] = result
