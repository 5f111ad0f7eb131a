"""Opens the source of a run's cases: the request, the evaluator, a dataset or an experiment."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Any, Protocol

from flask_braintrust_evals.cloud import objects
from flask_braintrust_evals.cloud.attachments import AttachmentLoader
from flask_braintrust_evals.cloud.rows import Row, fetch_rows
from flask_braintrust_evals.cloud.sessions.user_session import UserSession
from flask_braintrust_evals.concurrency.cancellation import Cancellation
from flask_braintrust_evals.engine.evaluator import Evaluator
from flask_braintrust_evals.engine.running.sources.own_cases import is_to_be_made, make_cases
from flask_braintrust_evals.engine.values.cases import EvalCase
from flask_braintrust_evals.engine.values.own_dataset import DatasetCases, OwnDataset, OwnExperiment
from flask_braintrust_evals.errors import DataError, RequestError
from flask_braintrust_evals.runs.spec import DataSource, ExperimentCases, InlineCases, OwnCases
from flask_braintrust_evals.texts.safe_texts import safe_text

from .case_data import CaseData


class WithAttachments(Protocol):
    """Puts objects in place of references to attachments in a JSON value."""

    def __call__(self, value: Any, loader: AttachmentLoader) -> Any: ...


def open_data(
    source: DataSource,
    session: UserSession | None,
    project: Mapping[str, str],
    evaluator: Evaluator,
    with_attachments: WithAttachments | None = None,
    wait_for: Callable[[Callable[[Cancellation], CaseData]], CaseData] | None = None,
) -> CaseData:
    """Return the cases of a run. Rows of Braintrust are fetched later, when they are needed.

    Args:
        source: the source of the cases.
        session: the caller's session; ``None``: the run acts without Braintrust.
        project: the ``project_id`` or ``project_name`` of the run, in which an experiment is looked
            up unless the source names another project.
        evaluator: the evaluator, for its own cases.
        with_attachments: puts objects in place of references to attachments in rows.
        wait_for: calls a function that makes the evaluator's own cases, which may take long, or
            has it called later; ``None``: it is called at once.

    Raises:
        RequestError: the evaluator has no cases of its own, or the source needs Braintrust.
        DataError: making the evaluator's own cases failed.
        CloudError: there is no such dataset or experiment, or it cannot be read.
    """
    if isinstance(source, InlineCases):
        return CaseData(source.cases)
    if isinstance(source, OwnCases):
        if evaluator.data is None:
            raise RequestError(
                f"data.own: evaluator {evaluator.name!r} has no cases of its own; send some"
            )
        make = partial(_make_own, evaluator, session, project, with_attachments)
        if wait_for is None or not is_to_be_made(evaluator.data):
            return make(Cancellation())
        return wait_for(make)
    if session is None:
        raise RequestError(
            f"data.{_field(source)} needs Braintrust, and this server runs without it; send the"
            " cases in data.data, or set BRAINTRUST_API_KEY"
        )
    if isinstance(source, ExperimentCases):
        named = source.project_name
        where = project if named is None else {"project_name": named}
        return _open_experiment(source.experiment_name, session, where, with_attachments)
    return _open_dataset(source, session, with_attachments)


def _field(source: DatasetCases | ExperimentCases) -> str:
    """Return the field of a request's ``data`` by which it names a source."""
    if isinstance(source, ExperimentCases):
        return "experiment_name"
    return "dataset_name" if source.dataset_id is None else "dataset_id"


def _open_dataset(
    source: DatasetCases, session: UserSession, with_attachments: WithAttachments | None
) -> CaseData:
    if source.dataset_id is not None:
        dataset = objects.dataset_by_id(session, source.dataset_id)
    else:
        name = source.dataset_name or ""
        dataset = objects.dataset_by_name(session, source.project_name, name, source.project_id)
    version = source.version
    if version is None and source.environment is not None:
        version = objects.environment_version(session, dataset.id, source.environment)
    rows = fetch_rows(session, "dataset", dataset.id, version=version, btql=source.btql)
    rows = _with_attachments(rows, session, with_attachments)
    return CaseData(_dataset_cases(rows, dataset.id), dataset.id, version)


