"""Says why a file defines no evaluators, and what to change in one that cannot be imported."""

from __future__ import annotations

import ast
import tokenize
import traceback
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
_NOT_AWAITED = (
    "defines no evaluators: it calls EvalAsync(...) without `await`, which does nothing; call"
    " Eval(...), or asyncio.run(EvalAsync(...))"
)
_IN_PACKAGES = (
    "; relative imports work in packages only: add a file __init__.py to the folder, or write"
    " 'import name' for a file beside this one"
)
_EXITS = (
    "; read arguments of the command line, and end the process, only below"
    ' `if __name__ == "__main__":`'
)
_RESULT_IS_READ = (
    "; the result of Eval(...) is empty when the file is loaded, which runs no evaluators: read it"
    ' only below `if __name__ == "__main__":`'
)


def why_nothing(file: Path) -> str:
    """Return why the import of a file has defined no evaluators, and what to change."""
    tree = tree_of(file)
    if tree is None or not _calls(tree):
        return NO_CALL
    alone = [each for each in _statements(tree) if isinstance(each, ast.Call)]
    if any(_name(call) == "EvalAsync" for call in alone):
        return _NOT_AWAITED
    blocks = [node for node in ast.walk(tree) if isinstance(node, ast.If) and _is_main(node.test)]
    if any(_calls(statement) for block in blocks for statement in block.body):
        return _MAIN
    return _MAIN_FUNCTION if blocks else _UNUSED


def advice_for(file: Path, error: BaseException, has_called: bool) -> str:
    """Return what to change in a file whose import has failed, to be added to the error's text.

    Args:
        file: the file.
        error: why its import has failed.
        has_called: whether it has called ``Eval(...)`` before.
    """
    if isinstance(error, ImportError):
        return _IN_PACKAGES if "attempted relative import" in str(error) else ""
    if isinstance(error, SystemExit):
        return _EXITS
    tree = tree_of(file) if has_called else None
    return _RESULT_IS_READ if tree is not None and _reads_result(tree, _lines(file, error)) else ""


def _lines(file: Path, error: BaseException) -> set[int]:
    """Return the lines of a file that were executed when an exception was raised."""
    frames = traceback.walk_tb(error.__traceback__)
    return {line for frame, line in frames if frame.f_code.co_filename == str(file)}


def _reads_result(tree: ast.Module, lines: set[int]) -> bool:
    """Return whether an expression at some of these lines reads what a call of ``Eval`` returns."""
    assigned = {
        name.id
        for each in ast.walk(tree)
        if isinstance(each, ast.Assign) and _calls(each.value)
        for name in ast.walk(each)
        if isinstance(name, ast.Name) and isinstance(name.ctx, ast.Store)
    }
    return any(
        (isinstance(each, ast.Name) and isinstance(each.ctx, ast.Load) and each.id in assigned)
        or (isinstance(each, ast.Attribute | ast.Subscript) and _calls(each.value) != [])
        for expression in ast.walk(tree)
        if isinstance(expression, ast.expr)
        and lines.intersection(range(expression.lineno, (expression.end_lineno or 0) + 1))
        for each in ast.walk(expression)
    )


def tree_of(file: str | Path) -> ast.Module | None:
    """Return the syntax tree of a file; ``None``: it has none."""
    try:
        with tokenize.open(file) as opened:
            return ast.parse(opened.read())
    except (OSError, SyntaxError, ValueError):
        return None


def _calls(tree: ast.AST) -> list[ast.Call]:
    """Return the calls of ``Eval`` in some code, under this name or as an attribute."""
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    return [call for call in calls if _name(call) in _NAMES]


def _statements(tree: ast.AST) -> list[ast.expr]:
    """Return the expressions that are statements of their own, whose value nobody gets."""
    return [node.value for node in ast.walk(tree) if isinstance(node, ast.Expr)]


def _name(call: ast.Call) -> str | None:
    return getattr(call.func, "id", getattr(call.func, "attr", None))


def _is_main(test: ast.expr) -> bool:
    return isinstance(test, ast.Compare) and any(
        isinstance(node, ast.Name) and node.id == "__name__" for node in ast.walk(test)
    )
