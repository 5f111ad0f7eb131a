"""Decides which addresses the server may call with what Braintrust's answers name.

The addresses of the data plane and of the function proxy come out of the login's answer, and an
organisation chooses its own. Others come out of redirects and out of the answers about attachments.
None of them may lead the server to a machine of its own network.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import NamedTuple
from urllib.parse import urlsplit

from requests import PreparedRequest

from flask_braintrust_evals.errors import CloudAddressError

_DEFAULT_PORTS = {"http": 80, "https": 443}
_BRAINTRUST = ("braintrust.dev", "braintrustdata.dev", "braintrustdata.com")
"""Domains that belong to Braintrust itself."""
_HOW_TO_ALLOW = "set BRAINTRUST_API_URL, or add the host to BRAINTRUST_EVALS_API_HOSTS"

_NOT_PUBLIC_4 = tuple(
    IPv4Network(text)
    for text in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",  # shared by carriers; and the metadata service of Alibaba Cloud
        "127.0.0.0/8",
        "168.63.129.16/32",  # a service that every virtual machine of Azure can reach
        "169.254.0.0/16",  # link-local: the metadata services of most clouds
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.88.99.0/24",
        "192.168.0.0/16",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",
        "240.0.0.0/4",
    )
)
_NAT64 = IPv6Network("64:ff9b::/96")
_PUBLIC_6 = IPv6Network("2000::/3")
_NOT_PUBLIC_6 = tuple(
    IPv6Network(text)
    for text in (
        "2001::/23",  # protocols: Teredo, which holds an IPv4 address, and others
        "2001:db8::/32",
        "2002::/16",  # 6to4, which holds an IPv4 address
        "3fff::/20",
    )
)


def is_public(address: str) -> bool:
    """Return whether an IP address belongs to a machine on the public internet.

    IPv6 addresses that hold an IPv4 address are not, except those of NAT64, by which networks
    without IPv4 reach it: these are what the address in them is.
    """
    try:
        ip = ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(ip, IPv6Address):
        if ip not in _NAT64:
            return ip in _PUBLIC_6 and not any(ip in network for network in _NOT_PUBLIC_6)
        ip = IPv4Address(int(ip) & 0xFFFFFFFF)
    return not any(ip in network for network in _NOT_PUBLIC_4)


class Origin(NamedTuple):
    """Whom an address belongs to; the host in lower case, and without brackets."""

    scheme: str
    host: str
    port: int

    @classmethod
    def of(cls, url: str) -> Origin | None:
        """Return the origin of an address; ``None``: it is not an address of HTTP."""
        if not url.isprintable() or " " in url or "\\" in url:
            return None
        try:
            parts = urlsplit(url if url.isascii() else _in_ascii(url))
            port = parts.port
        except ValueError:
            return None
        default = _DEFAULT_PORTS.get(parts.scheme)
        if default is None or not parts.hostname or port == 0 or "@" in parts.netloc:
            return None
        return cls(parts.scheme, parts.hostname.rstrip("."), port or default)

    @property
    def netloc(self) -> str:
        """The host and the port, as in an address."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"


@dataclass(frozen=True)
class AddressRules:
    """The addresses that may be called although they are not public, or not HTTPS.

    Attributes:
        configured: the origins of the addresses in the settings.
        hosts: names or IP addresses of hosts, each with a port or without; ``*.`` at the beginning
            stands for all names below a domain.
    """

    configured: frozenset[Origin] = frozenset()
    hosts: tuple[str, ...] = ()

    @classmethod
    def of(cls, urls: Iterable[str | None], hosts: Iterable[str] = ()) -> AddressRules:
        """Return the rules for these addresses of the settings; ``None`` is left out."""
        origins = (Origin.of(url) for url in urls if url is not None)
        return cls(frozenset(each for each in origins if each is not None), tuple(hosts))

    def check(self, url: str, what: str) -> Origin:
        """Return the origin of an address that an answer has named.

        The addresses that its name has are checked when a connection is made.

        Args:
            url: the address.
            what: names it, for the error.

        Raises:
            CloudAddressError: it may not be called.
        """
        origin = Origin.of(url)
        if origin is None:
            raise CloudAddressError(f"{what} is not an http:// or https:// address")
        if not self.exempts(origin):
            if origin.scheme != "https":
                raise refused(what, origin, "is not https")
            if _is_ip(origin.host) and not is_public(origin.host):
                raise refused(what, origin, "is not public")
        return origin

    def check_behind_proxy(self, origin: Origin) -> None:
        """Check an address to which a proxy will connect, whose name only the proxy resolves.

        Raises:
            CloudAddressError: it is neither in the settings nor Braintrust's own.
        """
        if not self.exempts(origin) and not self._is_braintrust(origin):
            raise refused("the address", origin, "cannot be checked behind a proxy")

    def exempts(self, origin: Origin) -> bool:
        """Return whether the settings allow an address, whatever it is."""
        return origin in self.configured or any(_matches(each, origin) for each in self.hosts)

    def trusts(self, origin: Origin) -> bool:
        """Return whether the texts of errors from there may be shown to callers.

        Those of any other address are the texts of a server that an organisation has chosen.
        """
        return origin in self.configured or self._is_braintrust(origin)

    def _is_braintrust(self, origin: Origin) -> bool:
        return origin.scheme == "https" and any(
            origin.host == domain or origin.host.endswith("." + domain) for domain in _BRAINTRUST
        )


def refused(what: str, origin: Origin, why: str) -> CloudAddressError:
    """Return the error for an address that may not be called, with what an operator can do."""
    return CloudAddressError(
        f"{what} at {origin.host[:200]} {why}, so this server does not call it; if it should,"
        f" {_HOW_TO_ALLOW}"
    )


def _in_ascii(url: str) -> str:
    """Return an address as ``requests`` would call it. Raises ValueError if it would not."""
    request = PreparedRequest()
    request.prepare_url(url, None)
    return request.url or ""


def _matches(pattern: str, origin: Origin) -> bool:
    host, port = pattern.lower(), ""
    if ":" in host and not host.endswith("]"):
        host, _, port = host.rpartition(":")
    if port and port != str(origin.port):
        return False
    if host.startswith("*."):
        return origin.host.endswith(host[1:])
    return host.strip("[]") == origin.host


def _is_ip(host: str) -> bool:
    try:
        ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True
