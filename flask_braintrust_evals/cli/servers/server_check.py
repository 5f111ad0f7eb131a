"""Checks a server with the requests of a browser: health, CORS, access, large bodies, a run."""

from __future__ import annotations

import ipaddress
from collections.abc import Generator, Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

import requests

from flask_braintrust_evals.config.settings import OPEN_HEADER

from . import advice
from .finding import DEFAULT_TIMEOUT, Answer, Finding, cause_of, new_session
from .server_options import credentials
from .stream_check import StreamCheck

PAGE = "https://www.braintrust.dev"
"""The origin of the Playground."""
FOREIGN_PAGE = "https://www.braintrust.dev.example.com"
"""An origin that no server should allow."""
HEADERS = ("authorization", "content-type", "x-bt-auth-token", "x-bt-org-name")
"""Request headers that each preflight asks for."""
BODY_SIZE = 2 * 1024 * 1024
"""Bytes of the large body. Many proxies accept no more than one megabyte."""


class ServerCheck:
    """Checks one server.

    Args:
        url: the address of the blueprint, such as ``https://tools.example.com/evals``.
        token: a Braintrust API key; ``None``: the checks that need one are skipped.
        org: the organisation, if the key has several.
        page: the origin of the page that calls the server.
        evaluator: the evaluator to run; ``None``: one that every server has.
        timeout: seconds that an answer may take, and that a stream may send nothing.
    """

    def __init__(
        self,
        url: str,
        token: str | None,
        org: str | None,
        page: str = PAGE,
        evaluator: str | None = None,
        timeout: float = DEFAULT_TIMEOUT,
    ) -> None:
        self._timeout = timeout
        self._url = url.rstrip("/")
        self._page = page
        self._is_local = _is_loopback(urlsplit(url).hostname or "")
        self._evaluator = evaluator
        self._http = new_session()
        self._has_token = token is not None
        self._credentials = credentials(token, org)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def findings(self) -> Iterator[Finding]:
        """Yield each finding as soon as it is made. A request without an answer ends the check."""
        try:
            is_there = yield from self._health()
            if not is_there:
                return
            yield from self._address()
            for path in ("/list", "/eval"):
                yield from self._preflight(path)
            yield from self._foreign_page()
            admitted = yield from self._access()
            if admitted:
                yield from self._large_body()
                self._http.close()
                stream = StreamCheck(
                    self._http, self._url, self._credentials, self._evaluator, self._timeout
                )
                yield from stream.findings()
        except requests.exceptions.SSLError as error:
            todo = (
                "check that the port speaks TLS, and that browsers trust the certificate: its"
                " names, its dates, and the certificates between it and a known authority"
            )
            yield Finding(False, f"TLS fails: {cause_of(error)}", todo)
        except requests.RequestException as error:
            todo = "check the address, the firewall, and that the server runs"
            yield Finding(False, f"no answer: {cause_of(error)}", todo)

    def _health(self) -> Generator[Finding, None, bool]:
        answer = self._request("GET", "/")
        if 300 <= answer.status < 400:
            where = answer.headers.get("Location", "elsewhere")
            what = f"{self._url}/ redirects to {where}"
            yield Finding(False, what, advice.on_health(answer, self._url))
            return False
        said = answer.json.get("status") if isinstance(answer.json, dict) else None
        if (answer.status, said) == (200, "ok"):
            yield Finding(True, "the server is there")
            return True
        if (answer.status, said) == (503, "blocked"):
            todo = "find the coroutine in the server's log, or restart the server"
            yield Finding(False, str(answer.json.get("error")), todo)
            return False
        what = f"{self._url}/ answers with status {answer.status}, and not as an EvalsBlueprint"
        yield Finding(False, what, advice.on_health(answer, self._url))
        return False

    def _address(self) -> Iterator[Finding]:
        if self._is_local or urlsplit(self._url).scheme == "https":
            return
        what = "a page loaded over HTTPS may not call plain HTTP on another machine"
        yield Finding(False, what, "serve it over HTTPS, usually through a proxy")

    def _preflight(self, path: str) -> Iterator[Finding]:
        answer = self._request_preflight(path, self._page)
        problem = _problem_of(answer, self._page)
        if not problem:
            yield Finding(True, f"pages of {self._page} may use {path}")
            return
        other = self._request("GET", "/", {"Origin": self._page})
        is_allowed = other.headers.get("Access-Control-Allow-Origin") == self._page
        todo = advice.on_preflight(answer, problem, self._page, is_allowed)
        yield Finding(False, f"the preflight of {path} fails: {problem}", todo)

    def _foreign_page(self) -> Iterator[Finding]:
        answer = self._request_preflight("/list", FOREIGN_PAGE)
        allowed = answer.headers.get("Access-Control-Allow-Origin")
        if allowed is None:
            yield Finding(True, "pages of other sites may not use it")
            return
        todo = advice.on_foreign_page(allowed, FOREIGN_PAGE)
        yield Finding(False, f"pages of any site may use it ({allowed!r} is allowed)", todo)

    def _access(self) -> Generator[Finding, None, bool]:
        anonymous = self._request("GET", "/list")
        todo = advice.on_refusal(anonymous)
        if todo or anonymous.status not in (200, 401):
            # A token would not help here, and the text of the blueprint says what does.
            what = f"{self._url}/list answers with status {anonymous.status}: {anonymous.error}"
            yield Finding(False, what, todo)
            return False
        if anonymous.status == 200:
            if not isinstance(anonymous.json, dict):
                what = f"{self._url}/list does not answer with evaluators"
                yield Finding(False, what, advice.on_health(anonymous, self._url))
                return False
            todo = "" if self._is_local else "set BRAINTRUST_EVALS_AUTH to 'braintrust'"
            yield Finding(self._is_local, "it lists evaluators without a token", todo)
        else:
            yield Finding(True, "without a token it lists nothing")
        if not self._has_token:
            if anonymous.status != 200:
                yield Finding(True, "skipped: checks that need a token", _LEFT_OUT)
            return anonymous.status == 200
        answer = self._request("GET", "/list", self._credentials)
        manifest = answer.json
        if answer.status == 200 and isinstance(manifest, dict):
            yield Finding(True, f"with the token it lists {len(manifest)} evaluators")
            if OPEN_HEADER in answer.headers:
                what = "everybody who has an account of Braintrust may run them"
                yield Finding(self._is_local, what, _OPEN_ADVICE)
            return True
        what = f"the token is refused with status {answer.status}: {answer.error}"
        refused = "check the token, and the organisation: --org names it"
        yield Finding(False, what, advice.on_refusal(answer) or refused)
        return False

    def _large_body(self) -> Iterator[Finding]:
        # No server has this evaluator: if the body arrives, the answer is a 404, and nothing runs.
        body = {"name": "flask-braintrust-evals:none", "padding": "x" * BODY_SIZE}
        size = f"{BODY_SIZE // 1024**2} MiB"
        try:
            answer = self._request("POST", "/eval", self._credentials, json=body)
        except (requests.ConnectionError, requests.Timeout) as error:
            what = f"a body of {size} breaks the connection: {cause_of(error)}"
            yield Finding(False, what, _BODY_ADVICE)
            return
        if answer.status == 404 and isinstance(answer.json, dict):
            yield Finding(True, f"bodies of {size} arrive")
            return
        what = f"a body of {size} is answered with status {answer.status}"
        todo = _BODY_ADVICE if answer.status == 413 else "see the server's log"
        yield Finding(False, f"{what}: {answer.error}", advice.on_refusal(answer) or todo)

    def _request(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str | bytes] | None = None,
        json: Any = None,
    ) -> Answer:
        # Each on a connection of its own: some servers, such as uWSGI, close one after an answer
        # without having said so.
        self._http.close()
        with self._http.request(
            method,
            self._url + path,
            headers=headers,
            json=json,
            timeout=self._timeout,
            allow_redirects=False,
            stream=True,
        ) as response:
            return Answer.read(response, self._timeout)

    def _request_preflight(self, path: str, page: str) -> Answer:
        headers = {
            "Origin": page,
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": ", ".join(HEADERS),
            "Access-Control-Request-Private-Network": "true",
        }
        return self._request("OPTIONS", path, headers)


