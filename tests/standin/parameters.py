"""Endpoints that read functions by id and by slug, among them saved parameters."""

from __future__ import annotations

from .answers import Answer, Refusal, json_answer
from .request import Request
from .state import Function, Project, Row, SavedParameters


def list_functions(request: Request) -> Answer:
    query, cloud = request.call.query, request.world.cloud
    orgs = request.caller.visible_orgs(query.get("org_name"))
    projects = cloud.find(Project, orgs, name=query.get("project_name"), id=query.get("project_id"))
    owners = {project.id for project in projects}
    found: list[Function | SavedParameters] = [
        *cloud.find(Function, orgs, slug=query.get("slug")),
        *cloud.find(SavedParameters, orgs, slug=query.get("slug")),
    ]
    records = [_as_asked(request, item) for item in found if item.record["project_id"] in owners]
    return json_answer({"objects": [record for record in records if record is not None]})


def get_function(request: Request) -> Answer:
    cloud, id = request.world.cloud, request.params["id"]
    item: Function | SavedParameters
    if cloud.is_a(SavedParameters, id):
        item = cloud.get(request.caller, SavedParameters, id)
    else:
        item = cloud.get(request.caller, Function, id)
    record = _as_asked(request, item)
    if record is None:
        raise Refusal(404, f"Function {id!r} has no such version or environment")
    return json_answer(record)


def _as_asked(request: Request, item: Function | SavedParameters) -> Row | None:
    """The record in the version or environment of the query; `None` where it has none such."""
    version = request.call.query.get("version")
    environment = request.call.query.get("environment")
    if not isinstance(item, SavedParameters):
        return item.record if version is environment is None else None
    if version is None and environment is not None:
        version = item.environments.get(environment)
        if version is None:
            return None
    return item.as_of(version)
