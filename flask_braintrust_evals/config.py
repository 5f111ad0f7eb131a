"""The settings of the extension, which are read once, when a blueprint is registered.

Each key is looked up in ``app.config``, then in the environment variable of the same name; else it
has its default. ``BRAINTRUST_API_KEY`` is read from the environment only. A value of the wrong type
or range raises :class:`ConfigurationError`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv6Address
from typing import Any, Literal, TypeVar
from urllib.parse import SplitResult, urlsplit

from .errors import ConfigurationError

T = TypeVar("T")
D = TypeVar("D")
OriginPattern = str | re.Pattern[str]
Authenticator = Callable[[Any], "Session | None"]
Auth = Literal["braintrust", "none"] | Authenticator
MISSING = object()


@dataclass(frozen=True)
class Session:
    """The user that a request acts as, returned by a function set as ``BRAINTRUST_EVALS_AUTH``.

    Attributes:
        token: the Braintrust API key to act with; ``None``: the request acts without Braintrust.
        org_name: the organisation to act in; ``None``: the token's only one.

    Raises:
        ConfigurationError: the token has characters that no header can carry.
    """

    token: str | None = field(default=None, repr=False)
    org_name: str | None = None

    def __post_init__(self) -> None:
        if self.token is not None:
            object.__setattr__(self, "token", _token("a Session's token", self.token))


@dataclass(frozen=True)
class Settings:
    """The settings of one application. Each field names its key."""

    app_url: str = "https://www.braintrust.dev"
    """``BRAINTRUST_APP_URL``: the address for logins, and of Braintrust's web pages."""
    api_url: str | None = None
    """``BRAINTRUST_API_URL``: replaces the address of the data plane from the login."""
    proxy_url: str | None = None
    """``BRAINTRUST_PROXY_URL``: replaces the address of the function proxy from the login."""
    api_key: str | None = field(default=None, repr=False)
    """``BRAINTRUST_API_KEY``, from the environment only: the key with which requests act if
    ``auth`` is ``"none"``, and with which ``flask evals run`` acts."""
    auth: Auth = "braintrust"
    """``BRAINTRUST_EVALS_AUTH``: how callers are authenticated: by Braintrust, not at all, or by a
    function of the application."""
    no_auth_remote: bool = False
    """``BRAINTRUST_EVALS_NO_AUTH_REMOTE``: if ``auth`` is ``"none"``, serve other machines too."""
    org_names: tuple[str, ...] = ()
    """``BRAINTRUST_EVALS_ORG_NAME``: organisations whose users are allowed; empty: all."""
    origins: tuple[OriginPattern, ...] = ()
    """``BRAINTRUST_EVALS_ORIGINS`` and ``WHITELISTED_ORIGIN``: further allowed origins."""
    session_limit: int = 64
    """``BRAINTRUST_EVALS_SESSION_LIMIT``: maximum number of sessions that are kept."""
    session_ttl: float = 900.0
    """``BRAINTRUST_EVALS_SESSION_TTL``: seconds after which a token is checked again."""
    max_concurrency: int = 10
    """``BRAINTRUST_EVALS_MAX_CONCURRENCY``: cases of one run at a time, by default."""
    blocking: bool = False
    """``BRAINTRUST_EVALS_BLOCKING``: under gevent, call the code of all evaluators in real threads,
    as if each was declared with ``blocking=True``."""
    max_runs: int = 1000
    """``BRAINTRUST_EVALS_MAX_RUNS``: maximum number of runs of one process at a time."""
    max_body: int = 64 * 1024 * 1024
    """``BRAINTRUST_EVALS_MAX_BODY``: maximum size of a request's body, in bytes."""
    heartbeat: float = 5.0
    """``BRAINTRUST_EVALS_HEARTBEAT``: seconds without an event after which a comment is sent."""
    request_timeout: float = 30.0
    """``BRAINTRUST_EVALS_REQUEST_TIMEOUT``: seconds that one call to Braintrust may take."""
    tracer_provider: bool = False
    """``BRAINTRUST_EVALS_TRACER_PROVIDER``: install an OpenTelemetry SDK tracer provider if the
    application has none, so that spans of its libraries are recorded."""
    playground: bool = False
    """``BRAINTRUST_EVALS_PLAYGROUND``: serve a page that runs evaluators at ``/playground``."""
    openapi: bool = False
    """``BRAINTRUST_EVALS_OPENAPI``: serve a description of the endpoints at ``/openapi.json``."""

    @classmethod
    def load(cls, config: Mapping[str, Any], environ: Mapping[str, str]) -> Settings:
        """Read the settings of an application.

        Args:
            config: the application's configuration.
            environ: the environment variables.

        Raises:
            ConfigurationError: a value is of the wrong type or range.
        """

        def read(key: str, parse: Callable[[str, Any], T], default: D) -> T | D:
            value = config.get(key, MISSING)
            if value is MISSING or value is None:
                value = environ.get(key) or None
            return default if value is None else parse(key, value)

        defaults = cls()
        return cls(
            app_url=read("BRAINTRUST_APP_URL", _url, defaults.app_url),
            api_url=read("BRAINTRUST_API_URL", _url, None),
            proxy_url=read("BRAINTRUST_PROXY_URL", _url, None),
            api_key=_token("BRAINTRUST_API_KEY", environ.get("BRAINTRUST_API_KEY") or None),
            auth=read("BRAINTRUST_EVALS_AUTH", _auth, defaults.auth),
            org_names=read("BRAINTRUST_EVALS_ORG_NAME", _names, ()),
            origins=(
                *read("BRAINTRUST_EVALS_ORIGINS", _origins, ()),
                *read("WHITELISTED_ORIGIN", _origins, ()),
            ),
            session_limit=read(
                "BRAINTRUST_EVALS_SESSION_LIMIT", _integer(1, 100_000), defaults.session_limit
            ),
            session_ttl=read(
                "BRAINTRUST_EVALS_SESSION_TTL", _seconds(0.05, 86_400), defaults.session_ttl
            ),
            no_auth_remote=read("BRAINTRUST_EVALS_NO_AUTH_REMOTE", _switch, False),
            blocking=read("BRAINTRUST_EVALS_BLOCKING", _switch, False),
            max_runs=read("BRAINTRUST_EVALS_MAX_RUNS", _integer(1, 1_000_000), defaults.max_runs),
            tracer_provider=read("BRAINTRUST_EVALS_TRACER_PROVIDER", _switch, False),
            playground=read("BRAINTRUST_EVALS_PLAYGROUND", _switch, False),
            openapi=read("BRAINTRUST_EVALS_OPENAPI", _switch, False),
            max_concurrency=read(
                "BRAINTRUST_EVALS_MAX_CONCURRENCY", _integer(1, 1000), defaults.max_concurrency
            ),
            max_body=read("BRAINTRUST_EVALS_MAX_BODY", _integer(1, 2**40), defaults.max_body),
            heartbeat=read("BRAINTRUST_EVALS_HEARTBEAT", _seconds(0.05, 600), defaults.heartbeat),
            request_timeout=read(
                "BRAINTRUST_EVALS_REQUEST_TIMEOUT", _seconds(0.05, 3600), defaults.request_timeout
            ),
        )


