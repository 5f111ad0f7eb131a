"""Examines a server as a browser would: health, CORS, access, and events that come one by one."""

from __future__ import annotations

import ipaddress
from collections.abc import Generator, Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

import requests

from .finding import DEFAULT_TIMEOUT, Answer, Finding, visitor
from .stream_check import StreamCheck

PAGE = "https://www.braintrust.dev"
FOREIGN_PAGE = "https://www.braintrust.dev.example.com"
HEADERS = ("authorization", "content-type", "x-bt-auth-token", "x-bt-org-name")
BODY = 2 * 1024 * 1024
"""Bytes of the body that must get through. Proxies often stop at one megabyte."""


class Doctor:
    """Examines one server.

    Args:
        url: of the blueprint, such as ``https://tools.example.com/evals``.
        token: a Braintrust API key; ``None``: what needs one is left out.
        org: the organisation, where the key has several.
        page: the origin of the page that is to reach the server.
        evaluator: whose events are watched; ``None``: one that every server has.
        timeout: seconds that the server may send nothing, and that an answer may take.
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
        self._evaluator = evaluator
        self._http = visitor()
        self._has_token = token is not None
        self._credentials: dict[str, str | bytes] = {}
        if token is not None:
            self._credentials["Authorization"] = f"Bearer {token}"
        if org is not None:
            self._credentials["x-bt-org-name"] = org.encode()  # as browsers send names

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def examine(self) -> Iterator[Finding]:
        """Yield what is found, as it is found; an answer that does not come ends it."""
        try:
            there = yield from self._health()
            if not there:
                return
            yield from self._address()
            for path in ("/list", "/eval"):
                yield from self._preflight(path)
            yield from self._foreign_page()
            admitted = yield from self._access()
            if admitted:
                yield from self._large_body()
                stream = StreamCheck(
                    self._http, self._url, self._credentials, self._evaluator, self._timeout
                )
                yield from stream.findings()
        except requests.exceptions.SSLError as error:
            advice = (
                "check that the port speaks TLS, and that browsers trust the certificate: its"
                " names, its dates, and the certificates between it and a known authority"
            )
            yield Finding(False, f"TLS fails: {_cause(error)}", advice)
        except requests.RequestException as error:
            advice = "check the address, the firewall, and that the server runs"
            yield Finding(False, f"no answer: {_cause(error)}", advice)

    def _health(self) -> Generator[Finding, None, bool]:
        answer = self._ask("GET", "/")
        if 300 <= answer.status < 400:
            where = answer.headers.get("Location", "elsewhere")
            advice = (
                "give the Playground that address: browsers do not follow where preflights lead"
            )
            yield Finding(False, f"{self._url}/ redirects to {where}", advice)
            return False
        if answer.status == 200 and answer.json == {"status": "ok"}:
            yield Finding(True, "the server is there")
            return True
        advice = "check the blueprint's prefix, and what the proxy forwards to it"
        what = f"{self._url}/ answers with status {answer.status}, and not as this server"
        yield Finding(False, what, advice)
        return False

    def _address(self) -> Iterator[Finding]:
        parts = urlsplit(self._url)
        if parts.scheme == "https" or _is_loopback(parts.hostname or ""):
            return
        advice = "serve it by HTTPS, usually by a proxy in front of it"
        yield Finding(False, "a page loaded by HTTPS may not call plain HTTP elsewhere", advice)

    def _preflight(self, path: str) -> Iterator[Finding]:
        answer = self._ask_first(path, self._page)
        wrong = _wrong_in(answer, self._page)
        if not wrong:
            yield Finding(True, f"pages of {self._page} may use {path}")
            return
        if answer.status in (401, 403, 405):
            advice = (
                "let OPTIONS through to the blueprint: the application's own before_request, or the"
                " proxy, answers it"
            )
        elif "several" in wrong:
            advice = "let only one of them add CORS headers: take add_header out of the proxy"
        else:
            advice = f"if the page is yours, add {self._page} to BRAINTRUST_EVALS_ORIGINS"
        yield Finding(False, f"the preflight of {path} fails: {wrong}", advice)

    def _foreign_page(self) -> Iterator[Finding]:
        answer = self._ask_first("/list", FOREIGN_PAGE)
        allowed = answer.headers.get("Access-Control-Allow-Origin")
        if allowed is None:
            yield Finding(True, "pages of other sites may not use it")
            return
        advice = (
            "take CORS headers out of the proxy, and patterns that match it out of the settings"
        )
        yield Finding(False, f"pages of any site may use it ({allowed!r} is allowed)", advice)

    def _access(self) -> Generator[Finding, None, bool]:
        anonymous = self._ask("GET", "/list")
        if anonymous.status == 200:
            if not isinstance(anonymous.json, dict):
                advice = "check the blueprint's prefix, and what the proxy forwards to it"
                yield Finding(False, f"{self._url}/list answers with something else", advice)
                return False
            local = _is_loopback(urlsplit(self._url).hostname or "")
            advice = "" if local else "set BRAINTRUST_EVALS_AUTH to 'braintrust'"
            yield Finding(local, "it lists evaluators without a token", advice)
        else:
            yield Finding(True, "without a token it lists nothing")
        if not self._has_token:
            if anonymous.status != 200:
                advice = "set BRAINTRUST_API_KEY to run them"
                yield Finding(True, "skipped: checks that need a token", advice)
            return anonymous.status == 200
        answer = self._ask("GET", "/list", self._credentials)
        manifest = answer.json
        if answer.status == 200 and isinstance(manifest, dict):
            yield Finding(True, f"with the token it lists {len(manifest)} evaluators")
            return True
        what = f"the token is refused with status {answer.status}: {answer.error}"
        yield Finding(False, what, "check the token, and the organisation: --org names it")
        return False

    def _large_body(self) -> Iterator[Finding]:
        # An evaluator that nobody has: what comes back is its absence, or what stopped the body.
        body = {"name": "flask-braintrust-evals:none", "padding": "x" * BODY}
        size = f"{BODY // 1024**2} MiB"
        try:
            answer = self._ask("POST", "/eval", self._credentials, json=body)
        except (requests.ConnectionError, requests.Timeout) as error:
            yield Finding(False, f"a body of {size} breaks the connection: {_cause(error)}", _BODY)
            return
        if answer.status == 404 and isinstance(answer.json, dict):
            yield Finding(True, f"bodies of {size} arrive")
            return
        what = f"a body of {size} is answered with status {answer.status}"
        advice = _BODY if answer.status == 413 else "see the server's log"
        yield Finding(False, f"{what}: {answer.error}", advice)

    def _ask(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str | bytes] | None = None,
        json: Any = None,
    ) -> Answer:
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

    def _ask_first(self, path: str, page: str) -> Answer:
        headers = {
            "Origin": page,
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": ", ".join(HEADERS),
            "Access-Control-Request-Private-Network": "true",
        }
        return self._ask("OPTIONS", path, headers)


_BODY = (
    "let larger ones through: in nginx 'client_max_body_size 64m;', in ingress-nginx the annotation"
    " proxy-body-size; and see BRAINTRUST_EVALS_MAX_BODY"
)


def _wrong_in(answer: Answer, page: str) -> str:
    """What is wrong with the answer to a preflight; empty where nothing is."""
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


def _cause(error: BaseException) -> str:
    """The innermost reason of an exception: those around it say the same again."""
    while (inner := error.__cause__ or error.__context__) is not None:
        error = inner
    return f"{type(error).__name__}: {error}"
