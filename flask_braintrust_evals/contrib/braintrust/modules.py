"""Imports files as modules, each once, without taking the place of another module."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import os
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType


class FileModules:
    """The modules that files are imported as.

    A file in a package is a module of that package, so that it may use relative imports. Its name
    is the usual one, unless there is such a module already. Any other file gets a unique name:
    folders may have files of the same name, and a file must not replace a module. If another file
    imports it by its usual name, it gets the same module.
    """

    def __init__(self) -> None:
        self._before = set(sys.modules)
        self._finder = _ImportedFiles()

    def import_file(self, file: Path) -> None:
        """Execute a file as a module, unless another file has imported it.

        Raises:
            BaseException: what the file raises; the module is then removed again.
        """
        if self._was_imported(file):
            return
        root, packages = _packages(file)
        with self._importing_from(str(root), str(file.parent), os.getcwd()):
            package = ".".join(packages) if _can_be_imported(root, packages) else ""
            if package:
                importlib.import_module(package)
                if self._was_imported(file):  # by its package
                    return
            self._finder.add(file, _execute(file, _free_name(file, package)))

    def _was_imported(self, file: Path) -> bool:
        new = [sys.modules[name] for name in set(sys.modules) - self._before]
        files = [getattr(module, "__file__", None) or "" for module in new]
        return any(each.endswith(file.name) and Path(each).resolve() == file for each in files)

    @contextmanager
    def _importing_from(self, *folders: str) -> Iterator[None]:
        """Put folders first on the import path, as ``python file.py`` and ``braintrust eval`` do.

        Afterwards those that were not on it are last, for imports when a task runs.
        """
        folders = tuple(dict.fromkeys(folders))
        missing = [folder for folder in folders if folder not in sys.path]
        sys.path[:0] = folders
        sys.meta_path.insert(0, self._finder)
        try:
            yield
        finally:
            sys.meta_path.remove(self._finder)
            for folder in folders:
                if folder in sys.path:
                    sys.path.remove(folder)
            sys.path += missing


class _ImportedFiles(MetaPathFinder):
    """Finds modules of files that have been imported under another name than the usual one."""

    def __init__(self) -> None:
        self._modules: dict[str, ModuleType] = {}

    def add(self, file: Path, module: ModuleType) -> None:
        self._modules[str(file)] = module

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        found = PathFinder.find_spec(name, path, target)
        origin = None if found is None else found.origin
        module = None if origin is None else self._modules.get(os.path.realpath(origin))
        return None if module is None else ModuleSpec(name, _Imported(module), origin=origin)


class _Imported(Loader):
    """Loads a module by returning one that exists."""

    def __init__(self, module: ModuleType) -> None:
        self._module = module
        self._spec = module.__spec__

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return self._module

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__ = self._spec  # the import system has just replaced it


def _execute(file: Path, name: str) -> ModuleType:
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
    return module


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
    stem = re.sub(r"\W", "_", file.stem)
    return f"{prefix}{stem}_{hashlib.sha256(os.fsencode(file)).hexdigest()[:12]}"


import_code = FileModules.import_file.__code__
"""The code of the frame below which files are executed."""