def _open_experiment(
    name: str,
    session: UserSession,
    project: Mapping[str, str],
    with_attachments: WithAttachments | None,
) -> CaseData:
    experiment = objects.experiment_by_name(session, project, name)
    rows = fetch_rows(session, "experiment", experiment.id)
    rows = _with_attachments(rows, session, with_attachments)
    return CaseData(_experiment_cases(rows, experiment.id), experiment=experiment)


def _with_attachments(
    rows: Iterator[Row], session: UserSession, with_attachments: WithAttachments | None
) -> Iterator[Row]:
    """Return rows with objects in place of references to attachments, if there are such objects."""
    if with_attachments is None:
        return rows
    return map(partial(with_attachments, loader=AttachmentLoader(session)), rows)


def _make_own(
    evaluator: Evaluator,
    session: UserSession | None,
    project: Mapping[str, str],
    with_attachments: WithAttachments | None,
    cancellation: Cancellation,
) -> CaseData:
    """Return the own cases of an evaluator, which may call what the user wrote.

    Those in Braintrust are looked up as the caller, never as the application.
    """
    cases = make_cases(evaluator.data, evaluator.name, cancellation)
    if not isinstance(cases, OwnDataset | OwnExperiment):
        return CaseData(cases)
    if session is None:
        raise RequestError(
            f"data.own: the own cases of evaluator {evaluator.name!r} are in Braintrust, and this"
            " run acts without it; send cases, or set BRAINTRUST_API_KEY (for a function that"
            " returns a dataset, 'flask evals run' also needs --experiment)"
        )
    if isinstance(cases, OwnExperiment):
        if not cases.experiment_name:
            raise DataError(
                f"evaluator {evaluator.name!r} has a new experiment without a name as its data,"
                " which has no cases; name an earlier one, as in init(project, experiment=...,"
                " open=True)"
            )
        where = _project_of(cases) or project
        return _open_experiment(cases.experiment_name, session, where, with_attachments)
    if cases.dataset_id is None and cases.dataset_name is None:
        raise RequestError(
            "data.own: this version of the braintrust package does not tell which dataset or"
            f" experiment evaluator {evaluator.name!r} has; name it in data.dataset_id or"
            " data.experiment_name"
        )
    return _open_dataset(cases, session, with_attachments)


def _project_of(cases: OwnExperiment) -> Mapping[str, str]:
    if cases.project_id is not None:
        return {"project_id": cases.project_id}
    return {} if cases.project_name is None else {"project_name": cases.project_name}


def _dataset_cases(rows: Iterable[Row], dataset_id: str) -> Iterator[EvalCase]:
    for row in rows:
        yield _case(row, row.get("expected"), _origin("dataset", dataset_id, row))


def _experiment_cases(rows: Iterable[Row], experiment_id: str) -> Iterator[EvalCase]:
    for row in rows:
        if not _is_root(row):
            continue
        # If the experiment had no expected output, the new run is compared with its output.
        expected = row.get("expected")
        expected = row.get("output") if expected is None else expected
        yield _case(row, expected, _origin("experiment", experiment_id, row))


def _is_root(row: Row) -> bool:
    """Return whether a row of an experiment is a case, which not all versions of Braintrust say."""
    is_root = row.get("is_root")
    return row.get("root_span_id") == row.get("span_id") if is_root is None else bool(is_root)


def _origin(object_type: str, object_id: str, row: Row) -> Any:
    """Return the reference to a row; if it names no version of the row, the row's own origin.

    The official server does the same: without a version, the row cannot be found again.
    """
    for key in ("id", "_xact_id"):
        if not isinstance(row.get(key), str) or not row[key]:
            return row.get("origin")
    return origin_of(object_type, object_id, row)


def _case(row: Row, expected: Any, origin: Any) -> EvalCase:
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


def origin_of(object_type: str, object_id: str, row: Mapping[str, Any]) -> dict[str, Any]:
    """Return the reference to a row, in Braintrust's format, whose fields are all strings."""
    origin = {"object_type": object_type, "object_id": object_id, "id": safe_text(row.get("id"))}
    version, created = row.get("_xact_id"), row.get("created")
    if isinstance(version, str | int):
        origin["_xact_id"] = str(version)
    if isinstance(created, str):
        origin["created"] = created
    return origin
