"""Parses the values of settings, which are objects of ``app.config`` or texts of the environment.

Each function takes the key of a setting and its value, and returns the value that the settings
have, or raises :class:`ConfigurationError` with the key, the value and what is allowed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import field, fields
from ipaddress import IPv6Address
from typing import Any, TypeVar
from urllib.parse import SplitResult, urlsplit

from flask_braintrust_evals.errors import ConfigurationError

OriginPattern = str | re.Pattern[str]
ANY_ORGANIZATION = "*"
"""Stands for all organisations of Braintrust."""
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII | re.IGNORECASE)

T = TypeVar("T")
D = TypeVar("D")
Read = Callable[[str, Callable[[str, Any], Any], Any], Any]
"""Returns the value of a setting, by its key, what parses it, and its default."""


def setting(key: str, parse: Callable[[str, Any], T], default: D) -> T | D:
    """Return a field of a dataclass of settings, for :func:`read_settings`."""
    return field(default=default, metadata={"key": key, "parse": parse})


def read_settings(kind: Any, read: Read) -> dict[str, Any]:
    """Return the values of those fields of a dataclass that :func:`setting` has made."""
    return {
        each.name: read(each.metadata["key"], each.metadata["parse"], each.default)
        for each in fields(kind)
        if each.metadata
    }


def refuse(key: str, value: object, allowed: str) -> ConfigurationError:
    """Return the error of a value that a setting must not have."""
    return ConfigurationError(f"{key} is {value!r}, but must be {allowed}")


def parse_token(what: str, value: Any) -> str | None:
    """Return a token without surrounding whitespace, such as the last newline of a file."""
    if value is None:
        return None
    token = value.strip() if isinstance(value, str) else ""
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        # The value is not quoted, because it may be a token with a mistake. Nor may it be in the
        # variables of this frame, which crash reporters record.
        del value, token
        raise ConfigurationError(f"{what} must be a text of visible ASCII characters")
    return token


def parse_url(key: str, value: Any, example: str = "https://www.braintrust.dev") -> str:
    """Return the address of a server, without a slash at its end."""
    allowed = f"an http:// or https:// address such as {example!r}"
    parts = _split(value)
    if parts is None or parts.scheme not in ("http", "https") or parts.query or parts.fragment:
        raise _refused_url(key, value, allowed)
    if parts.username is not None or parts.password is not None:
        raise _refused_url(key, value, allowed)
    return parts.geturl().rstrip("/")


def _refused_url(key: str, value: Any, allowed: str) -> ConfigurationError:
    """Return the error of an address, which quotes neither a password nor a query."""
    if isinstance(value, str) and "@" in value:
        return ConfigurationError(f"{key} must not hold a user name or a password")
    if isinstance(value, str) and "?" in value:
        return refuse(key, value.partition("?")[0] + "?…", f"{allowed}, without a query")
    return refuse(key, value, allowed)


def _split(value: Any) -> SplitResult | None:
    """Return the parts of an address; ``None``: it is not a valid one."""
    if not isinstance(value, str) or any(
        character.isspace() or not character.isprintable() for character in value
    ):
        return None
    try:
        parts = urlsplit(value)
        valid = parts.hostname is not None and (parts.port is None or parts.port > 0)
        if "[" in parts.netloc:  # older versions of Python do not check it
            IPv6Address((parts.hostname or "").partition("%")[0])
    except ValueError:  # reading a port that is not a number raises it, too
        return None
    return parts if valid else None


def parse_hosts(key: str, value: Any) -> tuple[str, ...]:
    """Return names or addresses of hosts, with ports or without."""
    allowed = "a list of hosts such as 'api.example.com', 'api.example.com:8443', '*.example.com'"
    hosts = _strings(key, value, allowed)
    for host in hosts:
        if not isinstance(host, str) or not _is_host(host.removeprefix("*.")):
            raise refuse(key, value, allowed)
    return hosts


def _is_host(text: str) -> bool:
    parts = _split(f"https://{text}")
    allowed = parts is not None and parts.netloc == text and text.isascii()
    return allowed and not set("@*,") & set(text) and not text.endswith(":")


def parse_switch(key: str, value: Any) -> bool:
    """Return whether something is on."""
    # Environment variables are texts, and numbers where Flask's from_prefixed_env has read them.
    known = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
    if str(value).lower() not in known:
        raise refuse(key, value, "True or False")
    return known[str(value).lower()]


def _strings(key: str, value: Any, what: str) -> tuple[Any, ...]:
    """Return a list unchanged; split a string at commas, as environment variables need it."""
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    if isinstance(value, re.Pattern):
        return (value,)
    if isinstance(value, Sequence | set | frozenset) and not isinstance(value, bytes):
        return tuple(value)
    raise refuse(key, value, what)


def parse_organizations(key: str, value: Any) -> tuple[str, ...]:
    """Return ids and names of organisations, or ``("*",)``."""
    allowed = "the id or the name of an organisation, a list of them, or '*' alone for all"
    names = _strings(key, value, allowed)
    if not all(isinstance(name, str) and name for name in names):
        raise refuse(key, value, allowed)
    if ANY_ORGANIZATION in names and len(names) > 1:
        raise refuse(key, value, allowed)
    return names


def is_organization_id(text: str) -> bool:
    """Return whether a text has the form of an organisation's id in Braintrust, a UUID."""
    return _UUID.fullmatch(text) is not None


