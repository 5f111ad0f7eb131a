"""The form of an evaluator's parameters, in a real browser."""

from __future__ import annotations

import json
from typing import Any

import pytest
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import Select

from tests.example_model import EXAMPLE_MODEL

from .support import Page

pytestmark = pytest.mark.live


@pytest.fixture
def page(fresh_page: Page) -> Page:
    fresh_page.evaluator("forms")
    fresh_page.wait(lambda: field(fresh_page, "greeting"))
    return fresh_page


def field(page: Page, name: str) -> WebElement:
    found: WebElement = page.browser.find_element(By.CSS_SELECTOR, f"[data-parameter='{name}']")
    return found


def controls(page: Page, name: str) -> list[WebElement]:
    return field(page, name).find_elements(By.CSS_SELECTOR, "input, textarea, select")


def click(page: Page, element: WebElement) -> None:
    """Click what may be below the bar with the buttons."""
    page.browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", element)
    element.click()


def press(page: Page, name: str, text: str) -> None:
    path = f".//button[normalize-space()='{text}']"
    click(page, field(page, name).find_element(By.XPATH, path))


def problem(page: Page, name: str) -> str:
    text: str = field(page, name).find_element(By.CLASS_NAME, "field-problem").text
    return text


def output(page: Page) -> Any:
    """The output of the only case."""
    page.open_row(0)
    script = """const texts = [...document.querySelectorAll('#details pre')];
        return texts.map((each) => each.textContent).find((each) => each.startsWith('{'))"""
    return json.loads(page.browser.execute_script(script))


def test_lists_objects_and_optional_values_have_fields(page: Page) -> None:
    page.set(controls(page, "greeting")[0], "Hello, you")
    page.set(controls(page, "signature")[0], "5")
    page.set(controls(page, "temperature")[0], "0.5")
    press(page, "stop_words", "Add an item")
    page.browser.switch_to.active_element.send_keys("but\nnot")
    click(page, field(page, "stop_words").find_elements(By.CLASS_NAME, "remove")[0])
    press(page, "rules", "Add an item")
    word, weight = controls(page, "rules")
    word.send_keys("free")
    page.set(weight, "2")
    page.set(controls(page, "address")[0], "Bern")
    press(page, "weights", "Add an entry")
    controls(page, "weights")[2].send_keys("b")
    controls(page, "weights")[3].send_keys("7")
    page.set(controls(page, "size")[0], "large")
    page.set(controls(page, "anything")[0], '{"x": [null]}')
    page.run("forms", ["x"])
    assert output(page) == {
        "greeting": "Hello, you",
        "signature": "5",
        "times": 1,
        "temperature": 0.5,
        "stop_words": ["or", "but\nnot"],
        "rules": [{"word": "free", "weight": 2.0}],
        "address": {"city": "Bern", "zip": None},
        "weights": {"a": 1, "b": 7},
        "size": "large",
        "anything": {"x": [None]},
    }


def test_mistakes_are_shown_at_their_fields_and_in_view(page: Page) -> None:
    required = [
        name
        for name in ("greeting", "signature", "address")
        if "required" in field(page, name).text
    ]
    assert required == ["greeting", "address"]
    page.set(controls(page, "times")[0], "4")
    page.browser.execute_script("document.querySelector('#setup').scrollTop = 1e6")
    page.click("run")
    assert problem(page, "greeting") == "This is required"
    assert problem(page, "times") == "This must be from 1 to 3"
    assert problem(page, "address") == "'city' is required"
    first = controls(page, "greeting")[0]
    assert first == page.browser.switch_to.active_element
    assert first.get_attribute("aria-invalid") == "true"
    described = first.get_attribute("aria-describedby") or ""
    assert page.one(described).text == "This is required"
    seen = """const {top, bottom} = arguments[0].getBoundingClientRect();
        return top >= 0 && bottom <= innerHeight"""
    assert page.browser.execute_script(seen, page.one(described)), "the message is in view"
    page.click("fold")
    assert not first.is_displayed()
    keys = ActionChains(page.browser).key_down(Keys.CONTROL).send_keys(Keys.ENTER)
    keys.key_up(Keys.CONTROL).perform()
    page.wait(first.is_displayed)
    assert first == page.browser.switch_to.active_element, "the form is there again"
    first.send_keys("x")
    assert not field(page, "greeting").find_element(By.CLASS_NAME, "field-problem").is_displayed()
    assert first.get_attribute("aria-invalid") is None


