"""The bytes of a request's body, on their way to JSON: bounded, declared, sound."""

from __future__ import annotations

import gc
import io
import json
import tempfile
from typing import Any

import pytest
from flask import request
from werkzeug.test import TestResponse

from tests.web.support import Api, error_of, make_app

JSON = "application/json"
LIMIT = 2_000
TOO_LARGE = (
    f"the body is larger than {LIMIT} bytes; use a dataset, or raise BRAINTRUST_EVALS_MAX_BODY"
)
SOUND = json.dumps({"name": "echo", "data": [], "stream": False}).encode()


def make_api(**config: Any) -> Api:
    settings = {"BRAINTRUST_EVALS_AUTH": "none", "BRAINTRUST_EVALS_MAX_BODY": LIMIT, **config}
    return Api(make_app(**settings), token=None)


@pytest.fixture
def small() -> Api:
    return make_api()


def post(api: Api, data: bytes, content_type: str | None = "application/json") -> TestResponse:
    return api.post("/eval", data=data, content_type=content_type)


class Unread(io.RawIOBase):
    """A body that must not be read."""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        raise AssertionError("the body was read")


def post_stream(api: Api, stream: Any, **environ: Any) -> TestResponse:
    """Send a body in chunks, as servers hand it on: without a length, and with an end."""
    server = {"wsgi.input": stream, "wsgi.input_terminated": True, **environ}
    return api.post("/eval", content_type="application/json", environ_overrides=server)


@pytest.mark.parametrize("size", [LIMIT + 1, LIMIT * 100])
def test_a_body_that_says_it_is_too_large_is_refused_unread(small: Api, size: int) -> None:
    response = post_stream(small, Unread(), CONTENT_LENGTH=str(size))
    assert error_of(response, 413) == TOO_LARGE


@pytest.mark.parametrize("size", [LIMIT + 1, LIMIT * 100])
def test_a_body_in_chunks_is_refused_once_it_is_too_large(small: Api, size: int) -> None:
    stream = io.BytesIO(SOUND.ljust(size))
    assert error_of(post_stream(small, stream), 413) == TOO_LARGE
    assert stream.tell() <= LIMIT + 1


@pytest.mark.parametrize("chunked", [False, True], ids=["with length", "in chunks"])
def test_a_body_of_exactly_the_limit_is_taken(small: Api, chunked: bool) -> None:
    body = SOUND.ljust(LIMIT)
    response = post_stream(small, io.BytesIO(body)) if chunked else post(small, body)
    assert response.status_code == 200, response.text


@pytest.mark.parametrize("chunked", [False, True], ids=["with length", "in chunks"])
@pytest.mark.parametrize("size", [301, LIMIT, LIMIT * 3])
def test_the_applications_own_limit_holds_too(chunked: bool, size: int) -> None:
    api = make_api(MAX_CONTENT_LENGTH=300)
    # All that comes after the limit is blank: cut there, the body would still be sound.
    body = SOUND.ljust(size)
    response = post_stream(api, io.BytesIO(body)) if chunked else post(api, body)
    error_of(response, 413)


@pytest.mark.parametrize("chunked", [False, True], ids=["with length", "in chunks"])
@pytest.mark.parametrize("size", [299, 300])
def test_a_body_within_the_applications_own_limit_is_taken(chunked: bool, size: int) -> None:
    api = make_api(MAX_CONTENT_LENGTH=300)
    body = SOUND.ljust(size)
    response = post_stream(api, io.BytesIO(body)) if chunked else post(api, body)
    assert response.status_code == 200, response.text


def test_the_applications_own_limit_is_named_where_it_is_the_one_that_was_passed() -> None:
    text = error_of(post(make_api(MAX_CONTENT_LENGTH=300), SOUND.ljust(301)), 413)
    assert "300 bytes" in text
    assert "MAX_CONTENT_LENGTH" in text


def test_a_larger_limit_of_the_application_does_not_raise_ours() -> None:
    api = make_api(MAX_CONTENT_LENGTH=LIMIT * 10)
    assert error_of(post(api, SOUND.ljust(LIMIT + 1)), 413) == TOO_LARGE


@pytest.mark.parametrize(
    ("content_type", "named"),
    [
        ("text/plain", "text/plain"),
        ("text/json", "text/json"),
        ("application/x-www-form-urlencoded", "application/x-www-form-urlencoded"),
        ("multipart/form-data; boundary=x", "multipart/form-data"),
        ("application/jsonp", "application/jsonp"),
        ("application/json-seq", "application/json-seq"),
        ("text/plain; application/json", "text/plain"),
        ("json", "json"),
    ],
)
def test_a_body_declared_as_something_else_is_415(
    small: Api, content_type: str, named: str
) -> None:
    text = error_of(post(small, SOUND, content_type), 415)
    assert text == (
        f"the body is declared as {named!r}; send JSON with 'Content-Type: application/json'"
    )


