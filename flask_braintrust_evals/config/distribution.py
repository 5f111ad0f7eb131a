"""The settings of runs whose cases run on other machines."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from flask_braintrust_evals.errors import ConfigurationError

from .values import Read, parse_integer, parse_seconds, read_settings, refuse, setting

LOCAL = "local"
CELERY = "celery"


def _queue(key: str, value: Any) -> str:
    if isinstance(value, str) and re.fullmatch(r"[A-Za-z0-9_.:-]{1,100}", value):
        return value
    raise refuse(key, value, "a name of letters, digits, '_', '-', '.' and ':'")


def _release(key: str, value: Any) -> str:
    if isinstance(value, str) and len(value) <= 200:
        return value
    raise refuse(key, value, "a text of 200 characters at most")


@dataclass(frozen=True)
class DistributionSettings:
    """The settings of one application."""

    secret: str | bytes = field(repr=False)
    """Flask's ``SECRET_KEY``, from which the key is derived that signs messages."""
    old_secrets: tuple[str | bytes, ...] = field(default=(), repr=False)
    """Flask's ``SECRET_KEY_FALLBACKS``: messages that others sign with these are read, too."""
    queue: str = setting("BRAINTRUST_EVALS_QUEUE", _queue, "braintrust_evals")
    """The queue that workers take cases from."""
    lease: float = setting("BRAINTRUST_EVALS_WORKER_LEASE", parse_seconds(0.5, 3600), 15.0)
    """Seconds without a sign of life after which a worker, or the process that waits for it, is
    taken to be gone."""
    concurrency: int = setting(
        "BRAINTRUST_EVALS_DISTRIBUTED_CONCURRENCY", parse_integer(1, 10_000), 100
    )
    """Cases of one run at a time, by default."""
    max_message: int = setting(
        "BRAINTRUST_EVALS_MAX_MESSAGE", parse_integer(10_000, 2**29), 16 * 1024 * 1024
    )
    """Maximum size of a message to the broker, in bytes."""
    release: str = setting("BRAINTRUST_EVALS_RELEASE", _release, "")
    """The release of the application, such as a commit. A worker of another release refuses the
    cases."""


def load_distribution(read: Read, config: Mapping[str, Any]) -> DistributionSettings | None:
    """Read these settings.

    Args:
        read: returns the value of a setting.
        config: the application's configuration, for its ``SECRET_KEY`` and those before it.

    Returns:
        the settings; ``None``: cases run in the process that serves the run.

    Raises:
        ConfigurationError: a value is of the wrong type or range, or there is no secret.
    """
    secret = config.get("SECRET_KEY")
    executor = read("BRAINTRUST_EVALS_EXECUTOR", _executor, LOCAL)
    settings = DistributionSettings(
        "" if secret is None else secret,
        _old_secrets(config.get("SECRET_KEY_FALLBACKS")),
        **read_settings(DistributionSettings, read),
    )
    if executor == LOCAL:
        return None
    if not isinstance(secret, str | bytes) or not secret:
        raise ConfigurationError(
            "BRAINTRUST_EVALS_EXECUTOR is 'celery', but the application has no SECRET_KEY: set one,"
            " the same for the server and the workers. It signs the messages between them"
        )
    return settings


def _executor(key: str, value: Any) -> str:
    if value in (LOCAL, CELERY):
        return str(value)
    raise refuse(key, value, "'local' or 'celery'")


def _old_secrets(value: Any) -> tuple[str | bytes, ...]:
    given = value if isinstance(value, list | tuple) else ()
    return tuple(each for each in given if isinstance(each, str | bytes) and each)
