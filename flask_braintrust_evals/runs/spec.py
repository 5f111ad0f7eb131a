"""What a run is asked to be, in typed values: made from a request's body or a command's options."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flask_braintrust_evals.cloud.parents import Parent
from flask_braintrust_evals.engine.values.cases import EvalCase
from flask_braintrust_evals.errors import DataError

MAX_CONCURRENCY = 1000
"""Cases at a time that a run may have."""
MAX_TRIALS = 10_000
"""Trials of each case that a run may have."""


@dataclass(frozen=True)
class InlineCases:
    """Cases that came with the request, or from a file."""

    cases: Sequence[EvalCase]

    @staticmethod
    def case_of(value: Any) -> EvalCase:
        """Return ``value`` as a case of a run.

        Raises:
            DataError: it is not a case, or has too many trials.
        """
        case = EvalCase.of(value)
        if case.trial_count is not None and case.trial_count > MAX_TRIALS:
            raise DataError(f"trial_count is {case.trial_count}, and may be {MAX_TRIALS} at most")
        return case


@dataclass(frozen=True)
class DatasetCases:
    """The rows of a dataset in Braintrust.

    Attributes:
        dataset_id: its id; ``None``: it is found by its name.
        dataset_name: its name.
        project_name: the project that it is in, where it is found by its name.
        version: its version; wins over ``environment``.
        environment: the environment whose version is used.
        btql: further clauses of the query for its rows.
    """

    dataset_id: str | None = None
    dataset_name: str | None = None
    project_name: str | None = None
    version: str | None = None
    environment: str | None = None
    btql: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class ExperimentCases:
    """The cases of an earlier experiment in Braintrust.

    Attributes:
        experiment_name: its name.
        project_name: the project that it is in; ``None``: that of the run.
    """

    experiment_name: str
    project_name: str | None = None


@dataclass(frozen=True)
class OwnCases:
    """The cases that the evaluator brings itself."""


DataSource = InlineCases | DatasetCases | ExperimentCases | OwnCases


@dataclass(frozen=True)
class RemoteScorer:
    """A scorer saved in Braintrust.

    Attributes:
        name: the name to show.
        function_id: how Braintrust finds the function; passed on as it is.
    """

    name: str
    function_id: Mapping[str, Any]


@dataclass(frozen=True)
class RunSpec:
    """How an evaluator is to be run. ``None`` leaves a choice to the evaluator and the settings.

    Attributes:
        data: where the cases come from.
        parameters: values of the parameters, over their defaults.
        scores: scorers that run in Braintrust, besides the evaluator's own.
        parent: the Braintrust object that the run's spans belong to; ``None``: a new experiment.
        experiment_name: the name of that experiment.
        project_id: the project of that experiment.
        trial_count: how often each case is run.
        max_concurrency: cases at a time.
        timeout: seconds that the run may take.
        metadata, tags, is_public: of that experiment.
        base_experiment_name, base_experiment_id: the experiment to compare it with.
        strict: whether a hosted scorer refuses unknown variables of its prompt.
    """

    data: DataSource
    parameters: Mapping[str, Any] | None = None
    scores: Sequence[RemoteScorer] = ()
    parent: Parent | None = None
    experiment_name: str | None = None
    project_id: str | None = None
    trial_count: int | None = None
    max_concurrency: int | None = None
    timeout: float | None = None
    metadata: Mapping[str, Any] | None = None
    tags: Sequence[str] | None = None
    base_experiment_name: str | None = None
    base_experiment_id: str | None = None
    is_public: bool | None = None
    strict: bool | None = None