def test_a_mistake_in_the_cases_is_in_view_wherever_the_form_is_scrolled_to(page: Page) -> None:
    controls(page, "greeting")[0].send_keys("x")
    controls(page, "address")[0].send_keys("y")
    page.give("[1]")
    page.browser.execute_script("document.querySelector('#setup').scrollTop = 0")
    page.click("run")
    page.wait(lambda: page.text("problem") == "case 1 must be an object with an 'input'")
    seen = """const {x, y, bottom} = arguments[0].getBoundingClientRect();
        const front = document.elementFromPoint(x + 5, y + 5);
        return bottom <= innerHeight && arguments[0].contains(front)"""
    assert page.browser.execute_script(seen, page.one("problem"))
    page.give("[]")
    assert not page.shows("problem"), "it may be mended"


def test_what_the_browser_finds_invalid_is_shown_where_the_form_is_away(page: Page) -> None:
    trials = page.one("trials")
    page.set(trials, "20000")
    page.click("fold")
    assert not trials.is_displayed()
    keys = ActionChains(page.browser).key_down(Keys.CONTROL).send_keys(Keys.ENTER)
    keys.key_up(Keys.CONTROL).perform()
    page.wait(trials.is_displayed)
    assert trials == page.browser.switch_to.active_element


def test_what_the_server_refuses_is_shown_at_its_field_too(page: Page) -> None:
    controls(page, "greeting")[0].send_keys("x")
    controls(page, "address")[0].send_keys("y")
    press(page, "rules", "Edit as JSON")
    page.set(controls(page, "rules")[0], '[{"word": 5}]')
    page.run("forms", ["x"])
    assert "valid string" in problem(page, "rules")
    press(page, "rules", "Edit in fields")
    assert "does not have the form" in field(page, "rules").text
    page.set(controls(page, "rules")[0], "[{")
    press(page, "rules", "Edit in fields")
    assert "Mend what is not valid first" in field(page, "rules").text
    page.set(controls(page, "rules")[0], '[{"word": "w", "weight": 3}]')
    press(page, "rules", "Edit in fields")
    assert [each.get_attribute("value") for each in controls(page, "rules")] == ["w", "3"]
    click(page, page.one("defaults"))
    assert controls(page, "rules") == []
    assert controls(page, "greeting")[0].get_attribute("value") == ""


def test_a_prompt_has_its_model_its_parameters_and_its_messages_laid_out(page: Page) -> None:
    page.choose("evaluator", "prompts")
    page.wait(lambda: field(page, "main"))
    click(page, page.one("defaults"))
    labels = {
        each.text.split("\n")[0]: each
        for each in field(page, "main").find_elements(By.TAG_NAME, "label")
    }
    assert {"Model", "Temperature", "Max. tokens", "Top p"} <= labels.keys()
    limit = labels["Max. tokens"].find_element(By.TAG_NAME, "input")
    limit.send_keys("7")
    press(page, "main", "Add a message")
    page.browser.switch_to.active_element.send_keys("And now {{input}}.")
    roles = [Select(each) for each in field(page, "main").find_elements(By.TAG_NAME, "select")]
    assert [each.first_selected_option.text for each in roles] == ["system", "user", "user"]
    roles[1].select_by_visible_text("assistant")
    page.run("prompts", ["this"])
    assert output(page) == {
        "model": EXAMPLE_MODEL,
        "temperature": 0,
        "max_tokens": 7,
        "stop": ["x"],
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "assistant", "content": "this"},
            {"role": "user", "content": "And now this."},
        ],
    }
