"""Opens the stores of results: the file of ``--resume`` and the folder of ``--cache``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from flask_braintrust_evals.engine.evaluator import Evaluator
from flask_braintrust_evals.engine.running.executor import CaseExecutor

from .digests import digest_of_code, digest_of_run
from .journal import Journal
from .known_results import KnownResults, ResultStore
from .result_cache import ResultCache
from .terminal import echo, styled

Around = Callable[[CaseExecutor], CaseExecutor]


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
        self._held = held
        self._cache = cache
        self._made: list[KnownResults] = []
        self._runs: list[str] = []
        # Once, because files may be edited while an evaluator runs, and what is loaded is not.
        self._code = "" if journal is None and cache is None else digest_of_code()
        self._journal = None if journal is None else Journal(journal)
        if self._journal is not None:
            held.callback(self._journal.close)

    @property
    def problems(self) -> list[str]:
        """What went wrong with the stores of all runs, a line each."""
        found = (problem for each in self._made for problem in each.problems.values())
        return list(dict.fromkeys(found))

    def around(
        self, evaluator: Evaluator, parameters: Mapping[str, Any]
    ) -> tuple[Around | None, Callable[[], list[str]]]:
        """Return what puts the stores of a run around its executor; ``None``: there are none.

        The second value returns, after the run, how many results were from where, a line each.
        """
        stores = self._of_run(evaluator, parameters)
        if not stores:
            return None, list
        made: list[KnownResults] = []

        def around(executor: CaseExecutor) -> CaseExecutor:
            made.append(KnownResults(executor, stores))
            self._made.append(made[-1])
            return made[-1]

        return around, lambda: [line for each in made for line in each.origins]

    def _of_run(self, evaluator: Evaluator, parameters: Mapping[str, Any]) -> list[ResultStore]:
        if self._journal is None and self._cache is None:
            return []
        run = digest_of_run(evaluator, parameters, self._code)
        stores: list[ResultStore] = []
        if self._journal is not None:
            stores.append(self._journal.of_run(run))
            self._runs.append(run)
            if self._journal.has_others(self._runs):
                told = f"{self._journal.name} has results of other code or parameters, not used now"
                echo(styled(told, fg="yellow"), err=True)
        if self._cache is not None:
            cache = ResultCache(self._cache, run)
            self._held.callback(cache.close)
            stores.append(cache)
        return stores
