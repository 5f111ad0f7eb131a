"""Looks up projects, datasets and experiments in Braintrust, and creates experiments."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from flask_braintrust_evals.errors import CloudError, CloudNotFoundError, RequestError

from .sessions.user_session import UserSession

logger = logging.getLogger("flask_braintrust_evals")

SUMMARY_TIMEOUT = 5.0
"""Seconds by which each call for a summary may delay the end of a run."""
MIN_PAUSE = 0.2
"""Seconds before the second attempt of a call for a summary; each further pause is twice as long.
"""
MAX_KNOWN = 100
"""Maximum number of objects that a session keeps for summaries."""
MAX_NAME = 10_000
"""Maximum characters of an object's name, and of an id in an answer."""


@dataclass(frozen=True)
class CloudObject:
    """An object in Braintrust.

    Attributes:
        id: its id.
        name: its name.
        project_id: the id of its project; ``None`` for a project.
    """

    id: str
    name: str
    project_id: str | None = None


def project_by_id(session: UserSession, project_id: str) -> CloudObject:
    """Look up a project. Raises :class:`CloudNotFoundError` if there is none."""
    return _by_id(session, "project", project_id)


def project_by_name(session: UserSession, name: str) -> CloudObject:
    """Return the project of this name. Braintrust creates it if there is none."""
    body = {"name": name, "org_name": session.org.name}
    return _object(session.api("POST", "/v1/project", json=body))


def dataset_by_id(session: UserSession, dataset_id: str) -> CloudObject:
    """Look up a dataset. Raises :class:`CloudNotFoundError` if there is none."""
    return _by_id(session, "dataset", dataset_id)


def dataset_by_name(
    session: UserSession, project: str | None, name: str, project_id: str | None = None
) -> CloudObject:
    """Look up a dataset by its name and, if known, the name or the id of its project.

    Args:
        session: the caller's.
        project: the name of the project.
        name: the name of the dataset.
        project_id: the id of the project; has priority over its name.

    Raises:
        CloudNotFoundError: there is none, or none that the caller may see.
        RequestError: no project was named, and several have such a dataset.
    """
    where = {"project_name": project} if project_id is None else {"project_id": project_id}
    return _by_name(session, "dataset", name, where)


def experiment_by_id(session: UserSession, experiment_id: str) -> CloudObject:
    """Look up an experiment. Raises :class:`CloudNotFoundError` if there is none."""
    return _by_id(session, "experiment", experiment_id)


def experiment_by_name(session: UserSession, project: Mapping[str, str], name: str) -> CloudObject:
    """Look up an experiment by its name. ``project`` has a ``project_id`` or ``project_name``.

    Raises:
        CloudNotFoundError: there is none, or none that the caller may see.
    """
    return _by_name(session, "experiment", name, project)


def environment_version(session: UserSession, dataset_id: str, environment: str) -> str:
    """Return the version of a dataset that is assigned to an environment.

    Raises:
        CloudNotFoundError: there is no such environment, or it has no version of the dataset.
    """
    path = f"/environment-object/dataset/{_segment(dataset_id)}/{_segment(environment)}"
    missing = f"dataset {dataset_id!r} has no version in an environment {environment!r}"
    with _named(f"{missing}; check the environment's name"):
        answer = session.api("GET", path, params={"org_name": session.org.name})
    version = answer.get("object_version") if isinstance(answer, dict) else None
    if not isinstance(version, str):
        raise CloudNotFoundError(f"{missing}; check the environment's name")
    return version


def create_experiment(
    session: UserSession, project: CloudObject, fields: Mapping[str, Any]
) -> CloudObject:
    """Create an experiment. If its name is taken, Braintrust adds a suffix to it.

    Args:
        session: the caller's.
        project: the project of the experiment.
        fields: ``name``, ``metadata``, ``tags``, ``dataset_id`` and so on; ``None`` is left out.
    """
    body = {key: value for key, value in fields.items() if value is not None}
    body |= {"project_id": project.id, "ensure_new": True}
    return _object(session.api("POST", "/v1/experiment", json=body, repeatable=False))


def summarize_experiment(
    session: UserSession, experiment_id: str, timeout: float | None = None
) -> dict[str, Any]:
    """Return an experiment's scores, compared with those of its base experiment.

    A failure that may pass is followed by another attempt, as long as there is time.

    Args:
        session: the caller's.
        experiment_id: the id of the experiment.
        timeout: seconds that all attempts may take, at most :data:`SUMMARY_TIMEOUT`; default:
            those.

    Raises:
        CloudError: Braintrust failed until then, refused, or answered with something else.
    """
    limit = SUMMARY_TIMEOUT if timeout is None else min(timeout, SUMMARY_TIMEOUT)
    deadline, pause = time.monotonic() + limit, MIN_PAUSE
    while True:
        try:
            return _summary(session, experiment_id, max(MIN_PAUSE, deadline - time.monotonic()))
        except CloudError as error:
            pause = max(pause, error.retry_after or 0.0)
            if not error.transient or time.monotonic() + pause >= deadline:
                raise
        time.sleep(pause)
        pause *= 2


