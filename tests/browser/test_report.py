"""Reports, opened from a file in a real browser."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from selenium.webdriver.support.ui import Select

from flask_braintrust_evals import Evaluator, Score
from flask_braintrust_evals.cli.stored_results.result_format import FORMAT, VERSION
from tests.cli.test_run import app_of, evals
from tests.server import Gunicorn

from .app import HOSTILE
from .support import Page

pytestmark = pytest.mark.live

CASES = [{"input": each, "expected": "b", "id": each} for each in ("a", "b", "c", "bad")]
INJECTED = f"</script>{HOSTILE['script']}<!-- \u2028"


def exact(output: Any, expected: Any) -> Score:
    return Score("exact", output == expected)


def evaluator(name: str, word: str, **more: Any) -> Evaluator:
    def task(input: Any) -> Any:
        if input == "bad":
            raise ValueError(INJECTED)
        return word if input == "a" else [input, INJECTED] if input == "c" else input

    tone = {"tone": {"type": "string", "default": "plain"}}
    return Evaluator(name, task, scores=[exact], data=CASES, parameters=tone, **more)


def opened(browser: Any, file: Path) -> Page:
    browser.get_log("browser")
    page = Page(browser, file.as_uri())
    page.wait(lambda: page.table)
    return page


def check_that_nothing_is_injected(page: Page) -> None:
    assert page.problems() == []
    assert page.browser.title.startswith("Results: ")
    loaded = "return performance.getEntriesByType('resource').map((each) => each.name)"
    assert page.browser.execute_script(loaded) == []
    assert page.browser.execute_script("return document.scripts.length") == 2
    assert not page.all("#results img, #results b, #details img")


def test_a_report_of_the_command_line_shows_cases_and_the_comparison(
    shared_browser: Any, tmp_path: Path
) -> None:
    base, file = tmp_path / "base.json", tmp_path / "report.html"
    data = json.dumps(CASES)
    before = evals(app_of(evaluator("e", "b")), "run", "e", "--json", "--data", "-", input=data)
    base.write_text(before.stdout)
    options = ("-p", "tone=warm", "--baseline", str(base), "--html", str(file))
    evals(app_of(evaluator("e", "x")), "run", "e", *options)

    page = opened(shared_browser, file)
    at = page.headings.index("Output before")
    assert [row[at] for row in page.table][:3] == ["b", "the same", "the same"]
    assert [row[1:4] for row in page.table] == [
        ["done, worse", "a", "b"],
        ["done", "b", "b"],
        ["done", "c", "b"],
        ["error", "bad", "b"],
    ]
    comparison = page.text("comparison")
    assert "0 better, 1 worse, 3 as before" in comparison
    assert "tone not given warm" in comparison
    assert "▼ −33.3 percentage points" in comparison
    assert "fell, which may be chance (p = 1.000)" in comparison
    page.choose("filter", "worse than before")
    page.wait(lambda: [row[2] for row in page.table] == ["a"])
    page.choose("filter", "errors")
    page.wait(lambda: [row[2] for row in page.table] == ["bad"])
    page.open_row(0)
    assert INJECTED.split("\u2028")[0] in page.text("details")
    page.all("#details .failure summary")[0].click()
    assert "in task" in page.text("details"), "its stack is there"
    assert page.texts("#details .waterfall .tag") == ["eval", "task"]
    check_that_nothing_is_injected(page)


def test_a_report_may_have_several_evaluators(shared_browser: Any, tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    app = app_of(evaluator("first", "b"), evaluator("second", "x"))
    evals(app, "run", "first", "second", "--html", str(file))
    page = opened(shared_browser, file)
    chooser = Select(page.all("#report-head select")[0])
    assert [each.text for each in chooser.options] == ["first", "second"]
    chooser.select_by_visible_text("second")
    page.wait(lambda: page.table and page.table[0][4] == "x")
    assert not page.shows("comparison")
    check_that_nothing_is_injected(page)


def says(page: Page, text: str) -> bool:
    found: str = page.text("open-problem")
    return found.startswith("wrong.json cannot be opened: ") and text in found


def test_the_page_opens_what_the_command_line_has_written(
    shared_browser: Any, page_server: Gunicorn, tmp_path: Path
) -> None:
    base, file, report = (tmp_path / name for name in ("base.json", "now.json", "now.html"))
    app = app_of(evaluator("echo", "b"))
    base.write_text(evals(app, "run", "echo", "--json").stdout)
    app = app_of(evaluator("echo", "x"))
    options = ("--json", "--spans", "--html", str(report), "--baseline", str(base))
    file.write_text(evals(app, "run", "echo", *options).stdout)

    page = Page(shared_browser, f"{page_server.url}/evals/playground")
    page.ready()
    page.open_results(base)
    page.wait(lambda: [row[2] for row in page.table] == ["a", "b", "c", "bad"])
    assert page.value("label") == "base.json"
    page.open_results(report)
    page.wait(lambda: page.value("label") == "now.html")
    page.reload()
    page.wait(lambda: len(page.table) == 4)
    page.wait(lambda: len(Select(page.one("compare")).options) >= 3)
    choices = [each.text for each in Select(page.one("compare")).options]
    assert any(each.startswith("base.json") for each in choices)
    assert choices[-1] == "a file of results…"
    page.browser.execute_script("document.getElementById('opened-file').click = () => {}")
    page.choose("compare", "a file of results…")
    page.choose_results(base)
    page.wait(lambda: "0 better, 1 worse, 3 as before" in page.text("comparison"))
    page.open_row(0)
    page.wait(lambda: page.texts("#details .waterfall .tag") == ["eval", "task", "score"])
    page.reload()
    wrong = tmp_path / "wrong.json"
    for text, said in {
        "{}": "this is no file of results: export",
        "input,expected\n1,2\n": "but seems to be CSV: export",
        "<?xml version='1.0'?>": "but seems to be XML: export",
        "{": "this file is not valid JSON: ",
    }.items():
        wrong.write_text(text)
        page.open_results(wrong)
        page.wait(partial(says, page, said))
    page.problems()


def test_a_file_that_somebody_has_made_up_is_shown_as_far_as_it_can_be(
    shared_browser: Any, page_server: Gunicorn, tmp_path: Path
) -> None:
    odd: list[Any] = [None, 5, "<b>x</b>", [1], {"__proto__": {"polluted": True}}, 1e308]
    fields = ["id", "error", "error_place", "error_stack", "classifications", "scorer_errors"]
    fields += ["metadata", "tags", "seconds", "metrics", "scorer_metrics", "messages", "spans"]
    fields += ["index", "trial_index", "score_metadata", "expected", "output"]
    results = [
        {"input": n, "scores": {"s": value, "__proto__": 1}, **dict.fromkeys(fields, value)}
        for n, value in enumerate(odd)
    ]
    span = {"id": 1, "parent_id": 1, "name": None, "start": "x", "metadata": "m", "metrics": [None]}
    results.append({"input": "spans", "spans": [span, None, {}], "messages": [{"kind": {}}, 3]})
    body = {"format": FORMAT, "version": VERSION, "evaluator": "echo", "results": results}
    more = {"state": {}, "started": "x", "seconds": "x", "parameters": [1], "error": [1], "id": ""}
    file = tmp_path / "odd.json"
    file.write_text(json.dumps({**body, **more, "label": INJECTED, "interrupted": "x"}))

    page = Page(shared_browser, f"{page_server.url}/evals/playground")
    page.ready()
    page.open_results(file)
    page.wait(lambda: len(page.table) == len(results) or page.text("open-problem"))
    assert page.text("open-problem") == ""
    for at in range(len(results)):
        page.open_row(at)
        page.browser.execute_script("document.getElementById('details').close()")
    assert page.browser.execute_script("return ({}).polluted") is None
    assert not page.all("#results b, #results img, #details b")
    assert page.problems() == []


def test_the_page_makes_the_same_report(
    shared_browser: Any, page_server: Gunicorn, downloads: Path
) -> None:
    page = Page(shared_browser, f"{page_server.url}/evals/playground")
    page.run("hostile", ["script", "right to left"])
    page.run("hostile", ["script", "right to left", "prototype"])
    page.wait(lambda: len(Select(page.one("compare")).options) > 2)
    Select(page.one("compare")).select_by_index(1)
    page.wait_shown("comparison")
    page.click("export-report")
    (file,) = page.wait(lambda: [*downloads.glob("hostile-*.html")])
    report = opened(shared_browser, file)
    assert [row[2] for row in report.table] == ["script", "right to left", "prototype"]
    assert report.table[0][4] == HOSTILE["script"]
    comparison = report.one("comparison").text
    assert "0 better, 0 worse, 2 as before, 1 not in the earlier run" in comparison
    assert "0 are only in the earlier one, and 1 only in this one" in comparison
    check_that_nothing_is_injected(report)
