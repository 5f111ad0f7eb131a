"""Templates: rendered as the braintrust SDK does, and without access to anything but the values."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import autoevals.llm
import pytest
from braintrust.logger import render_mustache

from flask_braintrust_evals.engine.parameters.templates import TemplateError, renderer
from flask_braintrust_evals.serialization.json_writing import plain

# Importing it turns off the escaping for HTML that the SDK's renderer has by default.
assert autoevals.llm

VALUES: dict[str, Any] = {
    "name": "A & <b> \"q\" 'x'",
    "items": ["a", "b"],
    "a": {"b": {"c": 1}},
    "one": 1,
    "zero": 0,
    "yes": True,
    "no": False,
    "nothing": None,
    "object": {"k": "v"},
    "numbers": [1, 2],
    "accent": "é",
    "people": [{"id": 1}, {"id": 2, "name": "n"}],
    "empty": [],
    "float": 1.5,
    "blank": "",
    "nested": [{"in": [1, 2]}, {"in": []}],
}

TEMPLATES = [
    "Hello {{name}}!",
    "{{{name}}} {{&name}} {{ name }}",
    "{{#items}}<{{.}}>{{/items}}",
    "{{#items}}\n- {{.}}\n{{/items}}\nend",
    "{{^nothing}}no{{/nothing}}{{#nothing}}yes{{/nothing}}",
    "{{a.b.c}}{{#a}}{{b.c}}{{/a}}",
    "{{missing}}x{{a.missing}}{{^missing}}absent{{/missing}}",
    "{{one}} {{zero}} {{yes}} {{no}} {{nothing}} {{float}} {{accent}}",
    "{{object}} {{{object}}} {{numbers}} {{numbers.1}} {{people.0.id}}",
    "{{#yes}}yes{{/yes}}{{#no}}no{{/no}}{{#zero}}zero{{/zero}}{{^zero}}none{{/zero}}",
    "{{! comment }}x\n{{! alone }}\ny",
    "{{=<% %>=}}<% name %> {{name}}",
    "{{#object}}{{k}}{{/object}}",
    "  {{#yes}}\n  a\n  {{/yes}}\n",
    "\r\n{{#yes}}\r\nx\r\n{{/yes}}\r\n",
    "{{#people}}{{id}}:{{name}};{{/people}}",
    "{{#empty}}e{{/empty}}{{^empty}}ne{{/empty}}{{#blank}}b{{/blank}}{{^blank}}nb{{/blank}}",
    "{{#nested}}{{#in}}{{.}}{{/in}};{{/nested}}",
    '{"a": "{{name}}"}',
    "a } b { c",
    "",
]


@pytest.mark.parametrize("template", TEMPLATES)
def test_mustache_is_rendered_as_the_sdk_renders_it(template: str) -> None:
    assert renderer("mustache", plain(VALUES))(template) == render_mustache(template, VALUES)


def test_nothing_is_escaped_for_html() -> None:
    values = {"said": '<b>"R&D"</b> isn\'t'}
    assert renderer("mustache", values)("{{said}}{{{said}}}") == values["said"] * 2
    assert renderer("nunjucks", values)("{{said}}") == values["said"]


@pytest.mark.parametrize(
    ("template", "found"),
    [("{{#open}}x", "{{#open}}"), ("{{/close}}", "{{/close}}"), ("a {{name", "{{name")],
)
def test_a_malformed_template_is_an_error_that_shows_where(template: str, found: str) -> None:
    with pytest.raises(TemplateError, match="malformed") as error:
        renderer("mustache", {})(template)
    assert found in str(error.value)


@pytest.mark.parametrize("kind", ["mustache", "nunjucks"])
def test_strict_asks_for_every_name(kind: str) -> None:
    assert renderer(kind, {"a": 1}, strict=True)("{{a}}") == "1"
    with pytest.raises(TemplateError, match="who"):
        renderer(kind, {"a": 1}, strict=True)("{{ who }}")
    assert renderer(kind, {"a": 1})("[{{ who }}]") == "[]"


def test_nothing_is_read_from_disk(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "secret.mustache").write_text("from the disk")
    monkeypatch.chdir(tmp_path)
    assert renderer("mustache", {})("[{{> secret}}]") == "[]"
    with pytest.raises(TemplateError):
        renderer("nunjucks", {})("{% include 'secret.mustache' %}")


@dataclasses.dataclass
class Account:
    owner: str

    def delete(self) -> str:
        raise AssertionError("called by a template")


@pytest.mark.parametrize("kind", ["mustache", "nunjucks"])
def test_an_object_is_its_fields_and_its_methods_are_out_of_reach(kind: str) -> None:
    render = renderer(kind, plain({"account": Account("Ada")}))
    assert render("{{account.owner}}{{account.delete}}{{account.__class__}}") == "Ada"


@pytest.mark.parametrize(
    "template",
    [
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ name.__init__.__globals__ }}",
        "{{ cycler.__init__.__globals__.os.popen('id').read() }}",
        "{% for i in range(100000000) %}x{% endfor %}",
        "{{ 'a' * 400000000 }}",
        "{{ [1] * 400000000 }}",
        "{{ '%300000000d' % 1 }}",
        "{{ 9 ** 9 ** 9 }}",
        "{{ ' ' | center(300000000) }}",
        "{{ 'aaaa' | replace('a', name) }}",
        "{{ [name] | join(name) }}",
        "{{ name ~ name }}",
        "{{ name + name }}",
        "{% set name = name + name %}",
        "{% macro f(n) %}{{ f(n) }}{{ f(n) }}{% endmacro %}{{ f(1) }}",
        "{% set x = namespace(y=1) %}",
        "{% set x %}long{% endset %}",
        "{{ lipsum(1000) }}",
        "{{ name.upper() }}",
    ],
)
def test_nunjucks_stays_in_its_sandbox_and_in_bounds(template: str) -> None:
    with pytest.raises(TemplateError):
        renderer("nunjucks", {"name": "x"}, strict=True)(template)


@pytest.mark.parametrize(
    ("kind", "template"),
    [
        ("nunjucks", "{% for x in xs %}" * 3 + "{{ text }}" + "{% endfor %}" * 3),
        ("mustache", "{{#xs}}" * 3 + "{{text}}" + "{{/xs}}" * 3),
    ],
)
def test_loops_inside_of_loops_have_an_end(kind: str, template: str) -> None:
    values = {"xs": [1] * 300, "text": "t" * 1000}
    with pytest.raises(TemplateError, match="more than|longer than"):
        renderer(kind, values)(template)


def test_the_names_of_methods_are_names_like_others_in_nunjucks() -> None:
    render = renderer("nunjucks", {"order": {"items": ["a"], "total": 3}})
    template = "{% for x in order.items %}{{ x }}{% endfor %}{{ order.keys }}{{ order.total * 2 }}"
    assert render(template) == "a6"


def test_templates_of_callers_are_not_kept() -> None:
    import mstache

    kept: Any = mstache.default_cache
    before = len(kept)
    renderer("mustache", {})("a template that nobody else has {{x}}")
    assert len(kept) == before


def test_nunjucks_has_conditions_loops_and_filters() -> None:
    template = "{% if n > 1 %}{% for x in xs %}{{ x | upper }} {% endfor %}{% endif %}{{ a.b.c }}\n"
    assert renderer("nunjucks", {"n": 2, "xs": ["a", "b"]})(template) == "A B \n"


def test_a_template_that_fails_in_its_own_code_is_an_error_of_the_template() -> None:
    with pytest.raises(TemplateError, match="cannot be rendered"):
        renderer("nunjucks", {"n": 0})("{{ 1 / n }}")


def test_none_renders_nothing() -> None:
    assert renderer("none", {"a": 1})("{{a}} {% x %}") == "{{a}} {% x %}"


@pytest.mark.parametrize("kind", ["mustache", "nunjucks"])
def test_inside_json_values_are_json(kind: str) -> None:
    values = {"name": "a<b", "list": ["x", 1, None], "yes": True}
    render = renderer(kind, values, as_json=True)
    assert render("{{name}}") == "a<b"
    assert json.loads(render('{"enum": {{list}}, "strict": {{yes}}}')) == {
        "enum": ["x", 1, None],
        "strict": True,
    }
