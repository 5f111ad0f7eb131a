"""HTTP to Braintrust: what an answer means, what is tried again, and what is never shown."""

from __future__ import annotations

import logging
import socket
import threading
import traceback
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from flask_braintrust_evals.cloud.http.addresses import AddressRules
from flask_braintrust_evals.cloud.http.client import RETRIES, CloudClient
from flask_braintrust_evals.cloud.http.tokens import Token
from flask_braintrust_evals.errors import (
    CloudError,
    CloudForbiddenError,
    CloudNotFoundError,
    CloudTimeoutError,
    CloudUnauthorizedError,
)
from tests.standin import StandIn
from tests.support import TOKEN, eventually, python
from tests.web.support import DEAD_URL

PATH = "/v1/project/p"
HERE = AddressRules(hosts=("127.0.0.1",))


def rules_of(cloud: StandIn) -> AddressRules:
    """Rules by which the stand-in is a configured address."""
    return AddressRules.of([cloud.url], HERE.hosts)


def failure(client: CloudClient, url: str, method: str = "GET", **options: Any) -> CloudError:
    with pytest.raises(CloudError) as caught:
        client.call(method, url + PATH, **options)
    return caught.value


# --- What an answer means ---


@pytest.mark.parametrize(
    ("status", "kind", "http_status", "transient"),
    [
        (400, CloudError, 502, False),
        (401, CloudUnauthorizedError, 401, False),
        (403, CloudForbiddenError, 403, False),
        (404, CloudNotFoundError, 404, False),
        (408, CloudTimeoutError, 504, True),
        (409, CloudError, 502, False),
        (418, CloudError, 502, False),
        (500, CloudError, 502, True),
        (501, CloudError, 502, True),
    ],
)
def test_a_refusal_becomes_an_error_of_its_kind_at_the_first_try(
    cloud: StandIn,
    client: CloudClient,
    status: int,
    kind: type[CloudError],
    http_status: int,
    transient: bool,
) -> None:
    cloud.fault("*", PATH, status=status, body={"Message": "what is  wrong\n"}, times=None)
    for count, method in enumerate(("GET", "POST"), 1):
        error = failure(client, cloud.url, method)
        assert type(error) is kind
        assert error.status == http_status
        assert error.transient is transient
        assert str(error) == (
            f"Braintrust answered {method} {PATH} with status {status}: what is wrong"
        )
        assert len(cloud.calls) == count


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ({"Code": "X", "Message": "of the API"}, ": of the API"),
        ({"error": "of the proxy"}, ": of the proxy"),
        (b'{"Message": {"nested": 1}}', ': {"Message": {"nested": 1}}'),
        (b'{"error": ' + b"[" * 900 + b"]" * 900 + b"}", ': {"error": ' + "[" * 290 + "…"),
        (b"plain  text\n", ": plain text"),
        (b"", ""),
        (b"\xff\xfe", ": \ufffd\ufffd"),
        ({"Message": "m" * 1000}, ": " + "m" * 300 + "…"),
        (b"<html>" + b"h" * 100_000, ": <html>" + "h" * 294 + "…"),
        (b"[" * 100_000, ": " + "[" * 300 + "…"),
    ],
    ids=[
        "Message",
        "error",
        "nested",
        "nested deep",
        "text",
        "nothing",
        "bytes",
        "long",
        "html",
        "deep",
    ],
)
def test_the_text_of_a_refusal_is_shortened(
    cloud: StandIn, client: CloudClient, body: Any, text: str
) -> None:
    cloud.fault("GET", PATH, status=400, body=body)
    assert str(failure(client, cloud.url)) == (
        f"Braintrust answered GET {PATH} with status 400{text}"
    )


@pytest.mark.parametrize(
    "body",
    [b"<html>", b"{", b'{"a": NaN}', b'{"a": "\xff"}', b"{} {}", b"[" * 100_000],
    ids=["html", "half", "NaN", "no utf-8", "two", "deep"],
)
def test_an_answer_that_is_not_json_is_an_error(
    cloud: StandIn, client: CloudClient, body: bytes
) -> None:
    cloud.fault("GET", PATH, body=body)
    assert str(failure(client, cloud.url)) == f"Braintrust's answer to GET {PATH} is not JSON"
    assert len(cloud.calls) == 1


@pytest.mark.parametrize(
    ("body", "value"),
    [(b"", None), (b"null", None), (b"0", 0), (b'{"a": [1]}', {"a": [1]}), (b'"t"', "t")],
)
def test_an_answers_json_is_its_value(
    cloud: StandIn, client: CloudClient, body: bytes, value: Any
) -> None:
    cloud.fault("GET", PATH, body=body)
    assert client.call("GET", cloud.url + PATH) == value


