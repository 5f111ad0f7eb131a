"""Says where the local page is, once, when a server starts that serves it.

An application does not know the address of its server. But gunicorn and ``flask run`` load the
application, so they are on the stack, or in the context of the command, when a blueprint is
registered. With other servers nothing is said.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator
from types import FrameType
from typing import Any

import click
from flask.cli import run_command

_ANY_HOST = ("0.0.0.0", "::", "")
_IF = "if nothing in front of the application changes its address"


def announce_page(path: str) -> None:
    """Say where the page is, if this is the start of a server, and its address is known.

    Args:
        path: the path of the page. One with variables is not said.
    """
    if "<" in path:
        return
    addresses = _of_gunicorn()
    if addresses is not None:
        prefix = os.environ.get("SCRIPT_NAME", "")  # which gunicorn takes off each path
        for address in addresses:
            logging.getLogger("gunicorn.error").info(
                "evaluators can be tried at %s%s%s (%s)", address, prefix, path, _IF
            )
        return
    served_at = _of_flask_run()
    if served_at is not None:
        click.echo(f" * evaluators can be tried at {served_at}{path} ({_IF})", err=True)


def _of_gunicorn() -> list[str] | None:
    """Return where gunicorn serves, for the first of its workers; ``None``: it does not load this.

    With ``--preload``, the master process loads the application, before it listens.
    """
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        module = str(frame.f_globals.get("__name__", ""))
        owner: Any = frame.f_locals.get("self")
        if module.startswith("gunicorn.workers.") and hasattr(owner, "sockets"):
            is_first = getattr(owner, "age", 1) == 1
            return [*_addresses(owner)] if is_first else []
        if module == "gunicorn.arbiter" and hasattr(owner, "cfg"):
            return [*_configured_addresses(owner.cfg)]
        frame = frame.f_back
    return None


def _addresses(worker: Any) -> Iterator[str]:
    """Yield the addresses that a worker of gunicorn listens at, except Unix sockets."""
    for each in worker.sockets:
        name = each.getsockname()
        if isinstance(name, tuple):
            yield _address(name[0], name[1], bool(worker.cfg.is_ssl))


def _configured_addresses(cfg: Any) -> Iterator[str]:
    """Yield the addresses in gunicorn's settings, except Unix sockets, and those of other kinds."""
    for each in cfg.address:
        if isinstance(each, tuple) and len(each) == 2 and each[1]:
            yield _address(str(each[0]), int(each[1]), bool(cfg.is_ssl))


def _of_flask_run() -> str | None:
    """Return where ``flask run`` will serve; ``None``: this is another command, or a reload."""
    context = click.get_current_context(silent=True)
    if context is None or context.command is not run_command:
        return None
    if os.environ.get("WERKZEUG_RUN_MAIN") == "true":  # which has been said before
        return None
    host, port = context.params.get("host"), context.params.get("port")
    if not host or not port or str(host).startswith("unix:"):
        return None
    return _address(str(host), int(port), bool(context.params.get("cert")))


def _address(host: str, port: int, is_tls: bool) -> str:
    name = "localhost" if host in _ANY_HOST else f"[{host}]" if ":" in host else host
    return f"{'https' if is_tls else 'http'}://{name}:{port}"
