"""Decides whether the server is meant by the host name that a request was sent to.

With DNS rebinding, the host name of a foreign page resolves to this server. For the browser, the
page and the server then have the same origin, so that the page may send any request and read the
answer. The ``Host`` header still has the name of the foreign page.
"""

from __future__ import annotations

import ipaddress
import re

from flask import Request

from flask_braintrust_evals.config.settings import Settings

_HOST = re.compile(
    r"(?:\[(?P<address>[0-9a-f:.]+)\]|(?P<name>[^\s:/@?#\\\[\]]+))(?::\d*)?", re.ASCII
)


def host_name(request: Request) -> str:
    """Return the name or the address in the ``Host`` header, in lower case; empty: there is none.

    Text that no browser sends, such as ``user@localhost``, is returned unchanged.
    """
    host = request.headers.get("Host", "").lower()
    match = _HOST.fullmatch(host)
    return host if match is None else (match["address"] or match["name"]).removesuffix(".")


def is_loopback(address: str) -> bool:
    """Return whether an IP address is one of this machine."""
    parsed = _address(address)
    if parsed is None:
        return False
    mapped = getattr(parsed, "ipv4_mapped", None)
    return bool(parsed.is_loopback or (mapped is not None and mapped.is_loopback))


def is_own_machine(name: str) -> bool:
    """Return whether a name or an address always means the machine that it is used on."""
    return name == "localhost" or name.endswith(".localhost") or is_loopback(name)


def is_known_host(request: Request, settings: Settings) -> bool:
    """Return whether the request was sent to a name that the server is known to have.

    These are the names of the own machine, those of ``BRAINTRUST_EVALS_HOSTS`` and of Flask's
    ``TRUSTED_HOSTS``, and all IP addresses: a foreign page cannot have the address of this server.
    """
    name = host_name(request)
    return is_own_machine(name) or _address(name) is not None or is_listed(name, settings.hosts)


def is_listed(name: str, hosts: tuple[str, ...]) -> bool:
    """Return whether a host name is one of ``hosts``; ``.example.com`` includes subdomains."""
    return any(
        name == host.removeprefix(".") or (host.startswith(".") and name.endswith(host))
        for host in hosts
    )


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None
