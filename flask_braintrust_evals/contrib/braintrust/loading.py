"""Imports files of evaluators that are written for ``braintrust eval``, without running them."""

from __future__ import annotations

import asyncio
import glob
import hashlib
import importlib.util
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

from flask_braintrust_evals.engine.evaluator import Evaluator
from flask_braintrust_evals.errors import RegistrationError

from .evaluators import from_sdk

logger = logging.getLogger("flask_braintrust_evals")

PATTERN = "eval_*.py"
"""The file names that folders are searched for, as by ``braintrust eval``."""
_SKIPPED_FOLDERS = ("site-packages", "node_modules", "__pycache__", "venv")
_SDK = os.path.dirname(braintrust.__file__) + os.sep
_STANDARD_LIBRARY = os.path.dirname(asyncio.__file__) + os.sep

# Reentrant: a file may import an application that loads files itself.
_lock = threading.RLock()


def load(path: str | os.PathLike[str]) -> list[Evaluator]:
    """Import files and return the evaluators that they define with ``Eval(...)``.

    Args:
        path: a file, a folder (which is searched for files named ``eval_*.py``, at any depth), or a
            pattern of :mod:`glob`, with ``**`` for any depth. Relative to the working directory.

    Raises:
        RegistrationError: there is no such file; none of the files defines an evaluator; or one of
            them cannot be imported, which is then the cause of the error.
    """
    evaluators: list[Evaluator] = []
    for file in _files(os.fspath(path)):
        found = _load_file(file)
        if not found:
            logger.warning("%s defines no evaluators: it makes no call of Eval(...)", file)
        evaluators += found
    if not evaluators:
        raise RegistrationError(f"{os.fspath(path)!r}: none of the files there calls Eval(...)")
    return evaluators


def _files(path: str) -> list[Path]:
    if os.path.isfile(path):
        return [Path(path).resolve()]
    if os.path.isdir(path):
        found = sorted(each for each in Path(path).rglob(PATTERN) if _is_searched(each, path))
        missing = f"there is no file named {PATTERN} in {os.path.abspath(path)}"
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
        self.collected: list[tuple[Any, str]] = []

    def __setitem__(self, name: str, instance: Any) -> None:
        self.collected.append((instance.evaluator, _location_of_call()))


def _location_of_call() -> str:
    frame: FrameType | None = sys._getframe(2)
    # For asyncio.run(EvalAsync(...)), frames of the standard library come before the file's.
    while frame is not None and frame.f_code.co_filename.startswith((_SDK, _STANDARD_LIBRARY)):
        frame = frame.f_back
    return "" if frame is None else f"{frame.f_code.co_filename}:{frame.f_lineno}"


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


def _load_file(file: Path) -> list[Evaluator]:
    with _collecting() as collector:
        try:
            _import(file)
        except (Exception, SystemExit) as error:
            why = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
            raise RegistrationError(f"{file} could not be imported: {why}") from error
    return [from_sdk(evaluator, location) for evaluator, location in collector.collected]


def _import(file: Path) -> None:
    # A unique name: folders may have files of the same name, and a file must not replace a module.
    name = f"{file.stem}_{hashlib.sha256(os.fsencode(file)).hexdigest()[:12]}"
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise ImportError("not a Python file: its name must end with .py")
    module = importlib.util.module_from_spec(spec)
    # Dataclasses and pydantic models look up their module there.
    sys.modules[name] = module
    try:
        with _importing_from(str(file.parent), os.getcwd()):
            spec.loader.exec_module(module)
    except BaseException:
        sys.modules.pop(name, None)
        raise


@contextmanager
def _importing_from(*folders: str) -> Iterator[None]:
    """Put folders first on the import path, as ``python file.py`` and ``braintrust eval`` do.

    Afterwards those that were not on it are last, for imports when a task runs.
    """
    missing = [folder for folder in folders if folder not in sys.path]
    sys.path[:0] = folders
    try:
        yield
    finally:
        for folder in folders:
            if folder in sys.path:
                sys.path.remove(folder)
        sys.path += missing
