"""Measures the local page with 10,000 cases that have traces, by Chromium's own tools.

    python -m benchmarks.page [--cases 10000]

A real Chromium runs an evaluator on the page, whose cases have seven spans each, one of them the
call of a model. Then the browser itself scrolls through the table, as a mouse wheel would.

- Chromium traces the tasks of the page's main thread, such as the one that draws a frame, and how
  much processor time each of them takes. That depends little on what else the machine does.
- The times between frames are those of ``requestAnimationFrame``. They say what somebody sees, if
  the machine does nothing else.
- The page is loaded several times, as somebody sees it who is on the server's machine, and as one
  whose requests take 50 ms to be answered. The page is there when it shows its evaluators.
- Memory is Chromium's ``JSHeapUsedSize``, after the garbage has been collected.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.browser.conftest import start_chromium
from tests.server import Gunicorn

from .browser_trace import BrowserTrace
from .machine import describe

LIMIT = 50.0
"""Milliseconds of processor time that a frame may take while somebody scrolls."""
SCROLLS = (("scrolling, a page a second", 800), ("scrolling, 12 pages a second", 9_600))
"""How the browser scrolls, in pixels a second."""
SCROLL_SECONDS = 6
LATENCIES = (0, 50)
"""Milliseconds that the browser adds to each request."""
LOADS = 9
PATIENCE = 600.0
"""Seconds that a run may take."""

WATCH = """
window.frames_ = [];
window.watching_ = true;
let last = null;
const tick = (now) => {
    if (last !== null) window.frames_.push(now - last);
    last = now;
    if (window.watching_) requestAnimationFrame(tick);
};
requestAnimationFrame(tick);
"""
WATCHED = "window.watching_ = false; return window.frames_"
MIDDLE = """
const box = document.querySelector('.grid').getBoundingClientRect();
return [box.x + box.width / 2, box.y + box.height / 2]
"""
GIVE = """
const cases = document.getElementById('cases');
cases.value = arguments[0];
cases.dispatchEvent(new Event('input'));
document.getElementById('run').click();
"""
TIMED = """
const done = arguments[0], began = performance.now();
const byId = (id) => document.getElementById(id);
{action};
const look = () => {condition} ? done(performance.now() - began) : requestAnimationFrame(look);
look();
"""
ACTIONS = {
    "opening a case with its trace": (
        "document.querySelector('#table .row').click()",
        "document.querySelector('#details .span')",
    ),
    "closing it": ("byId('details').close()", "!byId('details').open"),
    "searching all cases": (
        "byId('search').value = 'question 77'; byId('search').dispatchEvent(new Event('input'))",
        "!byId('cases-shown').hidden",
    ),
    "showing all again": ("byId('clear-filters').click()", "byId('cases-shown').hidden"),
}
"""What somebody does, and how it is seen that it is done. The page waits 150 ms for more input
before it searches."""


@dataclass
class Watched:
    """What was seen of the page: milliseconds between frames, and of the tasks of its thread."""

    frames: list[float] = field(default_factory=list)
    tasks: list[float] = field(default_factory=list)

    def line(self, name: str) -> str:
        """Return a line with both."""
        return f"{name:32}{_three(self.tasks)}{_three(self.frames)}{len(self.frames):9}\n"


def _three(values: list[float]) -> str:
    """Return the median, the 99th percentile and the maximum."""
    ordered = sorted(values) or [0.0]
    most = ordered[int(0.99 * (len(ordered) - 1))]
    return f"{statistics.median(ordered):9.1f}{most:8.1f}{ordered[-1]:8.1f}"


class Browser:
    """A Chromium that shows the page, with the tools of its debugger."""

    def __init__(self, driver: Any, url: str) -> None:
        self._driver = driver
        self._debugger = driver.capabilities["goog:chromeOptions"]["debuggerAddress"]
        driver.execute_cdp_cmd("Performance.enable", {})
        driver.get(f"{url}/evals/playground")
        self.until("document.querySelectorAll('#evaluator option').length > 0", 30)

    def run(self, script: str, *arguments: Any) -> Any:
        """Return what a script returns."""
        return self._driver.execute_script(script, *arguments)

    def until(self, condition: str, seconds: float) -> None:
        """Wait until an expression is true.

        Raises:
            TimeoutError: it is not, in this time.
        """
        deadline = time.monotonic() + seconds
        while not self.run(f"return Boolean({condition})"):
            if time.monotonic() > deadline:
                raise TimeoutError(f"in {seconds:g} seconds, this was not so: {condition}")
            time.sleep(0.1)

    def heap(self) -> float:
        """Return the megabytes of the page's objects that are in use."""
        for _ in range(2):
            self._driver.execute_cdp_cmd("HeapProfiler.collectGarbage", {})
        metrics = self._driver.execute_cdp_cmd("Performance.getMetrics", {})["metrics"]
        used = {each["name"]: each["value"] for each in metrics}["JSHeapUsedSize"]
        return float(used) / 1e6

    def scroll(self, pixels: int, speed: int) -> None:
        """Have the browser itself scroll in the middle of the table."""
        x, y = self.run(MIDDLE)
        gesture = {"x": x, "y": y, "yDistance": -pixels, "speed": speed}
        options = {"gestureSourceType": "mouse", "preventFling": True}
        self._driver.execute_cdp_cmd("Input.synthesizeScrollGesture", gesture | options)

    def milliseconds(self, action: str, condition: str) -> float:
        """Return how long it takes after an action until a condition is true."""
        script = TIMED.replace("{action}", action).replace("{condition}", condition)
        return float(self._driver.execute_async_script(script))

    @contextmanager
    def watched(self) -> Iterator[Watched]:
        """Note the frames of a block, and the tasks of the page's main thread."""
        found = Watched()
        with BrowserTrace(self._debugger) as trace:
            self.run(WATCH)
            yield found
            found.frames = self.run(WATCHED)
        found.tasks = trace.main_thread_tasks()


