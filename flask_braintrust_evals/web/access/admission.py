"""Refuses requests that may not be served, and finds the user that the others act as."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from flask import Request

from flask_braintrust_evals.cloud.http.tokens import Token
from flask_braintrust_evals.cloud.sessions.session_cache import Lease, SessionCache
from flask_braintrust_evals.cloud.sessions.user_session import UserSession, log_in
from flask_braintrust_evals.config.settings import Session, Settings
from flask_braintrust_evals.errors import (
    AccessDeniedError,
    AuthenticationError,
    ConfigurationError,
)
from flask_braintrust_evals.runs.endpoints import endpoints
from flask_braintrust_evals.web.requests.connections import client_has_left

from .caller_identity import CallerIdentity
from .cors import is_other_allowed_page, request_origin_allowed
from .credentials import Credentials, has_own_token
from .hosts import is_known_host
from .local_only import check_unauthenticated, unknown_host
from .organizations import check_named, check_organization
from .run_slots import Owner

_HOW_TO_SEND = (
    "send your Braintrust API key as 'Authorization: Bearer <key>' or in the header x-bt-auth-token"
)


@dataclass(frozen=True)
class Caller:
    """The user that a request acts as. :meth:`release` it when the request and its stream are over.

    Attributes:
        lease: keeps the user's session open; ``None``: the request acts without Braintrust.
        project_id: the project that the request's headers name, if any.
        owner: the caller and the organisation that runs are counted for.
        identity: what tells the caller from others.
    """

    lease: Lease | None
    project_id: str | None
    owner: Owner
    identity: CallerIdentity

    @property
    def session(self) -> UserSession | None:
        """The user's session; ``None``: the request acts without Braintrust."""
        return None if self.lease is None else self.lease.session

    def release(self) -> None:
        """Release the session. Later calls do nothing."""
        if self.lease is not None:
            self.lease.release()


def admit(request: Request, settings: Settings, sessions: SessionCache) -> Caller:
    """Return the user that the request acts as.

    Raises:
        AccessDeniedError: the page, the organisation, the client's address or the server's own
            host name is not allowed.
        AuthenticationError: there is no token, or it is not valid.
        RequestError: a header is not valid, or the token has several organisations and no header
            names one.
        TooManyLoginsError: too many other logins are under way.
        CloudError: the token could not be checked.
        ConfigurationError: the function in ``BRAINTRUST_EVALS_AUTH`` returned something else than a
            :class:`Session` or ``None``.
    """
    if not request_origin_allowed(request, settings):
        origin = request.headers.get("Origin", "")[:300]
        raise AccessDeniedError(
            f"pages of {origin!r} may not use this server; add the origin to"
            " BRAINTRUST_EVALS_ORIGINS if they should"
        )
    try:
        credentials = Credentials.of(request.headers)
        identity = _identify(request, credentials, settings)
    finally:
        _forget_token(request, settings)
    caller = _caller(identity, settings)
    digest = sessions.digest(*caller.parts) if caller.parts else None
    if identity.token is None:
        return Caller(None, credentials.project_id, Owner(digest), caller)
    lease = _lease(request, Token(identity.token), identity.org_name, settings, sessions)
    org_id = lease.session.org.id if settings.auth != "none" else None
    return Caller(lease, credentials.project_id, Owner(digest, org_id), caller)


def _forget_token(request: Request, settings: Settings) -> None:
    """Take the token out of the request's environment, which crash reporters and others record."""
    environ = request.environ
    has_own = has_own_token(request.headers)
    environ.pop("HTTP_X_BT_AUTH_TOKEN", None)
    if not has_own and settings.auth == "braintrust":  # else Authorization may be something else
        environ.pop("HTTP_AUTHORIZATION", None)


def _caller(identity: Session, settings: Settings) -> CallerIdentity:
    """Return what all requests of one caller have in common, whichever organisation they name."""
    if identity.caller is not None:
        return CallerIdentity(("caller", identity.caller))
    if identity.token is None or settings.auth == "none":  # one token for whoever asks
        return CallerIdentity()
    return CallerIdentity(("token", Token(identity.token)))


def _identify(request: Request, credentials: Credentials, settings: Settings) -> Session:
    if settings.auth == "none":
        check_unauthenticated(request, settings)
        return Session(settings.api_key, settings.first_organization)
    if settings.auth == "braintrust":
        if credentials.token is None:
            raise AuthenticationError(f"no token: {_HOW_TO_SEND}")
        if " " in credentials.token:  # another scheme, such as the "Basic ..." of a proxy
            raise AuthenticationError(
                f"the Authorization header holds no Braintrust API key: {_HOW_TO_SEND}"
            )
        return Session(credentials.token, credentials.org_name)
    # The function may go by the network that a request comes from, and so would take a page whose
    # host name resolves to this server for the user who has opened it. Other pages are known by
    # their origins.
    if not is_other_allowed_page(request, settings) and not is_known_host(request, settings):
        raise unknown_host(request)
    identity: Any = settings.auth(request)
    if identity is None:
        raise AuthenticationError("this server does not know you; sign in first")
    if not isinstance(identity, Session):
        raise ConfigurationError(
            "the function in BRAINTRUST_EVALS_AUTH must return a Session or None, not"
            f" {type(identity).__name__}"
        )
    return identity


def _lease(
    request: Request, token: Token, org_name: str | None, settings: Settings, sessions: SessionCache
) -> Lease:
    check_named(org_name, settings)
    lease = sessions.lease(
        token,
        org_name,
        settings.app_url,
        lambda: log_in(token, org_name, endpoints(settings)),
        gave_up=lambda: client_has_left(request),
    )
    try:
        check_organization(lease.session.org, settings)
    except AccessDeniedError:
        lease.release()
        raise
    return lease
