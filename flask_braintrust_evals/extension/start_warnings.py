"""Warnings at the start of an application whose settings may let in more callers than intended."""

from __future__ import annotations

from collections.abc import Iterator

import click
from flask import Flask

from flask_braintrust_evals.config.settings import Settings
from flask_braintrust_evals.web.access.hosts import is_own_machine


def start_warnings(app: Flask, settings: Settings) -> Iterator[str]:
    """Yield the warnings for an application's settings."""
    if settings.auth == "none":
        yield (
            "BRAINTRUST_EVALS_AUTH is 'none': every process on this machine may run the"
            " evaluators; use it for local development only"
        )
        if settings.api_key is None and app.config.get("BRAINTRUST_API_KEY"):
            yield (
                "BRAINTRUST_API_KEY is in app.config, where it is not read: set it as a variable of"
                " the environment, or requests act without Braintrust"
            )
    if settings.is_open_by_default and not is_local_development(app):
        yield (
            "BRAINTRUST_EVALS_ORG_NAME is not set: everybody who has an account at"
            f" {settings.app_url} may run the evaluators, in whatever organisation; set it to the"
            " id of yours, or to '*' if that is what you want"
        )


def is_local_development(app: Flask) -> bool:
    """Return whether an application is surely not being deployed.

    That is so in debug mode, in tests, and in commands of ``flask``, including ``flask run`` unless
    it serves other machines.
    """
    if app.debug or app.testing:
        return True
    command = click.get_current_context(silent=True)
    if command is None:
        return False
    return is_own_machine(str(command.params.get("host") or "localhost"))
