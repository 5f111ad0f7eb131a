"""The number of cases of a run that may fail, as ``--max-failures`` says."""

from __future__ import annotations

from dataclasses import dataclass

from flask_braintrust_evals.cli.inputs.values import bad_option
from flask_braintrust_evals.engine.values.summary import cases_text

ROUNDING = 1e-9
"""Tolerance of a share, because products of floats are not exact."""


@dataclass(frozen=True)
class MaxFailures:
    """A number of cases, or a share of them.

    Attributes:
        text: the option as it was given; empty: no case may fail.
        count: the number; ``None``: it is a share.
        share: from 0 to 1.
    """

    text: str = ""
    count: int | None = 0
    share: float = 0.0

    @classmethod
    def parse(cls, text: str | None) -> MaxFailures:
        """Read ``3`` or ``2.5%``.

        Raises:
            click.BadParameter: it is neither.
        """
        if text is None:
            return NO_FAILURES
        try:
            if not text.endswith("%"):
                count = int(text)
                if count >= 0:
                    return cls(text, count)
            else:
                share = float(text[:-1]) / 100
                if 0 <= share <= 1:
                    return cls(text, None, share)
        except ValueError:
            pass
        problem = f"{text!r} is neither a number of cases nor a share of them such as 5%"
        raise bad_option(problem, "--max-failures")

    def allows(self, failures: int, cases: int) -> bool:
        """Return whether so many of the cases may fail."""
        allowed = self.share * cases + ROUNDING if self.count is None else self.count
        return failures <= allowed

    def problem(self, failures: int, cases: int) -> str:
        """Return a message if too many cases failed; empty: they may, or no number was given."""
        if not self.text or self.allows(failures, cases):
            return ""
        failed = cases_text(failures)
        return f"{failed} of {cases} failed, and {self.text} may (--max-failures)"


NO_FAILURES = MaxFailures()
"""No case may fail."""
