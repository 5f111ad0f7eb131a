"""Reads the state of the git checkout that the process runs in, for experiments.

It is read once per process, in a thread of its own, and without the network. Where there is no git
or no checkout, there is nothing. Neither addresses of remotes nor differences are read: an
organisation that may run evaluators must not thereby read credentials or code.
"""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from flask_braintrust_evals.cloud.sessions.user_session import GIT_FIELDS, Organization
from flask_braintrust_evals.concurrency.processes.programs import output_of
from flask_braintrust_evals.concurrency.real_threads import start_real_thread
from flask_braintrust_evals.config.settings import Settings
from flask_braintrust_evals.texts.safe_texts import clean_text

READ_TIMEOUT = 5.0
"""Seconds that reading the state may take in all."""
WAIT_TIMEOUT = 1.0
"""Seconds by which the first experiment of a process may be delayed."""
MAX_ANCESTORS = 1000
"""Commits by which Braintrust looks for the experiment to compare with."""
MAX_MESSAGE = 10_000
"""Characters of the message of a commit."""
_OF_PEOPLE = {"author_name", "author_email", "commit_message"}
_BASE_BRANCHES = ("main", "master", "develop")

CodeFields = Callable[[bool], Mapping[str, Any]]
"""Returns the fields of a new experiment that are about the code. Its argument: whether Braintrust
should choose the experiment to compare with."""


@dataclass(frozen=True)
class RepositoryState:
    """The state of a checkout.

    Attributes:
        info: the fields of Braintrust's ``repo_info``, as far as they are known.
        ancestors: the commits that it has in common with the base branch, the latest first.
    """

    info: dict[str, Any] = field(default_factory=dict)
    ancestors: Sequence[str] = ()

    def fields(self, allowed: Collection[str], with_ancestors: bool) -> dict[str, Any]:
        """Return the fields of a new experiment.

        Args:
            allowed: the names of the entries of ``repo_info`` that the organisation collects.
            with_ancestors: whether Braintrust should choose the experiment to compare with.
        """
        info = {name: value for name, value in self.info.items() if name in allowed}
        fields: dict[str, Any] = {"repo_info": info} if info else {}
        if with_ancestors and allowed and self.ancestors:
            fields["ancestor_commits"] = list(self.ancestors)
        return fields


class _Reading:
    """The state of this process's checkout, once it is read."""

    def __init__(self) -> None:
        self._state = RepositoryState()
        self._is_done = False

    def start(self) -> None:
        try:
            start_real_thread(self._read)
        except RuntimeError:  # the system has no more threads, and may have some later
            self._is_done = True
            forget()

    def wait(self, seconds: float) -> RepositoryState:
        """Return the state; an empty one if it is not known in time."""
        deadline = time.monotonic() + seconds
        while not self._is_done and time.monotonic() < deadline:
            time.sleep(0.01)
        return self._state

    def _read(self) -> None:
        try:
            self._state = read_repository(os.getcwd())
        except Exception:  # the directory has been removed
            self._state = RepositoryState()
        finally:
            self._is_done = True


_reading: _Reading | None = None
_lock = threading.Lock()


def begin_reading() -> None:
    """Have the state of the checkout read, unless that has begun. Does not wait."""
    global _reading
    with _lock:
        if _reading is not None:
            return
        reading = _reading = _Reading()
    reading.start()


def repository_state() -> RepositoryState:
    """Return the state of the checkout; an empty one if there is none or it takes too long."""
    begin_reading()
    reading = _reading
    return RepositoryState() if reading is None else reading.wait(WAIT_TIMEOUT)


