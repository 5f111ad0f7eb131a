"""Where Braintrust is, as the application's settings have it."""

from __future__ import annotations

from flask_braintrust_evals.cloud.sessions import Endpoints
from flask_braintrust_evals.config import Settings


def endpoints(settings: Settings) -> Endpoints:
    """Return the addresses that sessions are made with."""
    return Endpoints(
        settings.app_url, settings.api_url, settings.proxy_url, settings.request_timeout
    )
