"""Cross-origin headers, on every response of the blueprint.

:mod:`.origins` decides which origins are allowed; flask-cors writes the headers. It gets a pattern
that matches all origins, or none, because its own matching ignores case and takes some strings for
patterns, of which only the beginning must match. And it marks the answer, also that to a refused
origin, so that an application-wide ``CORS(app)`` leaves it alone.
"""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from flask import Request, Response
from flask_cors.core import (
    DEFAULT_OPTIONS,
    FLASK_CORS_EVALUATED,
    serialize_options,
    set_cors_headers,
)

from flask_braintrust_evals.config.settings import Settings
from flask_braintrust_evals.web.requests.header_lists import forget_long_lists

from .origins import is_allowed_origin

METHODS = "GET, POST, OPTIONS"
EXPOSED_HEADERS = "x-bt-cursor, x-bt-found-existing-experiment, x-bt-span-id, x-bt-span-export"
MAX_AGE = 86400
"""Seconds for which browsers may keep the answer to a preflight."""
CORS_PREFIX = "access-control-"
"""What the names of all of these headers begin with, in lower case."""
REQUEST_HEADERS: list[str | re.Pattern[str]] = [
    "content-type",
    "authorization",
    "x-amz-date",
    "x-api-key",
    "x-amz-security-token",
    # Patterns, because with a list of names the Playground failed each time it added a header.
    re.compile(r"x-bt-[a-z0-9-]+\Z", re.ASCII | re.IGNORECASE),
    re.compile(r"x-stainless-[a-z0-9-]+\Z", re.ASCII | re.IGNORECASE),
]
_OPTIONS = {
    allowed: serialize_options(
        {
            **DEFAULT_OPTIONS,
            "origins": [re.compile("" if allowed else "(?!)")],
            "methods": METHODS,
            "allow_headers": REQUEST_HEADERS,
            "expose_headers": EXPOSED_HEADERS,
            "max_age": MAX_AGE,
            "supports_credentials": True,
            "allow_private_network": allowed,
        }
    )
    for allowed in (True, False)
}
"""Options of flask-cors, by whether the origin is allowed; without those of the application."""


def request_origin_allowed(request: Request, settings: Settings) -> bool:
    """Return whether the request comes from an allowed page, or not from a page at all."""
    origin = request.headers.get("Origin")
    if origin is None or is_other_allowed_page(request, settings):
        return True
    return settings.playground and _is_own_page(request, origin)


def is_other_allowed_page(request: Request, settings: Settings) -> bool:
    """Return whether the request comes from an allowed page that another server has served."""
    origin = request.headers.get("Origin")
    return origin is not None and is_allowed_origin(
        origin, allowed_origins(settings), with_token=settings.auth == "braintrust"
    )


def _is_own_page(request: Request, origin: str) -> bool:
    """Return whether the page was served under the host name that the request is sent to.

    The schemes are not compared, because they differ behind a proxy that terminates TLS. A page
    whose own host name resolves to this server (DNS rebinding) passes too. Where requests need a
    token, it has none to send; otherwise the host name must be a known one, see :mod:`.admission`.
    """
    site = request.headers.get("Sec-Fetch-Site", "same-origin")
    host = request.headers.get("Host", "")
    return site == "same-origin" and bool(host) and origin.partition("://")[2] == host


def allowed_origins(settings: Settings) -> tuple[str | re.Pattern[str], ...]:
    """Return the origins that the settings allow in addition to those of Braintrust's cloud."""
    parts = urlsplit(settings.app_url)  # a self-hosted Braintrust may have a path
    return (f"{parts.scheme}://{parts.netloc}".lower(), *settings.origins)


def add_cors_headers(request: Request, response: Response, settings: Settings) -> Response:
    """Add the headers that an allowed origin needs; for any other origin, only ``Vary``."""
    for name in [name for name, _ in response.headers if name.lower().startswith(CORS_PREFIX)]:
        del response.headers[name]  # an application-wide CORS(app) adds its own to errors
    vars(response).pop(FLASK_CORS_EVALUATED, None)
    forget_long_lists(request, "Access-Control-Request-Headers")
    set_cors_headers(response, _OPTIONS[is_other_allowed_page(request, settings)])
    setattr(response, FLASK_CORS_EVALUATED, True)
    # flask-cors does not always add it, but a cache must not serve one origin's answer to another.
    response.vary.add("Origin")
    return response
