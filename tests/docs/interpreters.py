"""The commands that blocks of other kinds hold: those of a build, of systemd, of a container."""

from __future__ import annotations

import configparser
import json
import re
import shlex
from collections.abc import Callable, Iterator

import yaml

from .pages import Block

Command = tuple[str, dict[str, str]]
"""A command for the shell, and the variables that it is given."""


def commands_in(block: Block) -> list[Command]:
    """Return the commands that a block holds; none where it holds none."""
    return list(_READERS[block.kind](block.text)) if block.kind in _READERS else []


def _of_shell(text: str) -> Iterator[Command]:
    yield text, {}


def _of_yaml(text: str) -> Iterator[Command]:
    """The steps of GitHub Actions: the secrets of such a repository are all called ``...``."""
    for job in yaml.safe_load(text).get("jobs", {}).values():
        for step in job["steps"]:
            if "run" in step:
                given = {
                    k: re.sub(r"\$\{\{.*?\}\}", "...", v) for k, v in step.get("env", {}).items()
                }
                yield step["run"], {**_OF_GITHUB, **given}


_OF_GITHUB = {"GITHUB_RUN_NUMBER": "1", "GITHUB_STEP_SUMMARY": "summary.md"}
"""Variables that are set in every job there."""


def _of_systemd(text: str) -> Iterator[Command]:
    unit = configparser.ConfigParser(interpolation=None)
    unit.optionxform = str  # type: ignore[assignment, method-assign]
    unit.read_string(text)
    # The environment that runs the tests has the program, wherever it is in the unit's.
    yield re.sub(r"^\S*/", "", unit["Service"]["ExecStart"]), {}


def _of_dockerfile(text: str) -> Iterator[Command]:
    for line in text.splitlines():
        instruction, _, rest = line.partition(" ")
        if instruction == "RUN":
            yield rest, {}
        elif instruction == "CMD":
            yield shlex.join(json.loads(rest)), {}


_READERS: dict[str, Callable[[str], Iterator[Command]]] = {
    "sh": _of_shell,
    "yaml": _of_yaml,
    "ini": _of_systemd,
    "dockerfile": _of_dockerfile,
}
