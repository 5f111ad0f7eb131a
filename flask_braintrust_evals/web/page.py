"""The local page: static files of this package, under a policy that lets them do little.

The page has no secrets, so that it is served without a token: it asks for one where one is needed.
"""

from __future__ import annotations

from pathlib import Path

from flask import Request, Response, send_from_directory

from flask_braintrust_evals.errors import NotFoundError

FILES = Path(__file__).parent.parent / "playground"
INDEX = "index.html"

_TYPES = {
    ".html": "text/html",
    ".js": "text/javascript",
    ".css": "text/css",
    ".svg": "image/svg+xml",
}
# https://www.w3.org/TR/CSP3/. Everything that the page needs is the server's own.
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
    """Answer with one of the page's files, or with 304 where the browser has it.

    Raises:
        NotFoundError: there is no such file.
    """
    kind = _TYPES.get(Path(name).suffix)
    if kind is None or "/" in name or not (FILES / name).is_file():
        raise NotFoundError(f"the page has no file {name[:100]!r}")
    if name == INDEX and request.path.endswith("/"):
        # The page names its files relative to an address without a slash at its end.
        return Response(status=308, headers={"Location": "../playground"})
    response = send_from_directory(FILES, name, mimetype=kind)
    response.headers.update(_HEADERS)
    return response