def load_time(driver: Any, url: str) -> float:
    """Return the milliseconds until the page shows its evaluators."""
    driver.get("about:blank")
    began = time.monotonic()
    driver.get(f"{url}/evals/playground")
    while not driver.execute_script("return document.querySelector('#evaluator option')"):
        time.sleep(0.005)
    return (time.monotonic() - began) * 1000


def write_load_times(driver: Any, url: str) -> None:
    """Write how long the page takes to load, and how many requests it makes."""
    network = {"offline": False, "downloadThroughput": -1, "uploadThroughput": -1}
    driver.execute_cdp_cmd("Network.enable", {})
    found: dict[str, list[float]] = defaultdict(list)
    for _ in range(LOADS):
        for latency in LATENCIES:
            driver.execute_cdp_cmd(
                "Network.emulateNetworkConditions", {**network, "latency": latency}
            )
            driver.execute_cdp_cmd("Network.clearBrowserCache", {})
            found[f"first load, {latency} ms away"].append(load_time(driver, url))
            found[f"next load, {latency} ms away"].append(load_time(driver, url))
    driver.execute_cdp_cmd("Network.emulateNetworkConditions", {**network, "latency": 0})
    for name, times in found.items():
        sys.stdout.write(f"{name:32}{statistics.median(times):9.0f} ms\n")
    loaded = driver.execute_script("return performance.getEntriesByType('resource').length")
    sys.stdout.write(f"{'requests of a load':32}{loaded + 1:9}\n\n")


def run_cases(browser: Browser, cases: int) -> float:
    """Have the page run its evaluator on some cases; return the seconds that it took."""
    data = [{"input": f"question {n}", "expected": f"question {n}"} for n in range(cases)]
    browser.until("!document.getElementById('run').disabled", 30)
    began = time.monotonic()
    browser.run(GIVE, "\n".join(map(json.dumps, data)))
    done = f"finished, {cases} of {cases} done"
    browser.until(f"document.getElementById('status').textContent.includes('{done}')", PATIENCE)
    browser.until("!document.getElementById('run').disabled", PATIENCE)
    return time.monotonic() - began


def measure(browser: Browser, cases: int) -> float:
    """Write what was measured; return the longest task while scrolling."""
    write = sys.stdout.write
    heaps = {"an empty page": browser.heap()}
    with browser.watched() as watched:
        took = run_cases(browser, cases)
    write(watched.line("while the run goes on"))
    heaps["a page with a run"] = browser.heap()
    longest = 0.0
    for name, speed in SCROLLS:
        with browser.watched() as watched:
            browser.scroll(speed * SCROLL_SECONDS, speed)
        write(watched.line(name))
        longest = max(longest, *watched.tasks)
    write("\n")
    for name, (action, condition) in ACTIONS.items():
        write(f"{name:32}{browser.milliseconds(action, condition):9.0f} ms\n")
    run_cases(browser, cases)
    heaps["a page after a second run"] = browser.heap()
    for name, used in heaps.items():
        write(f"{f'memory of {name}':32}{used:9.1f} MB\n")
    write(f"{'the run itself':32}{took:9.1f} s\n")
    return longest


def main() -> int:
    """Return 0 if no task takes longer than the limit while somebody scrolls."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--cases", type=int, default=10_000)
    cases = parser.parse_args().cases
    if shutil.which("chromedriver") is None:
        sys.stderr.write("needs Chromium: apt-get install -y chromium chromium-driver\n")
        return 2
    machine, write = describe(), sys.stdout.write
    with Gunicorn("benchmarks.page_app:create_app()") as server:
        driver = start_chromium()
        driver.set_script_timeout(120)
        try:
            version = driver.capabilities["browserVersion"]
            write(f"{machine['cpu']}, {machine['cores']} cores, {machine['system']}, Chromium")
            write(f" {version.split('.')[0]}; {cases:,} cases with seven spans each\n\n")
            write_load_times(driver, server.url)
            write(f"{'milliseconds':32}{'tasks, processor time':>25}{'between frames':>25}\n")
            write(f"{'':32}" + f"{'median':>9}{'99 %':>8}{'longest':>8}" * 2 + f"{'frames':>9}\n")
            longest = measure(Browser(driver, server.url), cases)
        finally:
            driver.quit()
    return int(longest > LIMIT)


if __name__ == "__main__":
    sys.exit(main())
