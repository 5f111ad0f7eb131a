"""Serves the local page: static files of this package, with a strict content security policy.

The page holds no secrets and is therefore served without a token. It asks its user for a token if
the server needs one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import lru_cache

from flask import Flask, Request, Response

from flask_braintrust_evals.errors import NotFoundError
from flask_braintrust_evals.playground import page_files, report_page
from flask_braintrust_evals.playground.page_files import FOLDER
from flask_braintrust_evals.web.requests.header_lists import forget_long_lists

INDEX = "index.html"

APPLICATION_HEADER = "x-evals-application"
"""A header in answers of ``/list?details=true``, by which the page knows whose runs it keeps."""

_FILES: dict[str, tuple[str, Callable[[], str]]] = {
    INDEX: ("text/html", lambda: (FOLDER / INDEX).read_text("utf-8")),
    "page.js": ("text/javascript", lambda: page_files.bundle(FOLDER, "main.js")),
    "page.css": ("text/css", lambda: page_files.join_styles(FOLDER, page_files.STYLES)),
    "icon.svg": ("image/svg+xml", lambda: (FOLDER / "icon.svg").read_text("utf-8")),
    # The local page puts results into it.
    "report.html": ("text/html", report_page.template),
}
"""The type of each file that is served, and what makes it."""
# https://www.w3.org/TR/CSP3/. The page loads everything from this server.
_HEADERS = {
    "Content-Security-Policy": "; ".join(
        (
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "img-src 'self'",
            "connect-src 'self'",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
            "require-trusted-types-for 'script'",
            "trusted-types 'none'",
        )
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-cache",
}


def respond(name: str, request: Request) -> Response:
    """Return one of the page's files, or a 304 if the browser has it.

    Raises:
        NotFoundError: there is no such file.
    """
    if name not in _FILES:
        raise NotFoundError(f"the page has no file {name[:100]!r}")
    if name == INDEX and request.path.endswith("/"):
        # The page refers to its files relative to an address without a slash at its end.
        return Response(status=308, headers={"Location": "../playground"})
    response = Response(_content(name), mimetype=_FILES[name][0])
    response.headers.update(_HEADERS)
    response.add_etag()
    forget_long_lists(request, "If-None-Match", "If-Match")
    response.make_conditional(request)
    return response


@lru_cache
def _content(name: str) -> bytes:
    return _FILES[name][1]().encode()


def application_id(app: Flask, path: str) -> str:
    """Return what tells the page's application from others that are served at the same address.

    Args:
        app: the application.
        path: the path below which the blueprint is.
    """
    named = "\n".join((app.import_name, app.root_path, path))
    return hashlib.sha256(named.encode("utf-8", "surrogatepass")).hexdigest()[:16]
