"""Runs stay: they are kept while they go on, listed, opened again, named, repeated and deleted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import requests
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select

from flask_braintrust_evals.playground.page_files import FOLDER, bundle
from tests.server import Gunicorn

from .support import Page

pytestmark = pytest.mark.live

STORE = bundle(FOLDER, "store.js")
"""A script that makes the page's modules for the database."""


def data(*pairs: tuple[Any, Any], **more: Any) -> str:
    return json.dumps([{"input": each, "expected": wanted, **more} for each, wanted in pairs])


def address(page: Page) -> dict[str, str]:
    fragment = page.browser.current_url.partition("#")[2]
    return dict(each.split("=") for each in fragment.split("&") if each)


def test_a_reload_in_the_middle_loses_no_finished_case_and_the_page_says_so(page: Page) -> None:
    page.evaluator("patient")
    page.give(list(range(30)))
    # A page that its user has not used may not ask before it is left.
    page.one("run").click_by_mouse()
    page.wait(lambda: "1 of 30 done" in page.status)
    page.reload()
    page.wait(lambda: "interrupted" in page.status)

    assert "when 1 of 30 cases were done" in page.text("run-problem")
    assert [row[2] for row in page.table] == ["0"], "the finished case is there"
    assert page.text("again-missing") == "Those not done (29)"
    page.list_runs()
    assert [row[1].split("\n") for row in page.runs] == [["1 of 30", "interrupted"]]
    page.evaluator("patient")
    page.give([0, 1])
    page.one("run").click_by_mouse()
    page.wait(lambda: "1 of 2 done" in page.status)
    page.list_runs()
    page.wait(lambda: page.runs and "running" in page.runs[0][1])
    page.reload()
    page.wait(lambda: page.runs and "interrupted" in page.runs[0][1])


def test_runs_are_listed_named_opened_again_and_deleted_when_asked(page: Page) -> None:
    page.run("echo", data(("a", "a"), ("b", "b!")))
    page.set(page.one("label"), "plain" + Keys.ENTER)
    first = address(page)["run"]
    page.set(page.field("suffix"), "!")
    page.run("echo")
    page.list_runs()

    (second_name, *second), (first_name, *first_rest) = page.runs
    assert (first_name.split("\n")[0], first_rest) == (
        "plain",
        ["2", "50.0 %", "5.0 %", 'suffix: ""'],
    )
    assert second == ["2", "50.0 %", "10.0 %", "suffix: !"]
    page.follow("plain")
    page.wait(lambda: page.value("label") == "plain")
    assert address(page) == {"evaluator": "echo", "run": first}
    assert [row[4] for row in page.table] == ["a", "b"]
    assert "suffix" in page.text("run-parameters-short")

    page.click("again-remove")
    page.wait_shown("question")
    assert "plain" in page.text("question")
    page.one("question").find_element(By.XPATH, ".//button[.='Keep']").click()
    page.wait_hidden("question")
    page.click("again-remove")
    page.one("question").find_element(By.XPATH, ".//button[.='Delete']").click()
    page.wait(lambda: page.shows("runs") and len(page.runs) == 1)
    assert page.runs[0][0] == second_name
    page.browser.execute_script(f"location.hash = 'evaluator=echo&run={first}'")
    page.wait(lambda: "not in this browser" in page.text("gone"))
    page.browser.execute_script("location.hash = 'evaluator=nowhere'")
    page.wait(lambda: "no evaluator “nowhere”" in page.text("gone"))
    assert address(page) == {"evaluator": "echo"}


def test_the_address_leads_back_to_the_same_run_comparison_and_case(page: Page) -> None:
    page.run("echo", data(("a", "x"), ("b", "b")))
    earlier = address(page)["run"]
    page.run("echo", data(("a", "a"), ("b", "b")))
    Select(page.one("compare")).select_by_index(1)
    page.wait(lambda: page.text("comparison"))
    page.open_row(1)
    assert (address(page)["with"], address(page)["case"]) == (earlier, "2")

    page.reload()
    page.wait_shown("details")
    assert page.text("details-title").startswith("Case 2")
    page.browser.back()
    page.wait_hidden("details")
    assert [row[1] for row in page.table] == ["done, better", "done"]
    assert "1 better, 0 worse" in page.text("comparison")