@pytest.mark.parametrize(
    "content_type",
    [
        "application/json",
        "application/json; charset=utf-8",
        "Application/JSON",
        "application/vnd.braintrust+json",
        "",
        None,
    ],
)
def test_a_body_declared_as_json_or_not_at_all_is_taken(
    small: Api, content_type: str | None
) -> None:
    assert post(small, SOUND, content_type).status_code == 200


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" ",
        b"{",
        b"name=echo",
        b"{'name': 'echo'}",
        b'{"name": "echo",}',
        b'{"name": NaN}',
        b'{"name": Infinity}',
        b'{"name": "\xff"}',
        b'{"name": "\\ud800"}',
        b'{"name": "a\nb"}',
        b'\xef\xbb\xbf{"name": "echo"}',
        SOUND + SOUND,
        b"\x1f\x8b\x08\x00",
    ],
)
def test_what_is_not_json_is_400(small: Api, body: bytes) -> None:
    assert error_of(post(small, body), 400).startswith("the body is not JSON: ")


def test_a_body_without_length_and_end_is_no_json(small: Api) -> None:
    response = small.post(
        "/eval",
        content_type="application/json",
        environ_overrides={"wsgi.input": io.BytesIO(SOUND), "CONTENT_LENGTH": ""},
    )
    assert error_of(response, 400).startswith("the body is not JSON: ")


@pytest.mark.parametrize(
    ("body", "named"),
    [
        (b"null", "null"),
        (b"true", "boolean"),
        (b"0", "integer"),
        (b"1.5", "number"),
        (b'"echo"', "string"),
        (b"[]", "array"),
    ],
)
def test_json_that_is_not_an_object_is_400(small: Api, body: bytes, named: str) -> None:
    assert error_of(post(small, body), 400) == f"the body must be a JSON object, not {named}"


@pytest.mark.parametrize("depth", [255, 900, 5_000, 100_000])
@pytest.mark.parametrize(("left", "right"), [(b"[", b"]"), (b'{"a":', b"}")], ids=["[", "{"])
def test_a_body_that_is_nested_too_deep_is_400(depth: int, left: bytes, right: bytes) -> None:
    deep = left * depth + b"1" + right * depth
    body = b'{"name": "echo", "data": [{"input": ' + deep + b"}]}"
    api = make_api(BRAINTRUST_EVALS_MAX_BODY=10_000_000)
    text = error_of(post(api, body), 400)
    assert text == "the body is nested too deep; at most 254 levels are allowed"


def body_of(input: Any) -> bytes:
    return json.dumps({"name": "echo", "data": [{"input": input}], "stream": False}).encode()


