"""Whether a request may be served, and as whom."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

from flask import Request

from flask_braintrust_evals.cloud.session_cache import SessionCache
from flask_braintrust_evals.cloud.sessions import Endpoints, UserSession, log_in
from flask_braintrust_evals.config import Settings
from flask_braintrust_evals.errors import AccessDeniedError, AuthenticationError

from .cors import request_origin_allowed
from .credentials import Credentials


@dataclass(frozen=True)
class Caller:
    """Who a request acts as.

    Attributes:
        session: the caller's session; ``None``: without Braintrust, for local development.
        project_id: the project that the request's headers name, if any.
    """

    session: UserSession | None
    project_id: str | None


def admit(request: Request, settings: Settings, sessions: SessionCache) -> Caller:
    """Return who the request acts as.

    Raises:
        AccessDeniedError: from a page, an organisation or an address that is not allowed.
        AuthenticationError: no token, or not a valid one.
        RequestError: the headers make no sense, or do not say which organisation.
        CloudError: the token could not be checked.
    """
    if not request_origin_allowed(request, settings):
        origin = request.headers.get("Origin", "")[:300]
        raise AccessDeniedError(
            f"pages of {origin!r} may not use this server; add the origin to"
            " BRAINTRUST_EVALS_ORIGINS if they should"
        )
    credentials = Credentials.of(request.headers)
    if settings.auth == "none":
        return Caller(_local_session(request, settings, sessions), credentials.project_id)
    if credentials.token is None:
        raise AuthenticationError(
            "no token: send your Braintrust API key as 'Authorization: Bearer <key>' or in the"
            " header x-bt-auth-token"
        )
    session = _session(credentials.token, credentials.org_name, settings, sessions)
    return Caller(session, credentials.project_id)


def _session(
    token: str, org_name: str | None, settings: Settings, sessions: SessionCache
) -> UserSession:
    allowed = settings.org_names
    if allowed and org_name is not None and org_name not in allowed:
        raise _foreign(org_name)
    endpoints = Endpoints(
        settings.app_url, settings.api_url, settings.proxy_url, settings.request_timeout
    )
    session = sessions.get(
        token, org_name, settings.app_url, lambda: log_in(token, org_name, endpoints)
    )
    if allowed and session.org.name not in allowed:
        raise _foreign(session.org.name)
    return session


def _foreign(org_name: str) -> AccessDeniedError:
    return AccessDeniedError(
        f"organisation {org_name!r} is not allowed on this server (BRAINTRUST_EVALS_ORG_NAME)"
    )


def _local_session(
    request: Request, settings: Settings, sessions: SessionCache
) -> UserSession | None:
    address = request.remote_addr or ""
    try:
        loopback = ipaddress.ip_address(address).is_loopback
    except ValueError:
        loopback = False
    if not loopback:
        raise AccessDeniedError(
            f"BRAINTRUST_EVALS_AUTH is 'none', which serves this machine alone, not"
            f" {address or 'a client without an address'}; use 'braintrust' to serve others"
        )
    if settings.api_key is None:
        return None
    org_name = settings.org_names[0] if settings.org_names else None
    return _session(settings.api_key, org_name, settings, sessions)
