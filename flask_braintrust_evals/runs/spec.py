"""The specification of a run, made from the body of a request or the options of a command."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flask_braintrust_evals.cloud.parents import Parent
from flask_braintrust_evals.engine.running.cases.executor import CaseExecutor
from flask_braintrust_evals.engine.values.cases import EvalCase
from flask_braintrust_evals.engine.values.own_dataset import DatasetCases
from flask_braintrust_evals.errors import DataError

MAX_CONCURRENCY = 1000
"""Maximum number of cases at a time that a command may ask for."""
MAX_TRIALS = 10_000
"""Maximum number of trials of a case."""
MAX_SCORER_NAME = 500
"""Characters of the name of a scorer in Braintrust, or of its scores: each summary has them."""


@dataclass(frozen=True)
class InlineCases:
    """Cases that came with the request, or from a file."""

    cases: Sequence[EvalCase]

    @staticmethod
    def case_of(value: Any, *, takes_misspelled: bool = False) -> EvalCase:
        """Return ``value`` as a case of a run; see :meth:`EvalCase.of`.

        Raises:
            DataError: it is not a case, or has too many trials.
        """
        case = EvalCase.of(value, takes_misspelled=takes_misspelled)
        if case.trial_count is not None and case.trial_count > MAX_TRIALS:
            raise DataError(f"trial_count is {case.trial_count}, and may be {MAX_TRIALS} at most")
        return case


@dataclass(frozen=True)
class ExperimentCases:
    """The cases of an earlier experiment in Braintrust.

    Attributes:
        experiment_name: the name of the experiment.
        project_name: the project of the experiment; ``None``: the project of the run.
    """

    experiment_name: str
    project_name: str | None = None


@dataclass(frozen=True)
class OwnCases:
    """The evaluator's own cases."""


DataSource = InlineCases | DatasetCases | ExperimentCases | OwnCases


@dataclass(frozen=True)
class RemoteScorer:
    """A scorer saved in Braintrust.

    Attributes:
        name: the name to show.
        function_id: the id of the function, in any of Braintrust's forms; sent unchanged.
    """

    name: str
    function_id: Mapping[str, Any]


@dataclass(frozen=True)
class RunSpec:
    """The specification of a run. ``None``: the evaluator or the settings decide.

    Attributes:
        data: the source of the cases.
        parameters: values of the parameters, which replace their defaults.
        scores: scorers that run in Braintrust, in addition to the evaluator's own.
        parent: the Braintrust object that the run's spans belong to; ``None``: a new experiment.
        experiment_name: the name of that experiment.
        project_id: the project of that experiment.
        trial_count: how often each case is run.
        max_concurrency: cases at a time; infinite: as many as are allowed.
        timeout: seconds that the run may take.
        metadata, tags, is_public: metadata, tags and visibility of that experiment.
        base_experiment_name, base_experiment_id: the experiment to compare it with.
        strict: whether a scorer in Braintrust refuses an input that lacks a variable of its prompt.
        select: returns the cases to run out of those that there are; default: all of them.
        retries: how often the task is called again for a case that it failed on.
        around: returns what runs the cases in place of what is made for that, which it is given.
    """

    data: DataSource
    parameters: Mapping[str, Any] | None = None
    scores: Sequence[RemoteScorer] = ()
    parent: Parent | None = None
    experiment_name: str | None = None
    project_id: str | None = None
    trial_count: int | None = None
    max_concurrency: float | None = None
    timeout: float | None = None
    metadata: Mapping[str, Any] | None = None
    tags: Sequence[str] | None = None
    base_experiment_name: str | None = None
    base_experiment_id: str | None = None
    is_public: bool | None = None
    strict: bool | None = None
    select: Callable[[Iterable[Any]], Iterable[Any]] | None = None
    retries: int | None = None
    around: Callable[[CaseExecutor], CaseExecutor] | None = None
