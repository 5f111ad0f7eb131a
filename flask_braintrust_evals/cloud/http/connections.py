"""Connections to addresses that were checked, for ``requests``, and with a limit of time.

A name is resolved once for each connection: what is checked are the addresses of that answer, and
to one of these the connection is made. Certificates are checked for the name, as always.
"""

from __future__ import annotations

import functools
import io
import os
import socket
import ssl
from contextlib import suppress
from http.client import HTTPResponse
from queue import Empty
from typing import Any, ClassVar

import requests
from requests.adapters import HTTPAdapter
from requests.utils import select_proxy
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import ConnectTimeoutError, NameResolutionError, NewConnectionError
from urllib3.util.connection import allowed_gai_family, create_connection
from urllib3.util.ssl_ import ALPN_PROTOCOLS, create_urllib3_context

from flask_braintrust_evals.concurrency.gevent_patch import is_patched
from flask_braintrust_evals.concurrency.time_limit import seconds_left
from flask_braintrust_evals.concurrency.turns import let_others_run

from .addresses import AddressRules, Origin, is_public, refused

POOL_SIZE = 32
"""Idle connections kept per host; under load, more may be open."""
MIN_IDLE = 2
"""Idle connections kept per host while no request uses them. The process may have only so many open
files, and keeps the connections of many users."""
_PIECE = 65_536
"""Bytes that are sent at a time."""


class CheckedAdapter(HTTPAdapter):
    """Makes the connections of a ``requests`` session.

    Args:
        rules: the addresses that may be called although they are not public.
    """

    def __init__(self, rules: AddressRules) -> None:
        self._rules = rules
        pools = {"http": _PlainPool, "https": _TlsPool}
        self._pools = {key: functools.partial(pool, rules=rules) for key, pool in pools.items()}
        super().__init__(pool_maxsize=POOL_SIZE)

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        """Create the pools of connections; called by the base class."""
        super().init_poolmanager(*args, **options)
        self.poolmanager.pool_classes_by_scheme = self._pools

    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:
        """Return the pools of a proxy, whose connections have the same limit of time."""
        manager = super().proxy_manager_for(proxy, **options)
        if not proxy.lower().startswith("socks"):
            manager.pool_classes_by_scheme = self._pools
        return manager

    def get_connection_with_tls_context(
        self, request: requests.PreparedRequest, verify: Any, proxies: Any = None, cert: Any = None
    ) -> Any:
        """Return the pool for a request; called by the base class.

        Raises:
            CloudAddressError: a proxy would connect to an address that cannot be checked.
        """
        url = request.url or ""
        if proxies and select_proxy(url, proxies) and (origin := Origin.of(url)) is not None:
            self._rules.check_behind_proxy(origin)
        return super().get_connection_with_tls_context(request, verify, proxies, cert)

    def close_idle(self) -> None:
        """Close the idle connections to each host, but for :data:`MIN_IDLE`. Thread-safe."""
        for manager in (self.poolmanager, *self.proxy_manager.values()):
            for key in manager.pools.keys():
                pool = manager.pools.get(key)
                if isinstance(pool, _Pool):
                    pool.close_idle()


class _TimedSocket:
    """A socket for :class:`HTTPResponse`, which only reads from it, by a file."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock

    def makefile(self, mode: str) -> io.BufferedReader:
        return io.BufferedReader(_TimedReader(self._sock))


class _TimedReader(io.RawIOBase):
    """Reads from a socket, for as long as the limit of time allows."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._file = sock.makefile("rb", buffering=0)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        # gevent reads what is there without a pause: a fast sender would stop all other greenlets.
        let_others_run()
        self._sock.settimeout(seconds_left(self._sock.gettimeout()))
        return self._file.readinto(buffer)

    def close(self) -> None:
        self._file.close()
        super().close()


class _TimedResponse(HTTPResponse):
    """An answer that is read for as long as the limit of time allows."""

    def __init__(self, sock: socket.socket, *args: Any, **options: Any) -> None:
        super().__init__(_TimedSocket(sock), *args, **options)  # type: ignore[arg-type]


