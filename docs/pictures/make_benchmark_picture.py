"""Draws results of `make bench` as ``benchmark.svg``:

python docs/pictures/make_benchmark_picture.py [benchmarks/results/published.json]
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from html import escape
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
PUBLISHED = ROOT / "benchmarks" / "results" / "published.json"
COLORS = {"ours": "#4f6df5", "python": "#e0912f", "javascript": "#8a94a6"}
BAR, GAP, TITLE = 18, 14, 26
LEFT, WIDTH, BETWEEN, TOP = 24, 330, 150, 92
SECOND = LEFT + WIDTH + BETWEEN


def seconds(value: float) -> str:
    return f"{value * 1e3:.3g} ms" if value < 0.9995 else f"{value:.3g} s"


def bar(left: int, top: int, share: float, color: str, label: str) -> str:
    """A bar as long as its share of the longest one, and what it stands for after it."""
    width = max(2.0, share * WIDTH)
    return (
        f'<rect x="{left}" y="{top}" width="{width:.0f}" height="{BAR - 4}" rx="3"'
        f' fill="{color}"/>'
        f'<text x="{left + width + 6:.0f}" y="{top + 12}">{escape(label)}</text>'
    )


def block(scenario: Mapping[str, Any], top: int) -> Iterator[str]:
    """One scenario: a title, and for each server a bar on the left and one on the right."""
    measured = scenario["servers"]
    fastest = max((each.get("cases_per_second", 0.0) for each in measured.values()), default=0.0)
    longest = max((each.get("first", 0.0) for each in measured.values()), default=0.0)
    yield f'<text x="{LEFT}" y="{top + 14}" font-weight="bold">{escape(scenario["title"])}</text>'
    for index, (key, each) in enumerate(measured.items()):
        below = top + TITLE + index * BAR
        if not each["rounds"]:
            note = each["note"].partition("\n")[0]
            yield f'<text x="{LEFT}" y="{below + 12}" fill="#6b7385">{escape(note)}</text>'
            continue
        rate, first = each["cases_per_second"], each["first"]
        yield bar(LEFT, below, rate / fastest, COLORS[key], f"{rate:,.0f}")
        yield bar(SECOND, below, first / longest, COLORS[key], seconds(first))


def draw(results: Mapping[str, Any]) -> str:
    """Return the results as an SVG picture."""
    parts: list[str] = []
    top = TOP
    for scenario in results["scenarios"]:
        parts += block(scenario, top)
        top += TITLE + len(scenario["servers"]) * BAR + GAP
    used = {key for scenario in results["scenarios"] for key in scenario["servers"]}
    at = LEFT
    for key, server in results["servers"].items():
        if key in used:
            parts.append(f'<rect x="{at}" y="16" width="14" height="14" rx="3"')
            parts.append(f' fill="{COLORS[key]}"/>')
            title = "flask_braintrust_evals" if key == "ours" else f"{server['title']} dev server"
            parts.append(f'<text x="{at + 22}" y="28">{escape(title)}</text>')
            at += 60 + 8 * len(title)
    for left, text in ((LEFT, "cases per second"), (SECOND, "until the first result")):
        better = "longer is better" if left == LEFT else "shorter is better"
        parts.append(f'<text x="{left}" y="66" font-size="16">{text}')
        parts.append(f' <tspan font-size="12" fill="#6b7385">{better}</tspan></text>')
    machine = results["machine"]
    small = "a small run, " if results.get("quick") else ""
    caption = (
        f"{small}each server on one core of {machine['cpu']}, {results['date']}; each bar is drawn"
        " against the longest of its own group"
    )
    parts.append(
        f'<text x="{LEFT}" y="{top + 14}" font-size="12" fill="#6b7385">{escape(caption)}</text>'
    )
    size = f'width="{SECOND + WIDTH + 90}" height="{top + 30}"'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif" font-size="13">'
        f'<rect {size} fill="#ffffff"/><g fill="#1d2330">{"".join(parts)}</g></svg>\n'
    )


def main() -> None:
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else PUBLISHED
    if not path.exists():
        sys.exit(f"There is no {path}: run `make bench` and name the file that it writes.")
    results = json.loads(path.read_text("utf-8"))
    Path(__file__).with_name("benchmark.svg").write_text(draw(results), "utf-8")


if __name__ == "__main__":
    main()
