"""Endpoints that read rows: fetch, BTQL, and the versions behind environments."""

from __future__ import annotations

import json
from typing import Any

from .answers import Answer, Refusal, json_answer
from .request import Request
from .rows import page
from .state import Dataset, Experiment, Row, Table

_PLAYED = {"select", "from", "filter", "limit", "cursor"}


def fetch_dataset(request: Request) -> Answer:
    return _fetch(request, Dataset)


def fetch_experiment(request: Request) -> Answer:
    return _fetch(request, Experiment)


def get_environment(request: Request) -> Answer:
    dataset = request.world.cloud.get(request.caller, Dataset, request.params["id"])
    org = request.call.query.get("org_name")
    if org is not None and org not in request.caller.orgs:
        raise Refusal(403, f"Not a member of organization {org!r}")
    version = dataset.environments.get(request.params["environment"])
    if version is None or org not in (None, dataset.org):
        raise Refusal(404, "No such environment object")
    return json_answer(
        {
            "object_type": "dataset",
            "object_id": dataset.id,
            "object_version": version,
            "environment_slug": request.params["environment"],
        }
    )


def query(request: Request) -> Answer:
    asked = request.body.get("query")
    if not isinstance(asked, dict) or asked.keys() - _PLAYED:
        raise Refusal(400, f"The stand-in plays queries of {sorted(_PLAYED)} only")
    if asked.get("select") != [{"op": "star"}]:
        raise Refusal(400, "The stand-in plays select * only")
    table = _source(request, asked.get("from"))
    # BTQL counts rows where fetch counts traces.
    return _page(request, table, asked, "data", where=asked.get("filter"))


def _source(request: Request, source: Any) -> Table:
    match source:
        case {
            "op": "function",
            "name": {"op": "ident", "name": ["dataset" | "experiment" as kind]},
            "args": [{"op": "literal", "value": str(id)}],
        }:
            wanted = Dataset if kind == "dataset" else Experiment
            return request.world.cloud.get(request.caller, wanted, id)
        case {
            "op": "function",
            "name": {"op": "ident", "name": ["playground_logs"]},
            "args": [{"op": "literal", "value": str(id)}],
        }:
            return _playground(request, id)
    raise Refusal(400, f"The stand-in cannot query from {json.dumps(source)}")


def _playground(request: Request, id: str) -> Table:
    """What the caller has logged in a playground, which may be another user's."""
    org, token = request.caller.acting_org(None), request.caller.token
    rows = [
        each.row
        for each in request.world.journal.rows
        if (each.parent, each.token) == (f"playground_id:{id}", token)
    ]
    return Table(org, {"id": id}, rows=rows)


def _fetch(request: Request, kind: type[Dataset] | type[Experiment]) -> Answer:
    table = request.world.cloud.get(request.caller, kind, request.params["id"])
    return _page(request, table, request.body, "events", whole_traces=True)


def _page(
    request: Request,
    table: Table,
    asked: Row,
    key: str,
    *,
    whole_traces: bool = False,
    where: Any = None,
) -> Answer:
    rows, cursor = page(
        table,
        version=request.optional_text("version"),
        limit=asked.get("limit"),
        cursor=asked.get("cursor"),
        cap=request.world.page_size,
        cursor_on_last_page=request.world.cursor_on_last_page,
        whole_traces=whole_traces,
        where=where,
    )
    answer: Row = {key: rows}
    if cursor is not None:
        answer["cursor"] = cursor
    return json_answer(answer)
