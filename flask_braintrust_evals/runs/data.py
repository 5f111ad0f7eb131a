"""Where the cases of a run come from: the request itself, a dataset, or an earlier experiment."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from flask_braintrust_evals.cloud import objects
from flask_braintrust_evals.cloud.rows import Row, fetch_rows
from flask_braintrust_evals.cloud.sessions import UserSession
from flask_braintrust_evals.engine.evaluator import Evaluator
from flask_braintrust_evals.engine.local import own_cases
from flask_braintrust_evals.engine.parameters.schemas import json_type
from flask_braintrust_evals.engine.values.cases import EvalCase
from flask_braintrust_evals.errors import DataError, RequestError

from .request import MOST_TRIALS

SOURCES = ("data", "dataset_id", "dataset_name", "experiment_name")
OWN = "own"
"""Beyond the protocol: the evaluator's own cases."""
_EXPLANATION = (
    "give exactly one of: data.data (a list of cases), data.dataset_id, data.dataset_name (with"
    " data.project_name), data.experiment_name"
)


@dataclass(frozen=True)
class CaseData:
    """The cases of a run, and the dataset they are from, if any."""

    cases: Iterable[Any]
    dataset_id: str | None = None
    dataset_version: str | None = None


def open_data(
    data: Any, session: UserSession | None, project: Mapping[str, str], evaluator: Evaluator
) -> CaseData:
    """Find the cases that a request asks for. Rows are fetched later, as they are needed.

    Args:
        data: the request's ``data``.
        session: the caller's session; ``None``: without Braintrust.
        project: the ``project_id`` or ``project_name`` of the run, in which experiments are looked
            for unless the data names another.
        evaluator: whose own cases may be asked for.

    Raises:
        RequestError: ``data`` is no source, or several, or its fields have wrong types.
        CloudError: there is no such dataset or experiment, or it cannot be read.
    """
    if isinstance(data, list):
        data = {"data": data}
    if data is None:
        raise RequestError(f"data: missing; {_EXPLANATION}")
    if not isinstance(data, Mapping):
        raise RequestError(f"data: got {json_type(data)}; {_EXPLANATION}")
    source = _source(data)
    if source == "data":
        return CaseData(_inline(data))
    if source == OWN:
        return CaseData(_own(data, evaluator))
    if session is None:
        raise RequestError(
            f"data.{source} needs Braintrust, and this server runs without it; send the cases in"
            " data.data, or set BRAINTRUST_API_KEY"
        )
    if source == "experiment_name":
        name = _text(data, "experiment_name") or ""
        named = _text(data, "project_name")
        where = {"project_name": named} if named is not None else project
        experiment = objects.experiment_by_name(session, where, name)
        return CaseData(_experiment_cases(session, experiment.id))
    return _dataset(data, session)


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
    return value


def _inline(data: Mapping[str, Any]) -> list[EvalCase]:
    values = data["data"]
    if not isinstance(values, list):
        raise RequestError(f"data.data: got {json_type(values)}; expected an array of cases")
    dataset_id = _text(data, "source_dataset_id")
    cases = []
    for index, value in enumerate(values):
        if not isinstance(value, Mapping):
            raise RequestError(
                f"data.data[{index}]: got {json_type(value)}; expected an object with an 'input'"
            )
        try:
            case = EvalCase.of(value)
        except DataError as error:
            raise RequestError(f"data.data[{index}]: {error}") from None
        if case.trial_count is not None and case.trial_count > MOST_TRIALS:
            raise RequestError(
                f"data.data[{index}]: trial_count is {case.trial_count}, and may be {MOST_TRIALS}"
                " at most"
            )
        if case.origin is None and dataset_id is not None and case.id is not None:
            case.origin = _origin("dataset", dataset_id, value)
        cases.append(case)
    return cases


def _own(data: Mapping[str, Any], evaluator: Evaluator) -> Iterable[Any]:
    if data[OWN] is not True:
        raise RequestError(f"data.own: got {json_type(data[OWN])}; expected true")
    if evaluator.data is None:
        raise RequestError(
            f"data.own: evaluator {evaluator.name!r} brings no cases of its own; send some"
        )
    return own_cases(evaluator)


def _dataset(data: Mapping[str, Any], session: UserSession) -> CaseData:
    dataset_id = _text(data, "dataset_id")
    if dataset_id is not None:
        dataset = objects.dataset_by_id(session, dataset_id)
    else:
        name = _text(data, "dataset_name") or ""
        dataset = objects.dataset_by_name(session, _text(data, "project_name"), name)
    version = _version(data)
    environment = _text(data, "dataset_environment")
    if version is None and environment is not None:
        version = objects.environment_version(session, dataset.id, environment)
    btql = data.get("_internal_btql")
    if btql is not None and not isinstance(btql, Mapping):
        raise RequestError(f"data._internal_btql: got {json_type(btql)}; expected an object")
    rows = fetch_rows(session, "dataset", dataset.id, version=version, btql=btql)
    return CaseData(_dataset_cases(rows, dataset.id), dataset.id, version)


def _version(data: Mapping[str, Any]) -> str | None:
    value = data.get("dataset_version")
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return _text(data, "dataset_version")


def _dataset_cases(rows: Iterator[Row], dataset_id: str) -> Iterator[EvalCase]:
    for row in rows:
        yield _case(row, row.get("expected"), _origin("dataset", dataset_id, row))


def _experiment_cases(session: UserSession, experiment_id: str) -> Iterator[EvalCase]:
    for row in fetch_rows(session, "experiment", experiment_id):
        if not row.get("is_root"):
            continue
        # What came out of an experiment without expectations is what a rerun is compared with.
        expected = row.get("expected")
        expected = row.get("output") if expected is None else expected
        yield _case(row, expected, _origin("experiment", experiment_id, row))


def _case(row: Row, expected: Any, origin: dict[str, Any]) -> EvalCase:
    return EvalCase.of(
        {
            "input": row.get("input"),
            "expected": expected,
            "metadata": row.get("metadata"),
            "tags": row.get("tags"),
            "id": row.get("id"),
            "origin": origin,
        }
    )


def _origin(object_type: str, object_id: str, row: Mapping[str, Any]) -> dict[str, Any]:
    origin = {"object_type": object_type, "object_id": object_id, "id": row.get("id")}
    for key in ("_xact_id", "created"):
        if row.get(key) is not None:
            origin[key] = row[key]
    return origin