def parse_own_hosts(key: str, value: Any) -> tuple[str, ...]:
    """Return host names of this server, in lower case, in ASCII and without ports."""
    allowed = (
        "a list of host names such as 'tools.example.com', or '.example.com' for that and all of"
        " its subdomains"
    )
    hosts = []
    for host in _strings(key, value, allowed):
        name = host.lower() if isinstance(host, str) else ""
        parts = _split(f"//{name.removeprefix('.')}")
        if "*" in name or parts is None or parts.hostname is None or parts.netloc not in name:
            raise refuse(key, value, allowed)
        if parts.username is not None or parts.path or parts.query or parts.fragment:
            raise refuse(key, value, allowed)
        sent = _in_ascii(key, value, parts.hostname.removesuffix("."))
        hosts.append(("." if name.startswith(".") else "") + sent)
    return tuple(hosts)


def _in_ascii(key: str, value: Any, host: str) -> str:
    """Return a host, with a port or without, as browsers send it.

    Raises:
        ConfigurationError: its form is not known. The codec is of an old standard, which makes
            other names of some letters, such as one with "ss" of one with a sharp s.
    """
    if host.isascii():
        return host
    name, colon, port = host.partition(":")
    try:
        sent = name.encode("idna")
        if sent.decode("idna") == name:
            return sent.decode() + colon + port
    except UnicodeError:
        pass
    raise refuse(key, value, "written as browsers send it, such as 'xn--bcher-kva.example'")


def parse_origins(key: str, value: Any) -> tuple[OriginPattern, ...]:
    """Return origins of pages, and patterns of such."""
    allowed = (
        "a list of origins such as 'https://tools.example.com' (scheme, host and any unusual"
        " port, nothing after them) or of compiled patterns such as"
        " re.compile(r'https://[a-z]+\\.example\\.com') in app.config"
    )
    origins: list[OriginPattern] = []
    for origin in _strings(key, value, allowed):
        if isinstance(origin, re.Pattern) and isinstance(origin.pattern, str):
            origins.append(origin)
            continue
        if not isinstance(origin, str) or not _is_origin(origin):
            raise refuse(key, value, allowed)
        scheme, _, host = origin.partition("://")
        origins.append(f"{scheme}://{_in_ascii(key, value, host)}")
    return tuple(origins)


def _is_origin(text: str) -> bool:
    parts = _split(text)
    if parts is None or parts.username is not None or text != text.lower():
        return False
    # No browser sends a wildcard, or the port that a scheme has anyway, or one in another form.
    port = "" if parts.port is None else f":{parts.port}"
    has_form = parts.netloc.endswith(port) and not parts.netloc.endswith(":")
    if "*" in text or parts.port == {"http": 80, "https": 443}.get(parts.scheme, 0) or not has_form:
        return False
    return f"{parts.scheme}://{parts.netloc}" == text


def parse_integer(low: int, high: int) -> Callable[[str, Any], int]:
    """Return a function that parses whole numbers of this range."""

    def parse(key: str, value: Any) -> int:
        allowed = f"a whole number from {low} to {high}"
        try:
            number = int(value) if isinstance(value, str) else value
        except ValueError:
            raise refuse(key, value, allowed) from None
        if not isinstance(number, int) or isinstance(number, bool) or not low <= number <= high:
            raise refuse(key, value, allowed)
        return number

    return parse


def parse_seconds(low: float, high: float) -> Callable[[str, Any], float]:
    """Return a function that parses durations of this range."""

    def parse(key: str, value: Any) -> float:
        allowed = f"a number of seconds from {low} to {high}"
        try:
            number = float(value) if isinstance(value, str) else value
        except ValueError:
            raise refuse(key, value, allowed) from None
        if not isinstance(number, int | float) or isinstance(number, bool):
            raise refuse(key, value, allowed)
        if not low <= number <= high:
            raise refuse(key, value, allowed)
        return float(number)

    return parse
