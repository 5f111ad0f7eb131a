"""Endpoints for projects, experiments and datasets."""

from __future__ import annotations

import re
from typing import TypeVar

from .answers import Answer, Refusal, json_answer
from .request import Request
from .state import Dataset, Experiment, Project, Row, Table
from .summary import summarize

T = TypeVar("T", bound=Table)

_EXPERIMENT_FIELDS = (
    "description",
    "repo_info",
    "base_exp_id",
    "dataset_id",
    "dataset_version",
    "parameters_id",
    "parameters_version",
    "metadata",
    "tags",
    "public",
)


_REPO_INFO = {
    "commit",
    "branch",
    "tag",
    "dirty",
    "author_name",
    "author_email",
    "commit_message",
    "commit_time",
    "git_diff",
}


def create_project(request: Request) -> Answer:
    org = request.caller.acting_org(request.optional_text("org_name"))
    return json_answer(request.world.cloud.project_named(org, request.text("name")).record)


def get_project(request: Request) -> Answer:
    return _record(request, Project)


def get_experiment(request: Request) -> Answer:
    return _record(request, Experiment)


def get_dataset(request: Request) -> Answer:
    return _record(request, Dataset)


def list_experiments(request: Request) -> Answer:
    return _list(request, Experiment, "experiment_name")


def list_datasets(request: Request) -> Answer:
    return _list(request, Dataset, "dataset_name")


def create_dataset(request: Request) -> Answer:
    cloud = request.world.cloud
    project = cloud.get(request.caller, Project, request.text("project_id"))
    name = request.text("name")
    with cloud.lock:
        found = cloud.find(Dataset, [project.org], project_id=project.id, name=name)
        dataset = found[0] if found else cloud.dataset_named(project, name)
    return json_answer(dataset.record)


def create_experiment(request: Request) -> Answer:
    cloud = request.world.cloud
    project = cloud.get(request.caller, Project, request.text("project_id"))
    if dataset_id := request.optional_text("dataset_id"):
        cloud.get(request.caller, Dataset, dataset_id)
    if base_id := request.optional_text("base_exp_id"):
        cloud.get(request.caller, Experiment, base_id)
    body = request.body
    check_code(body)
    fields = {key: body[key] for key in _EXPERIMENT_FIELDS if body.get(key) is not None}
    with cloud.lock:
        name = request.optional_text("name") or f"experiment-{cloud.next_serial()}"
        taken = cloud.find(Experiment, [project.org], project_id=project.id, name=name)
        if taken and not body.get("ensure_new"):
            return json_answer(taken[0].record)
        if taken:
            name = f"{name}-{cloud.next_serial():08x}"
        return json_answer(cloud.experiment_named(project, name, **fields).record)


def check_code(body: Row) -> None:
    """Raise `Refusal` for what is no state of a checkout."""
    info, commits = body.get("repo_info"), body.get("ancestor_commits")
    if info is not None and (not isinstance(info, dict) or info.keys() - _REPO_INFO):
        raise Refusal(400, f"repo_info must be an object of {sorted(_REPO_INFO)}")
    if info is not None and not all(
        isinstance(value, bool if name == "dirty" else str)
        for name, value in info.items()
        if value is not None
    ):
        raise Refusal(400, "An entry of repo_info has the wrong type")
    if commits is not None and not (
        isinstance(commits, list)
        and all(isinstance(each, str) and re.fullmatch("[0-9a-f]{40,64}", each) for each in commits)
    ):
        raise Refusal(400, "ancestor_commits must be a list of commits")


def summarize_experiment(request: Request) -> Answer:
    cloud, query = request.world.cloud, request.call.query
    experiment = cloud.get(request.caller, Experiment, request.params["id"])
    project = cloud.get(request.caller, Project, experiment.record["project_id"])
    base = _base(request, experiment, query.get("comparison_experiment_id"))
    project_url = request.world.project_url(project)
    answer: Row = {
        "project_name": project.name,
        "experiment_name": experiment.name,
        "project_url": project_url,
        "experiment_url": request.world.experiment_url(project, experiment),
        "comparison_experiment_name": base.name if base else None,
    }
    if query.get("summarize_scores") == "true":
        answer |= summarize(request.world.journal, experiment, base)
    return json_answer(answer)


def _base(request: Request, experiment: Experiment, named: str | None) -> Experiment | None:
    """The one asked for, else the experiment's own base, else its project's latest before it."""
    cloud = request.world.cloud
    base_id = named or experiment.record["base_exp_id"]
    if base_id is not None:
        return cloud.get(request.caller, Experiment, base_id)
    siblings = cloud.find(Experiment, [experiment.org], project_id=experiment.record["project_id"])
    earlier = siblings[: siblings.index(experiment)]
    return earlier[-1] if earlier else None


def _record(request: Request, kind: type[Project] | type[Table]) -> Answer:
    return json_answer(request.world.cloud.get(request.caller, kind, request.params["id"]).record)


def _list(request: Request, kind: type[T], name_key: str) -> Answer:
    cloud, query = request.world.cloud, request.call.query
    orgs = request.caller.visible_orgs(query.get("org_name"))
    projects = cloud.find(Project, orgs, name=query.get("project_name"), id=query.get("project_id"))
    owners = {project.id for project in projects}
    return json_answer(
        {
            "objects": [
                item.record
                for item in cloud.find(kind, orgs, name=query.get(name_key))
                if item.record["project_id"] in owners
            ]
        }
    )
