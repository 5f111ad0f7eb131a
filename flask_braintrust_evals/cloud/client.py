"""HTTP to Braintrust with one user's token: time-outs, retries, errors that say what happened."""

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
from flask_braintrust_evals.serialization import dumps

CONNECT_TIMEOUT = 10.0
"""Seconds to wait for a connection, where the whole call may take longer than that."""
RETRIES = 3
LONGEST_RETRY_AFTER = 30.0
"""Seconds: a server that asks for more than this is as good as down for somebody who waits."""
POOL_SIZE = 32
"""Connections kept per host and session; more may be open for a while."""

_ERRORS: dict[int, type[CloudError]] = {
    401: CloudUnauthorizedError,
    403: CloudForbiddenError,
    404: CloudNotFoundError,
    408: CloudTimeoutError,
    504: CloudTimeoutError,
}


class BearerAuth(AuthBase):
    """Adds the token. As ``auth`` of a session it also keeps ``requests`` from using a ``.netrc``,

    which would put the application's own credentials in the place of the caller's.
    """

    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._token}"
        return request

    def __repr__(self) -> str:
        return "BearerAuth(***)"


class _Retry(Retry):
    """Retries what may be over in a moment, and never what has already taken all of its time."""

    RETRY_AFTER_STATUS_CODES = frozenset({429, 503})  # urllib3's own has 413, too

    def increment(self, *args: Any, **kwargs: Any) -> _Retry:
        error = kwargs.get("error")
        if isinstance(error, ReadTimeoutError):
            raise error
        return super().increment(*args, **kwargs)

    def get_retry_after(self, response: Any) -> float | None:
        seconds = super().get_retry_after(response)
        return None if seconds is None else min(seconds, LONGEST_RETRY_AFTER)


def _retry_policy(
    read: int | None = None, statuses: tuple[int, ...] = (429, 502, 503, 504)
) -> Retry:
    return _Retry(
        total=RETRIES,
        read=read,
        allowed_methods=None,  # POST included: Braintrust reads datasets by POST
        status_forcelist=statuses,
        backoff_factor=0.2,
        backoff_jitter=0.2,
        backoff_max=5,
        raise_on_status=False,
        redirect=5,
    )


class _Http(requests.Session):
    """Follows redirects without looking for credentials of this machine's in a ``.netrc``."""

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
    """The connections of one user. May be used from several threads at once.

    Args:
        token: the user's token; held by this object alone.
        timeout: seconds that one attempt of a call may take.
    """

    def __init__(self, token: str, timeout: float) -> None:
        self._token = token
        self._timeout = (min(CONNECT_TIMEOUT, timeout), timeout)
        self._http = _http_session(token, _retry_policy())
        # Connections that fail, and answers that say "not now"; never one that was lost on the way.
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
        """Make one call and return its answer's JSON value; ``None`` for an empty answer.

        Args:
            method: the HTTP method.
            url: the whole address.
            json: a value to send as JSON.
            params: the query.
            headers: further headers.
            data: bytes to send, where it is not JSON.
            timeout: seconds, where it is not the session's own.
            retry: try again where it may help; else the caller sees to that, by the error's
                ``transient`` and ``retry_after``.
            repeatable: whether the call may be made again though it may have been carried out.
            parse: whether the answer is JSON; else ``None`` is returned.

        Raises:
            CloudUnauthorizedError, CloudForbiddenError, CloudNotFoundError: as the answer says.
            CloudTimeoutError: there was no answer in time.
            CloudError: no connection, a failure of the server, or an answer that is not JSON.
        """
        what = f"{method} {urlsplit(url).path}"
        sent_headers = {"Accept": "application/json", **(headers or {})}
        if json is not None:
            data = dumps(json).encode()
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
            # Without its cause, whose text may quote the token.
            raise CloudError(f"a header of {what} has characters that cannot be sent") from None
        if not response.ok:
            raise self._refusal(what, response)
        return _decode(what, content) if parse else None

    def _failure(
        self, what: str, url: str, seconds: float, error: requests.RequestException
    ) -> CloudError:
        # A body that stops half way is a ConnectionError to requests, whatever stopped it.
        inner = error.args[0] if error.args else None
        if isinstance(error, requests.Timeout) or isinstance(inner, ReadTimeoutError):
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
        error.transient = status in (408, 429) or status >= 500
        after = response.headers.get("Retry-After", "")
        if after.isascii() and after.isdigit():
            error.retry_after = min(float(after), LONGEST_RETRY_AFTER)
        return error


def _decode(what: str, content: bytes) -> Any:
    if not content:
        return None
    try:
        return orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise CloudError(f"Braintrust's answer to {what} is not JSON") from error


def _message(content: bytes, token: str) -> str:
    """What a refusal says, in short: Braintrust's ``Message``, or else the start of the text."""
    try:
        value = orjson.loads(content)
    except orjson.JSONDecodeError:
        value = None
    text = content.decode("utf-8", "replace")
    if isinstance(value, dict):
        text = str(value.get("Message") or value.get("error") or text)
    # Before it is cut, which might leave the half of a token.
    text = " ".join(text.replace(token, "***").split())
    return text if len(text) <= 300 else text[:300] + "…"
