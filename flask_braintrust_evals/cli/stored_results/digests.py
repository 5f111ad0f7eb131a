"""Digests of what a result depends on: the code, the parameters and the case."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from flask_braintrust_evals._version import __version__
from flask_braintrust_evals.engine.evaluator import Evaluator
from flask_braintrust_evals.engine.values.cases import EvalCase
from flask_braintrust_evals.serialization.json_writing import dumps_or_reason
from flask_braintrust_evals.texts.error_places import is_own_code


def digest_of_case(case: EvalCase) -> str:
    """Return a digest of what a task and scorers see of a case."""
    return _digest([case.input, case.expected, case.metadata, case.tags, case.id])


def digest_of_run(evaluator: Evaluator, parameters: Mapping[str, Any], code: str) -> str:
    """Return a digest of what the results of an evaluator depend on, apart from the case.

    That is its name, the given values of its parameters, the names of its scorers and classifiers,
    this package, and all of the user's own code: the modules that are loaded, those beside
    them, and those of their packages. Installed libraries, and files that are no code, are not
    looked at.

    Args:
        evaluator: the evaluator.
        parameters: the given values of its parameters.
        code: what :func:`digest_of_code` returned before the first run.
    """
    plan = evaluator.plan
    names = [call.name for call in (*plan.scorers, *plan.classifiers)]
    # Defaults are in the code, or where the parameters are saved.
    saved = getattr(evaluator.parameter_set, "source", None)
    values = [evaluator.name, parameters, saved, names, __version__, code]
    return _digest(values)


def digest_of_code() -> str:
    """Return a digest of the user's own code, which is the same in another folder."""
    found = []
    for file, name in own_files().items():
        try:
            content = file.read_bytes()
        except OSError:
            continue  # it was deleted meanwhile
        found.append((name, hashlib.sha256(content).hexdigest()))
    return _digest(sorted(found))


def own_files() -> dict[Path, str]:
    """Return the files of the user's own code, with their names in the folder of their package."""
    files: dict[Path, str] = {}
    folders: set[Path] = set()
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if not isinstance(file, str) or not file.endswith(".py") or not is_own_code(file):
            continue
        path = Path(file).resolve()
        folder = _top_folder(path, name)
        files[path] = _name_in(folder, path)
        folders.add(folder)
    for folder in sorted(folders):  # an outer one before those in it
        for path in _code_in(folder):
            files.setdefault(path, _name_in(folder, path))
    return files


def _name_in(folder: Path, path: Path) -> str:
    """Return the name of a file, with that of its package, which is the same wherever that is."""
    return str(path.relative_to(folder.parent if _is_package(folder) else folder))


def _is_package(folder: Path) -> bool:
    return (folder / "__init__.py").exists()


def _top_folder(path: Path, module: str) -> Path:
    """Return the folder of the package that a module is in, or else that of the module."""
    depth = module.count(".") + (path.name == "__init__.py")
    return path.parents[max(depth - 1, 0)]


def _code_in(folder: Path) -> Iterator[Path]:
    found = folder.rglob("*.py") if _is_package(folder) else folder.glob("*.py")
    return (path for path in found if is_own_code(str(path)))


def _digest(value: Any) -> str:
    plain = json.loads(dumps_or_reason(value))
    text = json.dumps(plain, sort_keys=True, ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()
