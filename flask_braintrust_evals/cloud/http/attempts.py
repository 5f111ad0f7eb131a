"""One attempt of a call to Braintrust: what is sent, what is read, and what a failure means.

Failures are returned, and raised by the caller: an exception that is raised while one of
``requests`` is handled refers to it, and so to frames whose variables have the token.
"""

from __future__ import annotations

import enum
import os
import sys
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from http.cookiejar import DefaultCookiePolicy
from typing import TypeVar
from urllib.parse import urljoin

import requests
from requests.utils import default_headers, get_environ_proxies
from urllib3.exceptions import HTTPError, MaxRetryError, NewConnectionError, ReadTimeoutError
from urllib3.util import Timeout

from flask_braintrust_evals.concurrency.gevent_patch import is_patched, real_thread_id
from flask_braintrust_evals.concurrency.time_limit import time_limit
from flask_braintrust_evals.errors import CloudError, CloudTimeoutError
from flask_braintrust_evals.tracing.untraced import untraced

from . import answers
from .addresses import AddressRules, Origin
from .connections import CheckedAdapter
from .refusals import refusal
from .tokens import Token

CONNECT_TIMEOUT = 10.0
"""Seconds to wait for a connection, unless an attempt may take less than that in all."""
MAX_REDIRECTS = 3
"""Redirects that are followed, where any are."""
_HEADERS = {**default_headers(), **answers.ACCEPTED}
"""The headers of every request."""

E = TypeVar("E", bound=BaseException)


class Repeat(enum.Enum):
    """The condition for another attempt after a failed one."""

    ALWAYS = enum.auto()
    """Braintrust has certainly not carried out the call."""
    IF_REPEATABLE = enum.auto()
    """It may have carried it out."""
    NEVER = enum.auto()
    """Another attempt would fail, too."""


@dataclass(frozen=True)
class Call:
    """A call, ready to be sent.

    Attributes:
        what: names it, for errors.
        method: the HTTP method.
        url: the whole address.
        timeout: seconds that one attempt may take in all.
        limit: maximum bytes of the answer, unpacked.
        params: the query.
        headers: further headers.
        data: the body.
        with_token: whether the user's token is sent.
        redirects: whether the answer may be had from where a redirect leads, by ``GET``.
    """

    what: str
    method: str
    url: str
    timeout: float
    limit: int
    params: Mapping[str, str] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    data: bytes | None = field(default=None, repr=False)
    with_token: bool = True
    redirects: bool = False


@dataclass(frozen=True)
class Failure:
    """A failed attempt."""

    error: CloudError
    repeat: Repeat


class _Http(requests.Session):
    """A session that leaves redirects alone, and keeps no cookies."""

    def __init__(self) -> None:
        super().__init__()
        self.cookies.set_policy(DefaultCookiePolicy(allowed_domains=()))

    def get_redirect_target(self, response: requests.Response) -> None:
        """Return that there is none: ``requests`` would read the whole body of the redirect."""


