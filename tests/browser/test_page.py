"""The local page in a real browser: from a form to a summary, and whatever may come between."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import requests
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select

from tests.server import Gunicorn
from tests.standin import StandIn

from .app import HOSTILE
from .support import Page

pytestmark = pytest.mark.live


def details(page: Page) -> str:
    """Open the first row, and return what it says."""
    page.open_row(0)
    return page.text("details")


def test_a_run_from_the_form_to_the_summary(page: Page) -> None:
    page.evaluator("echo")
    page.set(page.field("suffix"), "!")
    page.set(page.field("times"), "2")
    page.field("shout").click()
    page.give('[{"input": "a", "expected": "A!A!"}, {"input": "b", "expected": "b"}]')
    assert page.text("cases-found") == "2 cases"
    page.one("run").click_by_mouse()
    page.finish()

    assert page.status == "echo: finished, 2 of 2 done"
    assert page.headings == "# State Input Expected Output exact_match length Time".split()
    rows = page.table
    assert [row[1:7] for row in rows] == [
        ["done", "a", "A!A!", "A!A!", "1.00", "0.20"],
        ["done", "b", "b", "B!B!", "0.00", "0.20"],
    ]
    assert all(row[7] for row in rows), "each has a time"
    seen = """const row = document.querySelector('#row-1'), {x, y} = row.getBoundingClientRect();
        return row.contains(document.elementFromPoint(x + 20, y + 20))"""
    assert page.browser.execute_script(seen), "rows are where they can be seen"
    cards = page.texts(".score-card")
    assert [each.splitlines()[:2] for each in cards] == [
        ["exact_match", "50.0 %"],
        ["length", "20.0 %"],
    ]
    distribution = page.all(".histogram")[0].get_attribute("aria-label")
    assert distribution == "Distribution: 1 from 0 to 0.1, 1 from 0.9 to 1"
    assert page.texts("#table mark") == ["B!B!"], "what differs is marked"
    page.one("row-1").click_by_mouse()
    assert page.texts("#details ins") == ["B!B!"]
    assert page.texts("#details del") == ["b"]


def test_every_kind_of_parameter_reaches_the_task(page: Page) -> None:
    page.evaluator("echo")
    Select(page.field("tone")).select_by_visible_text("warm")
    page.set(page.field("extra"), '{"b": [2]}')
    page.set(page.field("model"), "another-model")
    page.run("echo", ["parameters"])

    output = json.loads(page.table[0][4])
    assert output == {
        "suffix": "",
        "times": 1,
        "shout": False,
        "tone": "warm",
        "extra": {"b": [2]},
        "model": "another-model",
        "prompt": None,
    }


def test_mistakes_in_the_form_are_shown_where_they_are_made(page: Page) -> None:
    page.evaluator("echo")
    page.set(page.field("extra"), "{")
    page.click("run")
    assert page.text("problem").startswith('parameter "extra" is not valid JSON')
    page.set(page.field("extra"), "[]")
    page.run("echo", ["a"])
    assert "extra" in page.text("run-problem")
    assert "(status 400)" in page.text("run-problem")
    page.give("[1]")
    page.click("run")
    assert page.text("problem") == "case 1 must be an object with an 'input'"
    page.give("")
    page.click("run")
    assert page.text("problem") == "there are no cases"
    complaints = page.problems()
    assert len(complaints) == 1, "the browser itself notes the answer with status 400"
    assert "400" in complaints[0]


@pytest.mark.parametrize(
    "text",
    [
        '{"input": "a", "expected": "a"}\n\n{"input": "b, \\"c\\""}\n',
        'input,expected,tags\na,a,"x, y"\n"b, ""c""",,\n',
        '{"data": [{"input": "a", "expected": "a"}, {"input": "b, \\"c\\""}]}',
    ],
    ids=["JSON Lines", "CSV", "an object with data"],
)
def test_cases_may_be_given_in_each_format(page: Page, text: str) -> None:
    page.run("echo", text)
    assert [row[2:5] for row in page.table] == [["a", "a", "a"], ['b, "c"', "", 'b, "c"']]


def test_cases_may_come_from_a_file_or_from_the_evaluator(page: Page, tmp_path: Path) -> None:
    file = tmp_path / "cases.csv"
    file.write_text("input,expected\nfrom a file,from a file\n")
    page.evaluator("echo")
    page.choose("source", "a file")
    page.one("file").send_keys(str(file))
    page.run("echo")
    assert [row[2] for row in page.table] == ["from a file"]
    page.choose("source", "the evaluator itself")
    page.run("echo")
    assert [row[2] for row in page.table] == [f"own {n}" for n in range(4)]


def test_an_error_is_shown_with_its_text_and_counted(page: Page) -> None:
    page.run("echo", ["good", "fail"])
    assert page.status == "echo: finished, 2 of 2 done, 1 failed"
    assert [row[4] for row in page.table] == ["good", "ValueError: <b>no</b> such thing"]
    page.choose("filter", "errors")
    page.wait(lambda: len(page.table) == 1)
    assert "ValueError: <b>no</b> such thing" in details(page)


