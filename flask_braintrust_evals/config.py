"""The settings of the extension, which are read once, when a blueprint is registered.

Each key is looked up in ``app.config``, then in the environment variable of the same name; else it
has its default. ``BRAINTRUST_API_KEY`` is read from the environment only. A value of the wrong type
or range raises :class:`ConfigurationError`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

from .config_distribution import DistributionSettings, load_distribution
from .config_values import (
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
    refuse,
)
from .config_webhook import WebhookSettings, load_webhook
from .errors import ConfigurationError

T = TypeVar("T")
D = TypeVar("D")
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


@dataclass(frozen=True)
class Settings:
    """The settings of one application. Each field names its key."""

    app_url: str = "https://www.braintrust.dev"
    """``BRAINTRUST_APP_URL``: the address for logins, and of Braintrust's web pages."""
    api_url: str | None = None
    """``BRAINTRUST_API_URL``: replaces the address of the data plane from the login."""
    proxy_url: str | None = None
    """``BRAINTRUST_PROXY_URL``: replaces the address of the function proxy from the login."""
    api_hosts: tuple[str, ...] = ()
    """``BRAINTRUST_EVALS_API_HOSTS``: hosts that logins may name though they are not public."""
    api_key: str | None = field(default=None, repr=False)
    """``BRAINTRUST_API_KEY``, from the environment only: the key with which requests act if
    ``auth`` is ``"none"``, and with which ``flask evals run`` acts."""
    auth: Auth = "braintrust"
    """``BRAINTRUST_EVALS_AUTH``: how callers are authenticated: by Braintrust, not at all, or by a
    function of the application."""
    no_auth_remote: bool = False
    """``BRAINTRUST_EVALS_NO_AUTH_REMOTE``: if ``auth`` is ``"none"``, serve other machines too."""
    hosts: tuple[str, ...] = ()
    """``BRAINTRUST_EVALS_HOSTS`` and Flask's ``TRUSTED_HOSTS``: names of the server."""
    org_names: tuple[str, ...] = ()
    """``BRAINTRUST_EVALS_ORG_NAME``: ids and names of the organisations whose users are allowed;
    empty, or ``"*"``: all."""
    origins: tuple[OriginPattern, ...] = ()
    """``BRAINTRUST_EVALS_ORIGINS`` and ``WHITELISTED_ORIGIN``: further allowed origins."""
    session_limit: int = 64
    """``BRAINTRUST_EVALS_SESSION_LIMIT``: maximum number of sessions that are kept."""
    session_ttl: float = 900.0
    """``BRAINTRUST_EVALS_SESSION_TTL``: seconds after which a token is checked again."""
    max_concurrency: int = 10
    """``BRAINTRUST_EVALS_MAX_CONCURRENCY``: cases of one run at a time, by default."""
    concurrency_limit: int = 100
    """``BRAINTRUST_EVALS_CONCURRENCY_LIMIT``: cases of one run at a time that a request may ask for
    if the evaluator sets no ``max_concurrency``."""
    max_timeout: float = 86_400.0
    """``BRAINTRUST_EVALS_MAX_TIMEOUT``: seconds that a run may take if the evaluator sets no
    ``timeout``."""
    max_trials: int = 1000
    """``BRAINTRUST_EVALS_MAX_TRIALS``: trials of each case that a request may ask for."""
    max_cases: int = 100_000
    """``BRAINTRUST_EVALS_MAX_CASES``: cases of one run, with each trial counted."""
    blocking: bool = False
    """``BRAINTRUST_EVALS_BLOCKING``: under gevent, call the code of all evaluators in real threads,
    as if each was declared with ``blocking=True``."""
    max_runs: int = 1000
    """``BRAINTRUST_EVALS_MAX_RUNS``: maximum number of runs of one process at a time."""
    max_runs_per_caller: int | None = None
    """``BRAINTRUST_EVALS_MAX_RUNS_PER_CALLER``: of these, runs of one caller; ``None``: half."""
    max_runs_per_org: int | None = None
    """``BRAINTRUST_EVALS_MAX_RUNS_PER_ORG``: of these, runs of one organisation; ``None``: three
    quarters, or all if users of one organisation only are allowed."""
    max_running_cases: int | None = None
    """``BRAINTRUST_EVALS_MAX_RUNNING_CASES``: cases of all runs of a process at a time; ``None``:
    10,000 under gevent, where they are greenlets, or else 200, where they are threads."""
    max_body: int = 8 * 1024 * 1024
    """``BRAINTRUST_EVALS_MAX_BODY``: maximum size of a request's body, in bytes."""
    max_values: int = 250_000
    """``BRAINTRUST_EVALS_MAX_VALUES``: maximum number of JSON values in a request's body."""
    body_timeout: float = 120.0
    """``BRAINTRUST_EVALS_BODY_TIMEOUT``: seconds in which a request's body has to arrive."""
    heartbeat: float = 5.0
    """``BRAINTRUST_EVALS_HEARTBEAT``: seconds without an event after which a comment is sent."""
    send_timeout: float = 60.0
    """``BRAINTRUST_EVALS_SEND_TIMEOUT``: seconds that a client may take for a piece of a stream."""
    request_timeout: float = 30.0
    """``BRAINTRUST_EVALS_REQUEST_TIMEOUT``: seconds that one call to Braintrust may take."""
    tracer_provider: bool = False
    """``BRAINTRUST_EVALS_TRACER_PROVIDER``: install an OpenTelemetry SDK tracer provider if the
    application has none, so that spans of its libraries are recorded."""
    stack_traces: bool = True
    """``BRAINTRUST_EVALS_STACK_TRACES``: whether the traces in the callers' projects, and on the
    local page, have the stack traces of exceptions."""
    playground: bool = False
    """``BRAINTRUST_EVALS_PLAYGROUND``: serve a page that runs evaluators at ``/playground``."""
    git_metadata: bool = True
    """``BRAINTRUST_EVALS_GIT_METADATA``: whether experiments have the commit that the server runs
    from, if their organisation collects it."""
    openapi: bool = False
    """``BRAINTRUST_EVALS_OPENAPI``: serve a description of the endpoints at ``/openapi.json``."""
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

        def read(key: str, parse: Callable[[str, Any], T], default: D) -> T | D:
            value = config.get(key, MISSING)
            if value is MISSING or value is None:
                value = environ.get(key) or None
            return default if value is None else parse(key, value)

        defaults = cls()
        return cls(
            app_url=read("BRAINTRUST_APP_URL", parse_url, defaults.app_url),
            api_url=read("BRAINTRUST_API_URL", parse_url, None),
            proxy_url=read("BRAINTRUST_PROXY_URL", parse_url, None),
            api_hosts=read("BRAINTRUST_EVALS_API_HOSTS", parse_hosts, ()),
            api_key=parse_token("BRAINTRUST_API_KEY", environ.get("BRAINTRUST_API_KEY") or None),
            auth=read("BRAINTRUST_EVALS_AUTH", _auth, defaults.auth),
            org_names=read("BRAINTRUST_EVALS_ORG_NAME", parse_organizations, ()),
            origins=(
                *read("BRAINTRUST_EVALS_ORIGINS", parse_origins, ()),
                *read("WHITELISTED_ORIGIN", parse_origins, ()),
            ),
            session_limit=read(
                "BRAINTRUST_EVALS_SESSION_LIMIT", parse_integer(1, 100_000), defaults.session_limit
            ),
            session_ttl=read(
                "BRAINTRUST_EVALS_SESSION_TTL", parse_seconds(0.05, 86_400), defaults.session_ttl
            ),
            hosts=(
                *read("BRAINTRUST_EVALS_HOSTS", parse_own_hosts, ()),
                # Flask's own setting, which it reads from no variable of the environment.
                *parse_own_hosts("TRUSTED_HOSTS", config.get("TRUSTED_HOSTS") or ()),
            ),
            no_auth_remote=read("BRAINTRUST_EVALS_NO_AUTH_REMOTE", parse_switch, False),
            blocking=read("BRAINTRUST_EVALS_BLOCKING", parse_switch, False),
            max_runs=read(
                "BRAINTRUST_EVALS_MAX_RUNS", parse_integer(1, 1_000_000), defaults.max_runs
            ),
            max_runs_per_caller=read(
                "BRAINTRUST_EVALS_MAX_RUNS_PER_CALLER", parse_integer(1, 1_000_000), None
            ),
            max_runs_per_org=read(
                "BRAINTRUST_EVALS_MAX_RUNS_PER_ORG", parse_integer(1, 1_000_000), None
            ),
            max_running_cases=read(
                "BRAINTRUST_EVALS_MAX_RUNNING_CASES", parse_integer(1, 1_000_000), None
            ),
            tracer_provider=read("BRAINTRUST_EVALS_TRACER_PROVIDER", parse_switch, False),
            stack_traces=read("BRAINTRUST_EVALS_STACK_TRACES", parse_switch, True),
            playground=read("BRAINTRUST_EVALS_PLAYGROUND", parse_switch, False),
            git_metadata=read("BRAINTRUST_EVALS_GIT_METADATA", parse_switch, True),
            openapi=read("BRAINTRUST_EVALS_OPENAPI", parse_switch, False),
            distribution=load_distribution(read, config),
            webhook=load_webhook(read),
            max_concurrency=read(
                "BRAINTRUST_EVALS_MAX_CONCURRENCY", parse_integer(1, 1000), defaults.max_concurrency
            ),
            concurrency_limit=read(
                "BRAINTRUST_EVALS_CONCURRENCY_LIMIT",
                parse_integer(1, 10_000),
                defaults.concurrency_limit,
            ),
            max_timeout=read(
                "BRAINTRUST_EVALS_MAX_TIMEOUT",
                parse_seconds(0.05, 31_536_000),
                defaults.max_timeout,
            ),
            max_trials=read(
                "BRAINTRUST_EVALS_MAX_TRIALS", parse_integer(1, 10_000), defaults.max_trials
            ),
            max_cases=read(
                "BRAINTRUST_EVALS_MAX_CASES", parse_integer(1, 10**9), defaults.max_cases
            ),
            max_body=read("BRAINTRUST_EVALS_MAX_BODY", parse_integer(1, 2**40), defaults.max_body),
            max_values=read(
                "BRAINTRUST_EVALS_MAX_VALUES", parse_integer(1, 2**40), defaults.max_values
            ),
            body_timeout=read(
                "BRAINTRUST_EVALS_BODY_TIMEOUT", parse_seconds(0.05, 3600), defaults.body_timeout
            ),
            heartbeat=read(
                "BRAINTRUST_EVALS_HEARTBEAT", parse_seconds(0.05, 600), defaults.heartbeat
            ),
            send_timeout=read(
                "BRAINTRUST_EVALS_SEND_TIMEOUT", parse_seconds(1, 86_400), defaults.send_timeout
            ),
            request_timeout=read(
                "BRAINTRUST_EVALS_REQUEST_TIMEOUT",
                parse_seconds(0.05, 3600),
                defaults.request_timeout,
            ),
        )


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
