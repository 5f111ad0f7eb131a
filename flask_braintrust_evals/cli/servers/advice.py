"""Advice on what to change if a server answers otherwise than an evaluator server should."""

from __future__ import annotations

from http import HTTPStatus
from urllib.parse import urljoin, urlsplit

from .finding import Answer

OWN_PATHS = ("list", "eval", "playground", "openapi.json")
"""The last parts of addresses that are not that of a blueprint, but of what it serves."""
_LET_PASS = (
    "let requests of the blueprint pass, which checks its callers itself: if request.blueprint =="
    ' "braintrust_evals": return'
)
_LOGIN = f"the application's own before_request, or the proxy, asks for a login: {_LET_PASS}"
_PREFIX = "check the blueprint's prefix, and what the proxy forwards to it"
_NO_ANSWER = "the proxy gets no answer: check that the server runs, and see the proxy's log"
_NO_CORS_HEADERS = (
    "remove CORS headers from the proxy's configuration, such as add_header, and from what else"
    " adds them to every answer: only the blueprint should"
)
BUFFERING = (
    "switch buffering off in every proxy: in nginx 'proxy_buffering off;' for this location, in"
    ' ingress-nginx the annotation proxy-buffering "off". Use a load balancer that streams:'
    " Amazon's API Gateway does so only in the response transfer mode STREAM. Without a proxy, a"
    " middleware of the application, or its server, collects whole answers"
)


def on_health(answer: Answer, url: str) -> str:
    """Return the advice if an address does not answer as that of a blueprint."""
    if 300 <= answer.status < 400:
        return _on_redirect(answer, url)
    before, _, last = url.rpartition("/")
    if last in OWN_PATHS:
        return f"leave off '/{last}': the address is {before}"
    return on_refusal(answer) or _PREFIX


def on_refusal(answer: Answer) -> str:
    """Return the advice on an answer that something else than the blueprint gives; empty: none."""
    if not is_foreign(answer):
        return ""
    if 300 <= answer.status < 400 or answer.status in (401, 403):
        return _LOGIN
    if answer.status == 400 and "csrf" in f"{answer.error} {answer.text}".lower():
        return "exempt the blueprint itself from the protection: csrf.exempt(evals_bp)"
    if answer.status == 429:
        return "exempt the blueprint from the rate limit, which has quotas of its own, or raise it"
    if answer.status in (502, 503, 504):
        return _NO_ANSWER
    return ""


def is_foreign(answer: Answer) -> bool:
    """Return whether an error is not one that the blueprint has found.

    It passes on those of the application that are exceptions of werkzeug, which have a form.
    """
    if answer.status < 300:
        return False
    body = answer.json
    text = body.get("error") if isinstance(body, dict) else None
    try:
        name = HTTPStatus(answer.status).phrase
    except ValueError:
        return not isinstance(text, str)
    return not isinstance(text, str) or text.startswith(f"{name}: ")


def on_preflight(answer: Answer, problem: str, page: str, is_allowed: bool) -> str:
    """Return the advice if the answer to a preflight has a problem.

    Args:
        answer: the answer.
        problem: what is wrong with it.
        page: the origin of the page.
        is_allowed: whether answers to other requests allow the page.
    """
    allowed = answer.headers.get("Access-Control-Allow-Origin", "")
    if answer.status in (401, 403, 405):
        return (
            "let OPTIONS through to the blueprint: the proxy, or a middleware around the"
            " application, answers it; a before_request of the application cannot"
        )
    if answer.status == 404:
        return "check that the proxy forwards every path below the blueprint's prefix, and OPTIONS"
    if 300 <= answer.status < 400:
        where = answer.headers.get("Location", "elsewhere")
        return (
            f"answer OPTIONS here instead of redirecting it to {where}: browsers follow no redirect"
            " of a preflight"
        )
    if answer.status == 429:
        return "let the proxy's rate limit count no OPTIONS requests, or raise it"
    if answer.status in (502, 503, 504):
        return _NO_ANSWER
    if not 200 <= answer.status < 300:
        return "see the logs of the server and of the proxy for the reason"
    if "several" in problem or (allowed == "*" and not is_allowed):
        return _NO_CORS_HEADERS
    if is_allowed or allowed == page:
        return (
            "let the blueprint answer OPTIONS: the proxy, or another CORS extension, answers it or"
            " changes its headers"
        )
    return f"if the page is yours, add {page} to BRAINTRUST_EVALS_ORIGINS"


def on_foreign_page(allowed: str, page: str) -> str:
    """Return the advice if a page that no server should allow is allowed."""
    if "*" in allowed:
        return _NO_CORS_HEADERS
    return (
        "remove CORS headers from the proxy, and patterns that match"
        f" {page} from BRAINTRUST_EVALS_ORIGINS"
    )


def _on_redirect(answer: Answer, url: str) -> str:
    target = urlsplit(urljoin(f"{url}/", answer.headers.get("Location", "")))
    moved = "give the Playground that address: browsers follow no redirect of a preflight"
    here = urlsplit(url)
    if target.path.rstrip("/") == here.path.rstrip("/"):
        return moved
    if target.hostname == here.hostname:
        return _LOGIN
    return f"if the server is there now, {moved}. If it is a login, {_LET_PASS}"
