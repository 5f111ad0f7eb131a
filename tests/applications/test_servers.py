"""Servers that Flask applications live in besides gunicorn: streams, bodies, leaving clients."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Any
from wsgiref.simple_server import WSGIServer
from wsgiref.simple_server import make_server as make_reference_server

import pytest
import requests
from flask import Flask
from werkzeug.middleware.lint import LintMiddleware
from werkzeug.middleware.profiler import ProfilerMiddleware
from werkzeug.serving import make_server

from flask_braintrust_evals import EvalHooks, Evaluator
from flask_braintrust_evals.cli.servers.finding import chunks
from tests.cli.servers.test_check import check
from tests.forked import Forked, nursery
from tests.server import LIBRARIES, ROOT, Client
from tests.support import PATIENCE, eventually, happens
from tests.web.support import Api, make_app

pytestmark = [
    pytest.mark.live,
    # Of the servers themselves.
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture(autouse=True)
def what_servers_leave_open() -> Iterator[None]:
    """Sockets that the servers do not close are closed here, and not in another test."""
    yield
    gc.collect()


class House:
    """An application in which the second case of a run waits until it is released."""

    def __init__(self) -> None:
        self.released = threading.Event()
        self.cancelled = threading.Event()
        self.app = make_app(
            Evaluator("stepwise", self._step, max_concurrency=1),
            Evaluator("patient", self._wait),
            BRAINTRUST_EVALS_AUTH="none",
            BRAINTRUST_EVALS_HEARTBEAT=0.1,
        )

    def _step(self, input: Any) -> Any:
        if input == 2:
            happens(self.released)
        return input

    def _wait(self, input: Any, hooks: EvalHooks) -> Any:
        hooks.report_progress({"event": "text_delta", "data": "waiting"})
        if hooks.cancel_event.wait(PATIENCE):
            self.cancelled.set()

    @property
    def runs(self) -> int:
        taken = self.app.extensions["braintrust_evals"].runtime.run_slots.runs.taken
        assert isinstance(taken, int)
        return taken


@contextmanager
def served(run: Callable[[], None], stop: Callable[[], None], port: int) -> Iterator[str]:
    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    eventually(lambda: thread.is_alive() and is_open(port))
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        stop()
        thread.join(PATIENCE)


def is_open(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    assert isinstance(port, int)
    return port


@contextmanager
def werkzeug(app: Flask) -> Iterator[str]:
    server = make_server("127.0.0.1", 0, app, threaded=True)
    with served(server.serve_forever, server.shutdown, server.port) as url:
        yield url
    server.server_close()


@contextmanager
def waitress(app: Flask) -> Iterator[str]:
    from waitress import wasyncore
    from waitress.server import create_server

    server = create_server(app, host="127.0.0.1", port=0, channel_request_lookahead=1)
    port = server.effective_port
    with served(server.run, server.close, port) as url:
        yield url
    wasyncore.close_all(server._map)


@contextmanager
def uvicorn(asgi: Any) -> Iterator[str]:
    from uvicorn import Config, Server

    port = free_port()
    server = Server(Config(asgi, port=port, log_level="warning", lifespan="off", loop="asyncio"))

    def stop() -> None:
        server.should_exit = server.force_exit = True

    with served(server.run, stop, port) as url:
        yield url


@contextmanager
def a2wsgi(app: Flask) -> Iterator[str]:
    from a2wsgi import WSGIMiddleware

    any_app: Any = app
    with uvicorn(WSGIMiddleware(any_app)) as url:
        yield url


@contextmanager
def asgiref(app: Flask) -> Iterator[str]:
    from asgiref import wsgi

    adapter: Any = wsgi.WsgiToAsgi
    with uvicorn(adapter(app)) as url:
        yield url


@contextmanager
def hypercorn(app: Flask) -> Iterator[str]:
    from hypercorn.asyncio import serve
    from hypercorn.config import Config

    config, port, ended = Config(), free_port(), threading.Event()
    config.bind = [f"127.0.0.1:{port}"]
    config.graceful_timeout = 0.1
    config.loglevel = "critical"

    async def has_ended() -> None:
        while not ended.is_set():
            await asyncio.sleep(0.02)

    def run() -> None:
        asyncio.run(serve(app, config, mode="wsgi", shutdown_trigger=has_ended))

    with served(run, ended.set, port) as url:
        yield url


SERVERS = [werkzeug, waitress, a2wsgi, asgiref, hypercorn]


@pytest.fixture(params=SERVERS, ids=lambda server: str(server.__name__), scope="module")
def house(request: pytest.FixtureRequest) -> Iterator[tuple[House, Client, str]]:
    house = House()
    with request.param(house.app) as url:
        yield house, Client(f"{url}/evals", token=None, org=None), request.param.__name__


def test_events_come_when_they_happen(house: tuple[House, Client, str]) -> None:
    inside, client, _ = house
    inside.released.clear()
    stream = client.stream("stepwise", [{"input": 1}, {"input": 2}])
    assert stream.next().json["data"] == "1"
    inside.released.set()  # by who has seen the first case's output
    assert [each.event for each in stream][-2:] == ["summary", "done"]
    eventually(lambda: inside.runs == 0)


def test_other_requests_are_answered_while_a_stream_is_open(
    house: tuple[House, Client, str],
) -> None:
    inside, client, name = house
    one_at_a_time = name == "asgiref"
    inside.released.clear()
    stream = client.stream("stepwise", [{"input": 1}, {"input": 2}])
    stream.next()
    try:
        answer = requests.get(f"{client.url}/", timeout=0.2 if one_at_a_time else PATIENCE)
        assert answer.status_code == 200 and not one_at_a_time
    except requests.Timeout:
        assert one_at_a_time
    finally:
        inside.released.set()
    assert [each.event for each in stream][-1] == "done"


def test_a_client_that_leaves_ends_its_run(house: tuple[House, Client, str]) -> None:
    inside, client, name = house
    if name in ("a2wsgi", "asgiref", "hypercorn"):
        pytest.skip("what the client sends or does is not told to a WSGI application by ASGI")
    inside.cancelled.clear()
    stream = client.stream("patient", [{"input": 1}])
    assert stream.next().json["data"] == "waiting"
    stream.close()
    happens(inside.cancelled)
    eventually(lambda: inside.runs == 0)


def test_bodies_in_chunks_are_read(house: tuple[House, Client, str]) -> None:
    _, client, _ = house
    data = [{"input": 1, "metadata": {"padding": "x" * 100_000}}]
    body = json.dumps({"name": "stepwise", "data": data, "stream": False}).encode()
    pieces = iter([body[:10], body[10:50_000], body[50_000:]])
    headers = {"Content-Type": "application/json"}
    answer = requests.post(f"{client.url}/eval", data=pieces, headers=headers, timeout=PATIENCE)
    assert answer.status_code == 200, answer.text
    assert "errors" not in answer.json()


def test_large_answers_arrive_whole(house: tuple[House, Client, str]) -> None:
    _, client, _ = house
    text = "ä" * 300_000
    events = client.run("stepwise", [{"input": text}])
    assert json.loads(events[0].json["data"]) == text


def test_errors_and_preflights_are_as_everywhere(house: tuple[House, Client, str]) -> None:
    _, client, _ = house
    page = {"Origin": "https://www.braintrust.dev", "Access-Control-Request-Method": "POST"}
    answer = requests.options(f"{client.url}/eval", headers=page, timeout=PATIENCE)
    assert (answer.status_code, answer.content) == (204, b"")
    assert answer.headers["Access-Control-Allow-Origin"] == page["Origin"]
    answer = requests.put(f"{client.url}/list", timeout=PATIENCE)
    assert (answer.status_code, list(answer.json())) == (405, ["error"])


# --- Servers that cannot tell where a body ends ---


def test_a_body_in_chunks_is_411_where_the_server_does_not_tell_its_end() -> None:
    server = make_reference_server("127.0.0.1", 0, House().app, WSGIServer)
    with served(server.serve_forever, server.shutdown, server.server_port) as url:
        answer = post_chunks(f"{url}/evals/eval")
        assert answer.status_code == 411
        assert "Content-Length" in answer.json()["error"]
    server.server_close()


# --- What is around an application ---


def test_the_application_keeps_the_rules_of_wsgi() -> None:
    app = House().app
    app.wsgi_app = LintMiddleware(app.wsgi_app)  # type: ignore[method-assign]
    api = Api(app, token=None)
    assert api.outputs(name="stepwise", data=[{"input": 1}]) == [1]
    assert api.get("/list").status_code == 200
    assert api.open("OPTIONS", "/eval").status_code == 204


def test_a_profiler_around_the_application_gets_the_whole_answer() -> None:
    house, lines = House(), []

    class Lines:
        def write(self, text: str) -> None:
            lines.append(text)

    profiled = ProfilerMiddleware(house.app.wsgi_app, stream=Lines())  # type: ignore[arg-type]
    house.app.wsgi_app = profiled  # type: ignore[method-assign]
    assert Api(house.app, token=None).outputs(name="stepwise", data=[{"input": 1}]) == [1]
    assert house.runs == 0
    assert any("POST" in line or "/evals/eval" in line for line in lines)


# --- Servers in processes of their own ---


@contextmanager
def uwsgi() -> Iterator[str]:
    program = shutil.which("pyuwsgi", path=str(Path(sys.executable).parent))
    if program is None:
        pytest.skip("pyuwsgi, which is uWSGI as a package for pip, is not installed")
    port = free_port()
    address = ["--http", f"127.0.0.1:{port}"]
    module = ["--module", "tests.cli.checked_app:create_app()"]
    command = [program, *address, *module, "--master", "--die-on-term", "--threads", "4"]
    with started(command, port) as url:
        yield url


def without_auth() -> dict[str, str]:
    return {**os.environ, "BRAINTRUST_EVALS_AUTH": "none"}


def started(command: list[str], port: int) -> AbstractContextManager[str]:
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env=without_auth(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    return running(process, port)


@contextmanager
def running(process: subprocess.Popen[bytes] | Forked, port: int) -> Iterator[str]:
    try:
        deadline = time.monotonic() + 60
        while not is_open(port):
            assert process.poll() is None and time.monotonic() < deadline, "it does not start"
            time.sleep(0.05)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def test_uwsgi() -> None:
    with uwsgi() as url:
        check_streams(f"{url}/evals")
        assert post_chunks(f"{url}/evals/eval").status_code == 411


GEVENT = """
from gevent import monkey
monkey.patch_all()
from gevent.pywsgi import WSGIServer
from tests.cli.checked_app import create_app
WSGIServer(("127.0.0.1", PORT), create_app(), log=None).serve_forever()
"""


def test_the_server_of_gevent() -> None:
    port = free_port()
    arguments = [GEVENT.replace("PORT", str(port))]
    with Path(os.devnull).open("w") as nowhere:
        fds = (nowhere.fileno(), nowhere.fileno())
        process = nursery(True, LIBRARIES).fork("-c", arguments, without_auth(), *fds)
    with running(process, port) as url:
        check_streams(f"{url}/evals")
        assert post_chunks(f"{url}/evals/eval").status_code == 400


def check_streams(url: str) -> None:
    """Check that events come at once, and that the runs of more clients that leave than uWSGI has
    threads here end."""
    result = check(url, token=None)
    assert result.exit_code == 0, result.stdout
    assert "ok   events come when they happen" in result.stdout
    assert "ok   other requests are answered while a run is under way" in result.stdout
    own = {"name": "long", "data": {"own": True}}
    for _ in range(5):
        with requests.post(f"{url}/eval", json=own, stream=True, timeout=10) as answer:
            assert b"json_delta" in next(chunks(answer))
    assert requests.get(f"{url}/list", timeout=10).json().keys() >= {"long", "quick"}
    eventually(lambda: not requests.get(f"{url}/runs", timeout=10).json()["runs"])


def post_chunks(address: str) -> requests.Response:
    headers = {"Content-Type": "application/json"}
    return requests.post(address, data=iter([b"{", b"}"]), headers=headers, timeout=PATIENCE)


APP = """
import time
from flask import Flask
from flask_braintrust_evals import EvalsBlueprint

