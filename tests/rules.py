"""Rules of applications that take little time to add."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from werkzeug.routing import Rule


class LateRule(Rule):
    """A rule that is compiled for building addresses when it first builds one: few tests do.

    Werkzeug compiles every rule when it is added, which takes half of the time that it takes to
    make an application with the blueprint.
    """

    def _compile_builder(self, append_unknown: bool = True) -> Callable[..., tuple[str, str]]:
        compile = super()._compile_builder

        @functools.cache
        def compiled() -> Callable[..., tuple[str, str]]:
            return compile(append_unknown)

        def build(rule: Rule, /, **values: Any) -> tuple[str, str]:
            return compiled()(rule, **values)

        return build
