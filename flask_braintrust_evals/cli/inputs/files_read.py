"""The files that the options of a run name, to be read."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any


def files_read(options: Mapping[str, Any]) -> list[tuple[str, Path]]:
    """Return the files of cases, of parameters and of earlier results, after their options."""
    named = [
        ("--data", options["data"]),
        ("--params", options["params_file"]),
        ("--baseline", options["baseline"]),
        ("--failed-from", options["failed_from"]),
    ]
    for option in options["parameters"]:
        name, _, text = option.partition("=")
        if text.startswith("@") and not text.startswith("@@"):
            named.append((f"--param {name}", text[1:]))
    return [(option, Path(file)) for option, file in named if file not in (None, "-")]
