"""Connections to brokers that go silent, or are encrypted."""

from __future__ import annotations

import ssl
import time
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import trustme

from flask_braintrust_evals.contrib.celery import connections
from flask_braintrust_evals.contrib.celery.connections import ConnectionFailedError
from flask_braintrust_evals.contrib.celery.transport import CeleryTransport

from .brokers import Broker
from .proxy import Proxy
from .support import SOON, Listening, connected, listening, message, new_app, new_queue


@pytest.mark.parametrize("kind", ["reports", "notices"])
def test_a_listener_whose_connection_goes_silent_is_heard_again(
    broker: Broker, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "HEARTBEAT", 1.0)
    monkeypatch.setattr(connections, "PING_SECONDS", 0.5)
    proxy = Proxy(broker.port)
    queue = new_queue()
    name = f"{queue}.reply.{uuid4().hex}"
    direct = CeleryTransport(new_app(broker.url), queue)
    transport = CeleryTransport(
        new_app(broker.url.replace(f":{broker.port}", f":{proxy.port}")), queue
    )

    def listen() -> Listening:
        if kind == "reports":
            found = Listening(transport.listen_for_reports, name)
        else:
            found = Listening(transport.listen_for_notices)
        found.wait_until_ready()
        return found

    listener = listen()
    with connected(direct) as sender:

        def send(text: str) -> None:
            if kind == "reports":
                sender.send_report(name, message(text))
            else:
                sender.send_notice(message(text))

        send("before")
        listener.wait_for(1)
        proxy.silence()
        deadline = time.monotonic() + 2 * SOON
        while not any(found.text == 'j"after"' for found in listener.received):
            assert time.monotonic() < deadline
            if not listener.thread.is_alive():
                # With RabbitMQ, the loss is told.
                assert isinstance(listener.failure, ConnectionFailedError)
                listener = listen()
            # Some of them go to the connection that is silent.
            send("after")
            time.sleep(0.1)
    listener.stop()
    proxy.close()


def test_a_sender_whose_connection_goes_silent_fails_in_time(broker: Broker) -> None:
    proxy = Proxy(broker.port)
    url = broker.url.replace(f":{broker.port}", f":{proxy.port}")
    transport = CeleryTransport(new_app(url), new_queue())
    sender = transport.connect(1)
    sender.send_order(message("before"))
    proxy.silence()
    began = time.monotonic()
    with pytest.raises(ConnectionFailedError):
        sender.send_order(message("after"))
    assert time.monotonic() - began < 3
    sender.close()
    with connected(transport) as again:
        again.send_order(message("after"))
    proxy.close()


def tls_settings(broker: Broker, authority: Path) -> dict[str, Any]:
    """The settings of an application whose broker has TLS."""
    if broker.name == "redis":
        options = {"ssl_cert_reqs": ssl.CERT_REQUIRED, "ssl_ca_certs": str(authority)}
    else:
        options = {"cert_reqs": ssl.CERT_REQUIRED, "ca_certs": str(authority)}
    return {"broker_use_ssl": options}


def test_connections_are_encrypted_if_the_application_says_so(
    broker: Broker, tmp_path: Path
) -> None:
    settings = tls_settings(broker, broker.certificates.authority)
    transport = CeleryTransport(new_app(broker.tls_url, **settings), new_queue())
    name = f"{transport.queue}.reply.{uuid4().hex}"
    with (
        listening(transport.listen_for_reports, name) as owner,
        listening(transport.listen_for_notices) as worker,
        connected(transport) as sender,
    ):
        sender.send_order(message("order"))
        sender.send_report(name, message("report"))
        sender.send_notice(message("notice"))
        owner.wait_for(1)
        worker.wait_for(1)
    assert not transport.has_workers(0.2)

    other = tmp_path / "other.pem"
    trustme.CA().cert_pem.write_to_path(str(other))
    settings = tls_settings(broker, other)
    transport = CeleryTransport(new_app(broker.tls_url, **settings), new_queue())
    with pytest.raises(ConnectionFailedError, match="CERTIFICATE_VERIFY_FAILED"):
        transport.connect(SOON)
