"""The limits of the templates of a prompt: their length, the work they cause, what they write."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeVar

from flask_braintrust_evals.concurrency.turns import let_others_run

T = TypeVar("T")

MAX_TEMPLATE = 200_000
"""Characters of the templates of a prompt."""
MAX_TAGS = 2_000
"""Tags, such as ``{{name}}``, of the templates of a prompt."""
MAX_TOKENS = 15_000
"""Tokens of templates in the language of nunjucks: texts between tags, names, operators."""
MAX_LOOPS = 10
"""Loops of nunjucks inside each other. To compile them takes quadratic time."""
MAX_STEPS = 200_000
"""Steps of rendering: parts that are compiled, names that are looked up, items that loops go over,
parts that are written, and items of values that filters and comparisons read; of a large integer,
each 64 bits."""
MAX_CHARACTERS = 10_000_000
"""Characters that a template writes, and that its filters make."""
MAX_SECONDS = 10.0
"""Seconds of the clock on the wall that a template may take."""
_STEPS_PER_SLICE = 20
"""Steps after which other greenlets may run, under gevent."""


class TemplateLimitError(Exception):
    """A template reached one of its limits, or uses what is not supported in prompts."""


class Budget:
    """Counts the work of rendering the templates of a prompt. Lets other greenlets run."""

    def __init__(self) -> None:
        self._length = 0
        self._tags = 0
        self._tokens = 0
        self._steps = 0
        self._since_pause = 0
        self._characters = 0
        self._deadline = time.monotonic() + MAX_SECONDS

    def begin(self, template: str) -> None:
        """Count the length of a template.

        Raises:
            TemplateLimitError: the templates are too long.
        """
        self._length += len(template)
        if self._length > MAX_TEMPLATE:
            raise TemplateLimitError(
                f"the template has {self._length} characters, and may have {MAX_TEMPLATE}"
            )
        self.pause()

    def tags(self, count: int) -> None:
        """Count the tags of a template.

        Raises:
            TemplateLimitError: the templates have too many.
        """
        self._tags += count
        if self._tags > MAX_TAGS:
            raise TemplateLimitError(f"the template has {self._tags} tags, and may have {MAX_TAGS}")

    def pause(self) -> None:
        """Let other greenlets run, under gevent.

        Raises:
            TemplateLimitError: rendering takes too long.
        """
        let_others_run()
        if time.monotonic() > self._deadline:
            raise TemplateLimitError(f"rendering takes more than {MAX_SECONDS:g} seconds")

    def token(self) -> None:
        """Count one token.

        Raises:
            TemplateLimitError: there are too many.
        """
        self._tokens += 1
        if self._tokens > MAX_TOKENS:
            raise TemplateLimitError(f"the template has more than {MAX_TOKENS} tokens")
        self.step()

    def step(self, count: int = 1) -> None:
        """Count one step, or several.

        Raises:
            TemplateLimitError: there were too many, or they took too long.
        """
        self._steps += count
        if self._steps > MAX_STEPS:
            raise TemplateLimitError(f"rendering takes more than {MAX_STEPS} steps")
        self._since_pause += count
        if self._since_pause >= _STEPS_PER_SLICE:
            self._since_pause = 0
            self.pause()

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

    def read(self, value: T) -> T:
        """Count all parts of a value that is about to be written or read as a whole; return it."""
        containers: list[Any] = [value]
        for each in containers:  # which grows meanwhile
            self.step()
            if isinstance(each, str):
                self._characters += len(each)
            elif isinstance(each, int):
                self.step(each.bit_length() // 64)  # to write many digits takes quadratic time
            elif isinstance(each, Mapping):
                containers.extend(each.keys())
                containers.extend(each.values())
            elif isinstance(each, list | tuple):
                containers.extend(each)
        self.write(0)
        return value