def _refuse(key: str, value: object, allowed: str) -> ConfigurationError:
    return ConfigurationError(f"{key} is {value!r}, but must be {allowed}.")


def _token(what: str, value: Any) -> str | None:
    """Return a token without surrounding whitespace, such as the last newline of a file."""
    if value is None:
        return None
    token = value.strip() if isinstance(value, str) else ""
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        # The value is not quoted, because it may be a token with a mistake.
        raise ConfigurationError(f"{what} must be a text of visible ASCII characters.")
    return token


def _url(key: str, value: Any) -> str:
    allowed = "an http:// or https:// address such as 'https://www.braintrust.dev'"
    parts = _split(value)
    if parts is None or parts.scheme not in ("http", "https") or parts.query or parts.fragment:
        raise _refuse(key, value, allowed)
    if parts.username is not None or parts.password is not None:
        # The value is not quoted, because it contains a password.
        raise ConfigurationError(f"{key} must not hold a user name or a password.")
    return parts.geturl().rstrip("/")


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


def _auth(key: str, value: Any) -> Auth:
    if value == "braintrust":
        return "braintrust"
    if value == "none":
        return "none"
    if callable(value):
        authenticator: Authenticator = value
        return authenticator
    raise _refuse(
        key, value, "'braintrust', 'none', or a function that takes a request and returns a Session"
    )


def _switch(key: str, value: Any) -> bool:
    if isinstance(value, bool):
        return value
    # Environment variables are texts.
    known = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
    if isinstance(value, str) and value.lower() in known:
        return known[value.lower()]
    raise _refuse(key, value, "True or False")


def _strings(key: str, value: Any, what: str) -> tuple[Any, ...]:
    """Return a list unchanged; split a string at commas, as environment variables need it."""
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    if isinstance(value, re.Pattern):
        return (value,)
    if isinstance(value, Sequence | set | frozenset) and not isinstance(value, bytes):
        return tuple(value)
    raise _refuse(key, value, what)


def _names(key: str, value: Any) -> tuple[str, ...]:
    allowed = "the name of an organisation, or a list of names"
    names = _strings(key, value, allowed)
    if not all(isinstance(name, str) and name for name in names):
        raise _refuse(key, value, allowed)
    return names


def _origins(key: str, value: Any) -> tuple[OriginPattern, ...]:
    allowed = (
        "a list of origins such as 'https://tools.example.com' (scheme, host and port, nothing"
        " after them) or of compiled patterns"
    )
    origins = _strings(key, value, allowed)
    for origin in origins:
        if isinstance(origin, re.Pattern) and isinstance(origin.pattern, str):
            continue
        if not isinstance(origin, str) or not _is_origin(origin):
            raise _refuse(key, value, allowed)
    return origins


def _is_origin(text: str) -> bool:
    parts = _split(text)
    if parts is None or parts.username is not None or text != text.lower():
        return False
    return f"{parts.scheme}://{parts.netloc}" == text


def _integer(low: int, high: int) -> Callable[[str, Any], int]:
    def parse(key: str, value: Any) -> int:
        allowed = f"a whole number from {low} to {high}"
        try:
            number = int(value) if isinstance(value, str) else value
        except ValueError:
            raise _refuse(key, value, allowed) from None
        if not isinstance(number, int) or isinstance(number, bool) or not low <= number <= high:
            raise _refuse(key, value, allowed)
        return number

    return parse


def _seconds(low: float, high: float) -> Callable[[str, Any], float]:
    def parse(key: str, value: Any) -> float:
        allowed = f"a number of seconds from {low:g} to {high:g}"
        try:
            number = float(value) if isinstance(value, str) else value
        except ValueError:
            raise _refuse(key, value, allowed) from None
        if not isinstance(number, int | float) or isinstance(number, bool):
            raise _refuse(key, value, allowed)
        if not low <= number <= high:
            raise _refuse(key, value, allowed)
        return float(number)

    return parse
