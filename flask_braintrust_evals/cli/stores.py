"""Opens the stores of results: the file of ``--resume`` and the folder of ``--cache``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
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
        self._made: list[KnownResults] = []
        # Once, because files may be edited while an evaluator runs, and what is loaded is not.
        self._code = "" if journal is None and cache is None else digest_of_code()
        self._journal = None if journal is None else Journal(journal)
        if self._journal is not None:
            held.callback(self._journal.close)
        self._cache = None if cache is None else ResultCache(cache)
        if self._cache is not None:
            held.callback(self._cache.close)

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
            told = f"{self._journal.name} has results of other code or parameters, not used now"
            echo(styled(told, fg="yellow"), err=True)

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
        return [_StoreOfRun(each, run) for each in (self._journal, self._cache) if each is not None]


class _StoreOfRun:
    """The results of one run in a store that has those of several.

    Args:
        store: the store.
        run: a digest of what the results depend on, apart from the case.
    """

    def __init__(self, store: Journal | ResultCache, run: str) -> None:
        self.name = store.name
        self._store = store
        self._run = run

    def find(self, case: str, trial_index: int) -> Mapping[str, Any] | None:
        """Return a result; ``None``: the store has none."""
        return self._store.find(self._run, case, trial_index)

    def keep(self, case: str, trial_index: int, body: Mapping[str, Any]) -> None:
        """Keep a result."""
        self._store.keep(self._run, case, trial_index, body)
