"""The numbers of a run: what the request asks for, within what the evaluator and settings allow.

Whoever writes an evaluator knows what its task may take, and whoever asks for a run does not. So a
request may lower ``timeout`` and ``max_concurrency`` of an evaluator, and never raise them. Where
the evaluator says nothing, a setting is the limit. A request that asks for more gets the limit:
the run has the same results, only later, or ends with the error of its time-out.

Trials are different. The ``trial_count`` of an evaluator is a default, and to ask for more trials
is a usual way to see how much results vary. A setting limits them. A request that asks for more
is refused, because results that it asked for would be missing.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from flask_braintrust_evals.config.settings import Settings
from flask_braintrust_evals.engine.evaluator import Evaluator
from flask_braintrust_evals.engine.running.sources.case_source import CasesToMake
from flask_braintrust_evals.engine.values.cases import own_trial_count
from flask_braintrust_evals.errors import RequestError

from .spec import InlineCases, RunSpec


@dataclass(frozen=True)
class RunNumbers:
    """The numbers of a run.

    Attributes:
        max_concurrency: cases at a time.
        trial_count: how often each case is run that does not say so itself.
        timeout: seconds that the run may take; ``None``: no limit.
        max_cases: cases that the run may have, each trial counted; ``None``: no limit.
    """

    max_concurrency: int
    trial_count: int
    timeout: float | None
    max_cases: int | None

    @classmethod
    def as_asked(
        cls, spec: RunSpec, evaluator: Evaluator, settings: Settings, distributed: bool = False
    ) -> RunNumbers:
        """Return the numbers of a run whose user may change the evaluator as well."""
        usual = evaluator.max_concurrency or _usual_concurrency(settings, distributed)
        asked = spec.max_concurrency or usual
        return cls(
            int(asked),
            spec.trial_count or evaluator.trial_count,
            spec.timeout or evaluator.timeout,
            None,
        )

    @classmethod
    def within_limits(
        cls, spec: RunSpec, evaluator: Evaluator, settings: Settings, distributed: bool = False
    ) -> RunNumbers:
        """Return the numbers of a run that a caller of the server asks for.

        Raises:
            RequestError: the request asks for more trials than are allowed.
        """
        _check_trials(spec, evaluator, settings)
        usual = evaluator.max_concurrency or _usual_concurrency(settings, distributed)
        limit = evaluator.max_concurrency or max(usual, settings.concurrency_limit)
        longest = evaluator.timeout or settings.max_timeout
        return cls(
            int(min(spec.max_concurrency or usual, limit)),
            spec.trial_count or evaluator.trial_count,
            min(math.inf if spec.timeout is None else spec.timeout, longest),
            settings.max_cases,
        )

    def check_cases(self, cases: Iterable[Any] | CasesToMake) -> int | None:
        """Return how many cases and trials there are; ``None``: not known before they are read.

        Raises:
            RequestError: there are more than ``max_cases``.
        """
        if not isinstance(cases, list | tuple):  # len() of anything else may raise
            return None
        count = sum(own_trial_count(case) or self.trial_count for case in cases)
        if self.max_cases is not None and count > self.max_cases:
            raise RequestError(
                f"the run would have {count} cases, with each trial counted; {self.max_cases} are"
                " allowed (BRAINTRUST_EVALS_MAX_CASES): send fewer cases, or lower trial_count"
            )
        return count


def _usual_concurrency(settings: Settings, distributed: bool) -> int:
    if distributed and settings.distribution is not None:
        return settings.distribution.concurrency
    return settings.max_concurrency


def _check_trials(spec: RunSpec, evaluator: Evaluator, settings: Settings) -> None:
    limit = max(settings.max_trials, evaluator.trial_count)
    if spec.trial_count is not None and spec.trial_count > limit:
        raise _too_many_trials("trial_count", spec.trial_count, limit)
    if isinstance(spec.data, InlineCases):
        for index, case in enumerate(spec.data.cases):
            if case.trial_count is not None and case.trial_count > limit:
                raise _too_many_trials(f"data.data[{index}].trial_count", case.trial_count, limit)


def _too_many_trials(field: str, value: int, limit: int) -> RequestError:
    return RequestError(
        f"{field}: got {value}; {limit} trials are allowed (BRAINTRUST_EVALS_MAX_TRIALS)"
    )
