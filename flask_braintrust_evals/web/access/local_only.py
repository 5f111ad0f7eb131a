"""Restricts no-auth mode to clients of the machine it runs on, and to its own host names."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

from flask import Request

from flask_braintrust_evals.config.settings import Settings
from flask_braintrust_evals.errors import AccessDeniedError
from flask_braintrust_evals.web.requests.connections import CONNECTION_KEYS

from .hosts import host_name, is_known_host, is_listed, is_loopback, is_own_machine

_PROXY_HEADER = re.compile(
    r"(?:x-)?forwarded(?:-.+)?|via|x-original-.+|x-proxyuser-ip|cdn-loop|"
    r"(?:.+-)?(?:client|real|connecting|remote|source)-?(?:ip|addr|address)|"
    r"(?:cf|fastly|fly|akamai|x-amz-cf|x-amzn|x-azure|x-fd|x-envoy|x-appengine|x-vercel|x-arr)-.+|"
    r"x-proxied-.+|proxy-.+|x-cloud-trace-context",
    re.IGNORECASE,
)
"""Names of the headers with which proxies, load balancers and tunnels mark what they forward."""
_HINT = "use BRAINTRUST_EVALS_AUTH='braintrust' to serve others"
_ALONE = "BRAINTRUST_EVALS_AUTH is 'none', which serves this machine alone, not"


def check_unauthenticated(request: Request, settings: Settings) -> None:
    """Refuse what no-auth mode does not serve.

    Raises:
        AccessDeniedError: the client is on another machine, or a proxy has forwarded the request,
            and the settings do not allow it; or the ``Host`` header is no known name of the server.
    """
    if not settings.no_auth_remote:
        _check_client(request)
        _check_own_name(request, settings)
    elif not is_known_host(request, settings):
        raise unknown_host(request)


def unknown_host(request: Request) -> AccessDeniedError:
    """Return the error of a request that was sent to a name that the server is not known by."""
    name = host_name(request)[:300]
    return AccessDeniedError(
        f"this server is not known by the name {name!r}; if that is its name, add it to"
        " BRAINTRUST_EVALS_HOSTS"
    )


def _check_client(request: Request) -> None:
    for address in _addresses(request):
        if not is_loopback(address):
            raise AccessDeniedError(
                f"{_ALONE} {address[:100] or 'a client without an address'}; {_HINT}"
            )
    # Behind a proxy on this machine, every request has a local address. What the proxy's headers
    # say of the client may have been sent by the client itself, so that any of them is too many.
    for name in request.headers.keys():
        if _PROXY_HEADER.fullmatch(name):
            raise AccessDeniedError(
                f"{_ALONE} clients of a proxy, and the header {name[:100]} comes from one; {_HINT},"
                " or set BRAINTRUST_EVALS_NO_AUTH_REMOTE to serve everybody who reaches the proxy"
            )


def _addresses(request: Request) -> Iterator[str]:
    """Yield the client's address, and those that it had before a middleware replaced it.

    ProxyFix takes it from a header, which the client itself may have sent.
    """
    yield request.remote_addr or ""
    original = request.environ.get("werkzeug.proxy_fix.orig")
    if isinstance(original, Mapping):
        yield str(original.get("REMOTE_ADDR") or "")
    for key in CONNECTION_KEYS:
        connection = request.environ.get(key)
        if connection is not None:
            with suppress(OSError, ValueError):
                name: Any = connection.getpeername()
                yield str(name[0]) if isinstance(name, tuple) else ""


def _check_own_name(request: Request, settings: Settings) -> None:
    name = host_name(request)
    if not is_own_machine(name) and not is_listed(name, settings.hosts):
        raise AccessDeniedError(
            f"{_ALONE} under the name {name[:300]!r}; use the name localhost, or {_HINT}; if it is"
            " a name of this machine, add it to BRAINTRUST_EVALS_HOSTS"
        )
