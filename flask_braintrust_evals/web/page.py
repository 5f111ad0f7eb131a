"""Serves the local page: static files of this package, with a strict content security policy.

The page holds no secrets and is therefore served without a token. It asks its user for a token if
the server needs one.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from flask import Flask, Request, Response, send_from_directory

from flask_braintrust_evals import report_page
from flask_braintrust_evals.errors import NotFoundError

FILES = Path(__file__).parent.parent / "playground"
INDEX = "index.html"
REPORT = "report.html"
"""The page into which the local page puts results: not one of the files, but made of them."""

APPLICATION_HEADER = "x-evals-application"
"""A header in answers of ``/list?details=true``, by which the page knows whose runs it keeps."""

_TYPES = {
    ".html": "text/html",
    ".js": "text/javascript",
    ".css": "text/css",
    ".svg": "image/svg+xml",
}
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
    if name == REPORT:
        return _report(request)
    kind = _TYPES.get(Path(name).suffix)
    if kind is None or "/" in name or not (FILES / name).is_file():
        raise NotFoundError(f"the page has no file {name[:100]!r}")
    if name == INDEX and request.path.endswith("/"):
        # The page refers to its files relative to an address without a slash at its end.
        return Response(status=308, headers={"Location": "../playground"})
    response = send_from_directory(FILES, name, mimetype=kind)
    response.headers.update(_HEADERS)
    return response


def _report(request: Request) -> Response:
    response = Response(report_page.template(), mimetype="text/html")
    response.headers.update(_HEADERS)
    response.add_etag()
    response.make_conditional(request)
    return response


def application_id(app: Flask, path: str) -> str:
    """Return what tells the page's application from others that are served at the same address.

    Args:
        app: the application.
        path: the path below which the blueprint is.
    """
    named = "\n".join((app.import_name, app.root_path, path))
    return hashlib.sha256(named.encode("utf-8", "surrogatepass")).hexdigest()[:16]
