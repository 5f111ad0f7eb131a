"""The addresses of Braintrust, from the application's settings."""

from __future__ import annotations

from flask_braintrust_evals.cloud.sessions.user_session import Endpoints
from flask_braintrust_evals.config.settings import Settings


def endpoints(settings: Settings) -> Endpoints:
    """Return the addresses of Braintrust, with the time-out of a call and what a login may name."""
    return Endpoints(
        settings.app_url,
        settings.api_url,
        settings.proxy_url,
        settings.request_timeout,
        settings.api_hosts,
    )
