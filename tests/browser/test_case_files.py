"""Files of cases on the page: read when they are chosen, and again when they have changed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from .support import Page

pytestmark = pytest.mark.live

PICK = """
const [text, done] = arguments;
(async () => {
    const folder = await navigator.storage.getDirectory();
    const handle = await folder.getFileHandle("cases.csv", {create: true});
    window.rewrite = async (text) => {
        const writing = await handle.createWritable();
        await writing.write(text);
        await writing.close();
    };
    await window.rewrite(text);
    window.showOpenFilePicker = async () => [handle];
    done();
})();
"""
HOLD = """
const getFile = FileSystemFileHandle.prototype.getFile;
FileSystemFileHandle.prototype.getFile = async function () {
    await new Promise((go) => { window.go = go; });
    return getFile.call(this);
};
"""
"""Has the browser give a file when it is told to."""
REWRITE = "const [text, done] = arguments; window.rewrite(text).then(done)"


def found(page: Page) -> str:
    return page.text("cases-found")


def test_a_file_is_counted_and_shown_when_it_is_chosen(page: Page, tmp_path: Path) -> None:
    file = tmp_path / "some.csv"
    file.write_text("input;expected;team\na;A;x\nb;B;y\nc;C;z\nd;D;z\n")
    page.evaluator("echo")
    page.choose("source", "a file")
    page.one("file").send_keys(str(file))
    page.wait(lambda: found(page).startswith("some.csv: 4 cases, read at "))
    shown = page.texts("#preview td")
    assert shown == ["a", "A", "b", "B", "c", "C"]

    file.write_text("input,expected\na,A\n")
    os.utime(file, (0, 0))
    page.click("run")
    page.wait(lambda: "changed" in page.text("problem") or page.table)
    if page.text("problem"):  # this browser cannot read a changed file again
        assert page.text("problem").startswith("some.csv has changed since it was chosen")
        page.one("file").send_keys(str(file))
        page.wait(lambda: found(page).startswith("some.csv: 1 case, read at "))
        page.click("run")
    page.wait(lambda: [row[2] for row in page.table] == ["a"])

    file.write_text("wrong\n")
    page.one("file").send_keys(str(file))
    page.wait(lambda: found(page).startswith("some.csv: neither JSON nor CSV"))
    assert not page.all("#preview td")


def test_a_changed_file_is_read_again_and_kept_with_the_form(page: Page) -> None:
    page.browser.execute_async_script(PICK, "input\none\n")
    page.evaluator("echo")
    page.choose("source", "a file")
    page.click("choose-file")
    page.wait(lambda: found(page).startswith("cases.csv: 1 case, read at "))
    page.browser.execute_async_script(REWRITE, "input\none\ntwo\n")
    page.browser.execute_script("window.dispatchEvent(new Event('focus'))")
    page.wait(lambda: found(page).startswith("cases.csv: 2 cases, read again at "))
    page.browser.execute_async_script(REWRITE, "input\nthree\n")
    page.run("echo")
    assert [row[2] for row in page.table] == ["three"]

    page.wait(lambda: found(page).startswith("cases.csv: 1 case"))
    page.reload()
    page.wait(lambda: found(page).startswith("cases.csv: 1 case, as it was read at "))
    page.click("run")
    page.wait(lambda: page.status == "echo: finished, 1 of 1 done")


def test_a_run_whose_file_is_read_has_nothing_of_an_evaluator_that_is_chosen_meanwhile(
    page: Page,
) -> None:
    page.browser.execute_async_script(PICK, "input\none\n")
    page.evaluator("echo")
    page.choose("source", "a file")
    page.click("choose-file")
    page.wait(lambda: found(page).startswith("cases.csv: 1 case, read at "))
    page.browser.execute_script(HOLD)
    page.click("run")
    page.wait_for("return 'go' in window")
    page.evaluator("many")
    page.browser.execute_script("window.go()")
    page.wait(lambda: page.status == "echo: finished, 1 of 1 done")
    assert [row[2] for row in page.table] == ["one"]
    assert "cases.csv" not in found(page)
