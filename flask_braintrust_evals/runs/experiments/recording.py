"""Decides where a run is recorded: below the request's parent, or in a new experiment."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from flask_braintrust_evals.cloud import objects
from flask_braintrust_evals.cloud.parents import Parent
from flask_braintrust_evals.cloud.sessions.user_session import UserSession
from flask_braintrust_evals.engine.evaluator import Evaluator
from flask_braintrust_evals.engine.parameters.saved import SavedParameterSet
from flask_braintrust_evals.errors import CloudNotFoundError
from flask_braintrust_evals.runs.sources.case_data import CaseData
from flask_braintrust_evals.runs.spec import RunSpec

from .comparison import Comparison
from .repository import CodeFields

logger = logging.getLogger("flask_braintrust_evals")


@dataclass(frozen=True)
class Recording:
    """The place in Braintrust where a run is recorded.

    Attributes:
        description: project and experiment, as far as they are known before the run, in the format
            of the ``start`` and ``summary`` events.
        parent: the Braintrust object that the spans belong to; ``None``: the run is not recorded.
        experiment: the experiment that was created for this run; ``None``: none was created.
    """

    description: Mapping[str, Any]
    parent: Parent | None = None
    experiment: objects.CloudObject | None = None
    _session: UserSession | None = field(default=None, repr=False)

    def full_description(self) -> Mapping[str, Any]:
        """Return the description with names of Braintrust's, also where only an id was given.

        A name that cannot be looked up is left as it is, and nothing fails.
        """
        session = self._session
        if session is None or self.parent is None or self.experiment is not None:
            return self.description
        found = dict(self.description)
        experiment = project = None
        if "experimentId" in found:
            experiment = objects.known_object(session, "experiment", found["experimentId"])
        if experiment is not None:
            found["experimentName"] = experiment.name
            found["projectId"] = experiment.project_id or found.get("projectId")
        if found.get("projectId"):
            project = objects.known_object(session, "project", found["projectId"])
        if project is not None:
            found["projectName"] = project.name
            found["projectUrl"] = objects.project_url(session, project.name)
            if experiment is not None:
                url = objects.experiment_url(session, project.name, experiment.name)
                found["experimentUrl"] = url
        return found

    def comparison(self, timeout: float | None = None) -> Comparison:
        """Return Braintrust's comparison of the new experiment, if there is one, or why not.

        Args:
            timeout: see :meth:`Comparison.of_experiment`.
        """
        if self.experiment is None or self._session is None:
            return Comparison()
        comparison = Comparison.of_experiment(self._session, self.experiment.id, timeout)
        if comparison.skipped:
            logger.warning("experiment %r: %s", self.experiment.name, comparison.skipped)
        return comparison


def run_project(session: UserSession, query: Mapping[str, str]) -> objects.CloudObject:
    """Return the project of a run. Braintrust creates one whose name does not exist yet."""
    if "project_id" in query:
        return objects.project_by_id(session, query["project_id"])
    return objects.project_by_name(session, query["project_name"])


def project_query(spec: RunSpec, named_id: str | None, evaluator: Evaluator) -> dict[str, str]:
    """Return the project of a run, by its ``project_id`` or else by its ``project_name``.

    The project that the request names has priority over the evaluator's. If neither names one, the
    project has the name of the evaluator. ``named_id`` is what a header of the request names.
    """
    project_id = spec.project_id or named_id or evaluator.project_id
    if project_id:
        return {"project_id": project_id}
    return {"project_name": evaluator.project or evaluator.name}


def record_below(
    parent: Parent | None,
    session: UserSession | None,
    query: Mapping[str, str],
    spec: RunSpec,
    evaluator: Evaluator,
) -> Recording:
    """Return a recording below a parent; ``None``: the run is not recorded.

    Nothing is called before the run. ``query`` is its project, unless the parent is in one.
    """
    description = {
        "projectName": evaluator.project or evaluator.name,
        "experimentName": spec.experiment_name or evaluator.experiment_name or evaluator.name,
    }
    logs_of = parent.id_if("project_logs") if parent is not None else None
    project_id = logs_of or query.get("project_id")
    if project_id is not None:
        description["projectId"] = project_id
    experiment_id = parent.id_if("experiment") if parent is not None else None
    if experiment_id is not None:
        description["experimentId"] = experiment_id
    return Recording(description, parent, None, session)


def record_in_new_experiment(
    session: UserSession,
    query: Mapping[str, str],
    spec: RunSpec,
    evaluator: Evaluator,
    data: CaseData,
    code: CodeFields,
) -> Recording:
    """Create an experiment, and its project if that does not exist; return a recording in it.

    Raises:
        CloudError: the experiment could not be created, or there is no base experiment that the
            specification names.
    """
    metadata = {**(evaluator.metadata or {}), **(spec.metadata or {})}
    is_public = (evaluator.is_public or None) if spec.is_public is None else spec.is_public
    base = _base_experiment(session, query, spec, evaluator)
    project = run_project(session, query)
    source = data.experiment
    if base is None and source is not None and source.project_id == project.id:
        base = source.id  # a run of an experiment's cases is compared with it, as in the SDKs
    experiment = objects.create_experiment(
        session,
        project,
        {
            "name": spec.experiment_name or evaluator.experiment_name,
            "description": evaluator.description,
            "metadata": metadata or None,
            "tags": list(spec.tags or evaluator.tags or ()) or None,
            "dataset_id": data.dataset_id,
            "dataset_version": data.dataset_version,
            "base_exp_id": base,
            "public": is_public,
            **_parameters_reference(evaluator),
            **code(base is None),
        },
    )
    description = {
        "projectName": project.name,
        "projectId": project.id,
        "experimentId": experiment.id,
        "experimentName": experiment.name,
        "projectUrl": objects.project_url(session, project.name),
        "experimentUrl": objects.experiment_url(session, project.name, experiment.name),
    }
    parent = Parent({"object_type": "experiment", "object_id": experiment.id})
    return Recording(description, parent, experiment, session)


def _base_experiment(
    session: UserSession, query: Mapping[str, str], spec: RunSpec, evaluator: Evaluator
) -> str | None:
    """Return the id of the experiment to compare with.

    The request has priority over the evaluator, and an id over a name. An id is looked up, too:
    Braintrust would refuse it only after the project had been created. ``None``: Braintrust chooses
    one, also where the evaluator names one that the project does not have yet.
    """
    for source in (spec, evaluator):
        if source.base_experiment_id:
            return objects.experiment_by_id(session, source.base_experiment_id).id
        if source.base_experiment_name:
            try:
                return objects.experiment_by_name(session, query, source.base_experiment_name).id
            except CloudNotFoundError as error:
                if source is spec:
                    raise
                text = "evaluator %r: %s; Braintrust chooses what its run is compared with"
                logger.warning(text, evaluator.name, error)
    return None


def _parameters_reference(evaluator: Evaluator) -> dict[str, str | None]:
    parameters = evaluator.parameter_set
    if not isinstance(parameters, SavedParameterSet) or parameters.source["id"] is None:
        return {}
    return {
        "parameters_id": parameters.source["id"],
        "parameters_version": parameters.source["version"],
    }
