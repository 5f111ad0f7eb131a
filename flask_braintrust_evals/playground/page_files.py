"""Joins the modules and the styles of the local page: a browser loads one script and one style.

It would ask for each module, and could ask for most of them only when it has read others.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

FOLDER = Path(__file__).parent / "assets"
STYLES = ("style.css", "forms.css", "results.css", "details.css", "comparison.css")
"""The styles of the page, in order."""

_IMPORT = re.compile(r'^import (\{[^}]*\}|\* as \w+) from "\./([\w.]+)";\n', re.MULTILINE)
_EXPORT = re.compile(r"^export (?=(?:async )?(?:function\*?|class|const) (\w+))", re.MULTILINE)


def join_styles(folder: Path, names: Iterable[str]) -> str:
    """Return the text of style sheets, as one."""
    return "\n".join((folder / name).read_text("utf-8") for name in names)


def bundle(folder: Path, entry: str) -> str:
    """Return one script of a module and of all that it imports, from the same folder.

    Each module becomes a function that returns what it exports. The page's modules import and
    export in two forms only, each on lines of its own.

    Raises:
        ValueError: modules import each other, or a module has another form.
    """
    modules = "\n".join(
        f'modules["{name}"] = (() => {{\n{body}\nreturn {{ {", ".join(exports)} }};\n}})();'
        for name, body, exports in _in_order(folder, entry)
    )
    return f"const modules = {{}};\n{modules}\n"


def _in_order(folder: Path, entry: str) -> Iterator[tuple[str, str, list[str]]]:
    """Yield the name, the code and the exported names of modules, each after what it imports."""
    done: set[str] = set()

    def follow(name: str, path: tuple[str, ...]) -> Iterator[tuple[str, str, list[str]]]:
        if name in path:
            raise ValueError(f"modules import each other: {' -> '.join((*path, name))}")
        if name in done:
            return
        source = (folder / name).read_text("utf-8")
        for _, imported in _IMPORT.findall(source):
            yield from follow(imported, (*path, name))
        done.add(name)
        body = _EXPORT.sub("", _IMPORT.sub(_as_constants, source))
        if re.search(r"^(?:import|export)\b", body, re.MULTILINE):
            raise ValueError(f"{name} imports or exports in another form")
        yield name, body, _EXPORT.findall(source)

    yield from follow(entry, ())


def _as_constants(found: re.Match[str]) -> str:
    names, module = found.groups()
    names = names.removeprefix("* as ").replace(" as ", ": ")
    return f'const {names} = modules["{module}"];\n'