def test_two_runs_are_chosen_from_the_list_exported_and_compared(
    page: Page, downloads: Path
) -> None:
    page.run("echo", data(("a", "x")))
    page.run("echo", data(("a", "a")))
    page.list_runs()
    assert not page.one("compare-chosen").is_enabled()
    for box in page.all("#runs-table input"):
        box.click()
    before = {*downloads.iterdir()}
    page.click("export-chosen")
    (file,) = page.wait(
        lambda: [each for each in {*downloads.glob("*.json")} - before if each.stat().st_size]
    )
    runs = json.loads(file.read_text("utf-8"))["runs"]
    assert [run["scores"]["exact_match"]["mean"] for run in runs] == [1, 0]
    assert all(run["results"][0]["spans"] for run in runs)
    page.click("compare-chosen")
    page.wait(lambda: [row[1] for row in page.table] == ["done, better"])


def test_the_form_remembers_what_was_entered_for_each_evaluator(page: Page) -> None:
    page.evaluator("echo")
    page.set(page.field("suffix"), "?")
    page.set(page.one("trials"), "2")
    page.give('[{"input": "kept"}]')
    page.evaluator("many")
    assert page.value("trials") == ""
    page.evaluator("echo")
    page.wait(lambda: page.field("suffix").get_attribute("value") == "?")
    page.reload()
    assert Select(page.one("evaluator")).first_selected_option.text == "echo"
    assert page.field("suffix").get_attribute("value") == "?"
    page.run("echo")
    assert [row[4] for row in page.table] == ["kept?", "kept?"]


HOLD = """
window.held = {};
const get = IDBObjectStore.prototype.get;
IDBObjectStore.prototype.get = function (key) {
    const asked = get.call(this, key);
    if (this.name !== "forms") return asked;
    const answer = {};
    window.held[key[1]] = () => {
        answer.result = asked.result;
        answer.onsuccess();
    };
    return answer;
};
"""
"""Has the browser answer what was entered for an evaluator when it is told to."""


def test_a_run_waits_for_the_form_of_the_evaluator_that_was_chosen_last(page: Page) -> None:
    page.evaluator("echo")
    page.set(page.field("suffix"), "?")
    page.evaluator("many")
    page.give(["of many"])
    page.browser.execute_script(HOLD)
    for name in ("forms", "echo"):
        page.choose("evaluator", name)
        page.wait_for(f"return '{name}' in held")
    page.one("cases").send_keys(Keys.CONTROL, Keys.ENTER)
    page.browser.execute_script("held.echo()")
    page.wait_shown("results")
    page.browser.execute_script("held.forms()")
    page.finish()
    assert [row[4] for row in page.table] == [f"own {n}?" for n in range(4)]
    page.open_row(0)
    assert address(page)["evaluator"] == "echo"


def test_a_run_is_not_waited_for_where_no_evaluator_is_left(page: Page) -> None:
    page.evaluator("echo")
    page.give(["a"])
    page.browser.execute_script(HOLD)
    page.choose("evaluator", "many")
    page.wait_for("return 'many' in held")
    page.one("cases").send_keys(Keys.CONTROL, Keys.ENTER)
    page.browser.execute_script(
        "window.fetch = async () => new Response('{}'); document.getElementById('connect').click()"
    )
    page.wait(lambda: "no evaluators" in page.text("about"))
    page.browser.execute_script("held.many()")
    page.wait(lambda: "no evaluator to run" in page.text("problem"))


KEEP = """
const [forms, done] = arguments;
(async () => {
    const { Store } = modules["store.js"];
    const list = await fetch("list?details=true");
    const store = new Store(list.headers.get("x-evals-application"));
    for (const [name, entered] of forms) await store.keepForm(name, entered);
    done();
})();
"""
NAMES = """return [...document.querySelectorAll('#parameter-fields [data-parameter]')].map(
    (each) => each.dataset.parameter)"""


