"""Takes results from a journal or a cache, so that their cases are not run again."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Any

from flask_braintrust_evals.cli.judging.shown_cases import is_failure
from flask_braintrust_evals.cli.stored_results.case_body import case_body
from flask_braintrust_evals.cli.stored_results.digests import digest_of_case
from flask_braintrust_evals.cli.stored_results.journal import Journal
from flask_braintrust_evals.cli.stored_results.result_cache import ResultCache
from flask_braintrust_evals.cli.terminal.terminal import echo, styled
from flask_braintrust_evals.engine.running.cases.executor import CaseExecutor, CaseJob, Emit
from flask_braintrust_evals.engine.values.events import (
    CaseFinished,
    CaseStarted,
    Event,
    TaskFinished,
)
from flask_braintrust_evals.engine.values.results import CaseRef, CaseResult
from flask_braintrust_evals.engine.values.scores import Score
from flask_braintrust_evals.engine.values.summary import cases_text
from flask_braintrust_evals.serialization.json_writing import dumps

ResultStore = Journal | ResultCache
_Key = tuple[str, str, int]
"""Digests of what a result depends on, apart from the case and of the case, and its trial."""


class KnownResults:
    """A :class:`CaseExecutor` that takes results from stores, and has other cases run.

    A case that failed is never taken, and not kept either: it is run again the next time. A store
    that fails, such as one on a full disk, costs no result of the run.

    Args:
        stores: looked at in this order. A result goes into all of them.
        run: a digest of what the results depend on, apart from the case.

    Attributes:
        problems: a message for each store that failed, by its name.
    """

    def __init__(self, stores: Sequence[ResultStore], run: str) -> None:
        self._executor: CaseExecutor | None = None
        self._stores = stores
        self._run = run
        self._lock = threading.Lock()
        self._taken = {store.name: 0 for store in stores}
        self._ran = 0
        self.problems: dict[str, str] = {}

    def around(self, executor: CaseExecutor) -> KnownResults:
        """Have an executor run the other cases."""
        self._executor = executor
        return self

    def run(self, job: CaseJob, emit: Emit) -> None:
        """Run one case, or take its result; see :class:`CaseExecutor`."""
        key = (self._run, digest_of_case(job.case), job.trial_index)
        for store in self._stores:
            body = self._found(store, key)
            result = None if body is None else restored(body, job)
            if result is not None and body is not None:
                with self._lock:
                    self._taken[store.name] += 1
                self._put(key, body, [each for each in self._stores if each is not store])
                _emit_all(result, emit)
                return

        def keep(event: Event) -> None:
            if isinstance(event, CaseFinished):
                self._keep(key, event.result)
            emit(event)

        assert self._executor is not None
        self._executor.run(job, keep)

    def cancel(self) -> None:
        """Cancel what is running."""
        if self._executor is not None:
            self._executor.cancel()

    @property
    def origins(self) -> list[str]:
        """Say how many results are from where, a line each; none if the run has not begun."""
        if self._executor is None:
            return []
        with self._lock:
            taken = [f"{cases_text(n)} from {name}" for name, n in self._taken.items()]
            return [f"{', '.join(taken)}, {cases_text(self._ran)} run now"]

    def _keep(self, key: _Key, result: CaseResult) -> None:
        if result.interrupted:
            return
        with self._lock:
            self._ran += 1
        if not is_failure(result):
            self._put(key, case_body(result), self._stores)

    def _found(self, store: ResultStore, key: _Key) -> Mapping[str, Any] | None:
        try:
            return store.find(*key)
        except Exception as error:  # of sqlite3, os and diskcache
            self._note(store, f"results in {store.name} cannot be read: {error}")
            return None

    def _put(self, key: _Key, body: Mapping[str, Any], stores: Sequence[ResultStore]) -> None:
        for store in stores:
            try:
                store.keep(*key, body)
            except Exception as error:  # of sqlite3, os and diskcache
                self._note(store, f"results cannot be written into {store.name}: {error}")

    def _note(self, store: ResultStore, problem: str) -> None:
        """Tell of the first failure of a store at once, because the run may take long."""
        with self._lock:
            if store.name in self.problems:
                return
            self.problems[store.name] = problem
        echo(styled(problem, fg="red"), err=True)


def restored(body: Mapping[str, Any], job: CaseJob) -> CaseResult | None:
    """Return the result of a case that was kept; ``None``: it does not have the format."""
    try:
        metadata = body.get("score_metadata", {})
        scores = {
            name: Score(name=name, score=value, metadata=dict(metadata.get(name, {})))
            for name, value in body["scores"].items()
        }
        return CaseResult(
            CaseRef("", job.index, job.trial_index, job.case.origin),
            job.case,
            output=body["output"],
            output_data=dumps(body["output"]).encode(),
            scores=scores,
            classifications=dict(body["classifications"]),
            metadata=dict(body["metadata"]),
            tags=list(body["tags"]),
            duration=float(body["seconds"]),
            metrics=dict(body["metrics"]),
            scorer_metrics=dict(body["scorer_metrics"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError):
        return None


def _emit_all(result: CaseResult, emit: Emit) -> None:
    emit(CaseStarted(result.ref, result.case))
    emit(TaskFinished(result.ref, result.output_data, None))
    emit(CaseFinished(result))
