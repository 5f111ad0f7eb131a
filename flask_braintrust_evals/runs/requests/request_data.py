"""The ``data`` of a request, checked field by field."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flask_braintrust_evals.concurrency.turns import Turn, wait_for_turn
from flask_braintrust_evals.engine.parameters.schemas import json_type
from flask_braintrust_evals.engine.values.cases import EvalCase
from flask_braintrust_evals.engine.values.own_dataset import DatasetCases
from flask_braintrust_evals.errors import DataError, RequestError
from flask_braintrust_evals.runs.sources.data import origin_of
from flask_braintrust_evals.runs.spec import DataSource, ExperimentCases, InlineCases, OwnCases

SOURCES = ("data", "dataset_id", "dataset_name", "experiment_name")
OWN = "own"
"""Beyond the protocol: run the evaluator's own cases."""
MAX_NAME = 10_000
"""Characters of a name or an id."""
_CASES_PER_SLICE = 100
"""Cases after which other greenlets may run, under gevent."""
_EXPLANATION = (
    "give exactly one of: data.data (a list of cases), data.dataset_id, data.dataset_name (with"
    " data.project_name), data.experiment_name"
)


def parse_data(data: Any) -> DataSource:
    """Return the source of the cases, by the request's ``data``.

    Raises:
        RequestError: ``data`` names no source, or several, or its fields have wrong types.
    """
    if isinstance(data, list):
        data = {"data": data}
    if data is None:
        raise RequestError(f"data: missing; {_EXPLANATION}")
    if not isinstance(data, Mapping):
        raise RequestError(f"data: got {json_type(data)}; {_EXPLANATION}")
    source = _source(data)
    if source == "data":
        return InlineCases(_inline_cases(data))
    if source == OWN:
        if data[OWN] is not True:
            raise RequestError(f"data.own: got {json_type(data[OWN])}; expected true")
        return OwnCases()
    if source == "experiment_name":
        name = _text(data, "experiment_name") or ""
        return ExperimentCases(name, _text(data, "project_name"))
    return _dataset(data)


def _source(data: Mapping[str, Any]) -> str:
    given = [key for key in (*SOURCES, OWN) if data.get(key) is not None]
    if len(given) != 1:
        found = " and ".join(f"data.{key}" for key in given) or "none"
        raise RequestError(f"data: found {found}; {_EXPLANATION}")
    return given[0]


def _text(data: Mapping[str, Any], key: str) -> str | None:
    value = data.get(key)
    if value is not None and (not isinstance(value, str) or not value):
        raise RequestError(f"data.{key}: got {json_type(value)}; expected a string, not empty")
    if value is not None and len(value) > MAX_NAME:
        raise RequestError(f"data.{key}: is longer than {MAX_NAME} characters")
    return value


def _inline_cases(data: Mapping[str, Any]) -> list[EvalCase]:
    values = data["data"]
    if not isinstance(values, list):
        raise RequestError(f"data.data: got {json_type(values)}; expected an array of cases")
    dataset_id = _text(data, "source_dataset_id")
    for index, value in enumerate(values):
        if index % _CASES_PER_SLICE == 0:
            wait_for_turn(Turn.BEGIN)
        if not isinstance(value, Mapping):
            raise RequestError(
                f"data.data[{index}]: got {json_type(value)}; expected an object with an 'input'"
            )
        try:
            case = InlineCases.case_of(value, takes_misspelled=True)
        except DataError as error:
            raise RequestError(f"data.data[{index}]: {error}") from None
        if case.origin is None and dataset_id is not None and case.id is not None:
            case.origin = origin_of("dataset", dataset_id, value)
        values[index] = case  # in place, so that no case is in memory twice
    return values


def _dataset(data: Mapping[str, Any]) -> DatasetCases:
    btql = data.get("_internal_btql")
    if btql is not None and not isinstance(btql, Mapping):
        raise RequestError(f"data._internal_btql: got {json_type(btql)}; expected an object")
    return DatasetCases(
        _text(data, "dataset_id"),
        _text(data, "dataset_name"),
        _text(data, "project_name"),
        _version(data),
        _text(data, "dataset_environment"),
        btql,
    )


def _version(data: Mapping[str, Any]) -> str | None:
    value = data.get("dataset_version")
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return _text(data, "dataset_version")
