"""Takes the place of pip: says whether what is asked for exists, and installs nothing."""

from __future__ import annotations

import re
import sys
from importlib.metadata import distribution
from pathlib import Path

REQUIREMENT = re.compile(r"([\w-]+)(?:\[([\w,]+)\])?")


def check(requirement: str) -> None:
    """Raise where a requirement is not installed here, or has no such extra."""
    found = REQUIREMENT.fullmatch(requirement)
    if found is None:
        raise SystemExit(f"{requirement!r} is no requirement")
    known = distribution(found[1]).metadata.get_all("Provides-Extra") or []
    for extra in (found[2] or "").split(","):
        if extra and extra not in known:
            raise SystemExit(f"{found[1]} has no extra {extra!r}; it has {', '.join(known)}")


if __name__ == "__main__":
    command, *arguments = sys.argv[1:]
    if command != "install":
        raise SystemExit(f"pip {command} is not played")
    while arguments:
        argument = arguments.pop(0)
        if argument == "-r":
            arguments += Path(arguments.pop(0)).read_text().split()
        elif not argument.startswith("-"):
            check(argument)
