"""Cross-origin headers, on every response of the blueprint.

Who is allowed is decided in :mod:`.origins`; flask-cors writes the headers. It is handed the one
origin of the request as a pattern, because its own matching ignores case and takes some strings for
patterns that need only match the beginning.
"""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from flask import Request, Response
from flask_cors import cross_origin

from flask_braintrust_evals.config import Settings

from .origins import is_allowed_origin

METHODS = "GET, POST, OPTIONS"
EXPOSED_HEADERS = "x-bt-cursor, x-bt-found-existing-experiment, x-bt-span-id, x-bt-span-export"
MAX_AGE = 86400
_PREFIX = "access-control-"
REQUEST_HEADERS: list[str | re.Pattern[str]] = [
    "content-type",
    "authorization",
    "x-amz-date",
    "x-api-key",
    "x-amz-security-token",
    # The Playground has broken before, each time it began to send a new header of its own.
    re.compile(r"x-bt-[a-z0-9-]+\Z", re.ASCII | re.IGNORECASE),
    re.compile(r"x-stainless-[a-z0-9-]+\Z", re.ASCII | re.IGNORECASE),
]


def request_origin_allowed(request: Request, settings: Settings) -> bool:
    """Return whether the request comes from an allowed page, or from no page at all."""
    origin = request.headers.get("Origin")
    if origin is None or is_allowed_origin(origin, allowed_origins(settings)):
        return True
    return settings.playground and _is_own_page(request, origin)


def _is_own_page(request: Request, origin: str) -> bool:
    """Whether the page was served under the very name that the request goes to.

    A proxy with TLS makes the schemes differ. A foreign host name that is made to lead here (DNS
    rebinding) passes too: it has no token to send, and no-auth mode refuses such names itself.
    """
    site = request.headers.get("Sec-Fetch-Site", "same-origin")
    host = request.headers.get("Host", "")
    return site == "same-origin" and bool(host) and urlsplit(origin).netloc == host


def allowed_origins(settings: Settings) -> tuple[str | re.Pattern[str], ...]:
    """Return the origins that an application allows beside Braintrust's own."""
    parts = urlsplit(settings.app_url)  # it may have a path, where Braintrust is self-hosted
    return (f"{parts.scheme}://{parts.netloc}".lower(), *settings.origins)


def add_cors_headers(request: Request, response: Response, settings: Settings) -> Response:
    """Add what an allowed origin needs; to any other, nothing but ``Vary``."""
    for name in [name for name in response.headers.keys() if name.lower().startswith(_PREFIX)]:
        del response.headers[name]  # an application-wide CORS(app) has been at our error answers
    origin = request.headers.get("Origin")
    allowed = origin is not None and is_allowed_origin(origin, allowed_origins(settings))
    # A refused origin goes through flask-cors all the same, with a pattern that matches nothing: it
    # marks the response, so that an application-wide CORS(app) does not let the origin in.
    pattern = re.compile(re.escape(origin) + r"\Z" if allowed and origin else r"(?!)")
    apply = cross_origin(
        origins=[pattern],
        methods=METHODS,
        allow_headers=REQUEST_HEADERS,
        expose_headers=EXPOSED_HEADERS,
        max_age=MAX_AGE,
        supports_credentials=True,
        send_wildcard=False,
        always_send=False,
        automatic_options=False,
        allow_private_network=allowed,
    )
    response = apply(lambda: response)()
    # Also where flask-cors sees no need: a cache must never serve one origin's answer to another.
    response.vary.add("Origin")
    return response