@pytest.mark.parametrize(
    "input", [[0] * 100, [[]] * 50, [{"a": 1}] * 50, dict.fromkeys("a" * n for n in range(100))]
)
def test_a_body_with_too_many_values_is_413_before_it_is_parsed(
    input: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    api = make_api(BRAINTRUST_EVALS_MAX_VALUES=100, BRAINTRUST_EVALS_MAX_BODY=10_000)
    monkeypatch.setattr("orjson.loads", None)
    assert error_of(post(api, body_of(input)), 413) == (
        "the body has more than 100 JSON values; use a dataset, or raise"
        " BRAINTRUST_EVALS_MAX_VALUES"
    )


@pytest.mark.parametrize("text", ["," * 1000, "[" * 1000, '"\\' * 300 + "{[,"])
def test_what_is_inside_of_strings_is_no_value(text: str) -> None:
    api = make_api(BRAINTRUST_EVALS_MAX_VALUES=10, BRAINTRUST_EVALS_MAX_BODY=10_000)
    assert post(api, body_of([text, text])).status_code == 200


@pytest.mark.parametrize("enabled", [True, False])
def test_the_garbage_collector_is_as_before_after_a_large_body(enabled: bool) -> None:
    api = make_api(BRAINTRUST_EVALS_MAX_BODY=10_000_000)
    was_enabled = gc.isenabled()
    (gc.enable if enabled else gc.disable)()
    try:
        assert post(api, body_of(["x" * 10] * 50_000)).status_code == 200
        assert gc.isenabled() is enabled
        assert post(api, body_of("x" * 1_000_000)[:-1]).status_code == 400
        assert gc.isenabled() is enabled
    finally:
        (gc.enable if was_enabled else gc.disable)()


def test_a_body_of_nearly_that_depth_is_taken() -> None:
    body = (
        b'{"name": "echo", "data": [{"input": ' + b"[" * 190 + b"]" * 190 + b'}], "stream":false}'
    )
    assert post(make_api(), body).status_code == 200


# --- What is in a body is what arrives ---

INTEGERS = [0, 2**53 + 1, 2**63, 2**64 - 1, 2**64, 2**64 + 1, -(2**63), -(2**63) - 1, 10**40 + 7]


def test_integers_of_any_size_arrive_as_they_are() -> None:
    api = make_api(BRAINTRUST_EVALS_MAX_BODY=10_000)
    (output,) = api.outputs(data=[{"input": {"numbers": INTEGERS, "text": "1" * 30}}])
    assert output["numbers"] == INTEGERS
    assert [type(each) for each in output["numbers"]] == [int] * len(INTEGERS)


def test_numbers_beside_large_integers_stay_what_they_are() -> None:
    values = [10**25, 0.1, 0.30000000000000004, -0.0, 1e25, 1e-300, "\ud83d\ude00", None, True]
    (output,) = make_api().outputs(data=[{"input": values}])
    assert json.dumps(output) == json.dumps(values)


@pytest.mark.parametrize("text", ["[1" + "0" * 30 + ", NaN]", '["' + "1" * 30 + '", Infinity]'])
def test_what_is_not_json_is_refused_beside_large_integers_too(text: str) -> None:
    body = b'{"name": "echo", "data": [{"input": ' + text.encode() + b"}]}"
    assert "the body is not JSON" in error_of(post(make_api(), body), 400)


def test_an_integer_with_more_digits_than_any_float_has_is_read_and_written() -> None:
    number = "1" * 4_300
    body = f'{{"name": "echo", "data": [{{"input": [{number}, -{number[:310]}]}}]}}'.encode()
    answer = post(make_api(BRAINTRUST_EVALS_MAX_BODY=10_000), body)
    assert f"[{number},-{number[:310]}]" in answer.text


@pytest.mark.parametrize("digits", [4_301, 5_000])
def test_an_integer_with_too_many_digits_is_400(digits: int) -> None:
    body = b'{"name": "echo", "data": [{"input": ' + b"1" * digits + b"}]}"
    text = error_of(post(make_api(BRAINTRUST_EVALS_MAX_BODY=10_000), body), 400)
    assert text.startswith("the body is not JSON: ")


# --- How a body is sent ---


@pytest.mark.parametrize("encoding", ["gzip", "br", "Deflate", "gzip, br"])
def test_a_compressed_body_is_415_with_its_encoding(small: Api, encoding: str) -> None:
    headers = {"Content-Encoding": encoding}
    response = small.post("/eval", data=b"\x1f\x8b", content_type=JSON, headers=headers)
    text = error_of(response, 415)
    assert f"'Content-Encoding: {encoding.lower()}'" in text


@pytest.mark.parametrize("encoding", ["identity", "", " Identity "])
def test_a_body_that_says_it_is_not_compressed_is_taken(small: Api, encoding: str) -> None:
    headers = {"Content-Encoding": encoding}
    response = small.post("/eval", data=SOUND, content_type=JSON, headers=headers)
    assert response.status_code == 200, response.text


def received() -> Any:
    return io.BytesIO(SOUND)


def spooled() -> Any:
    stream = tempfile.SpooledTemporaryFile()
    stream.write(SOUND)
    stream.seek(0)
    return stream


def chunked(api: Api, stream: Any) -> TestResponse:
    """Send a body in chunks to a server that does not say whether it tells the end."""
    environ = {"wsgi.input": stream, "wsgi.input_terminated": False, "CONTENT_LENGTH": ""}
    headers = {"Transfer-Encoding": "chunked"}
    return api.post("/eval", content_type=JSON, environ_overrides=environ, headers=headers)


@pytest.mark.parametrize("made", [received, spooled])
def test_a_body_in_chunks_that_the_server_has_received_is_taken(small: Api, made: Any) -> None:
    with made() as stream:
        assert chunked(small, stream).status_code == 200


def test_a_body_in_chunks_without_an_end_is_411_unread(small: Api) -> None:
    assert "send it with a Content-Length" in error_of(chunked(small, Unread()), 411)


def test_a_body_that_the_application_has_used_up_is_an_error_that_says_so() -> None:
    app = make_app(BRAINTRUST_EVALS_AUTH="none")
    app.before_request(lambda: request.get_data(cache=False) and None)
    text = error_of(post(Api(app, token=None), SOUND), 400)
    assert text.startswith(f"the body ended after 0 of {len(SOUND)} bytes: ")
    assert text.endswith("has read the body before, and not by request.get_data(), which keeps it")


@pytest.mark.parametrize("read", [lambda: request.get_data(), lambda: request.get_json()])
def test_a_body_that_the_application_has_read_before_is_taken(read: Any) -> None:
    app = make_app(BRAINTRUST_EVALS_AUTH="none")
    seen = []

    @app.before_request
    def note() -> None:
        seen.append(read())

    assert Api(app, token=None).outputs(data=[{"input": 1}]) == [1]
    assert len(seen) == 1
