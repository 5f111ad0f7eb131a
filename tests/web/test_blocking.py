"""``BRAINTRUST_EVALS_BLOCKING``: under gevent, the code of all evaluators is called in threads."""

from __future__ import annotations

import pytest

from tests.support import python

pytestmark = pytest.mark.slow

SCRIPT = """
from gevent import monkey
monkey.patch_all()
from flask_braintrust_evals import Evaluator
from flask_braintrust_evals.concurrency.gevent_patch import real_thread_id
from tests.web.support import Api, make_app

own = real_thread_id()
evaluators = [
    Evaluator("plain", lambda input: real_thread_id() != own),
    Evaluator("blocking", lambda input: real_thread_id() != own, blocking=True),
]
app = make_app(*evaluators, BRAINTRUST_EVALS_AUTH="none", BRAINTRUST_EVALS_BLOCKING={setting})
api = Api(app, token=None)
print([api.outputs(name=name, data=[{{"input": 1}}]) for name in ("plain", "blocking")])
print([each.plan.blocking for each in evaluators])
"""


@pytest.mark.parametrize(("setting", "in_threads"), [(False, [False]), (True, [True])])
def test_the_setting_moves_all_evaluators_of_the_application_into_real_threads(
    setting: bool, in_threads: list[bool]
) -> None:
    # The evaluators stay as they are, since another application may serve them too.
    expected = f"[{in_threads}, [True]]\n[False, True]\n"
    assert python(SCRIPT.format(setting=setting)) == expected
