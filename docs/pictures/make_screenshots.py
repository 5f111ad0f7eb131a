"""Takes the pictures of the local page: python -m docs.pictures.make_screenshots

Needs Chromium (apt-get install -y chromium chromium-driver) and selenium. The page is that of the
example application, which is started for it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select

from tests.browser.conftest import start_chromium
from tests.browser.support import Page
from tests.server import Gunicorn

HERE = Path(__file__).parent
TICKETS = [
    ("I was charged twice for one payment", "billing"),
    ("Tracking says my parcel was delivered, but it was not", "shipping"),
    ("I cannot log in since this morning", "account"),
    ("Do you sell gift cards?", "front desk"),
    ("My courier wants a payment", "shipping"),
    ("Please send the invoice again", "billing"),
    ("How do I change my password?", "account"),
    ("The package arrived damaged", "shipping"),
]


ORDERS = [
    ("Where is A-1001?", "shipped"),
    ("Has A-1002 left yet?", "packing"),
    ("I never received anything", None),
]


class Camera:
    """Takes pictures of the page, in a window of the size of a small laptop's."""

    def __init__(self, page: Page) -> None:
        self.page = page
        size = {"width": 1280, "height": 800, "deviceScaleFactor": 1, "mobile": False}
        self.page.browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)

    def take(self, name: str) -> None:
        """Without the ring around what has the focus."""
        self.page.browser.execute_script("document.activeElement.blur()")
        self.page.browser.save_screenshot(str(HERE / f"{name}.png"))


def cases_of(pairs: Sequence[tuple[str, str | None]]) -> str:
    cases = [
        {"input": text, **({} if wanted is None else {"expected": wanted})}
        for text, wanted in pairs
    ]
    return json.dumps(cases, indent=1)


def open_case(page: Page, at: int) -> None:
    page.all("#table .row")[at].click()
    page.wait(lambda: page.one("details").is_displayed())
    page.wait(lambda: page.all("#details .waterfall"))


def take_all(page: Page) -> None:
    camera = Camera(page)
    page.evaluator("ticket-triage")
    camera.take("playground-empty")
    Select(page.field("default_team")).select_by_visible_text("billing")
    page.run("ticket-triage", cases_of(TICKETS))
    page.set(page.one("label"), "the rest to billing" + Keys.ENTER)
    Select(page.field("default_team")).select_by_visible_text("front desk")
    page.run("ticket-triage")
    page.set(page.one("label"), "the rest to the front desk" + Keys.ENTER)
    camera.take("playground")
    page.list_runs()
    camera.take("playground-runs")
    for box in page.all("#runs-table input"):
        box.click()
    page.one("compare-chosen").click()
    page.wait(lambda: page.one("comparison").is_displayed())
    camera.take("playground-comparison")
    page.run("order-lookup", cases_of(ORDERS))
    open_case(page, next(at for at, row in enumerate(page.table) if "error" in row[1]))
    camera.take("playground-case")


def main() -> None:
    environ = {"BRAINTRUST_EVALS_AUTH": "none"}
    with Gunicorn("example_app:create_app()", environ=environ) as server:
        browser = start_chromium()
        try:
            page = Page(browser, f"{server.url}/evals/playground")
            page.ready()
            take_all(page)
        finally:
            browser.quit()


if __name__ == "__main__":
    main()