class Connections:
    """The HTTP connections of one user. Thread-safe.

    Args:
        token: the user's token.
        rules: the addresses that may be called although they are not public.
    """

    def __init__(self, token: Token, rules: AddressRules) -> None:
        self._token = token
        self._rules = rules
        self._thread = real_thread_id()
        self._http = self._new_http()

    def _new_http(self) -> requests.Session:
        http = _Http()
        for scheme in ("http://", "https://"):
            http.mount(scheme, CheckedAdapter(self._rules))
        return http

    def _of_this_thread(self) -> AbstractContextManager[requests.Session]:
        """Return what makes requests: under gevent, a connection is of use to one thread alone.

        Scorers and coroutines on other threads have connections of their own for each call.
        """
        if is_patched() and real_thread_id() != self._thread:
            return self._new_http()
        return nullcontext(self._http)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def close_idle(self) -> None:
        """Close most of the connections that no request uses."""
        for adapter in self._http.adapters.values():
            if isinstance(adapter, CheckedAdapter):
                adapter.close_idle()

    def attempt(self, call: Call) -> bytes | Failure:
        """Make one attempt, and return the body of the answer, or why it failed.

        Raises:
            BaseException: what is neither a failure of the call nor of the network, such as the end
                of the greenlet. It has no frames of this or any other library.
        """
        try:
            with time_limit(call.timeout), self._of_this_thread() as http:
                return self._answer(call, http)
        except CloudError as error:
            return Failure(without_frames(error), Repeat.NEVER)
        except requests.exceptions.InvalidHeader:
            return Failure(CloudError(f"a header of {call.what} cannot be sent"), Repeat.NEVER)
        except (requests.RequestException, HTTPError, TimeoutError) as error:
            return _failure(call, error)
        except ValueError:  # its text may quote the token
            text = f"a header of {call.what} has characters that cannot be sent"
            return Failure(CloudError(text), Repeat.NEVER)
        except BaseException as error:
            without_frames(error)
            raise error

    def _answer(self, call: Call, http: requests.Session) -> bytes | Failure:
        url, first = call.url, True
        for _ in range(MAX_REDIRECTS + 1):
            origin = self._rules.check(url, "the address")
            with self._send(call, http, url, first) as response:
                if 300 <= response.status_code < 400 and call.redirects:
                    # The answer is fetched from there, and the call is not made again.
                    url, first = urljoin(url, response.headers.get("Location", "")), False
                    continue
                if not 200 <= response.status_code < 300:
                    return self._refused(call, response, origin)
                return answers.read(response, call.limit, call.what)
        raise CloudError(f"Braintrust's answer to {call.what} has too many redirects")

    def _send(self, call: Call, http: requests.Session, url: str, first: bool) -> requests.Response:
        with_token = call.with_token and (first or Origin.of(url) == Origin.of(call.url))
        with_headers = with_token or (first and not call.with_token)
        # An address that an answer names has a signature in it, which lets in whoever reads it. An
        # application that has instrumented requests would record it, and send it on.
        named_by_answer = not (first and call.with_token)
        # Session.request() would send what a .netrc file has instead of the token. And most of its
        # time is the merging of settings that this session does not have.
        request = requests.PreparedRequest()
        request.prepare_method(call.method if first else "GET")
        request.prepare_url(url, call.params if first else None)
        request.prepare_headers({**_HEADERS, **(call.headers if with_headers else {})})
        request.prepare_body(call.data if first else None, None)
        if with_token:
            request.headers["Authorization"] = f"Bearer {self._token.reveal()}"
        bundle = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE")
        with untraced() if named_by_answer else nullcontext():
            return http.send(
                request,
                timeout=Timeout(connect=min(CONNECT_TIMEOUT, call.timeout), total=call.timeout),  # type: ignore[arg-type]
                proxies=_proxies(url),
                verify=bundle or True,
                allow_redirects=False,
                stream=True,
            )

    def _refused(self, call: Call, response: requests.Response, origin: Origin) -> Failure:
        trusted = self._rules.trusts(origin)
        error = refusal(call.what, response, self._token if trusted else None)
        if response.status_code in (429, 503):
            return Failure(error, Repeat.ALWAYS)
        again = response.status_code in (502, 504)
        return Failure(error, Repeat.IF_REPEATABLE if again else Repeat.NEVER)


def _proxies(url: str) -> dict[str, str]:
    """Return the proxies that the environment names for an address, as ``requests`` does."""
    # requests goes through the whole environment several times to find that it names none.
    may_be_elsewhere = sys.platform in ("darwin", "win32")  # in the settings of the system
    if may_be_elsewhere or "_proxy" in " ".join(os.environ).lower():
        return get_environ_proxies(url)
    return {}


def _failure(call: Call, error: BaseException) -> Failure:
    """Return what an exception of the network means."""
    # For a body that ends early, requests raises a ConnectionError, even after a time-out.
    cause = error.args[0] if error.args else None
    never_connected = isinstance(error, requests.ConnectTimeout) or (
        isinstance(cause, MaxRetryError) and isinstance(cause.reason, NewConnectionError)
    )
    if isinstance(error, requests.Timeout | ReadTimeoutError | TimeoutError) or isinstance(
        cause, ReadTimeoutError
    ):
        failure: CloudError = CloudTimeoutError(
            f"Braintrust did not answer {call.what} within {call.timeout:g} seconds"
        )
        repeat = Repeat.ALWAYS if never_connected else Repeat.NEVER
    elif isinstance(error, HTTPError):  # requests has exceptions of its own, until the body
        failure = CloudError(f"Braintrust's answer to {call.what} ended half-way")
        repeat = Repeat.NEVER
    else:
        origin = Origin.of(call.url)
        where = "" if origin is None else f" at {origin.netloc}"
        failure = CloudError(
            f"Braintrust could not be reached{where} for {call.what} ({type(error).__name__})"
        )
        repeat = Repeat.ALWAYS if never_connected else Repeat.IF_REPEATABLE
    failure.transient = True
    return Failure(failure, repeat)


def without_frames(error: E) -> E:
    """Forget where an exception comes from, and which others it was raised after.

    The frames of ``requests``, ``urllib3`` and ``http.client`` have headers in their variables.
    """
    error.__cause__ = error.__context__ = None
    return error.with_traceback(None)