def test_a_form_that_was_kept_for_other_parameters_does_no_harm(page: Page) -> None:
    prompt = {"prompt": {"messages": [1]}}
    drafts = ({"draft": prompt}, {"draft": [1]}, {"draft": 0.5}, {"value": prompt})
    names = {}
    for evaluator in ("echo", "forms"):
        page.evaluator(evaluator)
        names[evaluator] = page.browser.execute_script(NAMES)
    for kept in (*drafts, {"value": [None]}, {"value": None}, [1], None):
        forms = [
            [
                evaluator,
                {"parameters": dict.fromkeys([*fields, "gone"], kept), "text": 5, "file": {}},
            ]
            for evaluator, fields in names.items()
        ]
        page.browser.execute_async_script(STORE + KEEP, forms)
        page.reload()
        for evaluator in ("echo", "forms"):
            page.evaluator(evaluator)
            assert page.browser.execute_script(NAMES) == names[evaluator], (evaluator, kept)
    page.evaluator("echo")
    page.browser.execute_script("document.querySelector('#defaults').click()")
    page.run("echo", ["a"])
    assert [row[4] for row in page.table] == ["a"]


def test_the_runs_of_two_applications_at_one_address_do_not_mix(
    page: Page, page_server: Gunicorn, downloads: Path
) -> None:
    page.run("echo", ["of the first"])
    page.set(page.one("label"), "kept" + Keys.ENTER)
    run = address(page)["run"]
    before = {*downloads.iterdir()}
    page.click("export-json")
    (file,) = page.wait(lambda: [*{*downloads.glob("*.json")} - before])
    page.browser.get(f"{page_server.url}/other/playground#evaluator=echo&run={run}")
    page.ready()
    page.wait(lambda: "not in this browser" in page.text("gone"))
    assert page.runs == []
    page.run("echo", ["of the second"])
    page.list_runs()
    assert len(page.runs) == 1
    page.open_results(file)
    page.wait(lambda: [row[2] for row in page.table] == ["of the first"])
    assert address(page)["run"] == run
    page.click("again-remove")
    page.one("question").find_element(By.XPATH, ".//button[.='Delete']").click()
    page.wait(lambda: page.shows("runs") and len(page.runs) == 1)
    page.browser.get(f"{page_server.url}/evals/playground#evaluator=echo&run={run}")
    page.ready()
    page.wait(lambda: [row[2] for row in page.table] == ["of the first"])
    assert page.value("label") == "kept"


SECOND_WINDOW = """
const [run, label, done] = arguments;
(async () => {
    const { Store } = modules["store.js"];
    const list = await fetch("list?details=true");
    await new Store(list.headers.get("x-evals-application")).label(run, label);
    done();
})();
"""


def test_a_label_that_another_window_gives_to_a_run_that_goes_on_stays(page: Page) -> None:
    page.start("patient", [0, 1])
    page.wait(lambda: "1 of 2 done" in page.status)
    page.browser.execute_async_script(STORE + SECOND_WINDOW, address(page)["run"], "from there")
    page.wait(lambda: page.value("label") == "from there")
    page.browser.execute_script("document.getElementById('setup').requestSubmit()")  # as keys do
    assert not page.one("run").is_enabled()
    page.click("again-cancel")
    page.finish()
    page.list_runs()
    page.wait(lambda: page.runs and page.runs[0][0].split("\n")[0] == "from there")
    assert "cancelled" in page.runs[0][1]


