"""The endpoint that takes spans in."""

from __future__ import annotations

from .answers import Answer, Refusal, check_size
from .request import Request
from .spans import decode_spans
from .state import Experiment, Project

_PROTOBUF = "application/x-protobuf"


def export(request: Request) -> Answer:
    check_size(request.call)
    headers = request.call.headers
    if headers.get("content-type") != _PROTOBUF:
        raise Refusal(415, f"Content-Type must be {_PROTOBUF}")
    parent = headers.get("x-bt-parent")
    if not parent:
        raise Refusal(400, "x-bt-parent is required")
    _check_parent(request, parent)
    try:
        spans = decode_spans(request.call.body, token=request.caller.token, parent_header=parent)
    except ValueError as error:
        raise Refusal(400, str(error)) from error
    request.world.journal.keep(spans)
    # An export response without a partial failure is an empty protobuf message.
    return Answer(200, b"", _PROTOBUF)


def _check_parent(request: Request, parent: str) -> None:
    """Refuse a parent of a foreign organisation; one that is unknown here may well exist."""
    kind, _, id = parent.partition(":")
    cloud = request.world.cloud
    try:
        if kind == "experiment_id":
            cloud.get(request.caller, Experiment, id)
        elif kind == "project_id":
            cloud.get(request.caller, Project, id)
    except Refusal as refusal:
        if refusal.status != 404:
            raise
