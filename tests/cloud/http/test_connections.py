"""To which machines connections are made, wherever a name, a redirect or an answer leads."""

from __future__ import annotations

import os
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
import requests
import trustme
from opentelemetry import context as otel_context
from opentelemetry.context import _SUPPRESS_INSTRUMENTATION_KEY

from flask_braintrust_evals.cloud.http import connections
from flask_braintrust_evals.cloud.http.addresses import AddressRules
from flask_braintrust_evals.cloud.http.client import CloudClient
from flask_braintrust_evals.cloud.http.tokens import Token
from flask_braintrust_evals.cloud.rows import fetch_rows
from flask_braintrust_evals.cloud.sessions.session_cache import SessionCache
from flask_braintrust_evals.cloud.sessions.user_session import Endpoints, UserSession, log_in
from flask_braintrust_evals.errors import CloudAddressError, CloudError
from tests.standin import StandIn
from tests.support import TOKEN

NAME = "api.example.com"
PUBLIC = "93.184.215.14"


class Resolver:
    """Answers for the names of ``example.com``, and remembers which names were asked for."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.answers: list[list[str]] = []
        self._real = socket.getaddrinfo

    def __call__(self, host: Any, port: Any, *args: Any, **options: Any) -> Any:
        if not str(host).endswith("example.com"):
            return self._real(host, port, *args, **options)
        self.asked.append(host)
        addresses = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return [
            (family, socket.SOCK_STREAM, 6, "", (address, port))
            for address in addresses
            for family in [socket.AF_INET6 if ":" in address else socket.AF_INET]
        ]


@pytest.fixture
def resolver(monkeypatch: pytest.MonkeyPatch) -> Resolver:
    resolver = Resolver()
    monkeypatch.setattr(socket, "getaddrinfo", resolver)
    monkeypatch.setenv("NO_PROXY", "*")
    return resolver


@pytest.fixture
def connected(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The addresses to which the test's thread tries to connect; it never succeeds."""
    tried: list[Any] = []
    here = threading.get_ident()
    real = socket.socket.connect

    def connect(self: socket.socket, address: Any) -> None:
        if threading.get_ident() != here:
            # What an earlier test has started may still try to deliver something.
            return real(self, address)
        tried.append(address)
        raise ConnectionRefusedError("not in a test")

    monkeypatch.setattr(socket.socket, "connect", connect)
    return tried


def call(url: str, rules: AddressRules | None = None) -> Any:
    client = CloudClient(Token(TOKEN), 5, AddressRules() if rules is None else rules)
    try:
        return client.call("GET", url, retry=False)
    finally:
        client.close()


@pytest.mark.parametrize(
    "addresses",
    [["127.0.0.1"], ["10.0.0.7"], [PUBLIC, "169.254.169.254"], ["::ffff:127.0.0.1"], ["fd00::1"]],
)
def test_a_name_that_leads_inward_is_refused_and_no_connection_is_tried(
    resolver: Resolver, connected: list[Any], addresses: list[str]
) -> None:
    resolver.answers = [addresses]
    with pytest.raises(CloudAddressError) as caught:
        call(f"https://{NAME}/x")
    assert str(caught.value) == (
        f"the address at {NAME} is not public, so this server does not call it; if it should, set"
        " BRAINTRUST_API_URL, or add the host to BRAINTRUST_EVALS_API_HOSTS"
    )
    assert not connected


def test_a_connection_is_made_to_the_address_that_was_checked_and_to_no_later_answer(
    resolver: Resolver, connected: list[Any]
) -> None:
    resolver.answers = [[PUBLIC], ["127.0.0.1"]]
    with pytest.raises(CloudError, match="could not be reached"):
        call(f"https://{NAME}/x")
    assert [address[0] for address in connected] == [PUBLIC]
    assert resolver.asked == [NAME]


def test_all_addresses_of_a_name_are_tried(resolver: Resolver, connected: list[Any]) -> None:
    resolver.answers = [["2606:4700::1111", PUBLIC]]
    with pytest.raises(CloudError, match="could not be reached"):
        call(f"https://{NAME}/x")
    assert [address[0] for address in connected] == ["2606:4700::1111", PUBLIC]


@pytest.mark.parametrize("host", ["0x7f000001", "2130706433", "127.1", "0177.0.0.1"])
def test_other_spellings_of_an_address_are_refused(host: str, connected: list[Any]) -> None:
    # Whether they are addresses at all is up to the system's resolver.
    with pytest.raises(CloudError):
        call(f"https://{host}/x")
    assert not connected


