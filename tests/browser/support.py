"""The page as its user sees it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import WebDriverWait

PATIENCE = 60.0
CHOOSE = """
    const select = document.getElementById(arguments[0]);
    const option = [...select.options].find((each) => each.text === arguments[1]);
    if (!option || select.disabled || option.disabled || !select.checkVisibility()) return false;
    select.scrollIntoView({block: 'center'});
    if (!option.selected) {
        option.selected = true;
        for (const kind of ['input', 'change']) {
            select.dispatchEvent(new Event(kind, {bubbles: true}));
        }
    }
    return true;
"""
"""Does what a user does who chooses an option. The driver would ask the browser for each option."""
CAN_RUN = """
    const setup = document.getElementById('setup'), run = document.getElementById('run');
    return setup.ariaBusy !== 'true' && !run.disabled;
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

    def one(self, id: str) -> WebElement:
        found: WebElement = self.browser.find_element(By.ID, id)
        return found

    def all(self, css: str) -> list[WebElement]:
        found: list[WebElement] = self.browser.find_elements(By.CSS_SELECTOR, css)
        return found

    def wait(self, condition: Callable[[], Any], patience: float = PATIENCE) -> Any:
        ignored = (StaleElementReferenceException,)
        waiting = WebDriverWait(self.browser, patience, 0.05, ignored)
        return waiting.until(lambda _: condition())

    def wait_for(self, script: str, patience: float = PATIENCE) -> None:
        """Wait until a script returns true."""
        self.wait(lambda: self.browser.execute_script(script), patience)

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
        self.wait(lambda: self.browser.execute_script(CHOOSE, id, text))

    def follow(self, text: str) -> None:
        """Click a link, also if the page is just making its list again."""
        self.wait(lambda: self.browser.find_element(By.LINK_TEXT, text).click() or True)

    def set(self, element: WebElement, text: str) -> None:
        element.clear()
        element.send_keys(text)

    def field(self, label: str) -> WebElement:
        """The control of a parameter."""
        path = f"//div[@id='parameter-fields']//label[starts-with(., '{label}')]"
        found: WebElement = self.browser.find_element(
            By.XPATH, f"{path}//*[self::input or self::select or self::textarea]"
        )
        return found

    def evaluator(self, name: str) -> None:
        """Choose an evaluator, and wait for its form."""
        self.choose("evaluator", name)
        self.wait_for("return document.getElementById('setup').ariaBusy !== 'true'")

    def give(self, cases: list[Any] | str) -> None:
        """Fill in cases. Set by script: typing hundreds of them takes long."""
        self.choose("source", "typed or pasted")
        text = cases if isinstance(cases, str) else json.dumps([{"input": each} for each in cases])
        script = """arguments[0].value = arguments[1];
            arguments[0].dispatchEvent(new Event('input', {bubbles: true}))"""
        self.browser.execute_script(script, self.one("cases"), text)

    def start(self, evaluator: str, cases: list[Any] | str | None = None) -> None:
        self.evaluator(evaluator)
        if cases is not None:
            self.give(cases)
        self.wait_for(CAN_RUN)
        self.one("run").click()

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
        self.one("all-runs").click()
        self.wait(lambda: self.shows("runs"))

    @property
    def headings(self) -> list[str]:
        script = """return [...document.querySelectorAll('#table .head button')].map(
            (button) => button.innerText.trim())"""
        texts: list[str] = self.browser.execute_script(script)
        return texts

    def problems(self) -> list[str]:
        """What the console has complained of since it was last asked."""
        return [f"{each['level']} {each['message']}" for each in self.browser.get_log("browser")]