def test_a_call_is_sent_as_it_is_asked_for(cloud: StandIn, client: CloudClient) -> None:
    cloud.fault("*", ".*", body=b"{}", times=None)
    client.call(
        "POST",
        cloud.url + PATH,
        json={"a": "größe", "b": float("nan")},
        params={"q": "a b&c"},
        headers={"x-bt-org-name": "acme"},
    )
    client.call("POST", cloud.url + PATH, data=b"\x00\x01", headers={"Content-Type": "x/y"})
    client.call("POST", cloud.url + PATH, json=[])
    first, second, third = cloud.calls
    assert first.json == {"a": "größe", "b": "NaN"}
    assert first.query == {"q": "a b&c"}
    assert first.headers["content-type"] == first.headers["accept"] == "application/json"
    assert first.headers["x-bt-org-name"] == "acme"
    assert (second.body, second.headers["content-type"]) == (b"\x00\x01", "x/y")
    assert third.json == []
    assert {call.token for call in cloud.calls} == {TOKEN}


def test_a_header_that_cannot_be_sent_is_an_error_of_the_call(
    cloud: StandIn, client: CloudClient
) -> None:
    for value in ("a\nb", " a", "日本"):
        failure(client, cloud.url, headers={"x-bt-parent": value})
    assert not cloud.calls


@pytest.mark.parametrize("url", ["nonsense", "ftp://127.0.0.1", "http://", "http://127.0.0.1:x"])
def test_an_address_that_makes_no_sense_is_an_error_of_the_call(
    client: CloudClient, url: str
) -> None:
    text = str(failure(client, url))
    assert text == "the address is not an http:// or https:// address"


# --- Trying again ---


@pytest.mark.parametrize(
    "fault",
    [{"status": 503}, {"status": 502}, {"status": 504}, {"status": 429}, {"close": True}],
    ids=["503", "502", "504", "429", "closed socket"],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_what_may_be_over_in_a_moment_is_tried_again(
    cloud: StandIn, client: CloudClient, method: str, fault: dict[str, Any]
) -> None:
    cloud.fault(method, "/v1/dataset", **fault)
    cloud.fault(method, "/v1/dataset", body={"fine": True})
    assert client.call(method, f"{cloud.url}/v1/dataset", json={"a": 1}) == {"fine": True}
    assert [call.json for call in cloud.calls] == [{"a": 1}] * 2


@pytest.mark.slow
def test_a_pause_that_braintrust_asks_for_is_kept_to(cloud: StandIn, client: CloudClient) -> None:
    cloud.fault("GET", PATH, status=429, headers={"Retry-After": "1"})
    cloud.fault("GET", PATH, body={"fine": True})
    assert client.call("GET", cloud.url + PATH) == {"fine": True}
    first, second = cloud.calls
    assert 1 <= second.at - first.at < 5


@pytest.mark.parametrize("after", ["soon", "", "²", "-1", "1e9", "Wed"])
@pytest.mark.parametrize("status", [429, 500])
def test_a_pause_that_makes_no_sense_is_an_error_of_the_call(
    cloud: StandIn, client: CloudClient, status: int, after: str
) -> None:
    cloud.fault("GET", PATH, status=status, headers={"Retry-After": after}, times=None)
    # Where trying again is left to the caller, nothing waits here.
    failure(client, cloud.url, retry=status == 500)


@pytest.mark.parametrize(
    ("after", "seconds"),
    [
        ("7", 7.0),
        ("0", 0.0),
        ("100000", 30.0),
        (None, None),
        ("Fri, 27 Nov 2026 10:00:07 GMT", 7.0),
        ("Fri, 27 Nov 2026 09:00:00 GMT", 0.0),
    ],
)
def test_without_trying_again_the_error_says_when_to(
    cloud: StandIn, client: CloudClient, after: str | None, seconds: float | None
) -> None:
    # Its clock is not the one here.
    headers = {"Date": "Fri, 27 Nov 2026 10:00:00 GMT"}
    headers |= {} if after is None else {"Retry-After": after}
    cloud.fault("GET", PATH, status=503, headers=headers, times=None)
    error = failure(client, cloud.url, retry=False)
    assert (error.transient, error.retry_after) == (True, seconds)
    assert len(cloud.calls) == 1


@pytest.fixture(scope="module")
def exhausted() -> Iterator[dict[str, tuple[CloudError, int]]]:
    """What comes of calls that fail for ever, and how many tries each was; all at once."""
    faults: dict[str, dict[str, Any]] = {
        "429": {"status": 429, "body": {"Message": "too many"}},
        "502": {"status": 502, "body": b""},
        "503": {"status": 503, "body": b""},
        "504": {"status": 504, "body": b""},
        "no pause": {"status": 503, "body": b"", "headers": {"Retry-After": "0"}},
        "closed socket": {"close": True},
    }

    def path_of(name: str) -> str:
        return f"/{name.replace(' ', '-')}"

    def call(name: str) -> CloudError:
        url = cloud.url + path_of(name) if name in faults else DEAD_URL
        return failure(client, url, "POST")

    with StandIn() as cloud, ThreadPoolExecutor(len(faults) + 1) as pool:
        client = CloudClient(Token(TOKEN), 5, rules_of(cloud))
        for name, fault in faults.items():
            cloud.fault("POST", path_of(name) + ".*", times=None, **fault)
        names = [*faults, "nobody there"]
        errors = dict(zip(names, pool.map(call, names), strict=True))
        tries = {name: len(cloud.calls_to("POST", path_of(name) + ".*")) for name in names}
        client.close()
        yield {name: (error, tries[name]) for name, error in errors.items()}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "kind", "text"),
    [
        ("429", CloudError, "with status 429: too many"),
        ("502", CloudError, "with status 502"),
        ("503", CloudError, "with status 503"),
        ("504", CloudTimeoutError, "with status 504"),
        ("no pause", CloudError, "with status 503"),
        ("closed socket", CloudError, "(ConnectionError)"),
    ],
)
def test_trying_again_has_an_end(
    exhausted: dict[str, tuple[CloudError, int]], name: str, kind: type[CloudError], text: str
) -> None:
    error, tries = exhausted[name]
    assert type(error) is kind
    assert str(error).endswith(text)
    assert error.transient
    assert tries == 1 + RETRIES


