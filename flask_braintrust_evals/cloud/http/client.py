"""An HTTP client for Braintrust that sends one user's token, with limits and retries."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from flask_braintrust_evals.serialization.json_writing import encoded

from . import answers
from .addresses import AddressRules
from .attempts import Call, Connections, Failure, Repeat
from .tokens import Token

PAUSES = (0.0, 0.4, 0.8)
"""Seconds before each attempt that follows a failed one, unless Braintrust asks for others."""
RETRIES = len(PAUSES)
"""Attempts that may follow a failed one."""
JITTER = 0.2
"""Seconds by which a pause may be longer."""


class CloudClient:
    """Makes the HTTP calls of one user. Thread-safe.

    Args:
        token: the user's token; only this object keeps it.
        timeout: seconds that one attempt of a call may take.
        rules: the addresses that may be called although they are not public.
    """

    def __init__(self, token: Token, timeout: float, rules: AddressRules) -> None:
        self._timeout = timeout
        self._connections = Connections(token, rules)

    def __repr__(self) -> str:
        return "CloudClient(token=***)"

    def close(self) -> None:
        """Close the connections."""
        self._connections.close()

    def close_idle(self) -> None:
        """Close most of the connections that no call uses."""
        self._connections.close_idle()

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
        quick: bool = False,
        repeatable: bool = True,
        limit: int = answers.MAX_ANSWER,
        max_values: int = answers.MAX_VALUES,
        redirects: bool = False,
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
            timeout: seconds that one attempt may take in all; default: the client's.
            retry: whether failed attempts are repeated; if not, the caller may do so, guided by
                the error's ``transient`` and ``retry_after``.
            quick: whether there is one more attempt at most, and none for which Braintrust asks to
                wait longer than a second.
            repeatable: whether the call may be repeated even if Braintrust may have carried it out.
            limit: maximum bytes of the answer, unpacked.
            max_values: maximum number of JSON values of the answer.
            redirects: whether the answer may be had from where a redirect leads.
            parse: whether the answer is JSON; if not, ``None`` is returned.

        Raises:
            CloudUnauthorizedError, CloudForbiddenError, CloudNotFoundError: the answer's status is
                401, 403 or 404.
            CloudTimeoutError: there was no answer in time.
            CloudAddressError: the address, or where it leads, may not be called.
            CloudError: no connection, a failure of the server, a redirect, or an answer that is too
                large or is not JSON.
        """
        what = f"{method} {urlsplit(url).path}"
        all_headers = dict(headers or {})
        if json is not None:
            data = encoded(json, tolerant=True)
            all_headers["Content-Type"] = "application/json"
        call = Call(
            what,
            method,
            url,
            self._timeout if timeout is None else timeout,
            limit,
            params,
            all_headers,
            data,
            redirects=redirects,
        )
        retries = (1 if quick else RETRIES) if retry else 0
        content = self._make(call, retries, repeatable, 1.0 if quick else math.inf)
        return answers.decode(what, content, max_values) if parse else None

    def download(self, url: str, what: str, limit: int, timeout: float) -> bytes:
        """Return what is at an address, to which the token is not sent.

        Args:
            url: the address.
            what: names the call, for errors.
            limit: maximum bytes.
            timeout: seconds that it may take in all.

        Raises:
            CloudError: see :meth:`call`.
        """
        call = Call(what, "GET", url, timeout, limit, with_token=False, redirects=True)
        return self._make(call, 0)

    def upload(
        self, url: str, what: str, content: bytes, headers: Mapping[str, str], timeout: float
    ) -> None:
        """Send content to an address, to which the token is not sent.

        Args:
            url: the address.
            what: names the call, for errors.
            content: the content.
            headers: further headers.
            timeout: seconds that one attempt may take in all.

        Raises:
            CloudError: see :meth:`call`.
        """
        call = Call(
            what,
            "PUT",
            url,
            timeout,
            answers.MAX_ANSWER,
            headers=headers,
            data=content,
            with_token=False,
        )
        self._make(call, 1)

    def _make(
        self, call: Call, retries: int, repeatable: bool = True, max_pause: float = math.inf
    ) -> bytes:
        pauses = iter(PAUSES[:retries])
        while isinstance(outcome := self._connections.attempt(call), Failure):
            pause = next(pauses, None) if _may_repeat(outcome, repeatable) else None
            asked = outcome.error.retry_after
            if pause is None or (asked or 0.0) > max_pause:
                raise outcome.error
            time.sleep(pause + random.uniform(0, JITTER) if asked is None else asked)
        return outcome


def _may_repeat(failure: Failure, repeatable: bool) -> bool:
    return failure.repeat is Repeat.ALWAYS or (
        repeatable and failure.repeat is Repeat.IF_REPEATABLE
    )
