"""Opens the stores of results: the file of ``--resume`` and the folder of ``--cache``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from flask_braintrust_evals.cli.running.known_results import KnownResults, ResultStore
from flask_braintrust_evals.cli.stored_results.digests import digest_of_code, digest_of_run
from flask_braintrust_evals.cli.stored_results.journal import Journal
from flask_braintrust_evals.cli.stored_results.result_cache import ResultCache
from flask_braintrust_evals.cli.terminal.terminal import echo, styled
from flask_braintrust_evals.engine.evaluator import Evaluator


class Stores:
    """The stores of a command.

    Args:
        journal: the file of ``--resume``; ``None``: none.
        cache: the folder of ``--cache``; ``None``: none.
        held: they are closed with it.

    Raises:
        click.UsageError: one of them cannot be used.
    """

    def __init__(self, journal: Path | None, cache: Path | None, held: ExitStack) -> None:
        self._made: list[KnownResults] = []
        # Once, because files may be edited while an evaluator runs, and what is loaded is not.
        self._code = "" if journal is None and cache is None else digest_of_code()
        self._stores: list[ResultStore] = []
        self._journal = None if journal is None else Journal(journal)
        if self._journal is not None:
            held.callback(self._journal.close)
            self._stores.append(self._journal)
        if cache is not None:
            opened = ResultCache(cache)
            held.callback(opened.close)
            self._stores.append(opened)

    @property
    def problems(self) -> list[str]:
        """What went wrong with the stores of all runs, a line each."""
        found = (problem for each in self._made for problem in each.problems.values())
        return list(dict.fromkeys(found))

    def warn_of_others(self, runs: Iterable[tuple[Evaluator, Mapping[str, Any]]]) -> None:
        """Warn if the journal has results, and none is of these evaluators and parameters."""
        if self._journal is None:
            return
        digests = [digest_of_run(*each, self._code) for each in runs]
        if self._journal.has_others(digests):
            told = "has results of other evaluators, code or parameters, not used now"
            echo(styled(f"{self._journal.name} {told}", fg="yellow"), err=True)

    def of(self, evaluator: Evaluator, parameters: Mapping[str, Any]) -> KnownResults | None:
        """Return what the stores have of a run; ``None``: there are no stores."""
        if not self._stores:
            return None
        known = KnownResults(self._stores, digest_of_run(evaluator, parameters, self._code))
        self._made.append(known)
        return known
