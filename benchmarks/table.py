"""Writes the results as a table of plain text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

BUSY = 0.8
"""Share of a core above which the client may have limited the server."""
FOREIGN = 0.1
"""Share of a core above which other processes may have changed the figures."""

COLUMNS = (
    ("server", 20),
    ("cases/s", 9),
    ("ours is", 9),
    ("first result", 13),
    ("total", 10),
    ("cpu/case", 10),
    ("x floor", 8),
    ("memory", 9),
    ("spans lost", 11),
)


def seconds(value: float) -> str:
    """Return a duration as text, in a unit that suits it."""
    if value < 0.001:
        return f"{value * 1e6:.0f} us"
    return f"{value * 1e3:.3g} ms" if value < 0.9995 else f"{value:.3g} s"


def table(results: Mapping[str, Any]) -> str:
    """Return all results as text.

    Args:
        results: in the form in which they are written to a file.
    """
    floor = results["floor"]["cpu_per_case"]
    lines = [*_heading(results), _line([name for name, _ in COLUMNS])]
    for scenario in results["scenarios"]:
        ideal = f", of which it waits {seconds(scenario['ideal'])}" if scenario["ideal"] else ""
        lines += ["", f"{scenario['title']}{ideal}"]
        lines += _rows(scenario, results["servers"], floor)
    lines += ["", *_legend(results)]
    return "\n".join(lines) + "\n"


def _heading(results: Mapping[str, Any]) -> Iterator[str]:
    machine = results["machine"]
    yield (
        f"{machine['cpu']}, {machine['cores']} cores, {machine['memory_gib']} GiB,"
        f" {machine['system']}, Python {machine['python']}"
    )
    for server in results["servers"].values():
        versions = ", ".join(f"{name} {number}" for name, number in server["versions"].items())
        yield f"{server['title']}: {versions or 'not measured: ' + server['note']}"
    floor = results["floor"]["cpu_per_case"]
    yield f"floor: {1 / floor:,.0f} cases/s of one core, {seconds(floor)} per case"
    yield ""


def _rows(scenario: Mapping[str, Any], servers: Mapping[str, Any], floor: float) -> Iterator[str]:
    ours = scenario["servers"].get("ours", {}).get("cases_per_second")
    for key, measured in scenario["servers"].items():
        title = servers[key]["title"]
        if not measured["rounds"]:
            yield _line([title, measured["note"]], free=True)
            continue
        rate = measured["cases_per_second"]
        ratio = "" if key == "ours" or ours is None else f"{ours / rate:.1f} x"
        lost = scenario["spans"] - measured["spans"]
        cells = [
            title,
            f"{rate:,.0f}",
            ratio,
            seconds(measured["first"]),
            seconds(measured["total"]),
            seconds(measured["cpu_per_case"]),
            f"{measured['cpu_per_case'] / floor:.1f}",
            f"{measured['peak_memory'] / 1e6:.0f} MB",
            f"{lost:,.0f}",
        ]
        yield _line(cells) + "".join(f"  ({note})" for note in _notes(measured))


def _notes(measured: Mapping[str, Any]) -> Iterator[str]:
    if measured["note"]:
        yield measured["note"]
    if measured["client_share"] > BUSY:
        yield f"client and cloud used {measured['client_share']:.0%} of a core"
    # The kernel counts in hundredths of a second: for a short time that is too inexact.
    if measured["foreign_share"] > FOREIGN and measured["total"] > 0.3:
        yield f"other processes used {measured['foreign_share']:.0%} of a core"


def _line(cells: list[str], free: bool = False) -> str:
    if free:
        return f"  {cells[0]:{COLUMNS[0][1]}}  {cells[1]}"
    out = f"  {cells[0]:{COLUMNS[0][1]}}"
    return out + "".join(
        f"{cell:>{width}}" for cell, (_, width) in zip(cells[1:], COLUMNS[1:], strict=True)
    )


def _legend(results: Mapping[str, Any]) -> Iterator[str]:
    yield f"Medians of {results['repeats']} rounds. Each case has one scorer and three spans."
    yield "ours is: the cases per second of ours, as a multiple of that server's."
    yield "first result: until a run's first result reaches its client; the median of all runs."
    yield "cpu/case: processor time of the server and its children, delivering spans included;"
    yield "  x floor: the same as a multiple of the floor, which makes only the spans and events."
    yield "memory: the largest memory of each of the server's processes in all rounds, added up."
