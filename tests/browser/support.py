"""The page as its user sees it.

A command of the driver costs more processor time than most of what the page does in answer, and to
wait by asking again and again costs many of them. What can be done by one script is done by one,
and what is waited for is waited for in the page.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from selenium.common.exceptions import (
    ElementClickInterceptedException,
    NoSuchElementException,
    StaleElementReferenceException,
    TimeoutException,
)
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import WebDriverWait

PATIENCE = 60.0
POLL = 0.1
"""Seconds between two questions, where what is waited for is not asked by a script."""
CHOOSE = """
const pick = (option) => {
    const select = option.closest('select');
    if (select.disabled || option.disabled || !select.checkVisibility()) return false;
    select.scrollIntoView({block: 'center'});
    if (!option.selected) {
        option.selected = true;
        for (const kind of ['input', 'change']) {
            select.dispatchEvent(new Event(kind, {bubbles: true}));
        }
    }
    return true;
};
const choose = (id, text) => {
    const option = [...document.getElementById(id).options].find((each) => each.text === text);
    return option ? pick(option) : false;
};
"""
"""Does what a user does who chooses an option. The driver would ask the browser for each option."""
CLICK = f"""{CHOOSE}
const click = (each) => {{
    if (each.tagName === 'OPTION') return pick(each) ? '' : 'it cannot be chosen';
    if (!each.checkVisibility()) return 'it is not shown';
    each.scrollIntoView({{block: 'center', inline: 'center'}});
    const [{{left, top, width, height}}] = each.getClientRects();
    const front = document.elementFromPoint(left + width / 2, top + height / 2);
    if (!each.contains(front)) return `it is behind ${{front?.outerHTML.slice(0, 200)}}`;
    const focused = each.closest('a[href], button, input, select, textarea, summary, [tabindex]');
    if (focused) focused.focus({{preventScroll: true}});
    else document.activeElement.blur();
    each.click();
    return '';
}};
"""
"""Does what a click does, where its user could click. Returns why they could not."""
SET = """
const set = (control, text) => {
    control.focus();
    control.value = text;
    for (const kind of ['input', 'change']) control.dispatchEvent(new Event(kind, {bubbles: true}));
};
"""
UNTIL = """
const until = async (condition, patience) => {
    for (const end = performance.now() + patience * 1000; ; ) {
        if (condition()) return;
        if (performance.now() > end) throw new Error('waited too long');
        await new Promise((go) => setTimeout(go, 20));
    }
};
const done = arguments[arguments.length - 1];
const finish = (doing) => doing.then(() => done(''), (error) => done(String(error)));
"""
ENTER = """
const [evaluator, cases, patience] = arguments;
const step = (condition) => until(condition, patience);
finish((async () => {
    if (evaluator !== null) {
        await step(() => choose('evaluator', evaluator));
        await step(() => document.getElementById('setup').ariaBusy !== 'true');
    }
    if (cases !== null) {
        await step(() => choose('source', 'typed or pasted'));
        const field = document.getElementById('cases');
        field.value = cases;
        field.dispatchEvent(new Event('input', {bubbles: true}));
    }
"""
RUN = """
    const run = document.getElementById('run');
    await step(() => document.getElementById('setup').ariaBusy !== 'true' && !run.disabled);
    const problem = click(run);
    if (problem) throw new Error(`the button cannot be clicked: ${problem}`);
"""
ENDED = """
    const isEnabled = !document.getElementById('run').disabled;
    return isEnabled && !document.getElementById('status').textContent.includes(': running');
"""
READY = """
    const isShown = (id) => document.getElementById(id).checkVisibility();
    const isBusy = document.getElementById('setup').ariaBusy === 'true';
    const isThere = document.querySelector('#evaluator option') && !isBusy;
    return isThere && (isShown('runs') || isShown('results'));
"""


class Element(WebElement):
    """An element of the page, of which less is asked than by the driver's own functions."""

    @property
    def text(self) -> str:
        script = f"return ({TEXT})(arguments[0])"
        found: str = self.parent.execute_script(script, self)
        return found

    def click(self) -> None:
        problem = self.parent.execute_script(f"{CLICK} return click(arguments[0])", self)
        if problem:
            raise ElementClickInterceptedException(problem)

    def click_by_mouse(self) -> None:
        """Click by what the browser takes for the user's mouse."""
        super().click()

    def is_displayed(self) -> bool:
        is_shown: bool = self.parent.execute_script("return arguments[0].checkVisibility()", self)
        return is_shown

    def is_enabled(self) -> bool:
        is_disabled = self.parent.execute_script("return arguments[0].disabled", self)
        return not is_disabled


TEXT = """(each) => each.tagName === 'OPTION' ? each.text : each.checkVisibility()
    ? each.innerText.replace(/[ \\t\\u00a0]+/g, ' ').replace(/ ?\\n ?/g, '\\n').trim() : ''"""
"""A function of an element: its text as its user sees it."""


class Page:
    """The local page in a browser."""

    def __init__(self, browser: Any, url: str) -> None:
        self.browser = browser
        browser.get(url)

    def ready(self) -> None:
        """Wait until the evaluators are there."""
        self.wait_for(READY)

    def reload(self) -> None:
        self.browser.refresh()
        self.ready()

    def one(self, id: str) -> Element:
        found: Element | None = self.browser.execute_script(
            "return document.getElementById(arguments[0])", id
        )
        if found is None:
            raise NoSuchElementException(id)
        return found

    def all(self, css: str) -> list[Element]:
        found: list[Element] = self.browser.execute_script(
            "return [...document.querySelectorAll(arguments[0])]", css
        )
        return found

    def text(self, id: str) -> str:
        """The text of an element as its user sees it."""
        script = f"return ({TEXT})(document.getElementById(arguments[0]))"
        found: str = self.browser.execute_script(script, id)
        return found

    def texts(self, css: str) -> list[str]:
        script = f"return [...document.querySelectorAll(arguments[0])].map({TEXT})"
        found: list[str] = self.browser.execute_script(script, css)
        return found

    def click(self, id: str) -> None:
        script = f"{CLICK} return click(document.getElementById(arguments[0]))"
        problem = self.browser.execute_script(script, id)
        if problem:
            raise ElementClickInterceptedException(f"{id}: {problem}")

    def open_row(self, at: int) -> None:
        """Open the case of a row."""
        self.click(f"row-{at}")
        self.wait_shown("details")

    def wait(self, condition: Callable[[], Any], patience: float = PATIENCE) -> Any:
        ignored = (StaleElementReferenceException,)
        waiting = WebDriverWait(self.browser, patience, POLL, ignored)
        return waiting.until(lambda _: condition())

    def wait_for(self, script: str, patience: float = PATIENCE) -> None:
        """Wait until a script returns true."""
        waited = f"{UNTIL} finish(until(() => {{ {script} }}, arguments[0]))"
        self._do(waited, patience)

    def wait_shown(self, id: str) -> None:
        self.wait_for(f"return document.getElementById('{id}').checkVisibility()")

    def wait_hidden(self, id: str) -> None:
        self.wait_for(f"return !document.getElementById('{id}').checkVisibility()")

    def _do(self, script: str, *arguments: Any) -> None:
        problem = self.browser.execute_async_script(script, *arguments)
        if problem:
            raise TimeoutException(f"{problem}: {script} {arguments}")

    def shows(self, id: str) -> bool:
        """Return whether an element is shown. The driver's own way costs several times as much."""
        script = "return document.getElementById(arguments[0]).checkVisibility()"
        is_shown: bool = self.browser.execute_script(script, id)
        return is_shown

    def value(self, id: str) -> str:
        """Return the value of a control, likewise."""
        value: str = self.browser.execute_script(
            "return document.getElementById(arguments[0]).value", id
        )
        return value

    def choose(self, id: str, text: str) -> None:
        script = f"{UNTIL}{CHOOSE} const [id, text, patience] = arguments;"
        self._do(f"{script} finish(until(() => choose(id, text), patience))", id, text, PATIENCE)

    def follow(self, text: str) -> None:
        """Click a link, also if the page is just making its list again."""
        self.wait(lambda: self.browser.find_element(By.LINK_TEXT, text).click() or True)

    def set(self, element: WebElement, text: str) -> None:
        """Fill in a control, and leave it. Only keys without a character are typed."""
        if any("\ue000" <= each <= "\uf8ff" for each in text):
            element.clear()
            element.send_keys(text)
        else:
            self.browser.execute_script(f"{SET} set(...arguments)", element, text)

    def field(self, label: str) -> WebElement:
        """The control of a parameter."""
        path = f"//div[@id='parameter-fields']//label[starts-with(., '{label}')]"
        found: WebElement = self.browser.find_element(
            By.XPATH, f"{path}//*[self::input or self::select or self::textarea]"
        )
        return found

    def evaluator(self, name: str) -> None:
        """Choose an evaluator, and wait for its form."""
        self._enter(name, None)

    def give(self, cases: list[Any] | str) -> None:
        """Fill in cases. Set by script: typing hundreds of them takes long."""
        self._enter(None, cases)

    def _enter(self, evaluator: str | None, cases: list[Any] | str | None, then: str = "") -> None:
        text = cases
        if isinstance(cases, list):
            text = json.dumps([{"input": each} for each in cases])
        self._do(f"{UNTIL}{CLICK}{ENTER} {then} }})());", evaluator, text, PATIENCE)

    def start(self, evaluator: str, cases: list[Any] | str | None = None) -> None:
        self._enter(evaluator, cases, RUN)

    def run(self, evaluator: str, cases: list[Any] | str | None = None) -> None:
        """Run to the end."""
        self.start(evaluator, cases)
        self.finish()

    def finish(self, patience: float = PATIENCE) -> None:
        self.wait_for(ENDED, patience)

    def choose_results(self, file: Path) -> None:
        """Choose a file of results in the dialog of the browser, which is without a screen here."""
        script = "arguments[0].hidden = false; arguments[0].click = () => {}"
        self.browser.execute_script(script, self.one("opened-file"))
        self.one("opened-file").send_keys(str(file))

    def open_results(self, file: Path) -> None:
        self.browser.execute_script(
            "document.getElementById('opened-file').click = () => {};"
            "document.getElementById('open-results').click()"
        )
        self.choose_results(file)

    @property
    def status(self) -> str:
        text: str = self.browser.execute_script(
            "return document.getElementById('status').innerText"
        )
        return text.strip()

    @property
    def table(self) -> list[list[str]]:
        """The cells of all rows that are drawn."""
        script = """return [...document.querySelectorAll('#table .row')].map(
            (row) => [...row.children].map((cell) => cell.textContent))"""
        rows: list[list[str]] = self.browser.execute_script(script)
        return rows

    @property
    def runs(self) -> list[list[str]]:
        """What the list of runs says of each: its name, cases, and so on."""
        script = """return [...document.querySelectorAll('#runs-table .run')].map((row) =>
            [...row.children].slice(1, -1).map((cell) => cell.innerText.trim()))"""
        rows: list[list[str]] = self.browser.execute_script(script)
        return rows

    def list_runs(self) -> None:
        self.click("all-runs")
        self.wait_shown("runs")

    @property
    def headings(self) -> list[str]:
        script = """return [...document.querySelectorAll('#table .head button')].map(
            (button) => button.innerText.trim())"""
        texts: list[str] = self.browser.execute_script(script)
        return texts

    def problems(self) -> list[str]:
        """What the console has complained of since it was last asked."""
        return [f"{each['level']} {each['message']}" for each in self.browser.get_log("browser")]
