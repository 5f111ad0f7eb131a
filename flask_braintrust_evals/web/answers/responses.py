"""JSON responses; those for errors are ``{"error": "<what is wrong and what to do>"}``.

This package's own serialiser writes them. The application's, which ``jsonify`` uses, may be any
other: one that sorts keys would change the order of the parameters in the Playground's form.
"""

from __future__ import annotations

import logging
import math
from typing import Any

from flask import Response, current_app, request
from werkzeug.exceptions import HTTPException
from werkzeug.http import HTTP_STATUS_CODES

from flask_braintrust_evals.errors import (
    BusyError,
    CloudBusyError,
    EvalsError,
    MethodNotAllowedError,
    ServerStoppingError,
    WorkersError,
)
from flask_braintrust_evals.serialization.json_writing import encoded
from flask_braintrust_evals.texts.excerpts import shortened
from flask_braintrust_evals.texts.safe_texts import safe_text

logger = logging.getLogger("flask_braintrust_evals")

_WORTH_RETRYING = (BusyError, CloudBusyError, ServerStoppingError, WorkersError)
"""Exceptions that say in ``retry_after`` when the same request may succeed."""
_HEADERS = {
    # Answers depend on the token, and no cache may keep them for somebody who has none.
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
}


def json_response(value: Any, status: int = 200) -> Response:
    """Return a response with a value as JSON."""
    return Response(encoded(value) + b"\n", status, _HEADERS, content_type="application/json")


def error_response(error: EvalsError) -> Response:
    """Return the response to an exception of this package, with its text and its status."""
    text = shortened(str(error))
    if error.status >= 500:
        logger.warning("answered with status %d: %s", error.status, text)
    response = json_response({"error": text}, error.status)
    if isinstance(error, MethodNotAllowedError):
        response.headers["Allow"] = ", ".join(error.allowed)
    if isinstance(error, _WORTH_RETRYING):
        response.headers["Retry-After"] = str(max(1, math.ceil(error.retry_after or 0)))
    if error.status == 401:
        response.headers["WWW-Authenticate"] = "Bearer"
    return response


def http_exception_response(error: HTTPException) -> Response:
    """Return the response to an exception of werkzeug, for instance from ``abort``."""
    cause = getattr(error, "original_exception", None)
    if isinstance(cause, EvalsError):  # raised after the view, where Flask knows no other handler
        return error_response(cause)
    return _with_headers(error.get_response(), f"{error.name}: {safe_text(error.description)}")


def exception_response(error: Exception) -> Response:
    """Return the response to any other exception, which is logged.

    It reveals nothing of it. But if the application has an error handler for the class of the
    exception, the response has the status and the text of that: it may be how the application
    refuses requests, in a ``before_request`` function or in that of ``BRAINTRUST_EVALS_AUTH``.
    """
    handler = _own_handler(error)
    if handler is not None:
        answer = current_app.make_response(current_app.ensure_sync(handler)(error))
        level = logging.ERROR if answer.status_code >= 500 else logging.INFO
        logger.log(level, "the application's error handler answers", exc_info=error)
        return answer if answer.status_code < 400 else _as_json(answer)
    logger.error("unexpected error", exc_info=error)
    return json_response({"error": "internal error; see the server's log"}, 500)


def _own_handler(error: Exception) -> Any:
    """Return a handler of the application for a class of the exception that is not ``Exception``.

    Flask would prefer it, if the blueprint had no handler for all exceptions.
    """
    for name in (*request.blueprints[1:], None):
        handlers = current_app.error_handler_spec.get(name, {}).get(None, {})
        for kind in type(error).__mro__:
            if kind is Exception:
                break
            if kind in handlers:
                return handlers[kind]
    return None


def _as_json(answer: Response) -> Response:
    """Return a response with the text of another one, in the form of all errors."""
    value = answer.get_json(silent=True) if answer.is_json else None
    fields = value if isinstance(value, dict) else {}
    texts = (fields.get(name) for name in ("error", "message", "msg", "detail", "description"))
    text = next((each for each in texts if isinstance(each, str) and each), None)
    if text is None and answer.mimetype == "text/plain":
        text = answer.get_data(as_text=True).strip()
    name = HTTP_STATUS_CODES.get(answer.status_code, "")
    return _with_headers(answer, shortened(text or name or "the application refused the request"))


def _with_headers(original: Any, text: str) -> Response:
    """Return an error with the status and the headers of another response."""
    response = json_response({"error": text}, original.status_code)
    for name, value in original.headers:
        if name.lower() not in ("content-type", "content-length"):
            response.headers.add(name, value)
    return response
