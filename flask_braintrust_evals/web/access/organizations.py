"""Decides which organisations may use the server, by ``BRAINTRUST_EVALS_ORG_NAME``."""

from __future__ import annotations

from flask_braintrust_evals.cloud.sessions.user_session import Organization
from flask_braintrust_evals.config.settings import Settings, is_organization_id
from flask_braintrust_evals.errors import AccessDeniedError


def check_named(org_name: str | None, settings: Settings) -> None:
    """Refuse an organisation that is named by a request, where the login could not change that.

    Raises:
        AccessDeniedError: it is not allowed.
    """
    names = settings.org_names
    if org_name is None or settings.allows_every_organization or org_name in names:
        return
    if not any(is_organization_id(name) for name in names):  # whose name only the login tells
        raise _denied(repr(org_name))


def check_organization(org: Organization, settings: Settings) -> None:
    """Refuse an organisation that the login has named.

    An entry that has the form of an id is compared with ids only: whoever owns an organisation may
    give it any name, such as the id of another.

    Raises:
        AccessDeniedError: it is not allowed.
    """
    if settings.allows_every_organization:
        return
    for entry in settings.org_names:
        if entry.lower() == org.id.lower() if is_organization_id(entry) else entry == org.name:
            return
    raise _denied(f"{org.name!r} (id {org.id})")


def _denied(described: str) -> AccessDeniedError:
    return AccessDeniedError(
        f"organisation {described} is not allowed on this server (BRAINTRUST_EVALS_ORG_NAME)"
    )
