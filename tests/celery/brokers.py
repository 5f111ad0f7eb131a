"""Real brokers for tests: redis-server and rabbitmq-server on free ports of 127.0.0.1."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import trustme
from kombu import Connection

from .processes import ProcessGroup, free_port, is_listening

REDIS = shutil.which("redis-server")
RABBITMQ = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
"""The program itself: what is in the path changes to another user first."""
RABBITMQ_START = 90.0
"""Seconds that RabbitMQ may take to start: about ten on an idle machine."""


class Certificates:
    """What a server on 127.0.0.1 needs for TLS, as files.

    Attributes:
        authority: the certificate of who signed it, for clients.
        chain: the certificate of the server.
        key: its key.
    """

    def __init__(self, directory: Path) -> None:
        authority = trustme.CA()
        issued = authority.issue_cert("127.0.0.1")
        self.authority = directory / "authority.pem"
        self.chain = directory / "chain.pem"
        self.key = directory / "key.pem"
        authority.cert_pem.write_to_path(str(self.authority))
        self.chain.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
        issued.private_key_pem.write_to_path(str(self.key))


class RedisBroker:
    """A Redis that keeps nothing on disk. It runs when the constructor returns."""

    name = "redis"

    def __init__(self) -> None:
        self._directory = tempfile.TemporaryDirectory(prefix="redis-")
        self.port = free_port()
        self.tls_port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.tls_url = f"rediss://127.0.0.1:{self.tls_port}/0"
        self.certificates = Certificates(Path(self._directory.name))
        self.start()

    def start(self) -> None:
        """Start it, also after :meth:`kill`: it is empty then."""
        assert REDIS is not None
        options = {
            "--port": str(self.port),
            "--bind": "127.0.0.1",
            "--save": "",
            "--dir": ".",
            "--tls-port": str(self.tls_port),
            "--tls-cert-file": str(self.certificates.chain),
            "--tls-key-file": str(self.certificates.key),
            "--tls-auth-clients": "no",
        }
        directory = Path(self._directory.name)
        self.group = ProcessGroup(
            [REDIS, *(part for option in options.items() for part in option)],
            directory / "log",
            directory=directory,
        )
        self.group.wait_for(lambda: is_listening(self.port), 20)

    def kill(self) -> None:
        """Kill it; what it held is lost."""
        self.group.kill()

    def stop(self) -> None:
        """End it for good."""
        self.group.kill()
        self._directory.cleanup()


class RabbitBroker:
    """A RabbitMQ with a node, a directory and a name server of its own."""

    name = "rabbitmq"

    def __init__(self) -> None:
        self._temporary = tempfile.TemporaryDirectory(prefix="rabbitmq-")
        self._directory = Path(self._temporary.name)
        self.port = free_port()
        self.tls_port = free_port()
        self.url = f"amqp://guest:guest@127.0.0.1:{self.port}//"
        self.tls_url = f"amqps://guest:guest@127.0.0.1:{self.tls_port}//"
        self.certificates = Certificates(self._directory)
        self._names = free_port()
        self._distribution = free_port()
        # Started here, because a node starts one that outlives it otherwise.
        self._epmd = ProcessGroup(
            ["epmd", "-port", str(self._names), "-address", "127.0.0.1"],
            self._directory / "epmd.log",
        )
        self._epmd.wait_for(lambda: is_listening(self._names), 20)
        home = self._directory / "home"
        home.mkdir()
        config = self._directory / "rabbitmq.conf"
        config.write_text(
            # The limit that RabbitMQ 4 has by default.
            "max_message_size = 16777216\n"
            f"listeners.ssl.default = 127.0.0.1:{self.tls_port}\n"
            f"ssl_options.cacertfile = {self.certificates.authority}\n"
            f"ssl_options.certfile = {self.certificates.chain}\n"
            f"ssl_options.keyfile = {self.certificates.key}\n"
        )
        environ = {
            "HOME": str(home),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "ERL_EPMD_PORT": str(self._names),
            "RABBITMQ_CONFIG_FILE": str(config),
            "RABBITMQ_DIST_PORT": str(self._distribution),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self._directory / "plugins"),
            "RABBITMQ_LOG_BASE": str(self._directory / "log"),
            "RABBITMQ_MNESIA_BASE": str(self._directory / "mnesia"),
            "RABBITMQ_NODENAME": f"node{self.port}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self.port),
            # One thread, which sleeps where it has nothing to do: to start takes far less time.
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": (
                "+S 1:1 +sbwt none +sbwtdcpu none +sbwtdio none"
            ),
        }
        self.group = ProcessGroup(
            [str(RABBITMQ)], self._directory / "output", environ, self._directory
        )
        self.group.wait_for(self._answers, RABBITMQ_START)

    def stop(self) -> None:
        """End it, with its name server."""
        self.group.kill()
        self._epmd.kill()
        self._temporary.cleanup()

    def _answers(self) -> bool:
        is_listening(self.port)
        with Connection(self.url, connect_timeout=5) as connection:
            connection.connect()
        return True


Broker = RedisBroker | RabbitBroker


def why_absent(name: str) -> str:
    """Return why tests with a broker must be skipped here; empty: they need not."""
    if name == "redis" and REDIS is None:
        return "redis-server is not installed (Debian: apt-get install redis-server)"
    if name == "rabbitmq" and not os.access(RABBITMQ, os.X_OK):
        return "rabbitmq-server is not installed (Debian: apt-get install rabbitmq-server)"
    return ""