def code_fields(
    org: Organization,
    settings: Settings,
    git_fields: Collection[str] | None,
    repo_info: Mapping[str, Any] | None,
) -> CodeFields:
    """Return what gives the fields of a new experiment that are about the code.

    Where every account of Braintrust is let in, nobody's name or words are among them.

    Args:
        org: the organisation whose user has the run.
        settings: those of the application.
        git_fields: the entries of ``repo_info`` that may be read; ``None``: all that the
            organisation collects.
        repo_info: what is sent instead of what is read, as in the SDK; ``None``: nothing.
    """
    allowed = frozenset(GIT_FIELDS if repo_info is not None else org.git_fields)
    if not settings.git_metadata:
        allowed = frozenset()
    if settings.auth == "braintrust" and settings.allows_every_organization:
        allowed -= _OF_PEOPLE
    if repo_info is not None:
        given = RepositoryState({n: each for n, each in repo_info.items() if each is not None})
        return partial(given.fields, allowed)
    if git_fields is not None:
        allowed &= frozenset(git_fields)
    if not allowed:
        return partial(RepositoryState().fields, allowed)
    begin_reading()  # meanwhile, Braintrust is asked for the data and the project
    return lambda with_ancestors: repository_state().fields(allowed, with_ancestors)


def forget() -> None:
    """Forget what was read: a forked process has other threads, and may be in another directory."""
    global _reading
    _reading = None


os.register_at_fork(after_in_child=forget)


def read_repository(directory: str) -> RepositoryState:
    """Read the state of the checkout that a directory is in; blocks its thread.

    What is not known after :data:`READ_TIMEOUT` seconds is left out.
    """
    program = shutil.which("git")
    if program is None or not os.path.isabs(program):
        return RepositoryState()
    git = _Git(program, directory, time.monotonic() + READ_TIMEOUT)
    commit = git.text("log", "-1", "--format=%H%x00%an%x00%ae%x00%cI%x00%B")
    if commit is None:
        return RepositoryState()
    names = ("commit", "author_name", "author_email", "commit_time", "commit_message")
    info: dict[str, Any] = dict(zip(names, commit.split("\0"), strict=False))
    info["commit_message"] = info.get("commit_message", "").strip()[:MAX_MESSAGE]
    info["branch"] = git.text("symbolic-ref", "--quiet", "--short", "HEAD")
    info["tag"] = git.text("describe", "--tags", "--exact-match", "HEAD")
    changes = git.output("status", "--porcelain", "--untracked-files=no")
    info["dirty"] = None if changes is None else bool(changes.strip())
    known = {name: value for name, value in info.items() if value not in (None, "")}
    return RepositoryState(known, _ancestors(git, info["dirty"] is not False))


def _ancestors(git: _Git, is_dirty: bool) -> Sequence[str]:
    """Return the commits that the checkout shares with the base branch of its remote.

    As in the SDK, a commit on the base branch itself is compared with those before it.
    """
    head = git.text("symbolic-ref", "--quiet", "--short", "refs/remotes/origin/HEAD")
    bases = [head] if head else [f"origin/{name}" for name in _BASE_BRANCHES]
    for base in bases:
        shared = git.text("merge-base", "HEAD" if is_dirty else "HEAD^", base)
        if shared is not None:
            commits = git.text("rev-list", "--first-parent", f"--max-count={MAX_ANCESTORS}", shared)
            return (commits or "").split()
    return ()


class _Git:
    """Runs git in a directory, until a deadline."""

    def __init__(self, program: str, directory: str, deadline: float) -> None:
        self._program = program
        self._options = ("-C", directory, "--no-optional-locks", "-c", "core.fsmonitor=false")
        self._deadline = deadline
        kept = {name: os.environ[name] for name in ("HOME", "PATH") if name in os.environ}
        self._environment = {**kept, "LC_ALL": "C", "GIT_TERMINAL_PROMPT": "0"}

    def output(self, *arguments: str) -> bytes | None:
        """Return the output of a command; ``None``: it has not ended in time."""
        command = (*self._options, *arguments)
        return output_of(self._program, command, self._environment, self._deadline)

    def text(self, *arguments: str) -> str | None:
        """Return the output of a command as text; ``None``: it failed, and has written nothing."""
        output = self.output(*arguments)
        return clean_text(output.decode("utf-8", "replace").strip()) if output else None
