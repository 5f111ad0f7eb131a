from __future__ import annotations

import itertools
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.server import Gunicorn
from tests.standin import StandIn

from .support import PATIENCE, Element, Page

PROGRAMS = ("/usr/lib/chromium/chromium-headless-shell", "chromium", "chromium-browser")
"""The first one is the same Chromium without windows, which takes less processor time. What is in
the path is a script that leaves it running when it is ended itself."""
CHROMIUM = next(filter(None, map(shutil.which, PROGRAMS)), None)
DRIVER = shutil.which("chromedriver")
NUMBERS = itertools.count()
FORGET = """
if (location.search && sessionStorage.fresh !== location.search) {
    sessionStorage.fresh = location.search;
    localStorage.clear();
    indexedDB.deleteDatabase("braintrust-evals");
}
"""
"""Makes the browser forget what it keeps of the page, where the address has a new number. To go to
another page first, and to clear what is kept from there, costs a further process each time."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if CHROMIUM is None or DRIVER is None:
        reason = "needs Chromium: apt-get install -y chromium chromium-driver"
        here = Path(__file__).parent
        for item in items:
            if here in item.path.parents:
                item.add_marker(pytest.mark.skip(reason=reason))


def start_chromium(*arguments: str, downloads: Path | None = None) -> Any:
    """Start a headless Chromium that is driven by selenium, and keeps its console's messages."""
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM or ""
    for each in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", *arguments):
        options.add_argument(each)
    options.add_argument("--window-size=1400,900")
    options.add_argument("--force-prefers-reduced-motion")  # colours are then final at once
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    browser = webdriver.Chrome(options, Service(DRIVER))
    browser._web_element_cls = Element
    browser.set_page_load_timeout(30)
    browser.set_script_timeout(PATIENCE + 10)
    if downloads is not None:
        where = {"behavior": "allow", "downloadPath": str(downloads)}
        browser.execute_cdp_cmd("Browser.setDownloadBehavior", where)
    return browser


@pytest.fixture(scope="session")
def page_server() -> Iterator[Gunicorn]:
    with Gunicorn("tests.browser.app:create_app()") as server:
        yield server


@pytest.fixture(scope="session")
def downloads(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("downloads")


@pytest.fixture(scope="session")
def shared_browser(downloads: Path) -> Iterator[Any]:
    browser = start_chromium(downloads=downloads)
    browser.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": FORGET})
    yield browser
    browser.quit()


@pytest.fixture(scope="session")
def cloud_for_pages() -> Iterator[StandIn]:
    with StandIn() as cloud:
        cloud.add_user("token-ada", orgs=("acme",))
        yield cloud


@pytest.fixture
def fresh_page(shared_browser: Any, page_server: Gunicorn) -> Page:
    """The page in a browser that keeps nothing of it yet."""
    shared_browser.get_log("browser")
    page = Page(shared_browser, f"{page_server.url}/evals/playground?fresh={next(NUMBERS)}")
    page.ready()
    return page


@pytest.fixture
def page(fresh_page: Page) -> Iterator[Page]:
    yield fresh_page
    assert fresh_page.problems() == [], "the console has nothing to complain of"
