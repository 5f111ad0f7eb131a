"""Keeps of an answer what the application must not change.

Functions that an application has called after each request may add CORS headers to all answers, or
replace headers of all of them by its own. And those called before each request may answer a
preflight, such as with a redirect to a login: a browser sends no credentials with it.
"""

from __future__ import annotations

from flask import Request, Response

from flask_braintrust_evals.config.settings import Settings
from flask_braintrust_evals.web.access.cors import CORS_PREFIX, add_cors_headers

_KEPT = frozenset(
    {
        "cache-control",
        "content-security-policy",
        "cross-origin-opener-policy",
        "referrer-policy",
        "x-accel-buffering",
        "x-content-type-options",
    }
)
"""Headers that stay as they are, where an answer has them."""


class OwnAnswer:
    """An answer as the blueprint gives it, with its CORS headers.

    Args:
        request: the request.
        response: the answer.
        settings: the settings of the application.

    Attributes:
        response: the answer.
    """

    def __init__(self, request: Request, response: Response, settings: Settings) -> None:
        self._request = request
        self._settings = settings
        self.response = add_cors_headers(request, response, settings)
        self._headers = _kept_headers(self.response)

    def finish(self, response: Response) -> Response:
        """Return the answer with its own headers.

        Args:
            response: the answer as the application has left it. It may be another one.
        """
        if response is not self.response:
            return add_cors_headers(self._request, response, self._settings)
        if _kept_headers(response) != self._headers:
            for name, _ in (*self._headers, *_kept_headers(response)):
                response.headers.remove(name)
            for name, value in self._headers:
                response.headers.add(name, value)
        return response


def _kept_headers(response: Response) -> list[tuple[str, str]]:
    return [
        (name, value)
        for name, value in response.headers
        if (lower := name.lower()) in _KEPT or lower.startswith(CORS_PREFIX)
    ]