def _summary(session: UserSession, experiment_id: str, timeout: float) -> dict[str, Any]:
    answer = session.api(
        "GET",
        f"/v1/experiment/{_segment(experiment_id)}/summarize",
        params={"summarize_scores": "true"},
        timeout=timeout,
        retry=False,
    )
    if not isinstance(answer, dict):
        raise CloudError("Braintrust's answer is not the summary of an experiment")
    return answer


def known_object(session: UserSession, kind: str, id: str) -> CloudObject | None:
    """Return an object for a summary; ``None``: it cannot be had, and the summary goes without.

    The session keeps what it has looked up: the Playground names the same project in each run.
    """
    found: CloudObject | None = session.known.get((kind, id))
    if found is None:
        try:
            found = _by_id(session, kind, id, timeout=SUMMARY_TIMEOUT, retry=False, optional=True)
        except CloudError as error:
            logger.info("the summary lacks the name of %s %r: %s", kind, id, error)
            return None
        if len(session.known) >= MAX_KNOWN:
            session.known.clear()
        session.known[kind, id] = found
    return found


def org_url(session: UserSession) -> str:
    """Return the address that the pages of the caller's organisation begin with."""
    return f"{session.app_url}/app/{quote(session.org.name, safe='')}"


def project_url(session: UserSession, project: str) -> str:
    """Return the address of a project's page."""
    return f"{org_url(session)}/p/{quote(project, safe='')}"


def experiment_url(session: UserSession, project: str, experiment: str) -> str:
    """Return the address of an experiment's page."""
    return f"{project_url(session, project)}/experiments/{quote(experiment, safe='')}"


def _segment(text: str) -> str:
    """Return a text quoted as one segment of a path.

    ``.`` and ``..`` cannot be quoted: urllib3 would take them for steps within the path.
    """
    if text in (".", ".."):
        raise CloudNotFoundError(f"there is nothing with the id {text!r}")
    return quote(text, safe="")


@contextmanager
def _named(missing: str) -> Iterator[None]:
    """Raise :class:`CloudNotFoundError` with this text if Braintrust has no such object.

    For an id or a name that is not there, some of Braintrust's endpoints answer 404, and others
    400, as for an id that is not a UUID.
    """
    try:
        yield
    except CloudError as error:
        if error.answered not in (400, 404):
            raise
        raise CloudNotFoundError(f"{missing} ({error})") from error


def _by_id(session: UserSession, kind: str, id: str, **options: Any) -> CloudObject:
    path = f"/v1/{kind}/{_segment(id)}"
    with _named(
        f"there is no {kind} with the id {id!r}, or you may not see it; check the id and the"
        " organisation"
    ):
        return _object(session.api("GET", path, **options))


def _by_name(
    session: UserSession, kind: str, name: str, where: Mapping[str, str | None]
) -> CloudObject:
    given = {key: value for key, value in where.items() if value is not None}
    params = {f"{kind}_name": name, "org_name": session.org.name, **given}
    place = "".join(f" in project {value!r}" for value in given.values())
    missing = (
        f"there is no {kind} {name!r}{place}, or you may not see it; check the name and the"
        " organisation"
    )
    with _named(missing):
        answer = session.api("GET", f"/v1/{kind}", params=params)
    found = answer.get("objects") if isinstance(answer, dict) else None
    if not isinstance(found, list):
        raise CloudError(f"Braintrust's answer does not list {kind}s")
    if not found:
        raise CloudNotFoundError(missing)
    if len(found) > 1:
        raise RequestError(f"there are several {kind}s {name!r}{place}; give 'project_name' too")
    return _object(found[0])


def _object(answer: Any) -> CloudObject:
    if not isinstance(answer, dict) or not isinstance(answer.get("id"), str):
        raise CloudError("Braintrust's answer is not an object with an id")
    id, name, project_id = (answer.get(key) or "" for key in ("id", "name", "project_id"))
    if not all(isinstance(each, str) for each in (name, project_id)):
        raise CloudError("Braintrust's answer has a name or id that is not a text")
    # They are kept with the run, and some with the session; and the organisation chooses them.
    if max(map(len, (id, name, project_id))) > MAX_NAME:
        raise CloudError(f"Braintrust's answer has a name or id of more than {MAX_NAME} characters")
    return CloudObject(id, name, project_id or None)
