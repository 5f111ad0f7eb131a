"""What depends on sockets: silence, clients that leave, many at once, start-up and shutdown."""

from __future__ import annotations

import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests

from tests.server import Client, Gunicorn, cases, outputs
from tests.standin import StandIn

from .conftest import environ

pytestmark = pytest.mark.live

PLAYGROUND = {"object_type": "playground_logs", "object_id": "playground-1"}


@pytest.mark.parametrize("evaluator", ["patient", "async-patient"])
def test_a_client_that_leaves_in_silence_cancels_the_run(
    client: Client, cloud: StandIn, evaluator: str
) -> None:
    stream = client.stream(evaluator, cases(*range(30)), parent=PLAYGROUND, max_concurrency=2)
    started = f"/control/{evaluator}/.*/started"
    cloud.wait_for(lambda: len(cloud.calls_to("GET", started)) == 2)
    stream.close()
    cancelled = f"/control/{evaluator}/.*/cancelled"
    cloud.wait_for(lambda: len(cloud.calls_to("GET", cancelled)) == 2)
    # Spans of what ran are delivered, and no case was started after the client had left.
    cloud.wait_for(lambda: len(cloud.spans_named("eval")) == 2)
    assert len(cloud.calls_to("GET", started)) == 2


def test_silence_is_broken_by_comments(client: Client, cloud: StandIn) -> None:
    with cloud.gate("GET", "/control/gated/quiet"):
        stream = client.stream("gated", cases("quiet"), parent=PLAYGROUND)
        stream.next()
        assert stream.next_comment() == ": heartbeat"
        stream.close()


def test_health_answers_while_runs_are_under_way(
    gevent_client: Client, gevent_server: Gunicorn, cloud: StandIn
) -> None:
    with cloud.gate("GET", "/control/gated/.*") as gate:
        data = cases(*range(20))
        stream = gevent_client.stream("gated", data, parent=PLAYGROUND, max_concurrency=20)
        cloud.wait_for(lambda: gate.waiting == 20)
        health = requests.get(f"{gevent_server.url}/evals/", timeout=5)
        assert health.json() == {"status": "ok"}
        gate.release()
        assert len(outputs(list(stream))) == 20


def test_no_more_cases_run_at_once_than_asked_for(client: Client, cloud: StandIn) -> None:
    with cloud.gate("GET", "/control/gated/.*") as gate:
        stream = client.stream("gated", cases(*range(9)), parent=PLAYGROUND, max_concurrency=3)
        cloud.wait_for(lambda: gate.waiting == 3)
        assert len(cloud.calls_to("GET", "/control/gated/.*")) == 3
        gate.release()
        assert len(outputs(list(stream))) == 9


@pytest.mark.parametrize("worker_class", ["gevent", "gthread"])
def test_concurrent_callers_never_see_each_others_runs(
    shared_cloud: StandIn, cloud: StandIn, worker_class: str
) -> None:
    callers = [f"token-{n}" for n in range(4)]
    for number, token in enumerate(callers):
        cloud.add_user(token, orgs=(f"org-{number}",))
    options = ("--threads", "40") if worker_class == "gthread" else ()
    with Gunicorn(worker_class=worker_class, options=options, environ=environ(cloud)) as server:

        def run(number: int) -> list[object]:
            caller = number % 4
            client = Client(server.url + "/evals", callers[caller], f"org-{caller}")
            parent = {"object_type": "playground_logs", "object_id": f"playground-{caller}"}
            data = cases(*[f"{caller}/{number}/{n}" for n in range(10)])
            return outputs(client.run("async-echo", data, parent=parent))

        with ThreadPoolExecutor(20) as pool:
            results = list(pool.map(run, range(20)))
    for number, result in enumerate(results):
        assert sorted(result, key=str) == [f"{number % 4}/{number}/{n}" for n in range(10)]
    spans = cloud.spans_named("task")
    assert len(spans) == 200
    for span in spans:
        caller = span.json("braintrust.output_json").split("/")[0]
        assert span.token == f"token-{caller}"
        assert span.parent_header == f"playground_id:playground-{caller}"


