"""Ctrl-C, and SIGTERM, by which systems for continuous integration cancel a job or end its time."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click

from .terminal import echo


class Terminated(KeyboardInterrupt):
    """The process got SIGTERM."""


def signal_of(error: KeyboardInterrupt) -> int:
    """Return the number of the signal that an exception is raised for."""
    return signal.SIGTERM if isinstance(error, Terminated) else signal.SIGINT


def status_of(number: int) -> int:
    """Return the exit status after a signal, as shells have it."""
    return 128 + number


@contextmanager
def exit_on_interrupt() -> Iterator[None]:
    """Exit with status 130 after Ctrl-C, and 143 after SIGTERM, which raises :class:`Terminated`.

    Click would exit with 1 after Ctrl-C, as after a failure.
    """
    usual = _usual_handlers()

    def terminate(number: int, frame: Any) -> None:
        signal.signal(number, _ignore)
        raise Terminated

    if signal.SIGTERM in usual:
        signal.signal(signal.SIGTERM, terminate)
    try:
        yield
    except KeyboardInterrupt as error:
        echo("interrupted", err=True)
        sys.exit(status_of(signal_of(error)))
    finally:
        if signal.SIGTERM in usual:
            signal.signal(signal.SIGTERM, usual[signal.SIGTERM])


@contextmanager
def catch_interrupt() -> Iterator[list[int]]:
    """Yield a list that gets the number of the first signal; a second one raises an exception.

    A second SIGTERM does not: ``timeout`` and others send it to the process and to its group.
    """
    got: list[int] = []
    usual = _usual_handlers()

    def note(number: int, frame: Any) -> None:
        got.append(number)
        set_usual()
        if number == signal.SIGTERM:
            signal.signal(number, _ignore)
        print_hint()

    def set_usual() -> None:
        for number, handler in usual.items():
            signal.signal(number, handler)

    for number in usual:
        signal.signal(number, note)
    try:
        yield got
    finally:
        if not got:
            set_usual()


def print_hint() -> None:
    """Tell a user at a terminal that the command is about to end."""
    if sys.stderr is not None and sys.stderr.isatty():
        click.echo("\nStopping; press Ctrl-C again to exit at once.", err=True)


def _usual_handlers() -> dict[int, Any]:
    """Return what handles both signals, without those that the process ignores.

    A shell script makes the commands that it starts in the background ignore Ctrl-C.
    """
    if threading.current_thread() is not threading.main_thread():
        return {}
    handlers = {
        signal.SIGINT: signal.getsignal(signal.SIGINT) or signal.default_int_handler,
        signal.SIGTERM: signal.getsignal(signal.SIGTERM) or signal.SIG_DFL,
    }
    return {key: each for key, each in handlers.items() if each is not signal.SIG_IGN}


def _ignore(number: int, frame: Any) -> None:
    """Do nothing. Programs that tasks start do not take it over, as they would SIG_IGN."""
