"""Datasets in Braintrust, and datasets and experiments that are the data of an evaluator."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from flask_braintrust_evals.errors import DataError


@dataclass(frozen=True)
class DatasetCases:
    """The rows of a dataset in Braintrust.

    Attributes:
        dataset_id: the id of the dataset; ``None``: it is looked up by its name.
        dataset_name: the name of the dataset.
        project_name: the project of the dataset, for a look-up by name.
        version: the version of the dataset; has priority over ``environment``.
        environment: the environment whose version of the dataset is used.
        btql: further clauses of the query for the rows.
        project_id: the id of the project; has priority over its name.
    """

    dataset_id: str | None = None
    dataset_name: str | None = None
    project_name: str | None = None
    version: str | None = None
    environment: str | None = None
    btql: Mapping[str, Any] | None = None
    project_id: str | None = None


@dataclass(frozen=True)
class OwnDataset(DatasetCases):
    """A dataset that an evaluator names as its own cases.

    Without an id and a name, it is not known which dataset it is, or which experiment. A run for a
    caller looks it up and reads it as this caller. Iterating over it, as a run in Python without a
    caller does, reads it as the library that it comes from does.

    Attributes:
        rows: reads the rows without a caller.
    """

    rows: Iterable[Any] = field(default=(), repr=False)

    def __iter__(self) -> Iterator[Any]:
        return iter(self.rows)


@dataclass(frozen=True)
class OwnExperiment:
    """An earlier experiment whose cases an evaluator names as its own.

    A run for a caller looks it up and reads it as this caller. Iterating over it, as a run in
    Python without a caller does, reads it as the library that it comes from does.

    Attributes:
        experiment_name: the name of the experiment; empty: it has none.
        evaluator: the name of the evaluator, for messages.
        project_name: the project of the experiment.
        project_id: the id of the project; has priority over its name. Without both, it is the
            project of the run.
        rows: reads the cases without a caller; ``None``: nothing does.
    """

    experiment_name: str
    evaluator: str = ""
    project_name: str | None = None
    project_id: str | None = None
    rows: Iterable[Any] | None = field(default=None, repr=False)

    def __iter__(self) -> Iterator[Any]:
        if self.rows is not None:
            return iter(self.rows)
        raise DataError(
            f"evaluator {self.evaluator!r} has the cases of experiment {self.experiment_name!r} in"
            " Braintrust as its data (BaseExperiment), which cannot be read here; pass cases"
        )