def test_it_works_when_the_application_is_preloaded(cloud: StandIn) -> None:
    options = ("--preload", "--workers", "2")
    with Gunicorn(options=options, environ=environ(cloud)) as server:
        client = Client(server.url + "/evals")
        done = threading.Barrier(8 + 1)

        def run(number: int) -> None:
            name = "async-echo" if number % 2 else "echo"
            assert len(outputs(client.run(name, cases(*range(20)), parent=PLAYGROUND))) == 20
            done.wait(30)

        threads = [threading.Thread(target=run, args=(n,)) for n in range(8)]
        for thread in threads:
            thread.start()
        done.wait(30)
        for thread in threads:
            thread.join()
        cloud.wait_for(lambda: len(cloud.spans_named("eval")) == 160)


TWIN = """
from braintrust import Eval

Eval("twin", data=[], task=lambda input: input, scores=[])
"""


@pytest.mark.parametrize(
    ("app", "files", "places"),
    [
        ("decorated", {}, ["duplicate_app.py:", "duplicate_app.py:"]),
        ("loaded_and_decorated", {"eval_a.py": TWIN}, ["eval_a.py:4", "duplicate_app.py:"]),
        ("added_and_loaded", {"eval_a.py": TWIN}, ["duplicate_app.py:", "eval_a.py:4"]),
        ("loaded", {"eval_a.py": TWIN, "b/eval_b.py": TWIN}, ["eval_b.py:4", "eval_a.py:4"]),
        ("loaded", {"eval_a.py": TWIN * 2}, ["eval_a.py:4", "eval_a.py:8"]),
    ],
)
def test_two_evaluators_of_one_name_keep_the_server_from_starting(
    cloud: StandIn, tmp_path: Path, app: str, files: dict[str, str], places: list[str]
) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    settings = {**environ(cloud), "EVALS": str(tmp_path)}
    app = f"tests.live.duplicate_app:{app}()"
    with Gunicorn(app, environ=settings, wait=False) as server:
        assert server.process.wait(20) != 0
        assert "two evaluators are named 'twin'" in server.log
        assert "give one of them another name, such as 'twin-2'" in server.log
        said = server.log[server.log.index("two evaluators are named") :]
        first, second = said.index(places[0]), said.rindex(places[1])
        assert first < second


def test_a_file_that_cannot_be_imported_keeps_the_server_from_starting(
    cloud: StandIn, tmp_path: Path
) -> None:
    (tmp_path / "eval_broken.py").write_text("import braintrust\n\n1 / 0\n")
    settings = {**environ(cloud), "EVALS": str(tmp_path)}
    with Gunicorn("tests.live.duplicate_app:loaded()", environ=settings, wait=False) as server:
        assert server.process.wait(20) != 0
        log = server.log
    assert f"{tmp_path}/eval_broken.py could not be imported: ZeroDivisionError" in log
    assert f'File "{tmp_path}/eval_broken.py", line 3' in log


def test_a_wrong_setting_keeps_the_server_from_starting(cloud: StandIn) -> None:
    settings = {**environ(cloud), "BRAINTRUST_EVALS_HEARTBEAT": "soon"}
    with Gunicorn(environ=settings, wait=False) as server:
        assert server.process.wait(20) != 0
        assert (
            "ConfigurationError: BRAINTRUST_EVALS_HEARTBEAT is 'soon', but must be a number of"
            " seconds from 0.05 to 600."
        ) in server.log


def test_a_client_that_leaves_cancels_a_run_without_a_stream(
    gevent_client: Client, cloud: StandIn
) -> None:
    body = {"name": "patient", "data": cases("quiet"), "parent": PLAYGROUND, "stream": False}
    with pytest.raises(requests.Timeout):
        requests.post(
            f"{gevent_client.url}/eval", json=body, headers=gevent_client.headers, timeout=0.5
        )
    cloud.wait_for(lambda: cloud.calls_to("GET", "/control/patient/quiet/cancelled"))
    # What ran is delivered, and the server is done with it before the next test begins.
    cloud.wait_for(lambda: cloud.spans_named("eval"))