evals = EvalsBlueprint("evals", __name__)

@evals.evaluator(data=[{"input": n} for n in range(1000)], max_concurrency=1)
def VERSION(input):
    time.sleep(0.05)
    return input

app = Flask(__name__)
app.register_blueprint(evals, url_prefix="/evals")
"""


def test_flask_run_reloads_while_a_stream_is_open(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(APP.replace("VERSION", "first"))
    port = free_port()
    command = [sys.executable, "-m", "flask", "--app", str(tmp_path / "app.py"), "run", "--debug"]
    command += ["--port", str(port)]
    with started(command, port) as url:
        client = Client(f"{url}/evals", token=None, org=None)
        stream = client.stream("first", {"own": True})
        assert stream.next().event == "progress"
        (tmp_path / "app.py").write_text(APP.replace("VERSION", "second"))
        with suppress(requests.RequestException):  # it is cut off
            assert "done" not in [each.event for each in stream]

        def is_new() -> bool:
            with suppress(requests.RequestException):
                return "second" in client.manifest()
            return False

        deadline = time.monotonic() + 30
        while not is_new():
            assert time.monotonic() < deadline, "it does not come back"
            time.sleep(0.05)
        assert client.stream("second", {"own": True}).next().event == "progress"


def test_a_client_of_http_1_0_gets_the_stream_as_it_comes() -> None:
    house = House()
    with waitress(house.app) as url:
        body = json.dumps({"name": "stepwise", "data": [{"input": 1}, {"input": 2}]})
        head = "POST /evals/eval HTTP/1.0\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        with socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2])), 10) as client:
            client.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode())
            received = b""
            while b'"json_delta"' not in received:
                received += client.recv(65_536)
            house.released.set()
            while more := client.recv(65_536):
                received += more
    assert b"transfer-encoding" not in received.lower()
    assert received.endswith(b"event: done\ndata: \n\n")


STRICT = """
from flask import Flask
from flask_braintrust_evals import EvalsBlueprint, warm_up
evals = EvalsBlueprint("evals", __name__)
@evals.evaluator(parameters={"n": {"type": "integer", "default": 1}}, scores=[lambda output: 1])
async def add(input, hooks):
    return input + hooks.parameters["n"]
warm_up()
app = Flask(__name__)
app.config["BRAINTRUST_EVALS_AUTH"] = "none"
app.register_blueprint(evals, url_prefix="/evals")
client = app.test_client()
body = {"name": "add", "data": [{"input": 1}]}
print(client.post("/evals/eval", json=body).text.count("event: done"))
print(client.post("/evals/eval", json={**body, "stream": False}).json["scores"])
print(client.get("/evals/list").status_code, client.get("/evals/x").status_code)
"""


def test_python_without_assertions_and_with_warnings_as_errors() -> None:
    options = ["-O", "-W", "error"]
    process = subprocess.run(
        [sys.executable, *options, "-c", STRICT],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert process.returncode == 0, process.stderr
    assert process.stdout.splitlines()[0] == "1"
    assert process.stdout.splitlines()[-1] == "200 404"
    assert "Warning" not in process.stderr
