"""Templates of callers are bounded in steps, output and time, in both languages."""

from __future__ import annotations

import sys
import time
from typing import Any

import pytest
from jinja2.compiler import CodeGenerator

from flask_braintrust_evals.engine.parameters import prompts, template_limits
from flask_braintrust_evals.engine.parameters.nunjucks_filters import hashable
from flask_braintrust_evals.engine.parameters.prompts import Prompt
from flask_braintrust_evals.engine.parameters.templates import TemplateError, renderer
from tests.support import python

STEPS, TEXT = "more than 200000 steps", "longer than 10000000 characters"

HOSTILE: dict[str, tuple[str, str, Any, str]] = {
    "loops that write nothing": (
        "nunjucks",
        "{% for a in x %}{% for b in x %}{% for c in x %}{% endfor %}{% endfor %}{% endfor %}",
        "y" * 3000,
        STEPS,
    ),
    "sections that write nothing": (
        "mustache",
        "{{#x}}{{#x}}{{#x}}{{/x}}{{/x}}{{/x}}",
        [1] * 999,
        STEPS,
    ),
    "loops over a long list": ("nunjucks", "{% for a in x %}{% endfor %}", [1] * 300_000, STEPS),
    "sections over a long list": ("mustache", "{{#x}}.{{/x}}", [1] * 300_000, STEPS),
    "an indent of tojson": ("nunjucks", "{{ [1]|tojson(indent=700000000) }}", "", "indent"),
    "tojson of tojson": ("nunjucks", "{{ x" + "|tojson" * 40 + " }}", '"', TEXT),
    "many digits": ("nunjucks", "{{ 1|round(20000000,'floor') }}", "", "_round"),
    "digits below zero": ("nunjucks", "{{ 1|round(-3000000) }}", "", "round takes from 0 to 100"),
    "lists that double": (
        "nunjucks",
        "{% set a = [x, x] %}" * 3 + "{% set a = [a, a]|sum(start=[]) %}" * 24,
        1,
        "lists and objects of variables are not supported",
    ),
    "objects that double": ("nunjucks", "{% set a = {'a': x, 'b': x} %}", 1, "lists and objects"),
    "sums of lists": ("nunjucks", "{{ x|sum(start=[]) }}", [[1], [2]], "_sum"),
    "numbers that grow": (
        "nunjucks",
        "{% set a = 99999999999999999 %}" + "{% set a = a * a %}" * 30 + "{{ a }}",
        1,
        "a number has more than 100 digits",
    ),
    "powers": ("nunjucks", "{{ 9 ** 9 }}", 1, "powers are not computed"),
    "a long text many times": ("mustache", "{{x}}" * 700, "y" * 1_000_000, TEXT),
    "a long text in a loop": (
        "nunjucks",
        "{% for a in x %}{{ x }}{% endfor %}",
        "y" * 100_000,
        TEXT,
    ),
    "a long literal in a section": (
        "mustache",
        "{{#x}}" + "L" * 150_000 + "{{/x}}",
        [1] * 700,
        TEXT,
    ),
    "a long template": ("mustache", "x" * 200_001, 1, "has 200001 characters, and may have 200000"),
    "a long template of nunjucks": ("nunjucks", "x" * 200_001, 1, "has 200001 characters"),
    "many digits of integers": ("nunjucks", "{{ x }}", [10**4299] * 1_000, STEPS),
    "many digits of integers in mustache": ("mustache", "{{x}}", [10**4299] * 1_000, STEPS),
    "many comments": ("nunjucks", "{##}" * 2001, 1, "has 2001 tags, and may have 2000"),
    "many tags": ("nunjucks", "{{x}}" * 2001, 1, "has 2001 tags, and may have 2000"),
    "searches in a long text": (
        "nunjucks",
        "{% if " + " or ".join(["'no' in x"] * 100) + " %}{% endif %}",
        "y" * 1_000_000,
        TEXT,
    ),
    "comparisons of long lists": (
        "nunjucks",
        "{% for a in x %}{% if x == x %}{% endif %}{% endfor %}",
        [1] * 1_000,
        "more than 200000 steps",
    ),
    "tests of a long text": (
        "nunjucks",
        "{% if " + " or ".join(["'no' is in(x)"] * 100) + " %}{% endif %}",
        "y" * 1_000_000,
        TEXT,
    ),
    "parts of a long text": (
        "nunjucks",
        "{% if " + " and ".join(["x[1:]"] * 100) + " %}{% endif %}",
        "y" * 1_000_000,
        TEXT,
    ),
    "a long text sorted": ("nunjucks", "{{ x|sort }}", "y" * 200_001, "more than 200000 steps"),
    "titles in a long text": (
        "nunjucks",
        "{{ x|title }}",
        "y " * 200_001,
        "more than 200000 steps",
    ),
    "a long expression": ("nunjucks", "{{ " + "1+" * 10_000 + "1 }}", 1, "15000 tokens"),
    "a filter block": (
        "nunjucks",
        "{% filter upper %}x{% endfilter %}",
        1,
        "filter without a value",
    ),
    "a test that fills a text": (
        "nunjucks",
        "{% if x is odd %}{% endif %}",
        "%200000000d",
        "the test 'odd' is for numbers only",
    ),
    "a test that fills a text, even": (
        "nunjucks",
        "{% if '%200000000d' is even %}{% endif %}",
        1,
        "the test 'even' is for numbers only",
    ),
    "a test that fills a text with a number": (
        "nunjucks",
        "{% if x is divisibleby(5) %}{% endif %}",
        "%200000000d",
        "the test 'divisibleby' is for numbers only",
    ),
    "characters that are searched in others": (
        "nunjucks",
        "{{ x|trim(x) }}",
        "y" * 1_000,
        "trim takes no characters",
    ),
    "a long path of many items": (
        "nunjucks",
        "{{ x|sort(attribute='a" + ".a" * 2_000 + "') }}",
        [1] * 1_000,
        STEPS,
    ),
    "many paths of many items": (
        "nunjucks",
        "{{ x|unique(attribute='a" + ",a" * 2_000 + "') }}",
        [1] * 1_000,
        STEPS,
    ),
    "many tags with other delimiters": (
        "mustache",
        "{{=@ @=}}" + "@x@" * 2_000,
        1,
        "has 2001 tags, and may have 2000",
    ),
    "sections with delimiters that change twice": (
        "mustache",
        "{{=@ @=}}@=$ $=@" + "$#x$" * 900 + "L" * 100_000 + "$/x$" * 900,
        1,
        TEXT,
    ),
    "a line end as a delimiter": ("mustache", "{{=\n @=}}", 1, "a tag must set two delimiters"),
    "a single delimiter": ("mustache", "{{=@=}}", 1, "a tag must set two delimiters"),
    "recursion": (
        "nunjucks",
        "{% for a in x recursive %}{{ loop(x) }}{% endfor %}",
        [1],
        "a call is not supported",
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "template", "value", "text"), HOSTILE.values(), ids=HOSTILE.keys()
)
def test_what_a_template_may_cause_is_bounded(
    kind: str, template: str, value: Any, text: str
) -> None:
    with pytest.raises(TemplateError) as caught:
        renderer(kind, {"x": value})(template)
    assert text in str(caught.value)
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize("kind", ["mustache", "nunjucks"])
def test_the_templates_of_one_prompt_have_their_limits_together(kind: str) -> None:
    messages = [{"role": "user", "content": "{{x}}" * 100}] * 21
    data = {
        "prompt": {"type": "chat", "messages": messages[:20]},
        "options": {"model": "m"},
        "template_format": kind,
    }
    assert len(Prompt("p", data).build(x=1)["messages"]) == 20
    with pytest.raises(ValueError, match="has 2100 tags, and may have 2000"):
        Prompt("p", {**data, "prompt": {"type": "chat", "messages": messages}}).build(x=1)


