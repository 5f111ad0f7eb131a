"""An HTTP client for Braintrust that sends one user's token, with time-outs and retries."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import orjson
import requests
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase
from urllib3.exceptions import ReadTimeoutError
from urllib3.util import Retry

from flask_braintrust_evals.errors import (
    CloudError,
    CloudForbiddenError,
    CloudNotFoundError,
    CloudTimeoutError,
    CloudUnauthorizedError,
)
from flask_braintrust_evals.serialization import dumps_parts

CONNECT_TIMEOUT = 10.0
"""Seconds to wait for a connection, unless an attempt may take less than that in all."""
RETRIES = 3
"""Attempts that may follow a failed one."""
MAX_RETRY_AFTER = 30.0
"""Seconds to wait before a retry, even if Braintrust asks for more: a user is waiting."""
POOL_SIZE = 32
"""Idle connections kept per host; under load, more may be open."""

_ERRORS: dict[int, type[CloudError]] = {
    401: CloudUnauthorizedError,
    403: CloudForbiddenError,
    404: CloudNotFoundError,
    408: CloudTimeoutError,
    504: CloudTimeoutError,
}


class BearerAuth(AuthBase):
    """Adds the token to requests.

    As the ``auth`` of a session it also keeps ``requests`` from reading a ``.netrc`` file, and from
    sending the machine's credentials instead of the caller's.
    """

    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._token}"
        return request

    def __repr__(self) -> str:
        return "BearerAuth(***)"


class _Retry(Retry):
    """Retries failures that may pass quickly; not a call that has used up its time-out."""

    RETRY_AFTER_STATUS_CODES = frozenset({429, 503})  # urllib3 has 413, too

    def increment(self, *args: Any, **kwargs: Any) -> _Retry:
        error = kwargs.get("error")
        if isinstance(error, ReadTimeoutError):
            raise error
        return super().increment(*args, **kwargs)

    def get_retry_after(self, response: Any) -> float | None:
        seconds = super().get_retry_after(response)
        return None if seconds is None else min(seconds, MAX_RETRY_AFTER)


def _retry_policy(
    read: int | None = None, statuses: tuple[int, ...] = (429, 502, 503, 504)
) -> Retry:
    return _Retry(
        total=RETRIES,
        read=read,
        allowed_methods=None,  # POST, too: datasets are read by POST
        status_forcelist=statuses,
        backoff_factor=0.2,
        backoff_jitter=0.2,
        backoff_max=5,
        raise_on_status=False,
        redirect=5,
    )


class _Http(requests.Session):
    """A session that does not read credentials from a ``.netrc`` file after a redirect."""

    def rebuild_auth(
        self, prepared_request: requests.PreparedRequest, response: requests.Response
    ) -> None:
        old, new = response.request.url, prepared_request.url
        if old is None or new is None or self.should_strip_auth(old, new):  # type: ignore[no-untyped-call]
            prepared_request.headers.pop("Authorization", None)


def _http_session(token: str, retry: Retry) -> requests.Session:
    session = _Http()
    session.auth = BearerAuth(token)
    for scheme in ("http://", "https://"):
        session.mount(scheme, HTTPAdapter(pool_maxsize=POOL_SIZE, max_retries=retry))
    return session


class CloudClient:
    """Makes the HTTP calls of one user. Thread-safe.

    Args:
        token: the user's token; only this object keeps it.
        timeout: seconds that one attempt of a call may take.
    """

    def __init__(self, token: str, timeout: float) -> None:
        self._token = token
        self._timeout = (min(CONNECT_TIMEOUT, timeout), timeout)
        self._http = _http_session(token, _retry_policy())
        # Retries only if Braintrust has certainly not carried out the call: the connection failed,
        # or the answer asks to try again later.
        self._http_careful = _http_session(token, _retry_policy(read=0, statuses=(429, 503)))
        self._http_once = _http_session(token, _Retry(0, redirect=5))

    def __repr__(self) -> str:
        return "CloudClient(token=***)"

    def close(self) -> None:
        """Close the connections."""
        self._http.close()
        self._http_careful.close()
        self._http_once.close()

    def call(
        self,
        method: str,
        url: str,
        *,
        json: Any = None,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        data: bytes | None = None,
        timeout: float | None = None,
        retry: bool = True,
        repeatable: bool = True,
        parse: bool = True,
    ) -> Any:
        """Make one call and return the JSON value of the answer; ``None`` for an empty answer.

        Args:
            method: the HTTP method.
            url: the whole address.
            json: a value to send as JSON.
            params: the query.
            headers: further headers.
            data: bytes to send instead of JSON.
            timeout: seconds that one attempt may take; default: the client's.
            retry: whether failed attempts are repeated; if not, the caller may do so, guided by
                the error's ``transient`` and ``retry_after``.
            repeatable: whether the call may be repeated even if Braintrust may have carried it out.
            parse: whether the answer is JSON; if not, ``None`` is returned.

        Raises:
            CloudUnauthorizedError, CloudForbiddenError, CloudNotFoundError: the answer's status is
                401, 403 or 404.
            CloudTimeoutError: there was no answer in time.
            CloudError: no connection, a failure of the server, or an answer that is not JSON.
        """
        what = f"{method} {urlsplit(url).path}"
        sent_headers = {"Accept": "application/json", **(headers or {})}
        if json is not None:
            data = dumps_parts(json).encode()
            sent_headers["Content-Type"] = "application/json"
        limits = self._timeout if timeout is None else (min(CONNECT_TIMEOUT, timeout), timeout)
        try:
            http = self._http if repeatable else self._http_careful
            http = http if retry else self._http_once
            response = http.request(
                method, url, params=params, data=data, headers=sent_headers, timeout=limits
            )
            content = response.content
        except requests.exceptions.InvalidHeader:
            raise CloudError(f"a header of {what} cannot be sent") from None
        except requests.RequestException as error:
            raise self._failure(what, url, limits[1], error) from error
        except ValueError:
            # "from None": the text of the cause may quote the token.
            raise CloudError(f"a header of {what} has characters that cannot be sent") from None
        if not response.ok:
            raise self._refusal(what, response)
        return _decode(what, content) if parse else None

    def _failure(
        self, what: str, url: str, seconds: float, error: requests.RequestException
    ) -> CloudError:
        # For a body that ends early, requests raises a ConnectionError, even after a time-out.
        cause = error.args[0] if error.args else None
        if isinstance(error, requests.Timeout) or isinstance(cause, ReadTimeoutError):
            failure: CloudError = CloudTimeoutError(
                f"Braintrust did not answer {what} within {seconds:g} seconds"
            )
        else:
            failure = CloudError(
                f"Braintrust could not be reached at {urlsplit(url).netloc} for {what}"
                f" ({type(error).__name__})"
            )
        failure.transient = True
        return failure

    def _refusal(self, what: str, response: requests.Response) -> CloudError:
        status = response.status_code
        text = _message(response.content, self._token)
        kind = _ERRORS.get(status, CloudError)
        suffix = f": {text}" if text else ""
        error = kind(f"Braintrust answered {what} with status {status}{suffix}")
        error.answered = status
        error.transient = status in (408, 429) or status >= 500
        after = response.headers.get("Retry-After", "")
        if after.isascii() and after.isdigit():
            error.retry_after = min(float(after), MAX_RETRY_AFTER)
        return error


def _decode(what: str, content: bytes) -> Any:
    if not content:
        return None
    try:
        return orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise CloudError(f"Braintrust's answer to {what} is not JSON") from error


def _message(content: bytes, token: str) -> str:
    """Return a refusal's text, cut: Braintrust's ``Message`` or ``error``, else the whole body."""
    try:
        value = orjson.loads(content)
    except orjson.JSONDecodeError:
        value = None
    text = content.decode("utf-8", "replace")
    if isinstance(value, dict):
        text = str(value.get("Message") or value.get("error") or text)
    # The token is masked before the text is cut, which could leave a part of it.
    text = " ".join(text.replace(token, "***").split())
    return text if len(text) <= 300 else text[:300] + "…"
