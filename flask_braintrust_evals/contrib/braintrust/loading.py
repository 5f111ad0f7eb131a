"""Imports files of evaluators that are written for ``braintrust eval``, without running them."""

from __future__ import annotations

import asyncio
import functools
import glob
import logging
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import braintrust
from braintrust import framework

from flask_braintrust_evals.contrib.shared_variables import share_variables
from flask_braintrust_evals.engine.evaluator import Evaluator
from flask_braintrust_evals.errors import RegistrationError

from .evaluators import from_sdk
from .modules import FileModules, import_code
from .uncalled import NO_CALL, advice_for, why_nothing

logger = logging.getLogger("flask_braintrust_evals")

PATTERNS = ("eval_*.py", "*.eval.py")
"""The file names that folders are searched for: those of ``braintrust eval`` and ``bt eval``."""
_SKIPPED_FOLDERS = ("site-packages", "node_modules", "__pycache__", "venv")
_SDK = os.path.dirname(braintrust.__file__) + os.sep
_STANDARD_LIBRARY = os.path.dirname(asyncio.__file__) + os.sep

# Reentrant: a file may import an application that loads files itself.
_lock = threading.RLock()


def load(path: str | os.PathLike[str], *, blocking: bool = False) -> list[Evaluator]:
    """Import files and return the evaluators that they define with ``Eval(...)``.

    The arguments and errors are those of :meth:`EvalsBlueprint.load`.
    """
    modules = FileModules()
    by_file = {file: _load_file(file, modules, blocking) for file in _files(os.fspath(path))}
    share_variables()
    evaluators = [evaluator for found in by_file.values() for evaluator in found]
    defining = {evaluator.location.rpartition(":")[0] for evaluator in evaluators}
    empty = [file for file, found in by_file.items() if not found and str(file) not in defining]
    reasons = [f"{file} {why_nothing(file)}" for file in empty]
    if not evaluators:
        detailed = [each for each in reasons if not each.endswith(NO_CALL)]
        why = "; ".join(detailed) or "none of the files there calls Eval(...)"
        raise RegistrationError(f"{os.fspath(path)!r}: {why}")
    for reason in reasons:
        logger.warning("%s", reason)
    return evaluators


def _files(path: str) -> list[Path]:
    if os.path.isfile(path):
        return [Path(path).resolve()]
    if os.path.isdir(path):
        named = {each for pattern in PATTERNS for each in Path(path).rglob(pattern)}
        found = sorted(each for each in named if _is_searched(each, path))
        missing = f"there is no file named {' or '.join(PATTERNS)} in {os.path.abspath(path)}"
    else:
        found = sorted(Path(each) for each in glob.glob(path, recursive=True))
        found = [each for each in found if each.is_file() and not _is_installed(each, path)]
        missing = f"there is no file {os.path.abspath(path)}"
    if not found:
        raise RegistrationError(f"{path!r}: {missing}")
    return list(dict.fromkeys(each.resolve() for each in found))


def _is_searched(file: Path, below: str) -> bool:
    folders = file.relative_to(below).parts[:-1]
    hidden = any(folder.startswith(".") for folder in folders)
    return file.is_file() and not hidden and not set(folders) & {*_SKIPPED_FOLDERS}


def _is_installed(file: Path, pattern: str) -> bool:
    """Return whether a file is in a folder of installed packages, unless the pattern names it."""
    return any(folder in file.parts and folder not in pattern for folder in _SKIPPED_FOLDERS)


class _Collector(dict[str, Any]):
    """Replaces the SDK's own registry, which renames an evaluator whose name is taken."""

    def __init__(self) -> None:
        super().__init__()
        self.collected: list[tuple[Any, list[tuple[str, int]]]] = []

    def __setitem__(self, name: str, instance: Any) -> None:
        self.collected.append((instance.evaluator, _places_of_call()))


def _places_of_call() -> list[tuple[str, int]]:
    """Return file and line of each frame of the file that is loaded, the innermost first."""
    frame: FrameType | None = sys._getframe(2)
    places: list[tuple[str, int]] = []
    # For asyncio.run(EvalAsync(...)), frames of the standard library come before the file's.
    while frame is not None and frame.f_code is not import_code:
        file = frame.f_code.co_filename
        if not file.startswith((_SDK, _STANDARD_LIBRARY, "<")):
            places.append((file, frame.f_lineno))
        frame = frame.f_back
    return places


@contextmanager
def _collecting() -> Iterator[_Collector]:
    """Make ``Eval(...)`` add its evaluator to the collector instead of running it."""
    collector = _Collector()
    registry = framework._evals
    with _lock, framework._set_lazy_load(True):
        before = registry.evaluators, registry.reporters
        registry.evaluators, registry.reporters = collector, {}
        try:
            yield collector
        finally:
            registry.evaluators, registry.reporters = before


@contextmanager
def _without_running_loop() -> Iterator[None]:
    """Hide the event loop that runs in this thread, if one does.

    Where it is seen, as where uvicorn imports the application, ``asyncio.run(...)`` fails, and
    ``Eval(...)`` returns a task in place of a result. ``asyncio.get_event_loop()`` returns another
    loop meanwhile, so that a file can run something on it.
    """
    loop = asyncio._get_running_loop()
    # Since Python 3.14 a thread has one current task, and not one for each of its loops.
    swap = getattr(asyncio.tasks, "_swap_current_task", None)
    if loop is None:
        yield
        return
    task = None if swap is None else swap(loop, None)
    asyncio._set_running_loop(None)
    asyncio.set_event_loop(_loop_of_files())
    try:
        yield
    finally:
        asyncio.set_event_loop(loop)
        asyncio._set_running_loop(loop)
        if swap is not None:
            swap(loop, task)


_kept_loop = functools.cache(asyncio.new_event_loop)


def _loop_of_files() -> asyncio.AbstractEventLoop:
    """Return the loop of files that are loaded where one runs. Not closed: tasks may run it."""
    if _kept_loop().is_closed():  # by a file
        _kept_loop.cache_clear()
    return _kept_loop()


def _load_file(file: Path, modules: FileModules, blocking: bool) -> list[Evaluator]:
    with _collecting() as collector, _without_running_loop():
        try:
            modules.import_file(file)
        except (Exception, SystemExit) as error:
            why = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
            why += advice_for(file, error, bool(collector.collected))
            raise RegistrationError(f"{file} could not be imported: {why}") from error
    return [_evaluator(*each, blocking) for each in collector.collected]


def _evaluator(evaluator: Any, places: list[tuple[str, int]], blocking: bool) -> Evaluator:
    location = "{}:{}".format(*places[0]) if places else ""
    return from_sdk(evaluator, location, files=[file for file, _ in places], blocking=blocking)
