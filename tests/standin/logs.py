"""The endpoints by which the SDK records spans of its own: limits first, then rows."""

from __future__ import annotations

from .answers import Answer, Refusal, check_size, json_answer
from .logged import LoggedRow
from .request import Request
from .row_fields import check_row
from .state import Experiment, Project, Row

API_VERSION = 2


def version(request: Request) -> Answer:
    # No limit for payloads: the SDK then has one of its own, and uploads nothing elsewhere.
    return json_answer({"version": "stand-in", "logs3_payload_max_bytes": None})


def insert(request: Request) -> Answer:
    check_size(request.call)
    # The SDK sends this body without a Content-Type.
    body = request.call.json
    if not isinstance(body, dict) or body.get("api_version") != API_VERSION:
        raise Refusal(400, f"The body must be a JSON object with the api_version {API_VERSION}")
    rows = body.get("rows")
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise Refusal(400, "rows must be a list of objects")
    # All are checked before any is kept, so that what is refused changes nothing.
    for row in rows:
        check_row(row)
    parents = [_parent(request, row) for row in rows]
    journal, token = request.world.journal, request.caller.token
    for row, parent in zip(rows, parents, strict=True):
        plain = {key: value for key, value in row.items() if key != "_is_merge"}
        journal.log(LoggedRow(token, parent, plain, is_change=bool(row.get("_is_merge"))))
    return json_answer({"ids": [row["id"] for row in rows]})


def _parent(request: Request, row: Row) -> str:
    """Where a row belongs. Raises `Refusal`, for another organisation's objects too."""
    cloud, caller = request.world.cloud, request.caller
    match row:
        case {"experiment_id": str(id)}:
            cloud.get(caller, Experiment, id)
            return f"experiment_id:{id}"
        case {"project_id": str(id), "log_id": "g"}:
            cloud.get(caller, Project, id)
            return f"project_id:{id}"
        case {"prompt_session_id": str(id), "log_id": "x"}:
            return f"playground_id:{id}"
    raise Refusal(400, "The stand-in takes rows of experiments, projects and playgrounds only")