def test_a_run_is_repeated_whole_or_in_part(page: Page, page_server: Gunicorn) -> None:
    page.run("flaky", data(("good", 1), ("flaky", 2), ("other", 3), metadata={"given": True}))
    assert page.status == "flaky: finished, 3 of 3 done, 1 failed"
    requests.get(f"{page_server.url}/mend", timeout=10)
    page.click("again-failed")
    page.wait(lambda: page.status == "flaky: finished, 1 of 1 done")
    assert json.loads(page.table[0][4]) == ["flaky", {"given": True}]
    assert page.text("run-about").startswith("Only the failed cases of the run of today")

    page.browser.back()
    page.wait(lambda: len(page.table) == 3)
    page.click("again-again")
    page.wait(lambda: page.status == "flaky: finished, 3 of 3 done")
    page.click("row-2")
    page.one("details").find_element(By.XPATH, ".//button[.='Run this case']").click()
    page.wait(lambda: page.status == "flaky: finished, 1 of 1 done")
    assert [row[2] for row in page.table] == ["other"]

    page.click("row-0")
    page.one("details").find_element(By.XPATH, ".//button[.='Edit and run']").click()
    text = page.one("editor").find_element(By.TAG_NAME, "textarea")
    page.set(text, "{")
    text.send_keys(Keys.CONTROL, Keys.ENTER)
    page.wait(lambda: "not valid JSON" in page.text("editor"))
    page.set(text, '{"input": "edited"}')
    text.send_keys(Keys.CONTROL, Keys.ENTER)
    page.wait(lambda: [row[2] for row in page.table] == ["edited"])
    page.finish()
    page.click("again-form")
    assert json.loads(page.value("cases")) == [{"input": "edited"}]


def test_the_form_gets_what_a_run_was_started_with(page: Page, tmp_path: Path) -> None:
    page.evaluator("echo")
    page.set(page.one("trials"), "2")
    page.set(page.one("concurrency"), "3")
    page.run("echo")
    assert page.status == "echo: finished, 8 of 8 done"
    page.choose("source", "a Braintrust dataset")
    page.one("dataset").send_keys("some-id")
    page.set(page.one("trials"), "1")
    page.click("again-form")
    assert [page.value(id) for id in ("source", "trials", "concurrency")] == ["own", "2", "3"]
    page.choose("source", "a Braintrust dataset")
    assert page.value("dataset") == "some-id"

    file = tmp_path / "other.json"
    head = {"format": "flask-braintrust-evals/results", "version": 1, "evaluator": "not here"}
    file.write_text(json.dumps({**head, "results": [{"input": 1, "output": 1}]}))
    page.open_results(file)
    page.wait(lambda: page.text("run-title").startswith("not here"))
    assert page.shows("again-again")
    assert not page.shows("again-form")


def test_another_run_can_be_seen_while_one_goes_on(page: Page) -> None:
    page.run("many", ["before"])
    page.start("patient", [0, 1])
    page.wait(lambda: "1 of 2 done" in page.status)
    page.list_runs()
    assert page.text("active") == "patient: running, 1 of 2 done"
    assert not page.all("#runs-table .run button")[0].is_enabled(), "it cannot be deleted now"
    page.click("active")
    page.wait_shown("again-cancel")
    page.click("again-cancel")
    page.finish()
    assert page.status == "patient: cancelled, 1 of 2 done"


def test_what_is_said_of_a_run_that_is_not_kept_is_not_said_of_another(page: Page) -> None:
    page.run("many", ["kept"])
    page.set(page.one("label"), "kept" + Keys.ENTER)
    page.browser.execute_script(
        "window.realPut = IDBObjectStore.prototype.put; IDBObjectStore.prototype.put = () => {"
        "throw new DOMException('no room', 'QuotaExceededError') }"
    )
    page.run("many", [None])
    page.wait(lambda: page.text("unkept").endswith("no room"))
    page.browser.execute_script("IDBObjectStore.prototype.put = window.realPut")
    assert [row[4] for row in page.table] == ["null"]
    page.open_row(0)
    assert "Output" in page.texts("#details .values h3")
    page.browser.execute_script("document.getElementById('details').close()")
    page.wait(lambda: "case" not in address(page))
    page.list_runs()
    page.follow("kept")
    page.wait(lambda: [row[4] for row in page.table] == ["kept"])
    assert not page.shows("unkept")


def test_a_browser_that_keeps_nothing_runs_evaluators_and_says_so(page: Page) -> None:
    script = {"source": "Object.defineProperty(window, 'indexedDB', {value: undefined})"}
    added = page.browser.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", script)
    try:
        page.reload()
        page.run("echo", ["a"])
        assert page.status == "echo: finished, 1 of 1 done"
        assert page.text("unkept").startswith("This run is not kept in this browser")
        page.open_row(0)
    finally:
        page.browser.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", added)