@pytest.mark.slow
def test_a_refused_connection_is_an_error_that_names_the_address(
    exhausted: dict[str, tuple[CloudError, int]],
) -> None:
    error, _ = exhausted["nobody there"]
    assert type(error) is CloudError
    assert str(error) == (
        f"Braintrust could not be reached at 127.0.0.1:1 for POST {PATH} (ConnectionError)"
    )


def test_half_an_answer_is_an_error_and_what_was_asked_is_not_done_twice(
    cloud: StandIn, client: CloudClient
) -> None:
    cloud.fault("POST", "/v1/project", half=True)
    with pytest.raises(CloudError, match="answer to POST /v1/project ended half-way"):
        client.call("POST", f"{cloud.url}/v1/project", json={"name": "Geo"})
    assert len(cloud.calls) == 1


# --- Time-outs ---


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("retry", [True, False])
def test_no_answer_in_time_is_a_time_out_and_not_tried_again(
    cloud: StandIn, method: str, retry: bool
) -> None:
    cloud.fault("*", ".*", delay=20, times=None)
    client = CloudClient(Token(TOKEN), 0.2, rules_of(cloud))
    error = failure(client, cloud.url, method, retry=retry)
    client.close()
    assert type(error) is CloudTimeoutError
    assert str(error) == f"Braintrust did not answer {method} {PATH} within 0.2 seconds"
    eventually(lambda: len(cloud.calls) == 1)  # it may be noted later than it is given up


def test_a_call_may_have_less_time_than_the_others(cloud: StandIn, client: CloudClient) -> None:
    cloud.fault("*", ".*", delay=20)
    error = failure(client, cloud.url, timeout=0.1)
    assert "within 0.1 seconds" in str(error)


@contextmanager
def stalling(sent: bytes) -> Iterator[str]:
    """A server that sends this, and then nothing, to one client."""
    done = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(sent)
                done.wait(20)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            done.set()
            thread.join()


