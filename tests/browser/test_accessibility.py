"""What axe-core, the checker of accessibility, says of the page in each of its states."""

from __future__ import annotations

import json
from importlib import resources
from typing import Any

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select

from .support import Page

pytestmark = pytest.mark.live

CHECK = """
const [part, rules, done] = arguments;
const options = {resultTypes: ["violations"], ...(rules && {runOnly: rules})};
const told = ({violations}) => violations.flatMap(({id, nodes}) =>
    nodes.map(({target, failureSummary}) => `${id}: ${target}: ${failureSummary}`));
axe.run(part, options).then((found) => done(told(found)), (error) => done([String(error)]));
"""


def faults(page: Page, part: str = "html", rules: list[str] | None = None) -> list[str]:
    """What axe-core finds in a part of the page."""
    if not page.browser.execute_script("return 'axe' in window"):
        source = resources.files("axe_playwright_python").joinpath("axe.min.js").read_text("utf-8")
        page.browser.execute_script(source)
    found: list[str] = page.browser.execute_async_script(CHECK, part, rules)
    return found


def schemes(page: Page, part: str = "html") -> dict[str, list[str]]:
    """What axe-core finds in the light and in the dark, where only colours differ."""
    found = {}
    for scheme, rules in {"light": None, "dark": ["color-contrast"]}.items():
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        page.browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
        found[scheme] = faults(page, part, rules)
    page.browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
    return found


def too_wide(page: Page) -> list[str]:
    """The parts of the page that can only be read by scrolling sideways."""
    script = """return [document.documentElement, ...document.querySelectorAll(arguments[0])]
        .filter((each) => each.scrollWidth > each.clientWidth && each.clientWidth)
        .map((each) => `${each.id || each.className || each.tagName}: ${each.scrollWidth}`)"""
    found: list[str] = page.browser.execute_script(script, "#setup, #runs, #results, #table .grid")
    return found


def broken(page: Page) -> list[str]:
    """The words of buttons and headings, and the numbers, that are broken into several lines."""
    script = """const lines = (each) => {
            const range = document.createRange();
            range.selectNodeContents(each);
            return new Set([...range.getClientRects()].map(({top}) => Math.round(top))).size;
        };
        const isOne = (each) => each.checkVisibility() && /^[\\w.]+$/.test(each.innerText);
        return [...document.querySelectorAll(arguments[0])]
            .filter((each) => isOne(each) && lines(each) > 1).map((each) => each.innerText)"""
    parts = "#runs button, .runs-head span:not(.unseen), #details :is(button, th, td.number)"
    found: list[str] = page.browser.execute_script(script, parts)
    return found


def resize(page: Page, width: int) -> None:
    size = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 500}
    page.browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)


def test_nothing_is_found_in_any_state(page: Page) -> None:
    found: dict[str, Any] = {}
    page.evaluator("echo")
    found["nothing run yet"] = schemes(page)
    page.choose("source", "typed or pasted")
    page.give("nonsense")
    page.click("run")
    page.wait_shown("problem")
    found["a mistake in the form"] = faults(page, "#setup")

    cases = [{"input": "a", "expected": "a"}, {"input": "fail"}, {"input": "b", "expected": "c"}]
    resize(page, 1280)
    page.run("echo", json.dumps(cases))
    found["too wide for a small laptop"] = too_wide(page)
    page.browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    found["a run"] = schemes(page)
    page.open_row(1)
    found["a failed case"] = schemes(page, "#details")
    page.browser.switch_to.active_element.send_keys(Keys.ARROW_RIGHT)
    found["a case that differs"] = faults(page, "#details")
    page.one("details").find_element(By.XPATH, ".//button[.='Edit and run']").click()
    page.wait_shown("editor")
    found["a case is edited"] = faults(page, "#editor")
    page.browser.switch_to.active_element.send_keys(Keys.ESCAPE, Keys.ESCAPE)
    page.wait_hidden("editor")
    if page.shows("details"):
        page.browser.switch_to.active_element.send_keys(Keys.ESCAPE)

    page.set(page.field("suffix"), "a long text " * 9)
    page.run("echo")
    Select(page.one("compare")).select_by_index(1)
    page.wait_shown("comparison")
    found["a comparison"] = schemes(page, "#results")
    page.list_runs()
    found["the list of runs"] = schemes(page, "#runs")
    resize(page, 1000)
    found["words of the list in several lines"] = broken(page)
    page.browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    page.all("#runs-table button")[0].click()
    page.wait_shown("question")
    found["a question"] = faults(page, "#question")
    page.browser.switch_to.active_element.send_keys(Keys.ESCAPE)
    page.click("fold")
    found["the form folded"] = faults(page)
    page.reload()
    assert not page.shows("setup"), "the page remembers that"
    page.click("fold")
    resize(page, 390)
    try:
        found["the list, on a small screen"] = faults(page)
        page.browser.back()
        page.wait_shown("results")
        found["a comparison, on a small screen"] = faults(page, "#results")
        wide = [each for each in too_wide(page) if not each.startswith("grid")]
        found["too wide for a small screen"] = wide  # the table scrolls by itself
        page.open_row(0)
        found["words of a case in several lines, on a small screen"] = broken(page)
        page.browser.switch_to.active_element.send_keys(Keys.ESCAPE)
    finally:
        page.browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})

    page.start("patient", [0, 1])
    page.wait(lambda: "1 of 2 done" in page.status)
    found["a run that goes on"] = faults(page)  # its form has another button then
    page.click("cancel")
    page.finish()
    empty: tuple[Any, ...] = ([], {"light": [], "dark": []})
    assert {state: each for state, each in found.items() if each not in empty} == {}
