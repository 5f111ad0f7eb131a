"""Makes a report: the results' part of the local page as one file, which needs no server.

The file has the page's own elements, styles and modules, and the results as JSON. Its
Content-Security-Policy names the digests of its one script and its styles, and forbids all others,
and to load anything.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "playground"
ENTRY = "report.js"
STYLE = "report.css"
"""The styles of a report, which come after those of the page."""
SLOT = "<!-- results -->"
"""What stands in a template in place of the results."""

_IMPORT = re.compile(r'^import (\{[^}]*\}|\* as \w+) from "\./([\w.]+)";\n', re.MULTILINE)
_EXPORT = re.compile(r"^export (?=(?:async )?(?:function\*?|class|const|let) (\w+))", re.MULTILINE)
_STYLES = re.compile(r'<link rel="stylesheet" href="playground/([\w.]+)">')
_PARTS = re.compile(r'<section id="results".*?</section>|<dialog.*?</dialog>', re.DOTALL)
_UNSAFE = {"<": "\\u003c", "\u2028": "\\u2028", "\u2029": "\\u2029"}

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<title>Results</title>
<style>{style}</style>
</head>
<body class="report">
<header id="report-head"></header>
<noscript><p class="problem">This report is shown by a script, which this browser, or the site that
you see it on, does not run. Save the file, and open it from where you saved it.</p></noscript>
<main>
{parts}
</main>
<script type="application/json" id="report-data">{slot}</script>
<script type="module">{script}</script>
</body>
</html>
"""


def template() -> str:
    """Return a report without results: :data:`SLOT` stands where :func:`embedded` ones belong."""
    index = (FOLDER / "index.html").read_text("utf-8")
    styles = [*_STYLES.findall(index), STYLE]
    style = "\n".join((FOLDER / name).read_text("utf-8") for name in styles)
    script = bundle(FOLDER, ENTRY)
    policy = "; ".join(
        (
            "default-src 'none'",
            f"script-src '{_digest(script)}'",
            f"style-src '{_digest(style)}'",
            "base-uri 'none'",
            "form-action 'none'",
            "require-trusted-types-for 'script'",
            "trusted-types 'none'",
        )
    )
    parts = "\n".join(_PARTS.findall(index))
    return _PAGE.format(policy=policy, style=style, parts=parts, slot=SLOT, script=script)


def report(results: Any) -> str:
    """Return a report of results, which are values of JSON."""
    return template().replace(SLOT, embedded(json.dumps(results, ensure_ascii=False)))


def embedded(text: str) -> str:
    """Return a JSON text in a form that cannot end the element that it is in."""
    return re.sub("[<\u2028\u2029]", lambda found: _UNSAFE[found[0]], text)


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
    script = f"const modules = {{}};\n{modules}\n"
    if "</script" in script or "<!--" in script:
        raise ValueError("a module has a text that would end the script that it is in")
    return script


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


def _digest(text: str) -> str:
    """Return the digest of a text, as a Content-Security-Policy has it."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
