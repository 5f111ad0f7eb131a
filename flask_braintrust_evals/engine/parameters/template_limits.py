"""The limits of a template: how long it is, how much work it causes, how much it writes."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeVar

T = TypeVar("T")

MAX_TEMPLATE = 200_000
"""Characters of a template."""
MAX_TAGS = 2_000
"""Tags (``{{`` and ``{%``) of a template. Jinja2 needs about 0.1 ms to compile each."""
MAX_STEPS = 200_000
"""Steps of rendering: names that are looked up, items that loops go over, parts that are written,
and items of values that a filter reads."""
MAX_CHARACTERS = 10_000_000
"""Characters that a template writes, and that its filters make."""
MAX_SECONDS = 10.0
"""Seconds of the clock on the wall that a template may take."""
_STEPS_PER_SLICE = 500
"""Steps after which other greenlets may run, under gevent."""


class TemplateLimitError(Exception):
    """A template reached one of its limits, or uses what is not supported in prompts."""


def check_size(template: str) -> None:
    """Check the length of a template.

    Raises:
        TemplateLimitError: it is too long, or has too many tags.
    """
    if len(template) > MAX_TEMPLATE:
        raise TemplateLimitError(
            f"the template has {len(template)} characters, and may have {MAX_TEMPLATE}"
        )
    tags = template.count("{{") + template.count("{%")
    if tags > MAX_TAGS:
        raise TemplateLimitError(f"the template has {tags} tags, and may have {MAX_TAGS}")


class Budget:
    """Counts the work of rendering one template. Lets other greenlets run now and then."""

    def __init__(self) -> None:
        self._steps = 0
        self._characters = 0
        self._deadline = time.monotonic() + MAX_SECONDS

    def step(self) -> None:
        """Count one step.

        Raises:
            TemplateLimitError: there were too many, or they took too long.
        """
        self._steps += 1
        if self._steps > MAX_STEPS:
            raise TemplateLimitError(f"rendering takes more than {MAX_STEPS} steps")
        if self._steps % _STEPS_PER_SLICE == 0:
            time.sleep(0)
            if time.monotonic() > self._deadline:
                raise TemplateLimitError(f"rendering takes more than {MAX_SECONDS:g} seconds")

    def write(self, characters: int) -> None:
        """Count characters that are written.

        Raises:
            TemplateLimitError: there were too many.
        """
        self.step()
        self._characters += characters
        if self._characters > MAX_CHARACTERS:
            raise TemplateLimitError(f"the text is longer than {MAX_CHARACTERS} characters")

    def counted(self, items: Iterable[T]) -> Iterator[T]:
        """Yield items, each as a step."""
        for item in items:
            self.step()
            yield item

    def read(self, value: Any) -> None:
        """Count all parts of a value that is about to be written or read as a whole."""
        containers = [value]
        for each in containers:  # which grows meanwhile
            self.step()
            if isinstance(each, str):
                self._characters += len(each)
            elif isinstance(each, Mapping):
                containers.extend(each.keys())
                containers.extend(each.values())
            elif isinstance(each, list | tuple):
                containers.extend(each)
        self.write(0)
