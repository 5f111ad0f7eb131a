"""How much of an answer is read, and for how long."""

from __future__ import annotations

import gzip
import json
import sys
import time
import tracemalloc
import zlib
from typing import Any

import pytest

from flask_braintrust_evals.cloud.http import answers
from flask_braintrust_evals.cloud.http.addresses import AddressRules
from flask_braintrust_evals.cloud.http.client import CloudClient
from flask_braintrust_evals.cloud.http.tokens import Token
from flask_braintrust_evals.errors import CloudError, CloudTimeoutError
from tests.standin import StandIn
from tests.support import TOKEN, python

MB = 1024 * 1024
GZIP = {"Content-Encoding": "gzip"}


def failure(cloud: StandIn, client: CloudClient, **fault: Any) -> CloudError:
    cloud.fault("GET", "/x", **fault)
    with pytest.raises(CloudError) as caught:
        client.call("GET", cloud.url + "/x")
    return caught.value


def test_others_may_run_between_the_steps_in_which_an_answer_is_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    steps: list[int] = []
    monkeypatch.setattr(answers, "wait_after", steps.append)
    assert answers.decode("GET /x", b'"' + b"x" * MB + b'"') == "x" * MB
    assert len(steps) == 2, "it is measured, looked through for large integers, and parsed"


@pytest.mark.parametrize("headers", [{}, GZIP], ids=["plain", "packed"])
def test_an_answer_may_be_as_large_as_the_limit_and_no_larger(
    cloud: StandIn, client: CloudClient, headers: dict[str, str]
) -> None:
    def body(size: int) -> bytes:
        text = b'"' + b"x" * (size - 2) + b'"'
        return gzip.compress(text, 1) if headers else text

    limit = answers.MAX_ANSWER
    cloud.fault("GET", "/x", body=body(limit), headers=headers)
    assert len(client.call("GET", cloud.url + "/x")) == limit - 2
    error = failure(cloud, client, body=body(limit + 1), headers=headers)
    assert str(error) == f"Braintrust's answer to GET /x has more than {limit:,} bytes"
    assert (error.status, error.transient) == (502, False)
    # A connection on which something is left to read is not used again.
    cloud.fault("GET", "/x", body=b"1")
    assert client.call("GET", cloud.url + "/x") == 1


@pytest.mark.slow
@pytest.mark.parametrize("status", [200, 302, 400])
def test_a_small_answer_that_unpacks_to_a_large_one_takes_no_memory(
    cloud: StandIn, client: CloudClient, status: int
) -> None:
    packer = zlib.compressobj(9, wbits=31)
    bomb = b"".join(packer.compress(b" " * MB) for _ in range(60)) + packer.flush()
    cloud.fault("GET", "/x", status=status, body=bomb, headers={**GZIP, "Location": "/y"})
    tracemalloc.start()
    with pytest.raises(CloudError):
        client.call("GET", cloud.url + "/x")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(bomb) < MB
    assert peak < 4 * answers.MAX_ANSWER


@pytest.mark.parametrize("item", [b"[],", b'{"a":1},', b"1,", b'"",'])
def test_an_answer_of_very_many_values_is_not_made_into_objects(item: bytes) -> None:
    with pytest.raises(CloudError) as caught:
        answers.decode("GET /x", b"[" + item * 250_001 + b"1]")
    assert str(caught.value) == "Braintrust's answer to GET /x has more than 250,000 JSON values"
    assert len(answers.decode("GET /x", b"[" + item * 100_000 + b"1]")) == 100_001
    page = b"[" + item * 500_000 + b"1]"
    assert len(answers.decode("GET /x", page, answers.MAX_PAGE_VALUES)) == 500_001


def test_commas_and_brackets_in_texts_are_no_values() -> None:
    text = '"' + "[,{" * 300_000 + '"'
    assert len(answers.decode("GET /x", text.encode())) == 900_000


@pytest.mark.parametrize("kind", ["br", "deflate", "gzip, gzip", "compress"])
def test_an_answer_that_is_packed_in_another_way_is_an_error(
    cloud: StandIn, client: CloudClient, kind: str
) -> None:
    error = failure(cloud, client, body=b"1", headers={"Content-Encoding": kind})
    assert str(error) == "Braintrust's answer to GET /x is packed in an unknown way"


def test_a_packed_answer_of_several_parts_is_read_whole(
    cloud: StandIn, client: CloudClient
) -> None:
    body = gzip.compress(b"[1,") + gzip.compress(b"2]")
    cloud.fault("GET", "/x", body=body, headers=GZIP)
    assert client.call("GET", cloud.url + "/x") == [1, 2]


def test_half_a_packed_answer_is_an_error_although_its_half_is_json(
    cloud: StandIn, client: CloudClient
) -> None:
    packer = zlib.compressobj(wbits=31)
    half = packer.compress(b'{"events": []}') + packer.flush(zlib.Z_SYNC_FLUSH)
    error = failure(cloud, client, body=half, headers=GZIP)
    assert str(error) == "Braintrust's answer to GET /x ended half-way"
    error = failure(cloud, client, body=b"no gzip", headers=GZIP)
    assert str(error) == "Braintrust's answer to GET /x cannot be unpacked"


