"""The settings of the extension, which are read once, when a blueprint is registered.

Each key is looked up in ``app.config``, then in the environment variable of the same name; else it
has its default. ``BRAINTRUST_API_KEY`` is read from the environment only. A value of the wrong type
or range raises :class:`ConfigurationError`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from flask_braintrust_evals.errors import ConfigurationError

from .distribution import DistributionSettings, load_distribution
from .values import (
    ANY_ORGANIZATION,
    OriginPattern,
    is_organization_id,
    parse_hosts,
    parse_integer,
    parse_organizations,
    parse_origins,
    parse_own_hosts,
    parse_seconds,
    parse_switch,
    parse_token,
    parse_url,
    read_settings,
    refuse,
    setting,
)
from .webhook import WebhookSettings, load_webhook

Authenticator = Callable[[Any], "Session | None"]
Auth = Literal["braintrust", "none"] | Authenticator
MISSING = object()

OPEN_HEADER = "x-evals-open-to"
"""A header in answers of ``/list``, where :attr:`Settings.is_open_by_default`. Only callers who are
let in see it. ``flask evals check`` reads it."""

__all__ = [
    "WebhookSettings",
    "OPEN_HEADER",
    "Auth",
    "DistributionSettings",
    "OriginPattern",
    "Session",
    "Settings",
    "is_organization_id",
]


@dataclass(frozen=True)
class Session:
    """The user that a request acts as, returned by a function set as ``BRAINTRUST_EVALS_AUTH``.

    Attributes:
        token: the Braintrust API key to act with; ``None``: the request acts without Braintrust.
        org_name: the organisation to act in; ``None``: the token's only one.
        caller: the person or program that sends the request, for the quota of runs of each caller;
            ``None``: all requests with the same token are one caller.

    Raises:
        ConfigurationError: the token has characters that no header can carry, or the caller is no
            text.
    """

    token: str | None = field(default=None, repr=False)
    org_name: str | None = None
    caller: str | None = None

    def __post_init__(self) -> None:
        if self.caller is not None and not (isinstance(self.caller, str) and self.caller):
            raise ConfigurationError("a Session's caller must be a text, and not empty")
        if self.token is not None:
            object.__setattr__(self, "token", parse_token("a Session's token", self.token))


def _auth(key: str, value: Any) -> Auth:
    if value == "braintrust":
        return "braintrust"
    if value == "none":
        return "none"
    if callable(value):
        authenticator: Authenticator = value
        return authenticator
    raise refuse(
        key, value, "'braintrust', 'none', or a function that takes a request and returns a Session"
    )


@dataclass(frozen=True)
class Settings:
    """The settings of one application. Each field names its key, its parser and its default."""

    app_url: str = setting("BRAINTRUST_APP_URL", parse_url, "https://www.braintrust.dev")
    """The address for logins, and of Braintrust's web pages."""
    api_url: str | None = setting("BRAINTRUST_API_URL", parse_url, None)
    """Replaces the address of the data plane from the login."""
    proxy_url: str | None = setting("BRAINTRUST_PROXY_URL", parse_url, None)
    """Replaces the address of the function proxy from the login."""
    api_hosts: tuple[str, ...] = setting("BRAINTRUST_EVALS_API_HOSTS", parse_hosts, ())
    """Hosts that logins may name though they are not public."""
    api_key: str | None = field(default=None, repr=False)
    """``BRAINTRUST_API_KEY``, from the environment only: the key with which requests act if
    ``auth`` is ``"none"``, and with which ``flask evals run`` acts."""
    auth: Auth = setting("BRAINTRUST_EVALS_AUTH", _auth, "braintrust")
    """How callers are authenticated: by Braintrust, not at all, or by a function of the
    application."""
    no_auth_remote: bool = setting("BRAINTRUST_EVALS_NO_AUTH_REMOTE", parse_switch, False)
    """If ``auth`` is ``"none"``, serve other machines too."""
    hosts: tuple[str, ...] = ()
    """``BRAINTRUST_EVALS_HOSTS`` and Flask's ``TRUSTED_HOSTS``: names of the server."""
    org_names: tuple[str, ...] = setting("BRAINTRUST_EVALS_ORG_NAME", parse_organizations, ())
    """Ids and names of the organisations whose users are allowed; empty, or ``"*"``: all."""
    origins: tuple[OriginPattern, ...] = ()
    """``BRAINTRUST_EVALS_ORIGINS`` and ``WHITELISTED_ORIGIN``: further allowed origins."""
    session_limit: int = setting("BRAINTRUST_EVALS_SESSION_LIMIT", parse_integer(1, 100_000), 64)
    """Maximum number of sessions that are kept."""
    session_ttl: float = setting("BRAINTRUST_EVALS_SESSION_TTL", parse_seconds(0.05, 86_400), 900.0)
    """Seconds after which a token is checked again."""
    max_concurrency: int = setting("BRAINTRUST_EVALS_MAX_CONCURRENCY", parse_integer(1, 1000), 10)
    """Cases of one run at a time, by default."""
    concurrency_limit: int = setting(
        "BRAINTRUST_EVALS_CONCURRENCY_LIMIT", parse_integer(1, 10_000), 100
    )
    """Cases of one run at a time that a request may ask for if the evaluator sets no
    ``max_concurrency``."""
    max_timeout: float = setting(
        "BRAINTRUST_EVALS_MAX_TIMEOUT", parse_seconds(0.05, 31_536_000), 86_400.0
    )
    """Seconds that a run may take if the evaluator sets no ``timeout``."""
    max_trials: int = setting("BRAINTRUST_EVALS_MAX_TRIALS", parse_integer(1, 10_000), 1000)
    """Trials of each case that a request may ask for."""
    max_cases: int = setting("BRAINTRUST_EVALS_MAX_CASES", parse_integer(1, 10**9), 100_000)
    """Cases of one run, with each trial counted."""
    blocking: bool = setting("BRAINTRUST_EVALS_BLOCKING", parse_switch, False)
    """Under gevent, call the code of all evaluators in real threads, as if each was declared
    with ``blocking=True``."""
    max_runs: int = setting("BRAINTRUST_EVALS_MAX_RUNS", parse_integer(1, 1_000_000), 1000)
    """Maximum number of runs of one process at a time."""
    max_runs_per_caller: int | None = setting(
        "BRAINTRUST_EVALS_MAX_RUNS_PER_CALLER", parse_integer(1, 1_000_000), None
    )
    """Of these, runs of one caller; ``None``: half."""
    max_runs_per_org: int | None = setting(
        "BRAINTRUST_EVALS_MAX_RUNS_PER_ORG", parse_integer(1, 1_000_000), None
    )
    """Of these, runs of one organisation; ``None``: three quarters, or all if users of one
    organisation only are allowed."""
    max_running_cases: int | None = setting(
        "BRAINTRUST_EVALS_MAX_RUNNING_CASES", parse_integer(1, 1_000_000), None
    )
    """Cases of all runs of a process at a time; ``None``: 10,000 under gevent, where they are
    greenlets, or else 200, where they are threads."""
    max_body: int = setting("BRAINTRUST_EVALS_MAX_BODY", parse_integer(1, 2**40), 8 * 1024 * 1024)
    """Maximum size of a request's body, in bytes."""
    max_values: int = setting("BRAINTRUST_EVALS_MAX_VALUES", parse_integer(1, 2**40), 250_000)
    """Maximum number of JSON values in a request's body."""
    body_timeout: float = setting("BRAINTRUST_EVALS_BODY_TIMEOUT", parse_seconds(0.05, 3600), 120.0)
    """Seconds in which a request's body has to arrive."""
    heartbeat: float = setting("BRAINTRUST_EVALS_HEARTBEAT", parse_seconds(0.05, 600), 5.0)
    """Seconds without an event after which a comment is sent."""
    send_timeout: float = setting("BRAINTRUST_EVALS_SEND_TIMEOUT", parse_seconds(1, 86_400), 60.0)
    """Seconds that a client may take for a piece of a stream."""
    request_timeout: float = setting(
        "BRAINTRUST_EVALS_REQUEST_TIMEOUT", parse_seconds(0.05, 3600), 30.0
    )
    """Seconds that one call to Braintrust may take."""
    tracer_provider: bool = setting("BRAINTRUST_EVALS_TRACER_PROVIDER", parse_switch, False)
    """Install an OpenTelemetry SDK tracer provider if the application has none, so that spans
    of its libraries are recorded."""
    stack_traces: bool = setting("BRAINTRUST_EVALS_STACK_TRACES", parse_switch, True)
    """Whether the traces in the callers' projects, and on the local page, have the stack traces
    of exceptions."""
    playground: bool = setting("BRAINTRUST_EVALS_PLAYGROUND", parse_switch, False)
    """Serve a page that runs evaluators at ``/playground``."""
    git_metadata: bool = setting("BRAINTRUST_EVALS_GIT_METADATA", parse_switch, True)
    """Whether experiments have the commit that the server runs from, if their organisation
    collects it."""
    openapi: bool = setting("BRAINTRUST_EVALS_OPENAPI", parse_switch, False)
    """Serve a description of the endpoints at ``/openapi.json``."""
    distribution: DistributionSettings | None = None
    """Where cases run, if not in the process that serves the run."""
    webhook: WebhookSettings | None = None
    """What is called when a run has ended."""

    @property
    def runs_per_caller(self) -> int:
        """How many runs of one caller a process has at a time."""
        return self.max_runs_per_caller or math.ceil(self.max_runs / 2)

    @property
    def runs_per_org(self) -> int:
        """How many runs of one organisation a process has at a time."""
        usual = self.max_runs if self.only_organization else math.ceil(self.max_runs * 3 / 4)
        return self.max_runs_per_org or usual

    @property
    def allows_every_organization(self) -> bool:
        """Whether users of all organisations of Braintrust are allowed."""
        return self.org_names in ((), (ANY_ORGANIZATION,))

    @property
    def is_open_by_default(self) -> bool:
        """Whether they are allowed, and nobody has written that they should be."""
        return self.auth == "braintrust" and not self.org_names

    @property
    def only_organization(self) -> str | None:
        """The id or the name of the only one that is allowed; ``None``: there are several."""
        return self.first_organization if len(self.org_names) == 1 else None

    @property
    def first_organization(self) -> str | None:
        """The id or the name of the first one that is allowed; ``None``: all are."""
        return None if self.allows_every_organization else self.org_names[0]

    @classmethod
    def load(cls, config: Mapping[str, Any], environ: Mapping[str, str]) -> Settings:
        """Read the settings of an application.

        Args:
            config: the application's configuration.
            environ: the environment variables.

        Raises:
            ConfigurationError: a value is of the wrong type or range.
        """

        def read(key: str, parse: Callable[[str, Any], Any], default: Any) -> Any:
            value = config.get(key, MISSING)
            if value is MISSING or value is None:
                value = environ.get(key) or None
            return default if value is None else parse(key, value)

        return cls(
            **read_settings(cls, read),
            api_key=parse_token("BRAINTRUST_API_KEY", environ.get("BRAINTRUST_API_KEY") or None),
            hosts=(
                *read("BRAINTRUST_EVALS_HOSTS", parse_own_hosts, ()),
                # Flask's own setting, which it reads from no variable of the environment.
                *parse_own_hosts("TRUSTED_HOSTS", config.get("TRUSTED_HOSTS") or ()),
            ),
            origins=(
                *read("BRAINTRUST_EVALS_ORIGINS", parse_origins, ()),
                *read("WHITELISTED_ORIGIN", parse_origins, ()),
            ),
            distribution=load_distribution(read, config),
            webhook=load_webhook(read),
        )
