"""What the tests of the HTTP edge share."""

from __future__ import annotations

import codecs
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from flask_braintrust_evals import EvalHooks, EvalsBlueprint, Evaluator
from tests.standin import StandIn
from tests.support import TOKEN

PAGE = "https://www.braintrust.dev"
HOSTILE_PAGE = "https://www.braintrust.dev.evil.com"
PLAYGROUND = {"object_type": "playground_logs", "object_id": "the-playground"}
DEAD_URL = "http://127.0.0.1:1"
"""An address at which nothing listens."""


CASES = [{"input": "a", "expected": "a"}, {"input": "b", "expected": "x"}]
"""A case that ``scored()`` scores 1, and one that it scores 0."""


def echo(input: Any) -> Any:
    return input


def whole_case(input: Any, hooks: EvalHooks) -> dict[str, Any]:
    """A task that returns all it has been given."""
    return {
        "input": input,
        "expected": hooks.expected,
        "metadata": hooks.metadata,
        "tags": hooks.tags,
        "trial": hooks.trial_index,
    }


def exact(output: Any, expected: Any) -> bool:
    return bool(output == expected)


def scored(name: str = "greeter", task: Callable[..., Any] = echo, **options: Any) -> Evaluator:
    """An evaluator with the scorer ``exact``."""
    return Evaluator(name, task, scores=[exact], **options)


def blueprint_of(*evaluators: Evaluator, name: str = "evals") -> EvalsBlueprint:
    return EvalsBlueprint(name, __name__, evaluators=evaluators or [Evaluator("echo", echo)])


def make_app(*evaluators: Evaluator, url_prefix: str | None = "/evals", **config: Any) -> Flask:
    """An application that serves these evaluators, or one named ``echo``."""
    app = Flask(__name__)
    app.config.update(config)
    app.register_blueprint(blueprint_of(*evaluators), url_prefix=url_prefix)
    return app


class Api:
    """A user of an application's blueprint, by way of Flask's test client."""

    def __init__(self, app: Flask, token: str | None = TOKEN, prefix: str = "/evals") -> None:
        self.client: FlaskClient = app.test_client()
        self.prefix = prefix
        self.headers = {} if token is None else {"Authorization": f"Bearer {token}"}

    def open(
        self, method: str, path: str, headers: Mapping[str, str] | None = None, **options: Any
    ) -> TestResponse:
        all_headers = {**self.headers, **(headers or {})}
        return self.client.open(self.prefix + path, method=method, headers=all_headers, **options)

    def get(self, path: str, **options: Any) -> TestResponse:
        return self.open("GET", path, **options)

    def post(self, path: str, **options: Any) -> TestResponse:
        return self.open("POST", path, **options)

    def eval(self, headers: Mapping[str, str] | None = None, **body: Any) -> TestResponse:
        """Ask for a run of ``echo`` on nothing, unless the body says otherwise."""
        return self.post("/eval", json={"name": "echo", "data": [], **body}, headers=headers)

    def refusal(self, status: int, headers: Mapping[str, str] | None = None, **body: Any) -> str:
        """The text of an answer that must have this status."""
        response = self.eval(headers, **body)
        assert response.status_code == status, (body, response.text)
        return error_of(response, status)

    def events(self, headers: Mapping[str, str] | None = None, **body: Any) -> list[Event]:
        """The events of a run, one case at a time, below a Playground unless the body says else."""
        response = self.eval(headers, **{"parent": PLAYGROUND, "max_concurrency": 1, **body})
        return events_of(response)

    def outputs(self, headers: Mapping[str, str] | None = None, **body: Any) -> list[Any]:
        """The outputs of all cases; every one must have one."""
        return [json.loads(each["data"]) for each in deltas(self.events(headers, **body))]

    def summary(self, headers: Mapping[str, str] | None = None, **body: Any) -> dict[str, Any]:
        """The JSON answer of a run."""
        response = self.eval(headers, stream=False, **body)
        assert response.status_code == 200, response.text
        value = response.get_json()
        assert isinstance(value, dict)
        return value


def error_of(response: TestResponse, status: int) -> str:
    """The text of an error, which is all that its body has."""
    asked = response.request
    assert response.status_code == status, (asked, asked.headers, response.text)
    assert response.mimetype == "application/json"
    body = response.get_json()
    assert list(body) == ["error"]
    text = body["error"]
    assert isinstance(text, str)
    return text


@dataclass(frozen=True)
class Event:
    """One event as a browser sees it."""

    type: str
    data: str

    @property
    def json(self) -> Any:
        return json.loads(self.data)


def events_of(response: TestResponse) -> list[Event]:
    assert response.status_code == 200, response.text
    assert response.headers["Content-Type"] == "text/event-stream; charset=utf-8"
    return list(parse_events(response.get_data()))


def types_of(events: list[Event]) -> list[str]:
    return [event.type for event in events]


def deltas(events: list[Event]) -> list[dict[str, Any]]:
    """The progress of every case that has an output; no case may have failed."""
    assert "error" not in types_of(events), events
    progress = [event.json for event in events if event.type == "progress"]
    assert not [each for each in progress if each["event"] == "error"], progress
    return [each for each in progress if each["event"] == "json_delta"]


def last_json(events: list[Event], type: str) -> Any:
    """The data of the one event of a type."""
    (event,) = [event for event in events if event.type == type]
    return event.json


def parse_events(data: bytes) -> Iterator[Event]:
    """Interpret a stream as the specification defines for browsers.

    https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation
    """
    type, lines = "", list[str]()
    text = codecs.decode(data, "utf-8", "replace").removeprefix("\ufeff")
    # The last piece is no line: a stream that ends in the middle of an event loses that event.
    for line in text.replace("\r\n", "\n").replace("\r", "\n").split("\n")[:-1]:
        if not line:
            if lines:
                yield Event(type or "message", "\n".join(lines))
            type, lines = "", []
            continue
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field == "event":
            type = value
        elif field == "data":
            lines.append(value)


def cloud_app(cloud: StandIn, *evaluators: Evaluator, **config: Any) -> Flask:
    """An application that knows the stand-in as Braintrust."""
    return make_app(*evaluators, **{"BRAINTRUST_APP_URL": cloud.url, **config})


def api_of(cloud: StandIn, *evaluators: Evaluator, **config: Any) -> Api:
    """A user of such an application."""
    return Api(cloud_app(cloud, *evaluators, **config))
