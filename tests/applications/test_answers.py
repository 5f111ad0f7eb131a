"""Functions of the application that are called after each request, and streams."""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from flask import Flask, Response
from flask_compress import Compress

from flask_braintrust_evals import Evaluator
from tests.standin import StandIn
from tests.support import eventually
from tests.web.support import Api, cloud_app, echo, error_of, events_of, make_app, types_of

DATA = [{"input": 1}]


@pytest.fixture
def app() -> Flask:
    """An application with room for one run."""
    app = make_app(BRAINTRUST_EVALS_AUTH="none", BRAINTRUST_EVALS_MAX_RUNS=1)
    app.config["PROPAGATE_EXCEPTIONS"] = False
    return app


@pytest.fixture
def api(app: Flask) -> Api:
    return Api(app, token=None)


def runs(app: Flask) -> int:
    taken = app.extensions["braintrust_evals"].runtime.run_slots.runs.taken
    assert isinstance(taken, int)
    return taken


# --- The response is lost ---


def another(response: Response) -> Response:
    return Response("maintenance", 503)


def another_body(response: Response) -> Response:
    response.set_data(b"maintenance")
    return response


def failing(response: Response) -> Response:
    raise ValueError("the hook is broken")


@pytest.mark.parametrize("hook", [another, another_body, failing])
def test_a_run_whose_response_is_replaced_gives_back_what_it_holds(
    app: Flask, api: Api, hook: Callable[[Response], Response]
) -> None:
    app.after_request_funcs[None] = [hook]
    for _ in range(3):
        assert api.eval(data=DATA).status_code in (200, 500, 503)
        assert runs(app) == 0
    app.after_request_funcs[None] = []
    assert api.outputs(data=DATA) == [1]


def test_the_session_of_such_a_run_is_given_back_too(cloud: StandIn) -> None:
    app = cloud_app(cloud, Evaluator("echo", echo), BRAINTRUST_EVALS_SESSION_LIMIT=1)
    app.after_request(another)
    assert Api(app).eval(data=DATA).status_code == 503
    sessions = app.extensions["braintrust_evals"].runtime.sessions
    (entry,) = sessions._entries.values()
    assert entry.leases == 0


def test_a_stream_may_be_wrapped_in_another_response(app: Flask, api: Api) -> None:
    @app.after_request
    def shout(response: Response) -> Response:
        chunks: Any = response.response
        return Response((chunk.replace(b'\\"a', b'\\"A') for chunk in chunks), response.status_code)

    response = api.eval(data=[{"input": "a"}])
    assert b'"data":"\\"A\\""' in response.get_data()
    assert response.get_data().rstrip().endswith(b"event: done\ndata:")
    eventually(lambda: runs(app) == 0)


class Middleware:
    """A WSGI middleware that takes what the application answers, and never closes it."""

    def __init__(self, app: Flask, limit: int | None) -> None:
        self._app = app.wsgi_app
        self._limit = limit
        app.wsgi_app = self  # type: ignore[method-assign]

    def __call__(self, environ: Any, start_response: Any) -> Iterator[bytes]:
        chunks = iter(self._app(environ, start_response))
        if self._limit is None:
            yield from list(chunks)
        for _ in range(self._limit or 0):
            yield next(chunks)


@pytest.mark.parametrize("limit", [0, 1, None])
def test_a_middleware_that_does_not_close_the_response_keeps_no_run(limit: int | None) -> None:
    app = make_app(
        BRAINTRUST_EVALS_AUTH="none", BRAINTRUST_EVALS_MAX_RUNS=1, BRAINTRUST_EVALS_HEARTBEAT=0.05
    )
    Middleware(app, limit)
    api = Api(app, token=None)
    for _ in range(2):
        assert api.eval(data=DATA).status_code == 200
        eventually(lambda: runs(app) == 0)


@pytest.mark.slow
def test_a_response_that_is_kept_and_not_sent_is_ended(caplog: pytest.LogCaptureFixture) -> None:
    app = make_app(
        BRAINTRUST_EVALS_AUTH="none",
        BRAINTRUST_EVALS_HEARTBEAT=0.05,
        BRAINTRUST_EVALS_SEND_TIMEOUT=1,
    )
    kept = []

    @app.after_request
    def keep(response: Response) -> Response:
        kept.append(response)
        return another(response)

    assert Api(app, token=None).eval(data=DATA).status_code == 503
    assert runs(app) == 1
    with caplog.at_level(logging.WARNING, "flask_braintrust_evals"):
        eventually(lambda: runs(app) == 0)
    assert re.search(r"the stream was not sent for [1-9]\d*\.\d s", caplog.text)


