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
from pathlib import Path
from typing import Any

from .page_files import FOLDER, STYLES, bundle, join_styles

ENTRY = "report.js"
STYLE = "report.css"
"""The styles of a report, which come after those of the page."""
SLOT = "<!-- results -->"
"""What stands in a template in place of the results."""

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
    style = join_styles(FOLDER, (*STYLES, STYLE))
    script = inline_script(FOLDER, ENTRY)
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


def inline_script(folder: Path, entry: str) -> str:
    """Return the script of a module, for an element of a page.

    Raises:
        ValueError: it cannot be made, or would end the element that it is in.
    """
    script = bundle(folder, entry)
    if "</script" in script or "<!--" in script:
        raise ValueError("a module has a text that would end the script that it is in")
    return script


def _digest(text: str) -> str:
    """Return the digest of a text, as a Content-Security-Policy has it."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
