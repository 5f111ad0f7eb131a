"""Results in JUnit's XML format, which systems for continuous integration read.

Each case is a test; so are each score whose mean is too low, and each problem of the whole run. The
format has no standard; this is the common subset that https://github.com/testmoapp/junitxml
describes.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from xml.etree import ElementTree

from flask_braintrust_evals.cli.running.outcome import Outcome
from flask_braintrust_evals.engine.values.results import CaseResult
from flask_braintrust_evals.serialization.json_writing import dumps_or_reason

from .case_texts import case_name

_COUNTS = ("tests", "failures", "errors")
# Characters that XML 1.0 forbids, also as entities: https://www.w3.org/TR/xml/#charsets
_FORBIDDEN = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit(outcomes: Sequence[Outcome]) -> str:
    """Return the results as XML text, with one suite for each evaluator."""
    made = [_suite(each) for each in outcomes]
    totals = {name: str(sum(int(each.get(name, "0")) for each in made)) for name in _COUNTS}
    suites = ElementTree.Element("testsuites", totals)
    suites.extend(made)
    ElementTree.indent(suites)
    return f'<?xml version="1.0" encoding="utf-8"?>\n{ElementTree.tostring(suites, "unicode")}\n'


def _suite(outcome: Outcome) -> ElementTree.Element:
    result = outcome.result
    tests = [_case(result.evaluator, each) for each in result.results]
    for name, text in (*outcome.too_low.items(), *outcome.worse.items()):
        test = _test(result.evaluator, f"mean of {name}", 0.0)
        ElementTree.SubElement(test, "failure", message=_clean(text))
        tests.append(test)
    lost = f"{outcome.lost_spans} spans could not be delivered" if outcome.lost_spans else ""
    for text in filter(None, (outcome.error, lost)):
        test = _test(result.evaluator, "run", 0.0)
        ElementTree.SubElement(test, "error", message=_clean(text))
        tests.append(test)
    failures = sum(test.find("failure") is not None for test in tests)
    errors = sum(test.find("error") is not None for test in tests)
    counts = dict(zip(_COUNTS, (len(tests), failures, errors), strict=True))
    attributes = {name: str(count) for name, count in counts.items()}
    seconds = sum(each.duration for each in result.results)
    suite = ElementTree.Element(
        "testsuite", {"name": _clean(result.evaluator), **attributes, "time": f"{seconds:.3f}"}
    )
    properties = ElementTree.SubElement(suite, "properties")
    for name, score in result.scores.items():
        if score.mean is not None:
            value = f"{score.mean:.6f}"
            ElementTree.SubElement(properties, "property", name=_clean(name), value=value)
    if outcome.experiment is not None:
        url = _clean(outcome.experiment["experimentUrl"])
        ElementTree.SubElement(properties, "property", name="experiment", value=url)
    suite.extend(tests)
    return suite


def _case(evaluator: str, result: CaseResult) -> ElementTree.Element:
    test = _test(evaluator, case_name(result), result.duration)
    if result.error is not None:
        error = ElementTree.SubElement(
            test, "error", type=_clean(result.error.type), message=_clean(result.error.message)
        )
        error.text = _clean(result.error.stack)
    for name, failure in result.scorer_errors.items():
        message = _clean(f"{name}: {failure}")
        ElementTree.SubElement(test, "failure", type=_clean(failure.type), message=message)
    values = {"input": result.case.input, "expected": result.case.expected, "output": result.output}
    scores = {name: score.score for name, score in result.scores.items()}
    text = "\n".join(f"{name}: {dumps_or_reason(value)}" for name, value in values.items())
    output = ElementTree.SubElement(test, "system-out")
    output.text = _clean(f"{text}\nscores: {dumps_or_reason(scores)}")
    return test


def _test(evaluator: str, name: str, seconds: float) -> ElementTree.Element:
    attributes = {"classname": evaluator, "name": name, "time": f"{seconds:.3f}"}
    return ElementTree.Element("testcase", {key: _clean(text) for key, text in attributes.items()})


def _clean(text: str) -> str:
    return _FORBIDDEN.sub("\ufffd", text)
