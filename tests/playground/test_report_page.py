"""The page's modules as one script, and the parts of a report."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from flask_braintrust_evals.playground import page_files, report_page


def write(folder: Path, **modules: str) -> None:
    for name, text in modules.items():
        (folder / f"{name}.js").write_text(text)


def test_modules_become_one_script_in_the_order_in_which_they_need_each_other(
    tmp_path: Path,
) -> None:
    write(
        tmp_path,
        main='import { a,\n  b as c } from "./lib.js";\nimport * as all from "./other.js";\nc();\n',
        lib='import { x } from "./other.js";\nexport const a = 1;\nexport async function b() {}\n',
        other="export class x {}\nexport function* y() {}\nfunction own() {}\n",
    )
    script = page_files.bundle(tmp_path, "main.js")
    assert re.findall(r'^modules\["(\w+)', script, re.MULTILINE) == ["other", "lib", "main"]
    assert 'const { a,\n  b: c } = modules["lib.js"];' in script
    assert 'const all = modules["other.js"];' in script
    assert "return { x, y };" in script and "return { a, b };" in script
    assert not re.search(r"^(import|export)\b", script, re.MULTILINE)


@pytest.mark.parametrize(
    ("modules", "problem"),
    [
        ({"main": 'import "./lib.js";\n'}, "main.js imports or exports in another form"),
        ({"main": "export default 1;\n"}, "main.js imports or exports in another form"),
        ({"main": "export { a };\n"}, "main.js imports or exports in another form"),
        ({"main": "export let a;\n"}, "main.js imports or exports in another form"),
        (
            {"main": 'import { a } from "./b.js";\n', "b": 'import { c } from "./main.js";\n'},
            "modules import each other: main.js -> b.js -> main.js",
        ),
        ({"main": 'const a = "</script>";\n'}, "would end the script"),
    ],
)
def test_a_module_that_cannot_be_put_in_is_an_error(
    tmp_path: Path, modules: dict[str, str], problem: str
) -> None:
    write(tmp_path, **modules)
    with pytest.raises(ValueError, match=re.escape(problem)):
        report_page.inline_script(tmp_path, "main.js")


def test_a_template_has_one_place_for_results_and_no_way_to_load_anything() -> None:
    text = report_page.template()
    assert text.count(report_page.SLOT) == 1
    assert text.count("<script") == text.count("</script>") == 2
    policy = re.findall(r'Content-Security-Policy" content="([^"]+)"', text)[0]
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe" not in policy and "'self'" not in policy
    assert 'id="results"' in text and "<form" not in text