def test_others_run_while_long_integers_are_made_plain(monkeypatch: pytest.MonkeyPatch) -> None:
    turns: list[int] = []
    monkeypatch.setattr(prompts, "let_others_run", lambda: turns.append(1))
    data = {"prompt": {"type": "completion", "content": "x"}, "options": {"model": "m"}}
    Prompt("p", data).build(x=[10**4000] * 100)
    assert len(turns) > 30


def test_a_long_path_in_nested_sections_is_followed_as_far_as_it_leads() -> None:
    inside = "{{" + "x." * 40_000 + "x}}"
    values = {"x": {"x": {"y": 1}}}
    start = time.monotonic()
    assert renderer("mustache", values)("{{#x}}" * 100 + inside + "{{/x}}" * 100) == ""
    with pytest.raises(TemplateError, match=TEXT):  # of all sections, which are kept
        renderer("mustache", values)("{{#x}}" * 900 + inside + "{{/x}}" * 900)
    assert time.monotonic() - start < 10


def test_nested_expressions_are_compiled_in_time() -> None:
    start = time.process_time()
    for inside in ("|abs", ".a"):
        renderer("nunjucks", {"x": 1})("{{ x" + inside * 150 + " }}")
    assert time.process_time() - start < 2


@pytest.mark.parametrize("begin", ["{% for a in x %}", "{% for a in x if a %}"])
def test_deeply_nested_loops_are_refused_before_they_are_compiled(begin: str) -> None:
    render = renderer("nunjucks", {"x": [1]})
    assert render(begin * 10 + "y" + "{% endfor %}" * 10) == "y"
    with pytest.raises(TemplateError, match="loops are nested deeper than 10 levels"):
        render(begin * 11 + "y" + "{% endfor %}" * 11)