def test_rows_appear_when_they_come_and_deltas_while_they_stream(
    page: Page, page_server: Gunicorn
) -> None:
    page.start("streaming", ["a"])
    page.wait(lambda: page.table and page.table[0][4] == "some words first")
    assert page.table[0][1] == "running"
    requests.get(f"{page_server.url}/release", timeout=10)
    page.finish()
    assert page.table[0][4] == "all of it"


def test_a_run_can_be_cancelled(page: Page) -> None:
    page.start("patient", list(range(30)))
    page.wait(lambda: "1 of 30 done" in page.status)
    page.click("cancel")
    page.finish()
    assert page.status == "patient: cancelled, 1 of 30 done"
    assert {row[1] for row in page.table} <= {"done", "cancelled"}
    page.run("echo", ["the page goes on"])
    assert page.status == "echo: finished, 1 of 1 done"


@pytest.mark.parametrize(
    ("fetch", "said"),
    [
        ("Promise.reject(new TypeError('gone'))", "does not answer: is it running? (gone)"),
        (
            "Promise.resolve(new Response(new ReadableStream({"
            "start: (stream) => stream.error(new TypeError('network error'))})))",
            "the connection ended before the run did; the server's log may say why",
        ),
    ],
)
def test_a_server_that_is_gone_is_named_as_that(page: Page, fetch: str, said: str) -> None:
    page.browser.execute_script(f"window.fetch = () => {fetch}")
    page.run("echo", ["a"])
    assert page.text("run-problem").endswith(said)


def test_two_runs_are_compared_case_by_case(page: Page) -> None:
    def data(*expected: str) -> str:
        pairs = zip(("a", "b", "c"), expected, strict=False)
        return json.dumps([{"input": each, "expected": wanted} for each, wanted in pairs])

    page.evaluator("echo")
    page.run("echo", data("a", "x", "c"))
    page.run("echo", data("x", "b", "c"))
    page.wait(lambda: len(Select(page.one("compare")).options) >= 2)
    Select(page.one("compare")).select_by_index(1)
    page.wait(lambda: "1 better, 1 worse, 1 as before" in page.text("comparison"))

    assert [row[1] for row in page.table] == ["done, worse", "done, better", "done"]
    changes = "percentage points"
    assert changes in page.text("comparison"), "of the cases that both runs have"
    assert changes not in page.text("summary"), "the means there are those of all cases"
    assert [row[6] for row in page.table] == ["0.00 ▼ 1.00", "1.00 ▲ 1.00", "1.00"]
    page.choose("filter", "worse than before")
    page.wait(lambda: [row[2] for row in page.table] == ["a"])
    assert "Outputs of both runs" in details(page)


def test_hostile_outputs_are_text_and_nothing_else(page: Page) -> None:
    page.run("hostile", list(HOSTILE))
    assert page.status == f"hostile: finished, {len(HOSTILE)} of {len(HOSTILE)} done"
    assert page.browser.title == "Evaluators"
    assert page.browser.execute_script("return ({}).polluted") is None
    rows = {row[2]: row for row in page.table}
    assert rows["script"][4] == HOSTILE["script"]
    assert len(rows["long"][4]) < 1000, "cells are short; the details have it all"
    heights = {row.rect["height"] for row in page.all("#table .row")}
    assert len(heights) == 1, "no output breaks its row"
    wide = page.browser.execute_script(
        "return document.documentElement.scrollWidth > document.documentElement.clientWidth"
    )
    assert not wide, "no output breaks the page"
    for at in range(len(HOSTILE)):
        page.open_row(at)
        assert not page.all("#details script, #details img, #details i")
        page.browser.switch_to.active_element.send_keys(Keys.ESCAPE)
        page.wait_hidden("details")


def test_all_can_be_done_by_keyboard(page: Page) -> None:
    page.evaluator("echo")
    page.give([f"case {n}" for n in range(60)])
    page.one("cases").send_keys(Keys.CONTROL, Keys.ENTER)
    page.wait_shown("results")
    page.finish()
    grid = page.all("#table [role=grid]")[0]
    grid.send_keys(Keys.ARROW_DOWN, Keys.ARROW_DOWN, Keys.ENTER)
    page.wait_shown("details")
    assert page.text("details-title") == "Case 3: done"
    page.browser.switch_to.active_element.send_keys(Keys.ESCAPE)
    page.wait_hidden("details")
    grid.send_keys(Keys.END, Keys.ENTER)
    page.wait_shown("details")
    assert page.text("details-title") == "Case 60: done"
    page.browser.switch_to.active_element.send_keys(Keys.ESCAPE)
    unnamed = page.browser.execute_script(
        """const named = (each) => each.labels?.length || each.textContent.trim()
            || each.getAttribute('aria-label');
        return [...document.querySelectorAll('input, select, textarea, button')]
            .filter((each) => !named(each)).map((each) => each.id)"""
    )
    assert unnamed == [], "every control has a name for screen readers"
    page.one("all-runs").send_keys(Keys.ENTER)
    page.wait_shown("runs")
    assert page.browser.switch_to.active_element == page.one("runs")
    page.all("#runs-table a")[0].send_keys(Keys.ENTER)
    page.wait_shown("results")
    assert page.browser.switch_to.active_element == page.one("results")


