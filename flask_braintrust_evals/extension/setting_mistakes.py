"""Warnings for settings without an effect: unknown names, and changes that come too late."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from flask_braintrust_evals.config.settings import Settings
from flask_braintrust_evals.texts.suggestions import did_you_mean, is_misspelled

PREFIX = "BRAINTRUST_EVALS_"
"""How the names of this package's settings begin, with a few exceptions."""
BRAND = "BRAINTRUST"
"""How all of them begin, and settings of other packages, too."""


class _Reads(dict[str, Any]):
    """An empty configuration that notes which keys are looked up."""

    def __init__(self) -> None:
        super().__init__()
        self.keys_read: set[str] = set()

    def get(self, key: str, default: Any = None) -> Any:
        self.keys_read.add(key)
        return default


def known_settings() -> frozenset[str]:
    """Return the names of all settings."""
    reads = _Reads()
    Settings.load(reads, reads)
    return frozenset(reads.keys_read)


def unknown_settings(config: Mapping[str, Any], environ: Mapping[str, str]) -> Iterator[str]:
    """Yield a warning for each name of a setting of this package that there is not.

    Args:
        config: the application's configuration.
        environ: the environment variables.
    """
    known = known_settings()
    for where, names in (("app.config", config), ("the environment", environ)):
        for name in names:
            if isinstance(name, str) and name.startswith(BRAND) and name not in known:
                hint = _hint(name, known)
                if hint:
                    yield f"{name}, in {where}, is no setting, and is ignored; {hint}"


def changed_settings(before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    """Yield a warning for each setting that was changed after it was read.

    Args:
        before: the settings in the application's configuration as they were read.
        now: the application's configuration.
    """
    after = settings_in(now)
    for name in sorted(before.keys() | after.keys()):
        if before.get(name) is not after.get(name) and before.get(name) != after.get(name):
            yield (
                f"{name} was changed after the blueprint was registered, which has no effect:"
                " settings are read at the registration; set it before"
            )


def settings_in(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings that are in an application's configuration, also unknown ones."""
    return {
        name: value
        for name, value in config.items()
        if isinstance(name, str) and name.startswith(BRAND)
    }


def _hint(name: str, known: frozenset[str]) -> str:
    if name.startswith(PREFIX):
        ends = sorted(each.removeprefix(PREFIX) for each in known if each.startswith(PREFIX))
        return did_you_mean(name.removeprefix(PREFIX), ends, PREFIX)
    similar = next((each for each in sorted(known) if is_misspelled(name, each)), None)
    return f"did you mean {similar!r}?" if similar is not None else ""
