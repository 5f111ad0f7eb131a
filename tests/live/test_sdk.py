"""Code traced by the ``braintrust`` SDK: with its case, as its caller, and nowhere else."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests

from tests.openai_api import openai_api
from tests.server import SDK, Client, Gunicorn, cases, outputs
from tests.standin import StandIn, StoredSpan

from .conftest import PLAYGROUND, WORKERS, environ

pytestmark = pytest.mark.live


@pytest.fixture(scope="module")
def openai_url() -> Iterator[str]:
    with openai_api() as url:
        yield url


def serve(
    cloud: StandIn,
    openai_url: str,
    worker: str = "gevent",
    *options: str,
    settings: Mapping[str, str] | None = None,
) -> Gunicorn:
    cloud.add_user("token-app", orgs=("the application's",))
    if worker == "gthread":
        options = ("--threads", "40", *options)
    variables = {
        **environ(cloud),
        "OPENAI_URL": openai_url,
        # The application's own, which no run may use.
        "BRAINTRUST_API_KEY": "token-app",
        "BRAINTRUST_EVALS_TRACER_PROVIDER": "true",
        **(settings or {}),
    }
    app = "tests.live.sdk_app:create_app()"
    return Gunicorn(
        app,
        worker_class=worker,
        options=options,
        environ=variables,
        libraries=SDK,
    )


@pytest.fixture(scope="module")
def server(shared_cloud: StandIn, openai_url: str) -> Iterator[Gunicorn]:
    with serve(shared_cloud, openai_url) as server:
        yield server


@pytest.fixture
def client(server: Gunicorn, cloud: StandIn) -> Client:
    return Client(server.url + "/evals")


def run(client: Client, name: str, *inputs: Any, **fields: Any) -> list[Any]:
    events = client.run(name, cases(*inputs), **{"parent": PLAYGROUND, **fields})
    errors = [each.json for each in events if each.event == "progress"]
    assert [each["data"] for each in errors if each["event"] == "error"] == []
    return events


def tree(spans: list[StoredSpan]) -> dict[str, Any]:
    """The spans of one trace as nested names; those of one parent by the time they started."""

    def below(parent: str) -> dict[str, Any]:
        children = sorted((s for s in spans if s.parent_span_id == parent), key=lambda s: s.start)
        return {span.name: below(span.span_id) for span in children}

    return below("")


def attributes(span: StoredSpan) -> Any:
    return span.json("braintrust.span_attributes")


@pytest.mark.parametrize("worker", WORKERS)
def test_what_the_sdk_traces_in_tasks_and_scorers_is_part_of_the_case(
    cloud: StandIn, openai_url: str, worker: str
) -> None:
    with serve(cloud, openai_url, worker) as server:
        client = Client(server.url + "/evals")
        events = run(client, "assistant", "hi")
        summary = events[-2].json
        assert summary["scores"]["sees"]["score"] == 1
        # One call of the task and one of a scorer told their tokens; a stream tells none.
        for metrics in (summary["metrics"], summary["scorerMetrics"]):
            used = {name: metrics[name]["metric"] for name in metrics if "tokens" in name}
            assert used == {"prompt_tokens": 2, "completion_tokens": 3, "tokens": 5}
        assert summary["metrics"]["duration"]["metric"] > 0
        # Delivered before the summary was sent, all of it as the caller.
        assert {(span.token, span.parent_header) for span in cloud.spans} == {
            ("token-ada", "playground_id:playground-1")
        }
        assert cloud.calls_to("POST", "/logs3") == []
        assert {call.token for call in cloud.calls} == {"token-ada"}
    assert tree(cloud.spans) == {
        "eval": {
            "task": {
                "opentelemetry": {"look_up": {"database": {}}},
                "words": {},
                "Chat Completion": {},
            },
            "judged": {"Chat Completion": {}},
            "sees": {},
        }
    }
    check_fields(cloud)


def check_fields(cloud: StandIn) -> None:
    """What the SDK logs arrives in the attributes that Braintrust reads."""
    spans = {span.name: span for span in cloud.spans}
    assert spans["task"].json("braintrust.metadata") == {"on": "the task"}
    look_up = spans["look_up"]
    assert attributes(look_up)["type"] == "function"
    assert look_up.json("braintrust.input_json") == {"question": "hi"}
    assert look_up.json("braintrust.output_json") == "HI"
    assert look_up.json("braintrust.metadata") == {"found": "HI"}
    database = spans["database"]
    assert attributes(database)["type"] == "tool"
    assert database.json("braintrust.output_json") == [1, 2]
    assert database.json("braintrust.metrics") == {"rows": 2}
    assert spans["words"].json("braintrust.output_json") == ["a", "b"]
    chats = cloud.spans_named("Chat Completion")
    assert len(chats) == 3
    for chat in chats:
        assert attributes(chat)["type"] == "llm"
        metadata = chat.json("braintrust.metadata")
        assert metadata["model"] == "small"
        assert "internal" not in metadata
        asked = chat.json("braintrust.input_json")[0]["content"]
        (choice,) = chat.json("braintrust.output_json")
        assert choice["message"]["content"].replace(" ", "") == f"echo{asked}".replace(" ", "")
        assert chat.json("braintrust.metrics")["time_to_first_token"] > 0
        # By this Braintrust separates the costs of scorers from those of the task.
        purpose = "scorer" if asked == "is it good?" else None
        assert attributes(chat).get("purpose") == purpose
    usage = [chat.json("braintrust.metrics").get("tokens") for chat in chats]
    assert usage.count(5) == 2  # all but the stream, for which the API reports none


def test_two_callers_at_once_do_not_mix(client: Client, cloud: StandIn) -> None:
    cloud.add_user("token-bob", orgs=("globex",))
    callers = {"token-ada": "acme", "token-bob": "globex"}

    def call(number: int) -> None:
        token = [*callers][number % 2]
        caller = Client(client.url, token, callers[token])
        parent = {"object_type": "playground_logs", "object_id": f"of-{token}"}
        name = "async-assistant" if number % 4 < 2 else "assistant"
        run(caller, name, *[f"{token}/{number}/{n}" for n in range(4)], parent=parent)

    with ThreadPoolExecutor(12) as pool:
        list(pool.map(call, range(12)))
    chats = cloud.spans_named("Chat Completion")
    assert len(chats) == 6 * 4 * 1 + 6 * 4 * 3
    owners = {span.trace_id: span.token for span in cloud.spans_named("eval")}
    for span in cloud.spans:
        assert span.token == owners[span.trace_id]
        assert span.parent_header == f"playground_id:of-{span.token}"
    for chat in chats:
        asked = chat.json("braintrust.input_json")[0]["content"]
        assert asked.startswith(chat.token) or asked == "is it good?"
    assert cloud.calls_to("POST", "/logs3") == []
    assert {call.token for call in cloud.calls} == set(callers)


def test_what_coroutines_trace_stays_with_its_own_case(client: Client, cloud: StandIn) -> None:
    run(client, "async-assistant", *[f"question {n}" for n in range(30)])
    assert len(cloud.spans_named("async helper")) == 30
    tasks = {span.span_id: span for span in cloud.spans_named("task")}
    for name in ("async helper", "Chat Completion"):
        for span in cloud.spans_named(name):
            task = tasks[span.parent_span_id]
            said = span.json("braintrust.output_json")
            said = said if isinstance(said, str) else said[0]["message"]["content"]
            answer = task.json("braintrust.output_json")
            assert said in (answer, answer.removeprefix("echo "))


def test_a_span_that_fails_says_why(client: Client, cloud: StandIn) -> None:
    client.run("failing", cases("x"), parent=PLAYGROUND)
    (span,) = cloud.spans_named("fails")
    assert span.status_code == "ERROR"
    assert "ValueError: inside of a span" in span.status_message
    assert "exception.stacktrace" in dict(span.events)["exception"]


def test_threads_that_are_given_the_context_trace_into_the_case(
    client: Client, cloud: StandIn
) -> None:
    run(client, "threads", "x")
    task = cloud.spans_named("task")[0].span_id
    assert [span.parent_span_id for span in cloud.spans_named("look_up")] == [task] * 3


def test_an_exported_span_of_the_run_is_a_parent_and_that_of_another_project_is_not(
    client: Client, cloud: StandIn
) -> None:
    run(client, "parents", "x")
    spans = {span.name: span for span in cloud.spans}
    assert spans["below first"].parent_span_id == spans["first"].span_id
    assert spans["elsewhere"].parent_span_id == spans["task"].span_id
    assert len({(span.token, span.parent_header, span.trace_id) for span in cloud.spans}) == 1


def test_exports_and_links_name_the_callers_objects(client: Client, cloud: StandIn) -> None:
    from braintrust.span_identifier_v4 import SpanComponentsV4

    (output,) = outputs(run(client, "assistant", "x"))
    span = cloud.spans_named("task")[0]
    exported = SpanComponentsV4.from_str(output["exported"])
    assert (str(exported.object_type), exported.object_id) == ("playground_logs", "playground-1")
    assert (exported.span_id, exported.root_span_id) == (span.span_id, span.trace_id)
    assert output["link"] == (
        f"{cloud.url}/app/acme/object?object_type=playground_logs&object_id=playground-1"
        f"&id={span.span_id}"
    )


def test_spans_are_recorded_in_the_experiment_of_a_run_without_a_parent(
    client: Client, cloud: StandIn
) -> None:
    events = client.run("async-assistant", cases("x"))
    id = events[0].json["experimentId"]
    assert {span.parent_header for span in cloud.spans} == {f"experiment_id:{id}"}
    assert len(cloud.spans) == 4


def test_attachments_travel_inside_of_their_span(client: Client, cloud: StandIn) -> None:
    run(client, "attachments", "x")
    text = "data:image/png;base64,iVBORw=="
    metadata = cloud.spans_named("task")[0].json("braintrust.metadata")
    assert metadata == {"image": text, "list": [text]}
    assert cloud.calls_to("*", "/attachment.*") == []


def test_attachments_in_outputs_are_written_and_stored_ones_are_not_fetched(
    client: Client, cloud: StandIn
) -> None:
    (output,) = outputs(run(client, "stored-attachment", "x"))
    stored = {
        "type": "braintrust_attachment",
        "filename": "a.png",
        "content_type": "image/png",
        "key": "key-1",
    }
    assert output == {"stored": stored, "new": "data:image/png;base64,iVBORw=="}
    task = cloud.spans_named("task")[0]
    assert task.json("braintrust.metadata") == {"image": stored}
    assert "not serializable" in task.json("braintrust.expected_json")[0]
    assert {call.token for call in cloud.calls} == {"token-ada"}


def test_what_coroutines_hand_to_executors_is_traced_with_the_case(
    client: Client, cloud: StandIn
) -> None:
    run(client, "executors", "x")
    task = cloud.spans_named("task")[0].span_id
    assert [span.parent_span_id for span in cloud.spans_named("look_up")] == [task] * 3
    assert cloud.calls_to("POST", "/logs3") == []


def test_feedback_is_recorded_on_the_span_itself(client: Client, cloud: StandIn) -> None:
    run(client, "feedback", "x")
    task = cloud.spans_named("task")[0]
    assert task.json("braintrust.scores") == {"liked": 1}
    assert task.json("braintrust.metadata") == {"comment": "nice"}


def test_outside_of_runs_the_sdk_goes_on_as_before(
    client: Client, server: Gunicorn, cloud: StandIn
) -> None:
    cloud.add_user("token-app", orgs=("the application's",))
    run(client, "threads", "x")
    assert requests.get(f"{server.url}/page", timeout=10).text == "OUTSIDE OF ANY RUN"
    # With the application's own token, to its own project.
    cloud.wait_for(lambda: cloud.calls_to("POST", "/logs3"))
    (call, *_) = cloud.calls_to("POST", "/logs3")
    assert call.token == "token-app"
    assert "outside of any run" in json.dumps(call.json)
    assert {span.token for span in cloud.spans} == {"token-ada"}


def test_in_no_auth_mode_nothing_that_is_traced_in_a_task_goes_anywhere(
    cloud: StandIn, openai_url: str
) -> None:
    # The key is in the SDK's hands alone: it comes from a file, not from the environment.
    settings = {"BRAINTRUST_EVALS_AUTH": "none", "BRAINTRUST_API_KEY": "", "SDK_KEY": "token-app"}
    with serve(cloud, openai_url, settings=settings) as server:
        client = Client(server.url + "/evals", token=None)
        (output,) = outputs(client.run("assistant", cases("hi")))
        assert output["exported"] == ""
        assert output["answer"] == "echo hi"
    assert cloud.spans == []
    assert cloud.calls == []


def test_with_opentelemetry_compatibility_on_spans_still_nest(
    cloud: StandIn, openai_url: str
) -> None:
    settings = {"BRAINTRUST_OTEL_COMPAT": "true"}
    with serve(cloud, openai_url, settings=settings) as server:
        client = Client(server.url + "/evals")
        run(client, "assistant", "hi")
    assert tree(cloud.spans)["eval"]["task"]["opentelemetry"] == {"look_up": {"database": {}}}
    assert {span.token for span in cloud.spans} == {"token-ada"}


@pytest.mark.skipif(
    sys.version_info >= (3, 13),
    reason="gevent, patching late, looks at every object, and openai's then import more: it hangs",
)
def test_with_preload_spans_are_recorded_in_each_worker(cloud: StandIn, openai_url: str) -> None:
    with serve(cloud, openai_url, "gevent", "--preload", "--workers", "2") as server:
        client = Client(server.url + "/evals")

        def call(number: int) -> None:
            run(client, "async-assistant", *"abcde")
            run(client, "threads", str(number))

        with ThreadPoolExecutor(6) as pool:
            list(pool.map(call, range(6)))
    assert len(cloud.spans_named("async helper")) == 30
    assert len(cloud.spans_named("look_up")) == 18
    assert {span.token for span in cloud.spans} == {"token-ada"}


@pytest.mark.parametrize("name", ["large attachment", "large attachment, blocking"])
def test_large_attachments_are_stored_beside_the_run(
    client: Client, cloud: StandIn, name: str
) -> None:
    (output,) = outputs(run(client, name, "a"))
    cloud.wait_for(
        lambda: [each.status.get("upload_status") for each in cloud.attachments] == ["done"] * 2
    )
    stored = {each.reference["filename"]: each for each in cloud.attachments}
    assert output == {"type": "braintrust_attachment", **stored["returned.png"].reference}
    (task,) = cloud.spans_named("task")
    logged = {"type": "braintrust_attachment", **stored["logged.png"].reference}
    assert task.json("braintrust.metadata") == {"logged": logged}
    assert {(each.token, each.content) for each in stored.values()} == {
        ("token-ada", bytes(2_000_000))
    }
