"""Draws parameters as ``parameters.svg``: python docs/pictures/make_parameters_picture.py

Left the declarations below, as they are written; right a form made of what ``/list`` answers for
them. The form is a schematic drawing: it shows which control fits each entry of the list.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, Field

from flask_braintrust_evals import Evaluator
from flask_braintrust_evals.web.descriptions.manifest import manifest

WIDTH, LEFT, FORM, RIGHT = 980, 20, 530, 960
LINE, SMALL, PAD = 18, 15, 18
INK, QUIET, EDGE, BLUE, PANEL, WHITE = (
    "#1d2330",
    "#687083",
    "#c5cbd8",
    "#4f6df5",
    "#f5f6fa",
    "#ffffff",
)
MONO = 'font-family="DejaVu Sans Mono, Menlo, Consolas, monospace" font-size="12"'


@dataclass(frozen=True)
class Declared:
    """The code of one declaration: an entry of the mapping, and the class that it needs, if any."""

    entry: str
    model: str = ""

    @property
    def lines(self) -> list[str]:
        return [*self.model.splitlines(), *([""] if self.model else []), *self.entry.splitlines()]


DECLARED = [
    Declared(
        '"greeting": {\n    "type": "string",\n    "default": "hello",\n'
        '    "description": "First word",\n},'
    ),
    Declared(
        '"temperature": Temperature,',
        "class Temperature(BaseModel):\n"
        '    value: float = Field(0.5, ge=0, le=2, description="Freedom")',
    ),
    Declared('"loud": {"type": "boolean", "default": False},'),
    Declared('"team": {\n    "type": "string",\n    "enum": ["billing", "shipping"],\n},'),
    Declared(
        '"words": {\n    "type": "array",\n    "items": {"type": "string"},\n'
        '    "default": ["please"],\n},'
    ),
    Declared(
        '"style": Style,',
        'class Style(BaseModel):\n    tone: Literal["friendly", "formal"] = "friendly"\n'
        "    words: int = 100",
    ),
    Declared('"model": {"type": "model", "default": "gpt-6.1-terra"},'),
    Declared(
        '"main": {\n    "type": "prompt",\n    "default": {\n        "prompt": {\n'
        '            "type": "chat",\n            "messages": [\n'
        '                {"role": "system", "content": "Be kind."},\n'
        '                {"role": "user", "content": "{{input}}"},\n            ],\n        },\n'
        '        "options": {"model": "gpt-6.1-terra"},\n    },\n},'
    ),
    Declared('"notes": None,'),
]


def entries() -> list[tuple[str, dict[str, Any]]]:
    """Declare the parameters, and return what the list says of each."""
    names: dict[str, Any] = {"BaseModel": BaseModel, "Field": Field, "Literal": Literal}
    parameters: dict[str, Any] = {}
    for each in DECLARED:
        # Not with this module's own postponed annotations.
        exec(compile(each.model, "<declaration>", "exec", dont_inherit=True), names)
        parameters |= eval(f"{{{each.entry}}}", names)
    listed = manifest([Evaluator("e", str, parameters=parameters)])
    return list(listed["e"]["parameters"]["schema"].items())


def text(x: float, y: float, words: str, more: str = "") -> str:
    return f'<text x="{x:g}" y="{y:g}" xml:space="preserve" {more}>{escape(words)}</text>'


def box(x: float, y: float, width: float, height: float, fill: str = WHITE, radius: int = 5) -> str:
    return (
        f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="{radius}"'
        f' fill="{fill}" stroke="{EDGE}"/>'
    )


def control(entry: dict[str, Any], y: float) -> tuple[str, str, float]:
    """Return what a control is called, its drawing from ``y`` downwards, and its height."""
    x, width = FORM + 16, RIGHT - FORM - 32
    default: Any = entry.get("default")
    if entry["type"] == "prompt":
        return "prompt editor", *prompt_editor(default, x, y, width)
    if entry["type"] == "model":
        return "model picker", *menu(default, x, y, 210)
    schema = entry["schema"]
    if "enum" in schema:
        return "choice", *menu(default, x, y, 210)
    if schema.get("type") == "boolean":
        knob = x + (31 if default else 11)
        fill = BLUE if default else "#b4bbca"
        return (
            "switch",
            f'<rect x="{x}" y="{y + 2}" width="42" height="22" rx="11" fill="{fill}"/>'
            f'<circle cx="{knob}" cy="{y + 13}" r="8" fill="{WHITE}"/>',
            26,
        )
    if schema.get("type") in ("number", "integer"):
        allowed = f"{schema['minimum']:g} to {schema['maximum']:g}"
        drawn = box(x, y, 90, 28) + text(x + 10, y + 19, f"{default:g}")
        return "number", drawn + text(x + 102, y + 19, allowed, f'fill="{QUIET}"'), 28
    if schema.get("type") == "string":
        return "text field", box(x, y, width, 28) + text(x + 10, y + 19, default or ""), 28
    lines = [] if default is None else json.dumps(default, indent=2).splitlines()
    height = max(len(lines), 2) * LINE + 12
    drawn = box(x, y, width, height, PANEL)
    for number, line in enumerate(lines):
        drawn += text(x + 10, y + 20 + number * LINE, line, MONO)
    return "JSON editor", drawn, height


def menu(chosen: Any, x: float, y: float, width: float) -> tuple[str, float]:
    drawn = box(x, y, width, 28)
    style = "" if chosen else f'fill="{QUIET}" font-style="italic"'
    drawn += text(x + 10, y + 19, chosen or "choose one", style)
    corner = x + width - 24
    drawn += f'<path d="M{corner} {y + 11} l6 7 l6 -7" fill="none" stroke="{QUIET}"/>'
    return drawn, 28


def prompt_editor(prompt: dict[str, Any], x: float, y: float, width: float) -> tuple[str, float]:
    messages = prompt["prompt"]["messages"]
    height = 52 + len(messages) * 46
    drawn = box(x, y, width, height, PANEL)
    drawn += menu(prompt["options"]["model"], x + 10, y + 10, 190)[0]
    for number, message in enumerate(messages):
        top = y + 48 + number * 46
        drawn += box(x + 10, top, width - 20, 38)
        drawn += text(x + 22, top + 24, message["role"], f'fill="{BLUE}" font-weight="bold"')
        drawn += text(x + 96, top + 24, message["content"])
    return drawn, height


def draw() -> str:
    """Return the picture: a row for each declaration."""
    heads = text(LEFT, 30, "what is declared", 'font-weight="bold"')
    heads += text(FORM + 16, 30, "the control that fits", 'font-weight="bold"')
    rows, top = [heads], 46.0
    for declared, (name, entry) in zip(DECLARED, entries(), strict=True):
        note = entry.get("description") or ""
        missing = "" if "default" in entry or entry.get("schema") == {} else "required"
        under = SMALL + 3 if note or missing else 0
        called, drawn, tall = control(entry, top + PAD + 22 + under)
        form = PAD * 2 + 20 + under + tall
        height = max(form, len(declared.lines) * LINE + PAD * 2)
        rows.append(f'<path d="M{LEFT} {top} H{RIGHT}" stroke="{EDGE}"/>')
        for number, line in enumerate(declared.lines):
            rows.append(text(LEFT, top + PAD + 13 + number * LINE, line, MONO))
        rows.append(text(FORM + 16, top + PAD + 12, name, 'font-weight="bold"'))
        kind = f'text-anchor="end" font-style="italic" fill="{QUIET}"'
        rows.append(text(RIGHT - 16, top + PAD + 12, called, kind))
        if under:
            style = f'font-size="12" fill="{QUIET}"'
            rows.append(text(FORM + 16, top + PAD + 30, note or missing, style))
        rows.append(drawn)
        top += height
    height = top + 12
    size = f'width="{WIDTH}" height="{height:g}"'
    divider = f'<path d="M{FORM - 10} 14 V{height - 14:g}" stroke="{EDGE}"/>'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} viewBox="0 0 {WIDTH} {height:g}"'
        f' font-family="DejaVu Sans, Verdana, sans-serif" font-size="13">'
        f'<rect {size} fill="{WHITE}"/><g fill="{INK}">{divider}{"".join(rows)}</g></svg>\n'
    )


def main() -> None:
    Path(__file__).with_name("parameters.svg").write_text(draw(), "utf-8")


if __name__ == "__main__":
    main()
