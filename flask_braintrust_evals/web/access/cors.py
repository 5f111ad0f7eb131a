"""Cross-origin headers, on every response of the blueprint.

:mod:`.origins` decides which origins are allowed; flask-cors writes the headers. It gets the origin
of the request as a pattern, because its own matching ignores case and takes some strings for
patterns, of which only the beginning must match.
"""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from flask import Request, Response
from flask_cors import cross_origin
from flask_cors.core import FLASK_CORS_EVALUATED

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
    for name in [name for name in response.headers.keys() if name.lower().startswith(CORS_PREFIX)]:
        del response.headers[name]  # an application-wide CORS(app) adds its own to errors
    vars(response).pop(FLASK_CORS_EVALUATED, None)
    origin = request.headers.get("Origin")
    allowed = is_other_allowed_page(request, settings)
    forget_long_lists(request, "Access-Control-Request-Headers")
    # A refused origin goes through flask-cors too, with a pattern that matches nothing: flask-cors
    # marks the response, so that an application-wide CORS(app) does not allow the origin.
    pattern = re.compile(re.escape(origin) + r"\Z" if allowed and origin else r"(?!)")
    apply = cross_origin(
        origins=[pattern],
        methods=METHODS,
        allow_headers=REQUEST_HEADERS,
        expose_headers=EXPOSED_HEADERS,
        max_age=MAX_AGE,
        supports_credentials=True,
        automatic_options=False,
        allow_private_network=allowed,
    )
    response = apply(lambda: response)()
    # flask-cors does not always add it, but a cache must not serve one origin's answer to another.
    response.vary.add("Origin")
    return response
