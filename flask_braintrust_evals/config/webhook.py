"""The settings of the webhook that is called when a run has ended."""

from __future__ import annotations

import base64
import binascii
import functools
from dataclasses import dataclass, field
from typing import Any

from flask_braintrust_evals.errors import ConfigurationError

from .values import Read, parse_url, refuse

_parse_url = functools.partial(parse_url, example="https://hooks.example.com/evals")
PREFIX = "whsec_"
"""How a secret begins whose rest is base64, as Standard Webhooks have it."""


@dataclass(frozen=True)
class WebhookSettings:
    """The settings of one application. Each field names its key."""

    url: str
    """``BRAINTRUST_EVALS_WEBHOOK``: the address that is called when a run has ended."""
    key: bytes = field(repr=False)
    """``BRAINTRUST_EVALS_WEBHOOK_SECRET``: signs the requests."""


def load_webhook(read: Read) -> WebhookSettings | None:
    """Read these settings.

    Args:
        read: returns the value of a setting.

    Raises:
        ConfigurationError: a value is not valid, or there is no secret.
    """
    url = read("BRAINTRUST_EVALS_WEBHOOK", _parse_url, None)
    key = read("BRAINTRUST_EVALS_WEBHOOK_SECRET", _key, None)
    if url is None:
        return None
    if key is None:
        raise ConfigurationError(
            "BRAINTRUST_EVALS_WEBHOOK is set, but BRAINTRUST_EVALS_WEBHOOK_SECRET is not: it signs"
            " the requests, so that your service can tell them from those of others"
        )
    return WebhookSettings(url, key)


def _key(key: str, value: Any) -> bytes:
    if not isinstance(value, str) or len(value) < 16:
        raise _refused(key)
    if not value.startswith(PREFIX):
        return value.encode()
    try:
        return base64.b64decode(value.removeprefix(PREFIX), validate=True)
    except (binascii.Error, ValueError):
        raise _refused(key) from None


def _refused(key: str) -> ConfigurationError:
    allowed = f"a text of at least 16 characters; what follows {PREFIX!r} must be base64"
    return refuse(key, "a value that is not shown", allowed)
