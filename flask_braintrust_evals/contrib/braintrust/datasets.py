"""Reads what a dataset of the ``braintrust`` SDK is, without logging in as the application.

``init_dataset(...)`` returns an object that logs in with the application's key when its rows, its
id or its name are first asked for. A run for a caller must read the dataset as this caller.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from flask_braintrust_evals.engine.values.own_dataset import OwnDataset

_DEFAULT_NAME = "logs"
"""The name that the SDK gives to a dataset without one."""


def own_dataset(dataset: Any) -> OwnDataset:
    """Return a description of a dataset of the SDK, which asks Braintrust for nothing."""
    lazy = dataset._lazy_metadata
    options = {
        "rows": dataset,
        "version": dataset._pinned_version,
        "environment": getattr(dataset, "_environment", None),
        "btql": dataset._internal_btql,
    }
    if lazy.has_succeeded:  # the application has used it already
        return OwnDataset(lazy.value.dataset.id, **options)
    given = _arguments(lazy.callable)
    if given is None:
        return OwnDataset(**options)
    if given.get("dataset_id") is not None:
        return OwnDataset(given["dataset_id"], **options)
    return OwnDataset(
        dataset_name=given["name"] or _DEFAULT_NAME,
        project_name=given["project"],
        project_id=given["project_id"],
        **options,
    )


def _arguments(look_up: Callable[[], Any]) -> dict[str, Any] | None:
    """Return the arguments of ``init_dataset``, which its inner function keeps.

    ``None``: another version of the SDK keeps them elsewhere.
    """
    try:
        given = dict(inspect.getclosurevars(look_up).nonlocals)
    except (TypeError, ValueError):
        return None
    return given if {"name", "project", "project_id"} <= given.keys() else None