class _Checked(HTTPConnection):
    """A connection to one of the addresses of its host, if they are all public or allowed."""

    response_class = _TimedResponse
    scheme: ClassVar[str]

    def __init__(self, *args: Any, rules: AddressRules, **options: Any) -> None:
        super().__init__(*args, **options)
        self._rules = rules

    def _new_conn(self) -> socket.socket:
        origin = Origin(self.scheme, self.host.lower().strip("[]"), self.port)
        if self.proxy is not None or self._rules.exempts(origin):
            return super()._new_conn()
        addresses = self._resolve()
        if not all(is_public(address) for address in addresses):
            # The addresses are not told: they are of the server's own network.
            raise refused("the address", origin, "is not public")
        return self._connect_to_one(addresses)

    def _resolve(self) -> list[str]:
        host = self._dns_host.strip("[]")
        try:
            found = socket.getaddrinfo(host, self.port, allowed_gai_family(), socket.SOCK_STREAM)
        except socket.gaierror as error:
            raise NameResolutionError(self.host, self, error) from error
        except UnicodeError as error:
            raise NewConnectionError(self, "the name of the host is not valid") from error
        return [str(address[0]) for *_, address in found]

    def _connect_to_one(self, addresses: list[str]) -> socket.socket:
        failure: OSError | None = None
        for address in addresses:
            try:
                return create_connection(
                    (address, self.port),
                    seconds_left(self.timeout),
                    source_address=self.source_address,
                    socket_options=self.socket_options,
                )
            except OSError as error:
                failure = error
        if isinstance(failure, TimeoutError):
            raise ConnectTimeoutError(self, f"no connection to {self.host} in time") from failure
        raise NewConnectionError(self, f"no connection to {self.host}: {failure}") from failure

    def send(self, data: Any) -> None:
        """Send bytes. A large body is sent in pieces, so that the limit of time is looked at."""
        if self.sock is None or not isinstance(data, bytes) or len(data) <= _PIECE:
            super().send(data)
            return
        rest = memoryview(data)
        while rest:
            self.sock.settimeout(seconds_left(self.timeout))
            rest = rest[self.sock.send(rest[:_PIECE]) :]


class _Plain(_Checked):
    scheme = "http"


class _Tls(_Checked, HTTPSConnection):
    scheme = "https"

    def connect(self) -> None:
        """Connect, and trust the certificates that another connection has read before."""
        bundle = self.ca_certs
        proxy_has_tls = self.proxy is not None and self.proxy.scheme == "https"
        if bundle is None or self.cert_file is not None or proxy_has_tls:
            super().connect()
            return
        self.ssl_context, self.ca_certs = _trusting(bundle), None
        try:
            super().connect()
        finally:
            self.ca_certs = bundle


def _trusting(bundle: str) -> ssl.SSLContext:
    """Return what trusts the certificates of a file, as it is now."""
    file = os.stat(bundle)
    return _read_bundle(bundle, is_patched(), file.st_ino, file.st_size, file.st_mtime_ns)


@functools.lru_cache(maxsize=4)  # urllib3 would read it for each connection, which takes 20 ms
def _read_bundle(bundle: str, *as_it_is: int) -> ssl.SSLContext:
    context = create_urllib3_context()
    context.load_verify_locations(bundle)
    context.set_alpn_protocols(ALPN_PROTOCOLS)
    # urllib3 sets them again for each connection, while other threads read those that it frees:
    # https://github.com/python/cpython/issues/141012
    vars(context)["set_alpn_protocols"] = lambda protocols: None
    return context


class _Pool(HTTPConnectionPool):
    def close_idle(self) -> None:
        """Close the idle connections, but for those that were used last."""
        idle = []
        with suppress(Empty):  # those that are in use are not there
            while self.pool is not None:
                idle.append(self.pool.get(block=False))
        for connection in [each for each in idle if each is not None][MIN_IDLE:]:
            connection.close()  # and opened again when it is used
        for each in reversed(idle):
            self._put_conn(each)


class _PlainPool(_Pool):
    ConnectionCls = _Plain


class _TlsPool(_Pool, HTTPSConnectionPool):
    ConnectionCls = _Tls