def test_other_greenlets_may_run_before_each_loop_is_compiled(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    happened: list[str] = []
    visit = CodeGenerator.visit_For

    def visit_for(self: Any, *arguments: Any) -> None:
        happened.append("loop")
        visit(self, *arguments)

    monkeypatch.setattr(CodeGenerator, "visit_For", visit_for)
    monkeypatch.setattr(template_limits.Budget, "pause", lambda _: happened.append("pause"))
    renderer("nunjucks", {"x": [1]})("{% for a in x %}" * 10 + "{% endfor %}" * 10)
    loops = [number for number, each in enumerate(happened) if each == "loop"]
    assert len(loops) == 10
    assert all(happened[number - 1] == "pause" for number in loops)


def test_a_template_that_takes_too_long_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(template_limits, "MAX_SECONDS", -1.0)
    with pytest.raises(TemplateError, match="more than -1 seconds"):
        renderer("nunjucks", {"x": [1] * 1000})("{% for a in x %}{% endfor %}")


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("{% for a in xs %}{{ loop.index }}{{ a }}{{ ',' if not loop.last }}{% endfor %}", "1a,2b"),
        ("{% for a in xs %}{{ loop.length }}{% endfor %}", "22"),
        ("{% for k in o %}{{ k }}{% endfor %}", "n"),
        ("{% for a in [] %}{% else %}none{% endfor %}", "none"),
        ("{% for a in ['x', 'y'] %}{{ a }}{% endfor %}", "xy"),
        ("{{ 'yes' if 'a' in ['a', 'c'] }}", "yes"),
        ("{{ 2.567|round(1) }} {{ 3|round }} {{ '7'|int + 1 }} {{ 'x'|int(5) }}", "2.6 3.0 8 5"),
        ("{{ ns|sum }} {{ objects|sum('n') }} {{ ns|sum * 2 - 1 }}", "6 3 11"),
        ("{{ o|tojson }} {{ 'ä<b>'|tojson }}", '{"n": 1} "ä<b>"'),
        (
            "{{ xs|length }}{{ xs|first|upper }}{{ xs|last|title }}{{ missing|default('d') }}",
            "2ABd",
        ),
        ("{{ ns|sort|reverse|list|string }}", "[3, 2, 1]"),
        ("{{ objects|sort(attribute='n', reverse=true)|first|tojson }}", '{"n": 2}'),
        ("{{ [1, 2.0, 1.0, 'a', 2, 'A', 0.5, true]|unique }}", "[1, 2.0, 'a', 0.5]"),
        (
            "{{ ['a', 'A']|unique(true) }} {{ objects|unique(attribute='n')|length }}",
            "['a', 'A'] 2",
        ),
        (
            "{{ ' a '|trim }}{{ 4 is even }}{{ 4 is odd }}{{ 9 is divisibleby(3) }}",
            "aTrueFalseTrue",
        ),
        ("{{ xs }}", "['a', 'b']"),
        ("{{ xs.length }}{{ xs[0].length }}{{ xs['length'] }}{{ missing.length }}", "212"),
        ("{{ xs.count }}{{ xs[0].upper }}{{ xs[0]['format'] }}{{ o['keys'] }}{{ ns[0].real }}", ""),
    ],
)
def test_what_prompts_need_still_works(template: str, expected: str) -> None:
    values = {"xs": ["a", "b"], "o": {"n": 1}, "ns": [3, 1, 2], "objects": [{"n": 1}, {"n": 2}]}
    assert renderer("nunjucks", values)(template) == expected


def test_numbers_cannot_be_chosen_so_that_their_hashes_are_the_same() -> None:
    numbers = [number * sys.hash_info.modulus for number in range(1, 1_000)]
    assert len({hash(number) for number in numbers}) == 1
    assert len({hash(hashable(number)) for number in numbers}) == len(numbers)


@pytest.mark.slow
def test_under_gevent_other_greenlets_run_meanwhile() -> None:
    script = """
    from gevent import monkey
    monkey.patch_all()
    import gevent
    from flask_braintrust_evals.engine.parameters.templates import TemplateError, renderer

    turns = []

    def others():
        while True:
            turns.append(1)
            gevent.sleep(0)

    gevent.spawn(others)
    for kind, template in (
        ("nunjucks", "{% for a in x %}{% for b in x %}{% endfor %}{% endfor %}"),
        ("mustache", "{{#x}}{{#x}}{{/x}}{{/x}}"),
    ):
        turns.clear()
        try:
            renderer(kind, {"x": [1] * 1000})(template)
        except TemplateError:
            print(len(turns) > 10)
    """
    assert python(script) == "True\nTrue\n"
