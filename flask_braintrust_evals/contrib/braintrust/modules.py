"""Imports a file as a module, without taking the place of another module."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import os
import re
import sys
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path


def import_file(file: Path) -> None:
    """Execute a file as a module of its own.

    A file in a package is a module of that package, so that it may use relative imports. Its name
    is the usual one, unless there is such a module already. Any other file gets a unique name:
    folders may have files of the same name, and a file must not replace a module.

    Raises:
        BaseException: what the file raises; the module is then removed again.
    """
    root, packages = _packages(file)
    with _importing_from(str(root), str(file.parent), os.getcwd()):
        package = ".".join(packages) if _can_be_imported(root, packages) else ""
        if package:
            importlib.import_module(package)
        name = _free_name(file, package)
        spec = importlib.util.spec_from_file_location(name, file)
        if spec is None or spec.loader is None:
            raise ImportError("not a Python file: its name must end with .py")
        module = importlib.util.module_from_spec(spec)
        # Dataclasses and pydantic models look up their module there.
        sys.modules[name] = module
        try:
            spec.loader.exec_module(module)
        except BaseException:
            sys.modules.pop(name, None)
            raise


def was_imported(file: Path, since: Collection[str]) -> bool:
    """Return whether another file has imported this one.

    Args:
        file: the file.
        since: the names of the modules that do not count, because they were there before.
    """
    new = [sys.modules[name] for name in set(sys.modules) - set(since)]
    return any(getattr(module, "__file__", None) == str(file) for module in new)


def _packages(file: Path) -> tuple[Path, list[str]]:
    """Return the folder of the outermost package that a file is in, and the packages' names."""
    folder, names = file.parent, list[str]()
    while (folder / "__init__.py").is_file() and folder.name.isidentifier():
        names.insert(0, folder.name)
        folder = folder.parent
    return folder, names


def _can_be_imported(root: Path, packages: list[str]) -> bool:
    """Return whether the outermost package is, or will be, the one in this folder."""
    if not packages:
        return False
    known = sys.modules.get(packages[0])
    folder = str(root / packages[0])
    return known is None or folder in map(os.path.realpath, getattr(known, "__path__", ()))


def _free_name(file: Path, package: str) -> str:
    prefix = f"{package}." if package else ""
    if package and file.stem.isidentifier() and prefix + file.stem not in sys.modules:
        return prefix + file.stem
    stem = re.sub(r"\W", "_", file.stem) if package else file.stem
    return f"{prefix}{stem}_{hashlib.sha256(os.fsencode(file)).hexdigest()[:12]}"


@contextmanager
def _importing_from(*folders: str) -> Iterator[None]:
    """Put folders first on the import path, as ``python file.py`` and ``braintrust eval`` do.

    Afterwards those that were not on it are last, for imports when a task runs.
    """
    folders = tuple(dict.fromkeys(folders))
    missing = [folder for folder in folders if folder not in sys.path]
    sys.path[:0] = folders
    try:
        yield
    finally:
        for folder in folders:
            if folder in sys.path:
                sys.path.remove(folder)
        sys.path += missing
