"""Reads what a dataset or an experiment of the ``braintrust`` SDK is, without logging in.

``init_dataset(...)`` and ``init(..., open=True)`` return objects that log in with the application's
key when their rows, their ids or their names are first asked for. So do the iterators over them. A
run for a caller must read them as this caller.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from braintrust.logger import (
    Dataset,
    Experiment,
    ExperimentDatasetIterator,
    ObjectIterator,
    ReadonlyExperiment,
)

from flask_braintrust_evals.engine.values.own_dataset import OwnDataset, OwnExperiment
from flask_braintrust_evals.errors import RegistrationError

_DEFAULT_NAME = "logs"
"""The name that the SDK gives to a dataset without one."""


def own_data(data: Any) -> Any:
    """Return a description of a dataset or an experiment of the SDK; any other value as it is.

    Nothing is asked of Braintrust. An iterator over one of them stands for all of its rows.

    Raises:
        RegistrationError: it is a list of datasets or of experiments.
    """
    if isinstance(data, list | tuple):
        raise RegistrationError(
            f"data is a list of objects of the braintrust package ({type(data[0]).__name__}); pass"
            " one dataset or experiment itself, without a list"
        )
    source = _source(data)
    if isinstance(source, Dataset):
        return _own_dataset(source)
    if isinstance(source, Experiment | ReadonlyExperiment):
        return _own_experiment(source)
    return OwnDataset(rows=data) if source is None else data


def _source(data: Any) -> Any:
    """Return what an iterator of the SDK reads; ``None``: it does not tell."""
    if isinstance(data, ExperimentDatasetIterator):
        data = getattr(data, "iterator", None)
    if isinstance(data, ObjectIterator):
        data = _variables(getattr(data, "refetch_fn", None)).get("self")
    return data


def _own_dataset(dataset: Any) -> OwnDataset:
    lazy = dataset._lazy_metadata
    options = {
        "rows": dataset,
        "version": dataset._pinned_version,
        "environment": getattr(dataset, "_environment", None),
        "btql": dataset._internal_btql,
    }
    if lazy.has_succeeded:  # the application has used it already
        return OwnDataset(lazy.value.dataset.id, **options)
    given = _variables(lazy.callable)
    if not {"name", "project", "project_id"} <= given.keys():
        return OwnDataset(**options)
    if given.get("dataset_id") is not None:
        return OwnDataset(given["dataset_id"], **options)
    return OwnDataset(
        dataset_name=given["name"] or _DEFAULT_NAME,
        project_name=given["project"],
        project_id=given["project_id"],
        **options,
    )


def _own_experiment(experiment: Any) -> OwnDataset | OwnExperiment:
    lazy, rows = experiment._lazy_metadata, _Cases(experiment)
    given = _variables(lazy.callable)
    if not {"experiment", "project", "project_id"} <= given.keys():
        return OwnDataset(rows=rows)
    # Braintrust gives a new one another name than the application, if that is taken.
    name = lazy.value.experiment.name if lazy.has_succeeded else given["experiment"]
    return OwnExperiment(
        name or "", project_name=given["project"], project_id=given["project_id"], rows=rows
    )


@dataclass(frozen=True)
class _Cases:
    """The cases of an experiment, as the SDK reads them."""

    experiment: Any

    def __iter__(self) -> Iterator[Any]:
        return ExperimentDatasetIterator(self.experiment.fetch())


def _variables(function: Any) -> dict[str, Any]:
    """Return the variables that an inner function of the SDK keeps, such as its arguments.

    Another version of the SDK may keep them elsewhere: then some are missing.
    """
    try:
        return dict(inspect.getclosurevars(function).nonlocals)
    except (TypeError, ValueError):
        return {}