@pytest.mark.parametrize(
    "sent",
    [b"HTTP/1.1 200 OK\r\nContent-Le", b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"],
    ids=["in the head", "in the body"],
)
def test_an_answer_that_stops_half_way_is_a_time_out(sent: bytes) -> None:
    client = CloudClient(Token(TOKEN), 0.2, HERE)
    with stalling(sent) as url:
        error = failure(client, url)
    client.close()
    assert type(error) is CloudTimeoutError


def test_calls_one_after_another_share_a_connection_also_after_refusals(
    cloud: StandIn, client: CloudClient
) -> None:
    for number in range(20):
        if number % 4 == 3:
            cloud.fault("GET", PATH, status=404)
            failure(client, cloud.url)
        else:
            cloud.fault("GET", PATH, body={"a": number})
            client.call("GET", cloud.url + PATH)
    assert len({call.port for call in cloud.calls}) == 1


def test_cookies_are_not_kept(cloud: StandIn, client: CloudClient) -> None:
    cloud.fault("GET", PATH, body={}, headers={"Set-Cookie": "a=b; Path=/"}, times=2)
    client.call("GET", cloud.url + PATH)
    client.call("GET", cloud.url + PATH)
    assert "cookie" not in cloud.calls[1].headers


# --- Whose token, and where it goes ---


@pytest.fixture
def netrc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The application's own credentials, where ``requests`` looks for them."""
    file = tmp_path / "netrc"
    file.write_text("machine 127.0.0.1 login app password of-the-application\n")
    file.chmod(0o600)
    monkeypatch.setenv("NETRC", str(file))


@pytest.mark.usefixtures("netrc")
@pytest.mark.parametrize("retry", [True, False])
def test_credentials_of_the_machine_do_not_replace_the_callers(
    cloud: StandIn, client: CloudClient, retry: bool
) -> None:
    cloud.fault("GET", PATH, body={})
    client.call("GET", cloud.url + PATH, retry=retry)
    assert cloud.calls[0].headers["authorization"] == f"Bearer {TOKEN}"


@pytest.mark.usefixtures("netrc")
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_credentials_of_the_machine_do_not_replace_the_callers_after_a_redirect(
    cloud: StandIn, client: CloudClient, status: int
) -> None:
    cloud.fault("GET", PATH, status=status, headers={"Location": "/v1/other"})
    cloud.fault("GET", "/v1/other", body={})
    try:
        client.call("GET", cloud.url + PATH)
    except CloudError:
        pass  # not to follow redirects at all is as good
    sent = {call.headers.get("authorization") for call in cloud.calls}
    assert sent <= {f"Bearer {TOKEN}"}


@pytest.mark.usefixtures("netrc")
def test_no_credentials_at_all_go_to_another_host_after_a_redirect(
    cloud: StandIn, client: CloudClient
) -> None:
    with StandIn() as elsewhere:
        elsewhere.fault("*", ".*", body={}, times=None)
        cloud.fault("GET", PATH, status=307, headers={"Location": elsewhere.url + PATH})
        try:
            client.call("GET", cloud.url + PATH)
        except CloudError:
            pass
        assert not [call for call in elsewhere.calls if "authorization" in call.headers]


@pytest.mark.parametrize(
    "body",
    [
        {"Message": f"bad token {TOKEN}"},
        f"bad token {TOKEN}\n",
        {"Message": "m" * 290 + TOKEN},
        {"Message": "m" * (299 - len(TOKEN)) + TOKEN},
        "m" * 1990 + TOKEN,
    ],
    ids=["Message", "text", "over the end", "at the end", "over the end of what is looked at"],
)
def test_a_token_that_braintrust_repeats_is_not_shown_even_in_part(
    cloud: StandIn, client: CloudClient, body: Any
) -> None:
    cloud.fault("GET", PATH, status=400, body=body)
    error = failure(client, cloud.url)
    shown = str(error) + repr(error) + "".join(traceback.format_exception(error))
    assert TOKEN[:6] not in shown


def test_a_token_is_in_no_error_and_no_log_of_a_connection_that_fails(
    client: CloudClient, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        error = failure(client, DEAD_URL, retry=False)
    shown = repr(error) + "".join(traceback.format_exception(error)) + caplog.text
    assert TOKEN not in shown


def test_a_token_is_in_no_repr(client: CloudClient) -> None:
    assert repr(client) == "CloudClient(token=***)"


def test_one_client_may_be_used_from_many_threads(cloud: StandIn, client: CloudClient) -> None:
    cloud.fault("POST", ".*", body={"fine": True}, times=None)
    with ThreadPoolExecutor(16) as pool:
        answers = list(
            pool.map(lambda n: client.call("POST", f"{cloud.url}/{n}", json={"n": n}), range(60))
        )
    assert answers == [{"fine": True}] * 60
    assert {(call.path, call.json["n"]) for call in cloud.calls} == {
        (f"/{n}", n) for n in range(60)
    }


@pytest.mark.slow
def test_under_gevent_each_thread_has_connections_of_its_own() -> None:
    """Scorers that block, and coroutines, use a session on other threads than its own."""
    script = """
    from gevent import monkey
    monkey.patch_all()
    from flask_braintrust_evals.cloud.http.addresses import AddressRules
    from flask_braintrust_evals.cloud.http.client import CloudClient
    from flask_braintrust_evals.cloud.http.tokens import Token
    from flask_braintrust_evals.concurrency.real_threads import start_real_thread
    from flask_braintrust_evals.concurrency.job import Job
    from tests.standin import StandIn

    with StandIn() as cloud:
        cloud.add_user("t")
        client = CloudClient(Token("t"), 5, AddressRules.of([cloud.url]))

        def call():
            url = f"{cloud.url}/api/apikey/login"
            return client.call("POST", url, retry=False) is not None

        for _ in range(3):
            print(call())  # which leaves a connection open
            job = Job()
            start_real_thread(lambda: job.run(call))
            print(job.wait())
    """
    assert python(script).split() == ["True"] * 6
