"""Says why a file defines no evaluators."""

from __future__ import annotations

import ast
import tokenize
from pathlib import Path

NO_CALL = "defines no evaluators: it makes no call of Eval(...)"
_NAMES = ("Eval", "EvalAsync")
_MAIN = (
    'defines no evaluators: it calls Eval(...) only below `if __name__ == "__main__":`, which is'
    " not executed when the file is imported; move the call out of that block"
)
_MAIN_FUNCTION = (
    "defines no evaluators: it calls Eval(...) in a function that is called only below"
    ' `if __name__ == "__main__":`, which is not executed when the file is imported; call Eval(...)'
    " outside of functions"
)
_UNUSED = (
    "defines no evaluators: it calls Eval(...) only in code that is not executed when the file is"
    " imported; call it outside of functions and conditions"
)


def why_nothing(file: Path) -> str:
    """Return why the import of a file has defined no evaluators, and what to change."""
    try:
        with tokenize.open(file) as opened:
            tree = ast.parse(opened.read())
    except (OSError, SyntaxError, ValueError):
        return NO_CALL
    if not _calls(tree):
        return NO_CALL
    blocks = [node for node in ast.walk(tree) if isinstance(node, ast.If) and _is_main(node.test)]
    if any(_calls(statement) for block in blocks for statement in block.body):
        return _MAIN
    return _MAIN_FUNCTION if blocks else _UNUSED


def _calls(tree: ast.AST) -> bool:
    """Return whether some code contains a call of ``Eval``, under this name or as an attribute."""
    called = [node.func for node in ast.walk(tree) if isinstance(node, ast.Call)]
    return any(
        getattr(function, "id", getattr(function, "attr", None)) in _NAMES for function in called
    )


def _is_main(test: ast.expr) -> bool:
    return isinstance(test, ast.Compare) and any(
        isinstance(node, ast.Name) and node.id == "__name__" for node in ast.walk(test)
    )
