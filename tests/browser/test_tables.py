"""Files of cases as other programs write them, read by the local page in a browser."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from flask_braintrust_evals.playground.page_files import FOLDER, bundle
from tests.server import Gunicorn
from tests.tables import table_files

from .support import Page

pytestmark = pytest.mark.live

READ_ALL = """
const [files, done] = arguments;
const read = ({parseCases, decodeText, ignoredKeys}, text) => {
    const bytes = Uint8Array.from(atob(text), (each) => each.charCodeAt(0));
    try {
        const cases = parseCases(decodeText(bytes.buffer));
        return {cases, ignored: ignoredKeys(cases)};
    } catch (error) {
        return {error: error.message};
    }
};
done(JSON.stringify(files.map((each) => read(modules["cases.js"], each))));
"""


def test_a_browser_reads_all_files_of_cases_as_the_command_line_does(
    shared_browser: Any, page_server: Gunicorn
) -> None:
    files = table_files()
    shared_browser.get(f"{page_server.url}/evals/playground")
    script = bundle(FOLDER, "cases.js") + READ_ALL
    contents = [base64.b64encode(each.path.read_bytes()).decode() for each in files]
    found = json.loads(shared_browser.execute_async_script(script, contents))
    assert len(found) == len(files) > 50
    for file, each in zip(files, found, strict=True):
        file.check(each.get("cases"), each.get("error"), each.get("ignored"))


def test_large_integers_keep_all_of_their_digits(
    shared_browser: Any, page_server: Gunicorn
) -> None:
    page = Page(shared_browser, f"{page_server.url}/evals/playground")
    page.ready()
    page.run("many", '[{"input": {"id": 12345678901234567890}, "expected": -9007199254740993}]')
    page.wait(lambda: page.table)
    assert page.table[0][2:5] == [
        '{"id":12345678901234567890}',
        "-9007199254740993",
        '{"id":12345678901234567890}',
    ]
    page.reload()
    page.wait(lambda: page.table)
    assert page.table[0][4] == '{"id":12345678901234567890}', "it is kept as it is"
    page.click("again-again")
    page.finish()
    page.wait(lambda: page.table and page.table[0][4] == '{"id":12345678901234567890}')
    assert page.problems() == []