# --- The response is read ---


def measure(response: Response) -> Response:
    response.headers["X-Length"] = str(len(response.get_data()))
    return response


def tag(response: Response) -> Response:
    response.set_etag(hashlib.sha256(response.data).hexdigest())
    return response


def tag_by_itself(response: Response) -> Response:
    response.add_etag()
    return response


def freeze(response: Response) -> Response:
    response.freeze()
    return response


def parse(response: Response) -> Response:
    response.get_json(silent=True, force=True)
    return response


def unset(response: Response) -> Response:
    response.direct_passthrough = False
    return measure(response)


READERS = [measure, tag, tag_by_itself, freeze, parse, unset]


@pytest.mark.parametrize("hook", READERS)
def test_a_hook_that_would_read_the_whole_stream_is_an_error_that_says_so(
    app: Flask, api: Api, hook: Callable[[Response], Response], caplog: pytest.LogCaptureFixture
) -> None:
    app.after_request(hook)
    text = error_of(api.eval(data=DATA), 500)
    assert "reads the whole event stream" in text
    assert "if response.direct_passthrough: return response" in text
    assert hook.__name__ in caplog.text  # the stack trace names it
    assert runs(app) == 0
    assert api.get("/list").status_code == 200


@pytest.mark.parametrize("hook", READERS[:-1])
def test_a_hook_that_asks_first_passes_by_the_stream(
    app: Flask, api: Api, hook: Callable[[Response], Response]
) -> None:
    @app.after_request
    def guarded(response: Response) -> Response:
        return response if response.direct_passthrough else hook(response)

    assert types_of(events_of(api.eval(data=DATA)))[-1] == "done"
    assert api.get("/list").status_code == 200


def test_a_hook_that_asks_for_the_length_of_a_stream_learns_that_it_has_none(
    app: Flask, api: Api
) -> None:
    lengths = []

    @app.after_request
    def note(response: Response) -> Response:
        lengths.append(response.calculate_content_length())
        return response

    assert types_of(events_of(api.eval(data=DATA)))[-1] == "done"
    assert lengths == [None]


def test_an_application_with_responses_of_its_own_class_streams(app: Flask, api: Api) -> None:
    class Own(Response):
        pass

    app.response_class = Own

    @app.after_request
    def note(response: Response) -> Response:
        assert type(response) is Own
        return response

    assert types_of(events_of(api.eval(data=DATA)))[-1] == "done"
    assert runs(app) == 0


def test_what_the_application_adds_to_be_called_at_the_end_is_called(app: Flask, api: Api) -> None:
    closed = []

    @app.after_request
    def note(response: Response) -> Response:
        response.call_on_close(lambda: closed.append(runs(app)))
        return response

    with api.eval(data=DATA) as response:
        assert response.data.endswith(b"event: done\ndata: \n\n")
    assert closed == [0]


# --- Flask-Compress ---


@pytest.mark.parametrize("algorithm", ["br", "gzip", "deflate", "zstd"])
@pytest.mark.parametrize("streams", [True, False])
def test_streams_are_not_compressed(app: Flask, api: Api, algorithm: str, streams: bool) -> None:
    app.config["COMPRESS_MIMETYPES"] = ["text/event-stream", "application/json", "text/html"]
    app.config["COMPRESS_ALGORITHM"] = app.config["COMPRESS_ALGORITHM_STREAMING"] = [algorithm]
    app.config["COMPRESS_STREAMS"] = streams
    app.config["COMPRESS_MIN_SIZE"] = 1
    Compress(app)
    headers = {"Accept-Encoding": algorithm}
    response = api.eval(data=DATA, headers=headers)
    assert response.headers["Content-Encoding"] == "identity"
    assert types_of(events_of(response))[-1] == "done"
    # It does compress everything else.
    assert api.get("/list", headers=headers).headers["Content-Encoding"] == algorithm
