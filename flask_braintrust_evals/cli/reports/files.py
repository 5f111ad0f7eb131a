"""Writes the files of results."""

from __future__ import annotations

import errno
import os
import secrets
import stat
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import click


def check_writable(path: Path, option: str, used: Iterable[tuple[str, Path]]) -> None:
    """Check that a file can be written, before what is to be in it is made.

    Args:
        path: the file.
        option: the option that names it, for messages.
        used: the other options that name files, and these.

    Raises:
        click.UsageError: it cannot be written, or another option names it, too.
    """
    if path == Path():
        raise click.UsageError(f"{option}: give the name of a file")
    if os.path.exists(path) and not os.access(path, os.W_OK):
        raise click.UsageError(f"{option}: {str(path)!r} is not writable")
    if _is_special(path):
        return
    folder = _target(path).parent
    if not os.access(folder, os.W_OK):
        raise click.UsageError(f"{option}: {str(folder)!r} is not a writable folder")
    for other, file in used:
        if os.path.realpath(file) == os.path.realpath(path):
            raise click.UsageError(
                f"{other} and {option}: {str(path)!r} is named twice; it would be overwritten"
            )


def write_file(path: Path, text: str) -> None:
    """Write a file as a whole: if that fails or is interrupted, the former file is as it was.

    Raises:
        OSError: it cannot be written.
    """
    data = text.encode()
    if _is_special(path):
        stream = _stream(path)
        with open(path if stream is None else os.dup(stream), "wb") as special:
            special.write(data)
        return
    target = _target(path)
    # Not by tempfile, whose files nobody else may read, whatever the umask.
    beside = target.with_name(f".{secrets.token_hex(8)}.tmp")
    try:
        with beside.open("xb") as file:
            file.write(data)
        if target.exists():
            beside.chmod(stat.S_IMODE(target.stat().st_mode))
        try:
            beside.replace(target)
        except OSError as error:
            if error.errno != errno.EBUSY:
                raise
            target.write_bytes(data)  # a file that is mounted alone, as into a container
    finally:
        with suppress(OSError):
            beside.unlink()


def _target(path: Path) -> Path:
    """Return the file that is replaced, so that a link to it stays a link."""
    return Path(os.path.realpath(path)) if path.is_symlink() else path


def _is_special(path: Path) -> bool:
    """Return whether it is a pipe, a device or an open stream, which cannot be replaced."""
    return os.path.exists(path) and not (os.path.isfile(path) and _stream(path) is None)


def _stream(path: Path) -> int | None:
    """Return the descriptor of standard output or standard error, if the path leads to it."""
    for descriptor in (1, 2):
        with suppress(OSError):
            if os.path.samestat(os.stat(path), os.fstat(descriptor)):
                return descriptor
    return None