@contextmanager
def serving(certificate: trustme.LeafCert) -> Iterator[tuple[int, list[str | None]]]:
    """An HTTPS server, and the names that its clients have asked for."""
    names: list[str | None] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", "4")
            self.end_headers()
            self.wfile.write(b"null")

        def log_message(self, *args: Any) -> None: ...

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    context.sni_callback = lambda _, name, __: names.append(name)
    server = HTTPServer(("127.0.0.1", 0), Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.handle_error = lambda *_: None  # type: ignore[method-assign]
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield server.server_address[1], names
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> trustme.CA:
    """A certificate authority that this process trusts."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "ca.pem"))
    return authority


def test_a_certificate_is_asked_for_and_checked_for_the_name(
    resolver: Resolver, authority: trustme.CA, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolver.answers = [["127.0.0.1"]]
    monkeypatch.setattr(connections, "is_public", lambda _: True)
    changes: list[str] = []  # which would reach all connections that share what is trusted

    def noted(name: str) -> Callable[..., None]:
        change = getattr(ssl.SSLContext, name)

        def note(self: ssl.SSLContext, *args: Any) -> None:
            changes.append(name)
            change(self, *args)

        return note

    for name in ("load_verify_locations", "set_alpn_protocols"):
        monkeypatch.setattr(ssl.SSLContext, name, noted(name))
    with serving(authority.issue_cert(NAME)) as (port, names):
        assert call(f"https://{NAME}:{port}/x") is None
        bundle = os.environ["REQUESTS_CA_BUNDLE"]
        monkeypatch.setenv("CURL_CA_BUNDLE", bundle)
        monkeypatch.delenv("REQUESTS_CA_BUNDLE")
        assert call(f"https://{NAME}:{port}/x") is None
        assert names == [NAME, NAME]
        assert changes == ["load_verify_locations", "set_alpn_protocols"]
        trustme.CA().cert_pem.write_to_path(bundle)
        with pytest.raises(CloudError, match="could not be reached .*SSLError"):
            call(f"https://{NAME}:{port}/x")
        authority.cert_pem.write_to_path(bundle)
    with serving(authority.issue_cert("other.example.com")) as (port, names):
        with pytest.raises(CloudError, match="could not be reached .*SSLError"):
            call(f"https://{NAME}:{port}/x")


def test_an_address_of_a_proxy_is_not_checked_but_what_it_is_asked_for(
    cloud: StandIn, monkeypatch: pytest.MonkeyPatch, resolver: Resolver
) -> None:
    monkeypatch.setenv("NO_PROXY", "")
    monkeypatch.setenv("http_proxy", cloud.url)
    monkeypatch.setenv("HTTPS_PROXY", cloud.url)
    with pytest.raises(CloudAddressError, match="cannot be checked behind a proxy"):
        call(f"https://{NAME}/x")
    assert not cloud.calls
    cloud.fault("GET", ".*", body={"by": "the proxy"})
    assert call(f"http://{NAME}/x", AddressRules(hosts=(NAME,))) == {"by": "the proxy"}
    assert not resolver.asked


# --- Redirects ---


@pytest.fixture
def elsewhere() -> Iterator[StandIn]:
    """Another server of this network."""
    with StandIn() as elsewhere:
        elsewhere.fault("*", ".*", body={"secret": "of the network"}, times=None)
        yield elsewhere


@pytest.mark.parametrize("status", [300, 301, 302, 303, 304, 307, 308])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_no_redirect_is_followed(
    session: UserSession, cloud: StandIn, elsewhere: StandIn, method: str, status: int
) -> None:
    for location in (elsewhere.url + "/x", "/v1/project"):
        cloud.fault(method, "/v1/x", status=status, headers={"Location": location})
        with pytest.raises(CloudError) as caught:
            session.api(method, "/v1/x", json={"a": 1})
        assert str(caught.value) == (
            f"Braintrust answered {method} /v1/x with status {status}, a redirect, which is not"
            " followed"
        )
    assert not elsewhere.calls
    assert len(cloud.calls) == 3  # the login, and each call once


def test_a_login_that_is_a_redirect_names_the_setting(cloud: StandIn) -> None:
    cloud.fault("POST", "/api/apikey/login", status=308, headers={"Location": "https://x.dev"})
    with pytest.raises(CloudError, match="; check BRAINTRUST_APP_URL$"):
        log_in(Token(TOKEN), None, Endpoints(cloud.url))


def rows(session: UserSession, cloud: StandIn) -> Callable[[], list[Any]]:
    dataset = cloud.add_dataset("acme", "Geo", "capitals", [{"input": 1}])
    return lambda: list(fetch_rows(session, "dataset", dataset))


def test_a_page_of_rows_may_be_stored_elsewhere_and_is_fetched_without_the_token(
    cloud: StandIn,
) -> None:
    with StandIn() as store:
        rules = Endpoints(cloud.url, api_hosts=(store.url.removeprefix("http://"),))
        session = log_in(Token(TOKEN), None, rules)
        read = rows(session, cloud)
        page = {"events": [{"id": "1", "input": "stored"}]}
        cloud.fault(
            "POST", ".*/fetch", status=303, headers={"Location": store.url + "/page?signed=1"}
        )
        store.fault("GET", "/page", body=page)
        assert read() == page["events"]
        session.close()
        (call,) = store.calls
    assert (call.query, call.token, call.body) == ({"signed": "1"}, None, b"")
    assert "x-bt-org-name" not in call.headers


def test_an_instrumentation_of_requests_records_no_address_that_an_answer_names(
    session: UserSession, cloud: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    send = requests.Session.send
    recorded = []

    def traced(self: requests.Session, request: requests.PreparedRequest, **options: Any) -> Any:
        if not otel_context.get_value(_SUPPRESS_INSTRUMENTATION_KEY):
            recorded.append(request.path_url)
        return send(self, request, **options)

    monkeypatch.setattr(requests.Session, "send", traced)
    read = rows(session, cloud)
    signed = cloud.url + "/store?signature=secret"
    cloud.fault("POST", ".*/fetch", status=303, headers={"Location": signed})
    cloud.fault("*", "/store", body={"events": []}, times=None)
    read()
    session.download(signed, "the download", 1000, 5)
    session.upload(signed, "the upload", b"content", {}, 5)
    assert [call.method for call in cloud.calls if call.path == "/store"] == ["GET", "GET", "PUT"]
    assert [path.rpartition("/")[2] for path in recorded] == ["fetch"]


def test_a_page_of_rows_that_is_stored_inside_of_the_network_is_refused(
    session: UserSession, cloud: StandIn, elsewhere: StandIn
) -> None:
    read = rows(session, cloud)
    for location in (elsewhere.url + "/page", "http://169.254.169.254/latest", "file:///etc/x", ""):
        cloud.fault("POST", ".*/fetch", status=303, headers={"Location": location})
        with pytest.raises(CloudError):
            read()
    assert not elsewhere.calls


def test_redirects_in_a_circle_have_an_end(session: UserSession, cloud: StandIn) -> None:
    read = rows(session, cloud)
    cloud.fault("*", ".*/fetch", status=303, headers={"Location": cloud.url + "/v1/fetch"})
    cloud.fault("GET", "/v1/fetch", status=302, headers={"Location": "/v1/fetch"}, times=None)
    with pytest.raises(CloudError, match="too many redirects"):
        read()
    assert len(cloud.calls) == 5


def test_of_a_session_that_no_request_uses_few_connections_stay_open(
    cloud: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[socket.socket] = []
    real = socket.socket.connect

    def connect(self: socket.socket, address: Any) -> None:
        opened.append(self)
        real(self, address)

    def open_now() -> int:
        return sum(each.fileno() != -1 for each in opened)

    monkeypatch.setattr(socket.socket, "connect", connect)
    cache = SessionCache(1, 100.0)

    @contextmanager
    def lease() -> Iterator[UserSession]:
        token = Token(TOKEN)
        held = cache.lease(
            token, None, cloud.url, lambda: log_in(token, None, Endpoints(cloud.url))
        )
        yield held.session
        held.release()

    def call(session: UserSession) -> Any:
        return session.api("GET", "/v1/dataset", params={"dataset_name": "none"})

    with lease() as session:
        with cloud.gate("GET", "/v1/dataset") as gate, ThreadPoolExecutor(5) as pool:
            calls = [pool.submit(call, session) for _ in range(5)]
            cloud.wait_for(lambda: gate.waiting == 5)
            gate.release()
            answers = [each.result() for each in calls]
        assert open_now() == 5
    assert open_now() == connections.MIN_IDLE
    with lease() as session, ThreadPoolExecutor(5) as pool:
        assert [*pool.map(call, [session] * 5)] == answers
    assert open_now() == connections.MIN_IDLE
    cache.close()
    assert open_now() == 0