def test_half_an_answer_is_an_error_although_its_half_is_json(
    cloud: StandIn, client: CloudClient
) -> None:
    error = failure(cloud, client, body=b'{"events":[]}' + b" " * 13, half=True)
    assert str(error) == "Braintrust's answer to GET /x ended half-way"


@pytest.mark.parametrize("after", [0, 200], ids=["head", "body"])
def test_an_answer_that_drips_has_no_more_time_than_any_other(cloud: StandIn, after: int) -> None:
    client = CloudClient(Token(TOKEN), 0.3, AddressRules.of([cloud.url]))
    begun = time.monotonic()
    error = failure(cloud, client, body=b" " * 1000, drip=0.05, drip_after=after)
    assert time.monotonic() - begun < 3
    assert type(error) is CloudTimeoutError
    assert str(error) == "Braintrust did not answer GET /x within 0.3 seconds"
    client.close()


ENDLESS = """
import socket, sys
server = socket.create_server(("127.0.0.1", 0))
print(server.getsockname()[1], flush=True)
connection, _ = server.accept()
connection.recv(65536)
connection.sendall(b"HTTP/1.1 200 OK\\r\\nTransfer-Encoding: chunked\\r\\n\\r\\n0\\r\\n")
try:
    while True:
        connection.sendall(b"a: b\\r\\n" * 10_000)
except OSError:
    pass
"""


@pytest.mark.slow
def test_under_gevent_an_answer_that_comes_without_a_pause_does_not_stop_other_greenlets() -> None:
    printed = python(f"""
        from gevent import monkey
        monkey.patch_all()
        import subprocess, sys, time
        import gevent
        from flask_braintrust_evals.cloud.http.addresses import AddressRules
        from flask_braintrust_evals.cloud.http.client import CloudClient
        from flask_braintrust_evals.cloud.http.tokens import Token
        from flask_braintrust_evals.errors import CloudError

        sender = subprocess.Popen([sys.executable, "-c", {ENDLESS!r}], stdout=subprocess.PIPE)
        url = f"http://127.0.0.1:{{int(sender.stdout.readline())}}"
        client = CloudClient(Token("t"), 2, AddressRules.of([url]))
        ticks = []

        def tick():
            while True:
                gevent.sleep(0.01)
                ticks.append(time.monotonic())

        ticking = gevent.spawn(tick)
        try:
            client.call("GET", url + "/x")
        except CloudError as error:
            print(type(error).__name__, len(ticks) > 10)
        ticking.kill()
        sender.kill()
        sender.wait()
    """)
    # Python's recent versions refuse more than a hundred trailers at once.
    assert printed in ("CloudTimeoutError True\n", "CloudError False\n")


@pytest.mark.slow
def test_under_gevent_nothing_that_is_waited_for_takes_longer_than_the_limit() -> None:
    printed = python("""
        from gevent import monkey
        monkey.patch_all()
        import time
        import gevent
        from flask_braintrust_evals.cloud.http.addresses import AddressRules
        from flask_braintrust_evals.cloud.http.client import CloudClient
        from flask_braintrust_evals.cloud.http.tokens import Token
        from flask_braintrust_evals.errors import CloudError
        from tests.standin import StandIn

        with StandIn() as cloud:
            client = CloudClient(Token("t"), 0.5, AddressRules.of([cloud.url]))
            cloud.fault("GET", "/drip", body={}, drip=0.05, times=None)
            cloud.fault("GET", "/quick", body={}, times=None)
            begun = time.monotonic()

            def drip():
                try:
                    client.call("GET", cloud.url + "/drip")
                except CloudError as error:
                    return f"{type(error).__name__}"

            dripping = [gevent.spawn(drip) for _ in range(3)]
            quick = [gevent.spawn(client.call, "GET", cloud.url + "/quick") for _ in range(20)]
            gevent.joinall([*dripping, *quick])
            assert time.monotonic() - begun < 5
            print({each.value for each in dripping}, [each.value for each in quick] == [{}] * 20)
            # A limit that is over is no limit for what comes later.
            client.call("GET", cloud.url + "/quick")
            time.sleep(0.7)
            client.call("GET", cloud.url + "/quick")
    """)
    assert printed == "{'CloudTimeoutError'} True\n"


def test_integers_of_any_size_are_read_as_they_are() -> None:
    row = {"input": [2**64, 2**64 + 1, -(2**63) - 1, 2**53 + 1, 0.1], "id": "9" * 25}
    assert answers.decode("rows", json.dumps(row).encode()) == row
    deep = b"[" * 900 + b"1" * 30 + b"]" * 900
    assert answers.decode("rows", deep) is not None


def test_large_integers_may_be_as_deep_as_other_values() -> None:
    def at_depth(calls: int, depth: int) -> Any:
        if calls:
            return at_depth(calls - 1, depth)
        return answers.decode("rows", b"[" * depth + b"1" * 30 + b"]" * depth)

    calls = sys.getrecursionlimit() // 2
    assert at_depth(calls, 1000) is not None
    with pytest.raises(CloudError, match="is not JSON"):
        at_depth(calls, 1100)
