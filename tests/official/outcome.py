"""What a client sees of a run, with ids, times and addresses taken out, so that it compares."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from tests.server import Client, Sent
from tests.standin import StandIn

Event = tuple[str, Any]
"""The kind of a progress event, and its data; parsed where it is an output."""


@dataclass(frozen=True)
class Outcome:
    """The events of one stream."""

    events: list[Sent]

    @property
    def kinds(self) -> list[str]:
        """The types of the events, without those of the cases."""
        return [each.event for each in self.events if each.event != "progress"]

    @property
    def progress(self) -> list[dict[str, Any]]:
        return [each.json for each in self.events if each.event == "progress"]

    @property
    def cases(self) -> list[list[Event]]:
        """The events of each case, in order; the cases in an order that both servers share.

        Without the `done` that ours sends last for each case, and the official one never does.
        """
        by_id: dict[str, list[Event]] = {}
        for each in self.progress:
            by_id.setdefault(each["id"], []).append((each["event"], _data(each)))
        cases = [[each for each in case if each != ("done", "")] for case in by_id.values()]
        return sorted(cases, key=json.dumps)

    @property
    def outputs(self) -> list[Any]:
        """What the tasks returned."""
        return [case[-1][1] for case in self.cases if case and case[-1][0] == "json_delta"]

    @property
    def errors(self) -> list[Any]:
        """What is reported of the cases that failed."""
        return [data for case in self.cases for event, data in case if event == "error"]

    @property
    def payloads(self) -> list[dict[str, Any]]:
        """All that the progress events hold beside ids and data."""
        return [
            {k: v for k, v in each.items() if k not in ("id", "data")} for each in self.progress
        ]

    @property
    def summary(self) -> dict[str, Any]:
        (summary,) = [each.json for each in self.events if each.event == "summary"]
        return normal_summary(summary)

    @property
    def comparison(self) -> dict[str, Any]:
        """Whether the run was compared with an earlier one, or why not."""
        (summary,) = [each.json for each in self.events if each.event == "summary"]
        comparison: dict[str, Any] = summary["comparison"]
        return comparison

    @property
    def scores(self) -> dict[str, float]:
        """The mean of each score."""
        return {name: score["score"] for name, score in self.summary["scores"].items()}

    @property
    def failure(self) -> str:
        """The data of the run's own error, as it is on the wire."""
        (failure,) = [each.data for each in self.events if each.event == "error"]
        return failure

    @property
    def start(self) -> dict[str, Any]:
        (start,) = [each.json for each in self.events if each.event == "start"]
        return normal_summary(start)


def _data(progress: dict[str, Any]) -> Any:
    data = progress.get("data")
    if progress["event"] != "json_delta" or not isinstance(data, str):
        return data
    try:
        return json.loads(data)
    except ValueError:
        return data  # a task may report anything as a piece of JSON


def normal_summary(summary: dict[str, Any]) -> dict[str, Any]:
    """A summary without what only one server sends, beside the scores, and without `null`."""
    kept = {
        key: value
        for key, value in summary.items()
        if value is not None and key not in ("comparison", "errors")
    }
    if "scores" in kept:
        kept["scores"] = {
            name: {k: v for k, v in score.items() if v is not None and k != "_longest_score_name"}
            for name, score in sorted(kept["scores"].items())
        }
    return kept


@dataclass(frozen=True)
class Recorded:
    """One span as it reached Braintrust, however it was sent."""

    name: str
    type: str | None
    parent: str
    above: str | None
    fields: dict[str, Any]

    def __getitem__(self, field: str) -> Any:
        return self.fields.get(field)


def recorded_by_official(cloud: StandIn) -> list[Recorded]:
    # The other server writes the rows of some cases, whose other spans come over OTLP.
    others = {span.trace_id for span in cloud.spans}
    logged = [each for each in cloud.rows if each.row["root_span_id"] not in others]
    rows = [each.row for each in logged]
    names = {row["span_id"]: row["span_attributes"]["name"] for row in rows}
    return [
        Recorded(
            name=each.name or "",
            type=each.type,
            parent=each.parent,
            above=names.get((each.row["span_parents"] or [None])[0]),
            fields={
                key: each.row.get(key)
                for key in ("input", "expected", "output", "metadata", "tags", "origin")
                + ("scores", "classifications", "error")
            }
            | {"purpose": each.row["span_attributes"].get("purpose")}
            | {"generation": each.row["span_attributes"].get("generation")},
        )
        for each in logged
    ]


def recorded_by_ours(cloud: StandIn) -> list[Recorded]:
    traces = {span.trace_id for span in cloud.spans}
    parents = {span.parent_header for span in cloud.spans}
    rows = [
        (parent, row)
        for parent in sorted(parents)
        for row in cloud.recorded(parent)
        if row["root_span_id"] in traces
    ]
    names = {row["span_id"]: row["span_attributes"]["name"] for _, row in rows}
    return [
        Recorded(
            name=row["span_attributes"]["name"],
            type=row["span_attributes"].get("type"),
            parent=parent,
            above=names.get((row.get("span_parents") or [""])[0]),
            fields={
                key: row.get(key)
                for key in ("input", "expected", "output", "metadata", "tags", "origin")
                + ("scores", "classifications", "error")
            }
            | {"purpose": row["span_attributes"].get("purpose")}
            | {"generation": row["span_attributes"].get("generation")},
        )
        for parent, row in rows
    ]


def client_of(url: str, cloud: StandIn) -> Client:
    client = Client(url)
    # The official server logs in at the request's own origin.
    client.headers["Origin"] = cloud.url
    return client


class Pair:
    """Both servers, with the same evaluators and the same cloud behind them."""

    def __init__(self, official: str, ours: str, cloud: StandIn) -> None:
        self.official = client_of(official, cloud)
        self.ours = client_of(ours, cloud)
        self._cloud = cloud

    def run(self, name: str, data: Any, **fields: Any) -> tuple[Outcome, Outcome]:
        """Run an evaluator to the end under each: first the official outcome, then ours."""
        if isinstance(data, list):
            data = {"data": data}
        fields = {"parent": PLAYGROUND, **fields}
        fields = {key: value for key, value in fields.items() if value is not ABSENT}
        return (
            Outcome(self.official.run(name, data, **fields)),
            Outcome(self.ours.run(name, data, **fields)),
        )

    def post(self, body: Any) -> tuple[int, int]:
        """Send a body to each and return both statuses."""
        return self.official.post(body).status_code, self.ours.post(body).status_code

    def recorded(self, name: str | None = None) -> tuple[list[Recorded], list[Recorded]]:
        """What both have recorded so far, under one name or any."""
        official, ours = recorded_by_official(self._cloud), recorded_by_ours(self._cloud)
        return (
            [each for each in official if name in (None, each.name)],
            [each for each in ours if name in (None, each.name)],
        )


PLAYGROUND = {"object_type": "playground_logs", "object_id": "playground-1"}
ABSENT = object()
"""As a field of a request: omit it."""


def cases(*inputs: Any) -> list[dict[str, Any]]:
    """Cases in which the task is expected to return its input."""
    return [{"input": each, "expected": each} for each in inputs]