_OPEN_ADVICE = (
    "set BRAINTRUST_EVALS_ORG_NAME to the id of your organisation, or to '*' if that is meant"
)
_LEFT_OUT = (
    f"left out: whether every organisation is let in, whether bodies of {BODY_SIZE // 1024**2} MiB"
    " arrive, whether events come when they happen, and whether a run blocks other requests; set"
    " BRAINTRUST_API_KEY to check these, too"
)
_BODY_ADVICE = (
    "let larger ones through: in nginx 'client_max_body_size 8m;', in ingress-nginx the annotation"
    " proxy-body-size; and see BRAINTRUST_EVALS_MAX_BODY"
)


def _problem_of(answer: Answer, page: str) -> str:
    """Return the first problem of the answer to a preflight; empty: there is none."""
    if not 200 <= answer.status < 300:
        return f"status {answer.status}"
    origin = answer.headers.get("Access-Control-Allow-Origin", "")
    if "," in origin:
        return f"it has several allowed origins: {origin}"
    if origin != page:
        return f"the allowed origin is {origin or 'none'}, not {page}"
    allowed = {
        each.strip().lower()
        for each in answer.headers.get("Access-Control-Allow-Headers", "").split(",")
    }
    missing = [each for each in HEADERS if each not in allowed]
    if missing:
        return f"headers are not allowed: {', '.join(missing)}"
    for name in ("Access-Control-Allow-Credentials", "Access-Control-Allow-Private-Network"):
        if answer.headers.get(name) != "true":
            return f"{name} is missing"
    return ""


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
