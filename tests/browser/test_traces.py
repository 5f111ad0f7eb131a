"""What the page shows beside outputs: traces, failures, numbers of a run, and filters."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator
from typing import Any

import pytest
import requests
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import Select

from tests.server import Gunicorn

from .support import Page

pytestmark = pytest.mark.live

QUESTIONS = [f"{n} what is {n}?" for n in range(1, 11)]
CASES = [
    {"input": each, "expected": each if index % 2 == 0 else "nothing"}
    for index, each in enumerate(QUESTIONS)
]
"""Every second answer is right, the fifth case fails, and a scorer works on two of the others."""


@pytest.fixture(scope="module")
def agent_page(shared_browser: Any, page_server: Gunicorn) -> Page:
    """The page with a run of the evaluator ``agent``."""
    page = Page(shared_browser, f"{page_server.url}/evals/playground")
    page.wait(lambda: len(Select(page.one("evaluator")).options) > 3)
    page.run("agent", json.dumps(CASES))
    assert page.status == "agent: finished, 10 of 10 done, 1 failed"
    return page


@pytest.fixture
def page(agent_page: Page) -> Iterator[Page]:
    """The same page, with neither filters nor a dialog."""
    agent_page.browser.get_log("browser")
    yield agent_page
    if agent_page.shows("details"):
        agent_page.browser.switch_to.active_element.send_keys(Keys.ESCAPE)
    if agent_page.shows("clear-filters"):
        agent_page.click("clear-filters")
    agent_page.wait(lambda: len(agent_page.table) == 10)
    assert agent_page.problems() == [], "the console has nothing to complain of"


def open_case(page: Page, number: int) -> WebElement:
    page.one(f"row-{number - 1}").click()
    page.wait_shown("details")
    page.wait(lambda: page.all("#details .span"))
    return page.one("details")


def unfold(page: Page, span: str) -> WebElement:
    """Open a span of the waterfall, and return it."""
    path = f"//details[@class='span'][.//*[@class='span-name'][contains(., '{span}')]]"
    found: WebElement = page.browser.find_element(By.XPATH, path)
    found.find_element(By.CSS_SELECTOR, "summary").click()
    page.wait(lambda: found.find_elements(By.CSS_SELECTOR, ".span-contents"))
    return found


def numbers(page: Page) -> list[str]:
    """The numbers of the rows that are shown."""
    return [row[0] for row in page.table]


def shows(page: Page, wanted: list[str]) -> bool:
    return numbers(page) == wanted


def card(page: Page, name: str) -> WebElement:
    (found,) = [
        each for each in page.all(".score-card") if each.get_attribute("aria-label") == name
    ]
    return found


def test_a_case_has_a_waterfall_of_its_spans_without_any_account(page: Page) -> None:
    open_case(page, 1)
    names = page.texts("#details .span-name")
    assert names[0] == "eval"
    assert set(names) == {
        "eval",
        "task",
        "SELECT articles",
        "chat",
        "look up",
        "exact_match",
        "precise",
        "classifier_0",
    }
    indents = {
        each.text: float(each.value_of_css_property("padding-inline-start").removesuffix("px"))
        for each in page.all("#details .span-name")
    }
    assert indents["eval"] < indents["task"] < indents["chat"] < indents["look up"]
    assert indents["task"] == indents["exact_match"]
    bars = page.browser.execute_script(
        """return [...document.querySelectorAll('#details .span-track')].map((track) => {
            const outer = track.getBoundingClientRect();
            const inner = track.firstChild.getBoundingClientRect();
            return inner.left >= outer.left - 4 && inner.right <= outer.right + 4;
        })"""
    )
    assert all(bars), "no bar is outside of its track"
    durations = page.all("#details .span > summary .number")
    assert all(each.text.endswith("s") for each in durations)


def test_a_call_of_a_model_is_a_conversation_with_its_tokens(page: Page) -> None:
    open_case(page, 1)
    chat = unfold(page, "chat")
    said = chat.find_elements(By.CSS_SELECTOR, ".message")
    assert [each.text.splitlines() for each in said] == [
        ["system", "Be <b>brief</b>."],
        ["user", QUESTIONS[0]],
        ["assistant", f"{QUESTIONS[0]}!"],
    ]
    assert not chat.find_elements(By.CSS_SELECTOR, "b"), "texts are never markup"
    assert "example-model" in chat.text
    assert "1,200 in, 34 out, $0.0020" in chat.text
    tool = unfold(page, "look up")
    assert "[cut: 60000 characters]" in tool.text
    assert "Some of it is left out here" in tool.text
    query = unfold(page, "SELECT articles")
    query.find_element(By.CSS_SELECTOR, ".folded summary").click()
    page.wait(lambda: "sqlite" in query.text)


def test_a_failed_case_shows_the_users_own_line_and_the_stack_is_folded(page: Page) -> None:
    details = open_case(page, 5)
    assert "KeyError: '5 what is 5?'" in details.text
    place = page.all("#details .code-place")[0].text
    assert place.startswith("tests/browser/app.py:")
    assert place.endswith("in agent: raise KeyError(input)")
    assert "Traceback" not in details.text
    page.all("#details .failure .folded summary")[0].click()
    page.wait(lambda: "Traceback (most recent call last)" in details.text)
    assert "console" in details.text, "what the task reported is there"
    assert "asked: 5 what is 5?" in details.text
    failed = page.all("#details .span-name .failed")
    assert len(failed) == 4, "eval, task, chat and look up"


def test_the_header_has_times_tokens_costs_and_failures_that_filter(page: Page) -> None:
    facts = page.text("run-facts")
    for name in ("Elapsed", "Task p50 / p95", "Tokens", "Cost"):
        assert name in facts
    assert "12,340" in facts
    assert "$0.020" in facts
    for name, wanted in (("1 case", "5"), ("on 7 cases", "2346789")):
        path = f".//button[.='{name}']"
        page.one("run-facts").find_element(By.XPATH, path).click()
        page.wait(functools.partial(shows, page, list(wanted)))
        button = page.one("run-facts").find_element(By.XPATH, path)
        assert button.get_attribute("aria-pressed") == "true"
        button.click()
        page.wait(lambda: len(numbers(page)) == 10)


def test_a_scorer_that_failed_is_not_hidden_behind_its_mean(page: Page) -> None:
    text = card(page, "precise").text
    assert "98.8 %" in text
    assert "2 of 9 scored, 7 failed" in text
    assert "has-failures" in str(card(page, "precise").get_attribute("class"))
    assert [row[6] for row in page.table] == [
        "0.99", "failed", "failed", "failed", "", "failed", "failed", "failed", "failed", "0.99",
    ]  # fmt: skip
    card(page, "precise").find_element(By.XPATH, ".//button[.='7 failed']").click()
    page.wait(lambda: numbers(page) == list("2346789"))
    assert [each.text.splitlines()[0] for each in page.all("#filters .chip")] == ["precise failed"]
    assert page.text("cases-shown") == "7 of 10 cases"
    page.all("#filters .chip button")[0].click()
    page.wait(lambda: len(numbers(page)) == 10)
    details = open_case(page, 2)
    assert "RuntimeError: no reference for this answer" in details.text


def test_bars_of_a_histogram_filter(page: Page) -> None:
    bars = card(page, "exact_match").find_elements(By.CSS_SELECTOR, "button.bin")
    assert [each.get_attribute("aria-label") for each in bars] == [
        "0 to 0.1: 5 cases",
        "0.9 to 1: 4 cases",
    ]
    bars[0].click()
    page.wait(lambda: numbers(page) == ["2", "4", "6", "8", "10"])
    low, high = page.all("#filters .chip input")
    page.browser.execute_script(
        "arguments[0].value = 0.5; arguments[0].dispatchEvent(new Event('change'))", high
    )
    page.browser.execute_script(
        "arguments[0].value = 0.5; arguments[0].dispatchEvent(new Event('change'))", low
    )
    page.wait(lambda: numbers(page) == [])


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ("state: error (1)", ["5"]),
        ("tag: even (4)", ["2", "4", "6", "8"]),
        ("language = German (2)", ["3", "7"]),
        ("precise failed (7)", list("2346789")),
        ("the task failed (1)", ["5"]),
    ],
)
def test_cases_are_filtered_by_what_they_have(page: Page, choice: str, expected: list[str]) -> None:
    page.one("add-filter").send_keys("")  # its choices are made when it is used
    page.wait(lambda: len(Select(page.one("add-filter")).options) > 5)
    Select(page.one("add-filter")).select_by_visible_text(choice)
    page.wait(lambda: numbers(page) == expected)


@pytest.mark.parametrize(
    ("searched", "expected"),
    [
        ("german", ["3", "7"]),
        ("EVEN", ["2", "4", "6", "8"]),
        ("editors", list("2346789")),
        ("close to the reference", ["1", "10"]),
        ("asked: 6", ["6"]),
        ("app.py", ["5"]),
        ("german 7", ["7"]),
    ],
)
def test_a_search_looks_everywhere(page: Page, searched: str, expected: list[str]) -> None:
    page.set(page.one("search"), searched)
    page.wait(lambda: numbers(page) == expected)


def test_sorting_has_an_arrow_that_can_be_seen(page: Page) -> None:
    def arrows() -> list[str]:
        script = """return [...document.querySelectorAll('#table .head button')].map(
            (each) => getComputedStyle(each, '::after').content.replace(/"/g, ''))"""
        found: list[str] = page.browser.execute_script(script)
        return [each for each in found if each in "▲▼"]

    assert arrows() == ["▲"]
    heading = page.browser.find_element(By.XPATH, "//*[@class='head']//button[.='Time']")
    heading.click()
    heading.click()
    assert heading.find_element(By.XPATH, "..").get_attribute("aria-sort") == "descending"
    assert arrows() == ["▼"]
    page.all("#table .head button")[0].click()
    assert arrows() == ["▲"]
    assert numbers(page) == [f"{n}" for n in range(1, 11)]


def test_headings_and_columns_are_never_out_of_step(page: Page) -> None:
    size = {"width": 500, "height": 800, "deviceScaleFactor": 1, "mobile": False}
    page.browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    lefts = """const left = (each) => Math.round(each.getBoundingClientRect().left);
        return ['.head > div', '#row-0 > div'].map((css) =>
            [...document.querySelectorAll(css)].map(left))"""
    try:
        for heading in page.all("#table .head button"):
            page.browser.execute_script("arguments[0].focus()", heading)
            head, cells = page.browser.execute_script(lefts)
            assert head == cells
        assert page.browser.execute_script("return document.querySelector('.grid').scrollLeft") > 0
    finally:
        page.browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_cases_are_gone_through_by_keys(page: Page) -> None:
    open_case(page, 4)
    keys = page.browser.switch_to.active_element
    keys.send_keys(Keys.ARROW_RIGHT)
    page.wait(lambda: page.text("details-title") == "Case 5: error")
    page.browser.switch_to.active_element.send_keys(Keys.ARROW_LEFT)
    page.wait(lambda: page.text("details-title") == "Case 4: done")
    assert page.one("row-3").get_attribute("aria-selected") == "true"


def test_nothing_wrong_is_marked_as_right(page: Page) -> None:
    """Beside a score of 0, the output is not in the colour of a score of 1."""
    row = page.one("row-1")
    mark = row.find_element(By.CSS_SELECTOR, "mark")
    good = page.one("row-0").find_element(By.CSS_SELECTOR, ".s10")
    assert row.find_elements(By.CSS_SELECTOR, ".s0")
    colours = {mark.value_of_css_property(name) for name in ("color", "background-color")}
    assert good.value_of_css_property("background-color") not in colours
    assert mark.value_of_css_property("text-decoration-style") == "dotted"


def test_a_run_that_goes_on_says_how_long_it_still_takes(agent_page: Page) -> None:
    agent_page.start("patient", [0, 1, 2, 3])
    agent_page.wait(lambda: "about " in agent_page.text("run-facts"))
    assert {"Elapsed", "Left"} <= {*agent_page.text("run-facts").split()}
    agent_page.click("cancel")
    agent_page.finish()
    agent_page.wait(lambda: "Left" not in agent_page.text("run-facts"))


def test_the_details_of_a_running_case_follow_it(agent_page: Page, page_server: Gunicorn) -> None:
    page = agent_page
    page.start("slowly", ["a"])
    page.wait(lambda: page.table and page.table[0][4] == "some words")
    page.click("row-0")
    page.wait(lambda: "some words" in page.text("details"))
    assert "There are spans when the case is done" in page.text("details")
    requests.get(f"{page_server.url}/go-on", timeout=10)
    page.wait(lambda: page.text("details-title") == "Case 1: done")
    page.wait(lambda: len(page.all("#details .span")) == 2)
    page.browser.switch_to.active_element.send_keys(Keys.ESCAPE)
    page.finish()
    assert page.problems() == []