def test_thousands_of_rows_are_no_burden(page: Page) -> None:
    page.run("many", list(range(2_000)))
    assert page.status == "many: finished, 2000 of 2000 done"
    assert len(page.all("#table .row")) < 100
    assert page.all("[role=grid]")[0].get_attribute("aria-rowcount") == "2001"
    page.all("[role=grid]")[0].send_keys(Keys.END)
    page.wait(lambda: page.table[-1][0] == "2000")
    page.wait(lambda: len(page.table) > 15)  # those above the visible ones come a moment later
    numbers = [int(row[0]) for row in page.table]
    assert numbers == sorted(numbers), "rows are in their order for screen readers, too"
    page.set(page.one("search"), "1998")
    page.wait(lambda: [row[2] for row in page.table] == ["1998"])


def exported(page: Page, downloads: Path, kind: str) -> str:
    page.one(f"export-{kind}").click()
    (file,) = page.wait(lambda: [*downloads.glob(f"hostile-*.{kind}")])
    text: str = file.read_text("utf-8")
    return text


def test_results_are_exported(page: Page, downloads: Path) -> None:
    page.run("hostile", ["formula", "script"])
    for kind in ("json", "csv"):
        text = exported(page, downloads, kind)
        if kind == "json":
            run = json.loads(text)
            outputs = [result["output"] for result in run["results"]]
            assert outputs == [HOSTILE["formula"], HOSTILE["script"]]
            assert (run["format"], run["version"]) == ("flask-braintrust-evals/results", 1)
            assert run["error"] is None
        else:
            assert text.splitlines()[0].startswith('\ufeff"id","index","trial","state","input",')
            assert ",\"'=HYPERLINK(" in text, "a spreadsheet must not run it"


def test_a_token_is_asked_for_where_one_is_needed(
    shared_browser: Any, cloud_for_pages: StandIn
) -> None:
    environ = {"AUTH": "braintrust", "BRAINTRUST_APP_URL": cloud_for_pages.url}
    with Gunicorn("tests.browser.app:create_app()", environ=environ) as server:
        page = Page(shared_browser, f"{server.url}/evals/playground")
        page.wait_shown("token")
        page.set(page.one("token"), "wrong")
        page.click("connect")
        page.wait(lambda: "(status 401)" in page.text("problem"))
        page.set(page.one("token"), "token-ada" + Keys.ENTER)
        # It chooses an evaluator by itself, and fills in an example.
        page.wait(lambda: page.one("run").is_enabled())
        page.run("echo", ["a"])
        assert page.status == "echo: finished, 1 of 1 done"
        stored = "return JSON.stringify([localStorage, sessionStorage, document.cookie])"
        assert "token-ada" not in page.browser.execute_script(stored)
        page.evaluator("many")
        page.browser.execute_script("document.querySelector('#evaluator option').id = 'before'")
        page.click("connect")
        page.wait(lambda: not page.all("#before"))
        assert page.value("evaluator") == "many"
        assert page.text("about") == "No scorers."
        option = page.all("#evaluator option")[0]
        assert option.get_dom_attribute("value"), "its text has no double spaces"
        page.run("many", ["a"])
        assert page.status == "many: finished, 1 of 1 done"
        page.problems()  # of the refusals


ROWS = """
const [one, two] = document.querySelectorAll('#table .row');
return [one.offsetHeight, two.getBoundingClientRect().top - one.getBoundingClientRect().top];
"""


def test_the_rows_and_the_buttons_of_a_case_follow_what_is_around_them(page: Page) -> None:
    page.browser.execute_script("document.documentElement.style.fontSize = '24px'")
    page.start("patient", [0, 1])
    page.wait(lambda: len(page.table) == 2 and "1 of 2 done" in page.status)
    assert page.browser.execute_script(ROWS) == [60, 60]
    page.open_row(0)
    again = page.all("#details header button")[0]
    assert (again.text, again.is_enabled()) == ("Run this case", False)
    page.browser.execute_script("document.getElementById('cancel').click()")
    page.wait(lambda: page.all("#details header button")[0].is_enabled())


def test_it_looks_right_in_the_dark_and_on_a_small_screen(page: Page) -> None:
    colours = set()
    for scheme in ("light", "dark"):
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        page.browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
        colours.add(page.one("run").find_element(By.XPATH, "//body").value_of_css_property("color"))
    assert len(colours) == 2
    page.browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
    size = {"width": 380, "height": 800, "deviceScaleFactor": 1, "mobile": True}
    page.browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    wide = "return document.documentElement.scrollWidth"
    try:
        assert page.browser.execute_script(wide) <= 380
    finally:
        page.browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
