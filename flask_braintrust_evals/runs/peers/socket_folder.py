"""The folder in which the processes of one user on one host find each other's sockets."""

from __future__ import annotations

import os
import socket
import stat
import tempfile
from contextlib import suppress
from pathlib import Path

from flask_braintrust_evals.errors import EvalsError

SUFFIX = ".sock"
CONNECT_TIMEOUT = 0.5
"""Seconds to wait for a process that has many connections waiting."""


def folder_path() -> Path:
    """Return the path of the folder.

    Raises:
        EvalsError: there is no place for temporary files, as in a container that is read-only.
    """
    try:
        place = tempfile.gettempdir()
    except FileNotFoundError as error:
        raise EvalsError(f"{error.strerror}; set TMPDIR to a folder that can be written") from None
    # Short: on macOS, 48 of the 103 bytes that a socket's path may have are those of its place.
    return Path(place) / f"flask-evals-{os.geteuid()}"


def private_folder(create: bool) -> Path:
    """Return the path of the folder, which nobody but this user can write to or read, if it exists.

    In a folder for temporary files, anybody may have made one of the same name before.

    Args:
        create: make it if it is not there.

    Raises:
        EvalsError: it belongs to somebody else, others may use it, or it cannot be made; or there
            is no place for temporary files.
    """
    path = folder_path()
    try:
        if create:
            with suppress(FileExistsError):
                path.mkdir(0o700)
        about = path.lstat()
    except FileNotFoundError:
        if create:
            raise EvalsError(f"{path.parent} is not there") from None
        return path
    except OSError as error:
        raise EvalsError(f"{path} cannot be used: {error.strerror}") from None
    if not stat.S_ISDIR(about.st_mode) or about.st_uid != os.geteuid() or about.st_mode & 0o077:
        raise EvalsError(
            f"{path} is not a folder that this user alone may use; remove it, or set TMPDIR to"
            " another place"
        )
    return path


def sockets_in(folder: Path, group: str = "") -> list[Path]:
    """Return the sockets in the folder whose names begin with ``group``, in order, if it exists."""
    try:
        return sorted(each for each in folder.glob(f"{group}*{SUFFIX}") if each.is_socket())
    except OSError:
        return []


def connection_to(path: Path) -> socket.socket | None:
    """Return a connection to the process that listens on a socket.

    Returns:
        the connection; ``None``: the process has ended, and the socket is removed.

    Raises:
        OSError: the process takes no further connections now.
    """
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(CONNECT_TIMEOUT)
    try:
        connection.connect(str(path))
    except (ConnectionRefusedError, FileNotFoundError):
        connection.close()
        with suppress(OSError):
            path.unlink()
        return None
    except BaseException:
        connection.close()
        raise
    return connection
