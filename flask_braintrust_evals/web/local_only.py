"""Restricts no-auth mode to clients, and host names, of the machine it runs on."""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import urlsplit

from flask import Request

from flask_braintrust_evals.errors import AccessDeniedError

_FORWARDED_FOR = re.compile(r'\bfor=("[^"]*"|[^;,\s]*)', re.IGNORECASE)
_HINT = "use BRAINTRUST_EVALS_AUTH='braintrust' to serve others"


def check_local(request: Request) -> None:
    """Refuse a request that does not come from this machine.

    Raises:
        AccessDeniedError: the client, or one that a proxy's header names, is on another machine; or
            the ``Host`` header is not a name of this machine. With DNS rebinding, the host name of
            a foreign page resolves to this machine.
    """
    addresses = [request.remote_addr or ""]
    # Behind a proxy on this machine, every request has a local address; the proxy's headers name
    # the client's own.
    for line in request.headers.getlist("X-Forwarded-For"):
        addresses += [part.strip() for part in line.split(",")]
    addresses += request.headers.getlist("X-Real-IP")
    for line in request.headers.getlist("Forwarded"):
        addresses += [match.strip('"[]') for match in _FORWARDED_FOR.findall(line)]
    for address in addresses:
        if not _is_loopback(address):
            raise AccessDeniedError(
                f"BRAINTRUST_EVALS_AUTH is 'none', which serves this machine alone, not"
                f" {address[:100] or 'a client without an address'}; {_HINT}"
            )
    host = _host_name(request)
    if not (host == "localhost" or host.endswith(".localhost") or _is_loopback(host)):
        raise AccessDeniedError(
            f"BRAINTRUST_EVALS_AUTH is 'none', which serves this machine alone, not under the name"
            f" {host[:300]!r}; use the name localhost, or {_HINT}"
        )


def _is_loopback(address: str) -> bool:
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    mapped = getattr(parsed, "ipv4_mapped", None)
    return bool(parsed.is_loopback or (mapped is not None and mapped.is_loopback))


def _host_name(request: Request) -> str:
    try:
        return urlsplit(f"//{request.headers.get('Host', '')}").hostname or ""
    except ValueError:
        return ""