@pytest.mark.parametrize("options", [(), ("--preload",)], ids=["", "preload"])
def test_coroutines_may_use_threads_and_the_worker_still_ends_when_it_is_told_to(
    cloud: StandIn, options: tuple[str, ...]
) -> None:
    with Gunicorn(options=options, environ=environ(cloud)) as server:
        client = Client(server.url + "/evals")

        def run(number: int) -> None:
            events = client.run("threads-of-coroutines", cases(*range(30)), parent=PLAYGROUND)
            assert sorted(outputs(events)) == list(range(30))

        with ThreadPoolExecutor(5) as pool:
            list(pool.map(run, range(5)))
        # gunicorn kills workers that have not ended in its grace period, and says so.
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(20) == 0
        assert "SIGKILL" not in server.log


def stop(server: Gunicorn, how: str, cloud: StandIn) -> None:
    if how == "max_requests":
        requests.get(f"{server.url}/other", timeout=5)
    else:
        server.process.send_signal(signal.SIGHUP if how == "reload" else signal.SIGTERM)


@pytest.mark.parametrize(
    ("worker", "how"),
    [
        ("gevent", "stop"),
        ("gthread", "stop"),
        ("sync", "stop"),
        ("gevent", "reload"),
        ("gevent", "max_requests"),
    ],
)
def test_a_run_that_cannot_be_finished_before_its_worker_ends_says_so(
    cloud: StandIn, worker: str, how: str
) -> None:
    # Below the second or two that gunicorn takes to notice a stop, nothing can be promised.
    options = ["--graceful-timeout", "4"]
    options += ["--threads", "10"] if worker == "gthread" else []
    options += ["--max-requests", "3"] if how == "max_requests" else []
    with Gunicorn(worker_class=worker, options=tuple(options), environ=environ(cloud)) as server:
        client = Client(server.url + "/evals")
        stream = client.stream("patient", cases("a", "b", "c"), parent=PLAYGROUND)
        started = "/control/patient/.*/started"
        cloud.wait_for(lambda: len(cloud.calls_to("GET", started)) == 2)
        stop(server, how, cloud)
        events = list(stream)
        assert [event.event for event in events[-2:]] == ["error", "done"]
        assert events[-2].json.startswith("the server is being stopped or reloaded, and the run")
        assert "grace period of 4 seconds" in events[-2].json
        failed = [e.json["data"] for e in events if e.event == "progress"]
        assert sum(data.startswith("ServerStoppingError: ") for data in failed) == 2
        # The tasks were told, what ran is delivered, and nobody had to be killed.
        cloud.wait_for(lambda: len(cloud.spans_named("eval")) == 2)
        if how == "stop":
            assert server.process.wait(20) == 0
        assert "graceful timeout" not in server.log
        assert "SIGKILL" not in server.log


@pytest.mark.parametrize("worker", ["gevent", "gthread"])
def test_a_run_that_can_be_finished_before_its_worker_ends_is_finished(
    cloud: StandIn, worker: str
) -> None:
    options = ("--graceful-timeout", "20", *(("--threads", "10") if worker == "gthread" else ()))
    with (
        Gunicorn(worker_class=worker, options=options, environ=environ(cloud)) as server,
        cloud.gate("GET", "/control/gated/.*") as gate,
    ):
        client = Client(server.url + "/evals")
        stream = client.stream("gated", cases(*"abc"), parent=PLAYGROUND)
        cloud.wait_for(lambda: gate.waiting == 3)
        server.process.send_signal(signal.SIGTERM)
        assert stream.next_comment() == ": heartbeat"
        gate.release()
        events = list(stream)
        assert [event.event for event in events[-2:]] == ["summary", "done"]
        assert len(cloud.spans_named("eval")) == 3
        assert server.process.wait(20) == 0


def test_the_delivery_of_the_last_spans_is_no_silence(cloud: StandIn) -> None:
    with Gunicorn(environ=environ(cloud)) as server:
        client = Client(server.url + "/evals")
        with cloud.gate("POST", "/otel/v1/traces"):
            stream = client.stream("echo", cases("a"), parent=PLAYGROUND)
            while "done" not in stream.next().data:
                pass
            assert stream.next_comment() == ": heartbeat"
            assert stream.next_comment() == ": heartbeat"
        events = list(stream)
        assert [event.event for event in events] == ["summary", "done"]
