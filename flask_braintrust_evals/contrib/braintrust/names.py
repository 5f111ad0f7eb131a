"""Names evaluators of the ``braintrust`` SDK, so that all processes give them the same names.

``Eval()`` names an evaluator after its project, and adds the name of the experiment. That name
often contains the time, a commit or a process id. The Playground would then ask one worker for an
evaluator that only another worker has under this name.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable
from typing import Any

from flask_braintrust_evals.engine.values.names import LongName

from .uncalled import tree_of


def names_of(evaluator: Any, files: Iterable[str]) -> tuple[str, LongName | None]:
    """Return the name of an evaluator of the SDK, and its long name if it has one.

    Args:
        evaluator: the SDK's evaluator.
        files: those whose code has defined it.
    """
    project, experiment = evaluator.project_name, evaluator.experiment_name
    prefix = f"{project} [experiment_name="
    if experiment is None or evaluator.eval_name != f"{prefix}{experiment}]":
        return evaluator.eval_name, None
    is_stable = any(_is_written_in(experiment, file) for file in files)
    return project, LongName(evaluator.eval_name, prefix, is_stable)


def _is_written_in(text: str, file: str) -> bool:
    """Return whether a text is written as a whole in the code of a file, and thus never changes."""
    tree = tree_of(file)
    return tree is not None and any(node.value == text for node in _constants(tree))


def _constants(tree: ast.AST) -> list[ast.Constant]:
    """Return the constants of some code, without the pieces of f-strings."""
    found: list[ast.Constant] = []
    todo: list[ast.AST] = [tree]
    while todo:
        node = todo.pop()
        if isinstance(node, ast.Constant):
            found.append(node)
        elif not isinstance(node, ast.JoinedStr):
            todo += ast.iter_child_nodes(node)
    return found
