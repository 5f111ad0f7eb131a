"""Takes the pictures of the local page: python -m docs.pictures.make_screenshots

Needs Chromium (apt-get install -y chromium chromium-driver) and selenium. The page is that of the
example application, which is started for it.
"""

from __future__ import annotations

import json
from pathlib import Path

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


def main() -> None:
    environ = {"BRAINTRUST_EVALS_AUTH": "none"}
    with Gunicorn("example_app:create_app()", environ=environ) as server:
        browser = start_chromium()
        try:
            page = Page(browser, f"{server.url}/evals/playground")
            cases = [{"input": text, "expected": team} for text, team in TICKETS]
            page.run("ticket-triage", json.dumps(cases, indent=1))
            browser.execute_script("document.activeElement.blur()")
            browser.save_screenshot(str(HERE / "playground.png"))
            wrong = next(at for at, row in enumerate(page.table) if row[3] != row[4])
            page.wait(lambda: page.all("#table .row")[wrong].click() is None)
            page.wait(lambda: page.one("details").is_displayed())
            browser.save_screenshot(str(HERE / "playground-case.png"))
        finally:
            browser.quit()


if __name__ == "__main__":
    main()
