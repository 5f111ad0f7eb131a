"""A program in the place of another one, which a process of `tests.forked.Nursery` runs instead.

``python -I -S front.py MODULE ARGUMENTS`` does what the program of that module would do, in its
directory, with its environment and descriptors; signals are passed on, and its status is returned.

It imports little, since it is started instead of what would import much.
"""

import json
import os
import signal
import socket
import sys
from contextlib import suppress

FRONT = __file__
NURSERY = "TEST_NURSERY"
"""The variable with the descriptor by which processes are asked for. Others follow its comma, for
modules: ``3,gunicorn=4``."""


def descriptor(module: str) -> int:
    """Return by which descriptor to ask for a process that runs a module."""
    usual, *others = os.environ[NURSERY].split(",")
    return int(dict(each.split("=") for each in others).get(module, usual))


def main(module: str, arguments: list[str]) -> int:
    """Have the program run, and return its status."""
    status, theirs = socket.socketpair()
    request = {
        "module": module,
        "arguments": [each.replace("{", "{{").replace("}", "}}") for each in arguments],
        "environ": dict(os.environ),
        "directory": os.getcwd(),
        "path": os.path.dirname(sys.executable),  # where programs are, as that of theirs
        "leads": False,
        "first": 0,
    }
    nursery = socket.socket(fileno=descriptor(module))
    socket.send_fds(nursery, [json.dumps(request).encode()], [theirs.fileno(), 0, 1, 2])
    theirs.close()
    with status.makefile("r") as lines:
        pid = int(lines.readline())
        for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM):
            signal.signal(number, lambda number, _: os.kill(pid, number))
        return int(lines.readline())


if __name__ == "__main__":
    ended = main(sys.argv[1], sys.argv[2:])
    if ended < 0:
        with suppress(OSError):  # of those that nothing handles
            signal.signal(-ended, signal.SIG_DFL)
        os.kill(os.getpid(), -ended)
    sys.exit(ended)
