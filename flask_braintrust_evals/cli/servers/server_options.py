"""The options by which commands reach a server, and what they are checked for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar
from urllib.parse import SplitResult, urlsplit

import click
from click.core import ParameterSource

from flask_braintrust_evals.config.settings import Session
from flask_braintrust_evals.errors import ConfigurationError

F = TypeVar("F", bound=Callable[..., Any])

org_option = click.option(
    "--org",
    metavar="NAME",
    envvar="BRAINTRUST_ORG_NAME",
    help="The organisation, if the API key has several. Or set BRAINTRUST_ORG_NAME.",
)
token_option = click.option(
    "--token",
    envvar="BRAINTRUST_API_KEY",
    help="A Braintrust API key. It is safer in the environment variable BRAINTRUST_API_KEY.",
)


def timeout_option(default: float, help: str) -> Callable[[F], F]:
    """Return the option ``--timeout``, a number of seconds above 0."""
    return click.option(
        "--timeout",
        metavar="SECONDS",
        type=click.FloatRange(0, min_open=True),
        default=default,
        show_default=True,
        help=help,
    )


def refuse_without(needed: str, *names: str) -> None:
    """Refuse options that mean nothing without another one.

    Environment variables that stand for them are meant for other commands, too, and are ignored.

    Args:
        needed: the option that is missing.
        names: the options that need it, without their dashes.

    Raises:
        click.UsageError: one of them is in the command line.
    """
    context = click.get_current_context()
    for name in names:
        if context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            raise click.UsageError(f"--{name}: give {needed}, too")


def check_address(url: str) -> None:
    """Check the address of a server.

    Raises:
        click.UsageError: no request can be sent to it, or it has credentials or a query.
    """
    parts = _split(url)
    if parts is None:
        raise click.UsageError(f"{url!r} is not an address such as https://tools.example.com/evals")
    if "@" in parts.netloc or parts.query:
        raise click.UsageError("the address must have neither credentials nor a query")


def check_origin(origin: str) -> None:
    """Check the origin of a page.

    Raises:
        click.UsageError: a page cannot have it.
    """
    parts = _split(origin)
    if parts is None or origin != f"{parts.scheme}://{parts.netloc}":
        raise click.UsageError(f"--origin: {origin!r} is not an origin such as https://example.com")


def checked_token(token: str | None) -> str | None:
    """Return a token.

    Raises:
        click.UsageError: no header can carry it. It is not quoted.
    """
    try:
        # Session refuses a token that no header can carry without quoting it; requests quotes it.
        return Session(token).token
    except ConfigurationError:
        problem = "must be a text of visible ASCII characters"
    raise click.UsageError(f"the API key (BRAINTRUST_API_KEY or --token) {problem}")


def credentials(token: str | None, org: str | None) -> dict[str, str | bytes]:
    """Return the headers that say who sends a request.

    Args:
        token: a Braintrust API key; ``None``: it has none.
        org: the organisation, if the key has several.
    """
    headers: dict[str, str | bytes] = {}
    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
    if org is not None:
        headers["x-bt-org-name"] = org.encode()  # in UTF-8, as browsers do
    return headers


def _split(url: str) -> SplitResult | None:
    """Return the parts of an address; ``None``: no request can be sent to it."""
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:  # reading a port that is not a number raises it, too
        return None
    return parts if good else None
