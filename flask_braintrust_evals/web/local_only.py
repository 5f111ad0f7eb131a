"""No-auth mode serves the machine it runs on, and no web page that pretends to be of it."""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import urlsplit

from flask import Request

from flask_braintrust_evals.errors import AccessDeniedError

_FORWARDED_FOR = re.compile(r'\bfor=("[^"]*"|[^;,\s]*)', re.IGNORECASE)
_HINT = "use BRAINTRUST_EVALS_AUTH='braintrust' to serve others"


def check_local(request: Request) -> None:
    """Refuse what does not come from this machine.

    Raises:
        AccessDeniedError: the client, or one that a proxy names, is on another machine; or the
            ``Host`` is not a name of this one, as in DNS rebinding, where a page's own host name is
            made to lead here.
    """
    addresses = [request.remote_addr or ""]
    # Behind a proxy on this machine everybody seems local; the proxy knows better.
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
            f" {host[:300]!r}; call it localhost, or {_HINT}"
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
