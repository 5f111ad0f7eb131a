"""The names that the scores of a case are kept under."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence

from flask_braintrust_evals.engine.calls.signatures import ScorerCall
from flask_braintrust_evals.engine.values.names import FreeNames
from flask_braintrust_evals.engine.values.scores import Score


def name_scores(
    scores: Sequence[Score], scorer: ScorerCall, taken: Iterable[str]
) -> dict[str, Score]:
    """Return what one scorer returned for one case, by names that hide no other score.

    A scorer's own name is never given to another scorer's score. A score with any other name keeps
    it, unless an earlier scorer of the case, or the same one, has used it: then it gets a number,
    as in ``"x (2)"``. So names depend on the order in which scorers are declared, and on what they
    return for this case, but not on other cases or on timing.

    ``taken`` has the names of all scorers, and of the scores that the case has so far.
    """
    if len(scores) == 1 and scores[0].name == scorer.name:  # as of most scorers
        return {scorer.name: scores[0]}
    named: dict[str, Score] = {}
    unavailable = {*taken}
    free = FreeNames(unavailable)
    own_names = (scorer.name, scorer.own_name or scorer.name)
    for score in scores:
        is_own = score.name in own_names and scorer.name not in named
        name = scorer.name if is_own else free.next(score.name)
        unavailable.add(name)
        named[name] = score if score.name == name else dataclasses.replace(score, name=name)
    return named
