"""A folder of results, which runs with the same code, parameters and cases share."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import click

from flask_braintrust_evals.concurrency.one_thread import OneThread
from flask_braintrust_evals.serialization.json_writing import dumps
from flask_braintrust_evals.serialization.strict_json import parse_json
from flask_braintrust_evals.texts.safe_texts import clean_text

_NO_FILES = 2**40
"""Characters from which on a text would be in a file of its own."""


class ResultCache:
    """Results in a folder, kept by ``diskcache``, which several processes may use at a time.

    It has a connection to its database for each thread that uses it, and closes only that of the
    thread which closes the cache. So one thread does everything.

    They are texts in JSON, in one database. ``diskcache`` could also hold pickled objects, which
    run code when they are read, and files, whose names may lead out of the folder, and which are
    deleted with their entries: such entries are ignored.

    Args:
        path: the folder; it is made if there is none.

    Attributes:
        name: what it is called in messages.

    Raises:
        click.UsageError: ``diskcache`` is not installed, or the folder cannot be used.
    """

    def __init__(self, path: Path) -> None:
        try:
            import diskcache
        except ImportError:
            raise click.UsageError(
                "--cache needs diskcache: pip install 'flask-braintrust-evals[cache]'"
            ) from None

        class TextDisk(diskcache.Disk):  # type: ignore[misc]
            """Reads texts of the database, and neither pickled objects nor files."""

            def fetch(self, mode: int, filename: Any, value: Any, read: bool) -> Any:
                if mode == diskcache.core.MODE_PICKLE or filename is not None:
                    return None
                return super().fetch(mode, filename, value, read)

            def remove(self, file_path: str) -> None:
                pass

        self.name = f"the cache {path}"
        self._thread = OneThread("eval-cache")
        try:
            self._cache = self._thread.call(
                partial(diskcache.Cache, str(path), disk=TextDisk, disk_min_file_size=_NO_FILES)
            )
        except Exception as error:  # of sqlite3, os and diskcache itself
            self._thread.end()
            raise click.UsageError(f"--cache: {path} cannot be used: {error}") from None

    def find(self, run: str, case: str, trial_index: int) -> Mapping[str, Any] | None:
        """Return a result; ``None``: it has none."""
        text = self._thread.call(partial(self._cache.get, _key(run, case, trial_index)))
        try:
            body = parse_json(text) if isinstance(text, str) else None
        except ValueError:
            return None
        return body if isinstance(body, dict) else None

    def keep(self, run: str, case: str, trial_index: int, body: Mapping[str, Any]) -> None:
        """Keep a result."""
        text = clean_text(dumps(body))
        self._thread.call(partial(self._cache.set, _key(run, case, trial_index), text))

    def close(self) -> None:
        """Close its database."""
        try:
            self._thread.call(self._cache.close)
        finally:
            self._thread.end()


def _key(run: str, case: str, trial_index: int) -> str:
    return f"{run} {case} {trial_index}"
