"""What the form of parameters sends: defaults exactly, and what its user has changed."""

from __future__ import annotations

import json
from typing import Any, Literal, Optional

import pytest
from pydantic import BaseModel
from pydantic_core import to_jsonable_python

from flask_braintrust_evals import Evaluator
from flask_braintrust_evals.playground.page_files import FOLDER, bundle
from flask_braintrust_evals.web.descriptions.manifest import detailed_manifest
from tests.example_model import EXAMPLE_MODEL

from .support import Page

pytestmark = pytest.mark.live

LARGE = 1234567890123456789


class Inner(BaseModel):
    zip: str | None = "8000"
    words: list[str] = []


class Outer(BaseModel):
    inner: Inner = Inner(zip=None)
    items: list[Inner] = []


class Odd(BaseModel):
    """Defaults that a field can not show as they are, or takes for nothing."""

    nulls: Inner = Inner(zip=None)
    deep: Outer = Outer(items=[Inner(zip=None), Inner()])
    optional: Outer | None = None
    numbers: list[int | None] = [1, None]
    keys: dict[str, str] = {"a\nb": "x", "__proto__": "y"}
    lines: str = "a\r\nb\r"
    empty: list[str] = ["", "x\r\n"]
    large: int = LARGE
    small: float = 1e-7
    one_of: Literal["a", None] = None
    text: int | str = " 5 "
    anything: list[Any] = [1, None, {"x": None}]
    nullable: str | None = "text"
    flag: bool | None = None


class Required(BaseModel):
    """Fields that must be given, and may be null."""

    text: Optional[str]  # noqa: UP045 - as many write it
    inner: Inner | None
    listed: list[str] | None = ["a"]
    number: float | None = 0.5
    word: str | None = "x"


PROMPT = {
    "prompt": {
        "type": "chat",
        "messages": [{"role": "user", "content": "a\r\nb"}, {"role": "user", "content": ""}],
    },
    "options": {"model": EXAMPLE_MODEL, "params": {"temperature": 0.5}},
}
PLAIN: dict[str, Any] = {
    "model": {"type": "model", "default": f" {EXAMPLE_MODEL} "},
    "prompt": {"type": "prompt", "default": PROMPT},
}

FORMS = """
const [text, done] = arguments;
(() => {
    const { parameterForm } = modules["form.js"];
    const { parseExactly } = modules["exact_json.js"];
    const answers = parseExactly(text).map(([parameters, changes]) => {
        const form = parameterForm(parameters);
        const controls = (name) => [...form.fields
            .find((each) => each.dataset.parameter === name)
            .querySelectorAll("input, select, textarea, .remove")];
        for (const [name, at, value] of changes) {
            const control = controls(name)[at];
            if (value === "remove") control.click();
            else control.value = value;
        }
        const read = (form) => {
            try {
                return form.values();
            } catch (error) {
                return error.message;
            }
        };
        const kept = structuredClone(form.entered());
        const again = parameterForm(parameters, kept);
        return [read(form), Object.keys(kept), read(again)];
    });
    done(JSON.stringify(answers));
})();
"""


def filled(page: Page, *forms: tuple[Any, list[list[Any]]]) -> list[list[Any]]:
    """What each form sends after some changes, what is kept of it, and what that form sends."""
    asked = []
    for parameters, changes in forms:
        listed = detailed_manifest([Evaluator("e", str, parameters=parameters)])["e"]
        asked.append([listed["parameters"], changes])
    answers: list[list[Any]] = json.loads(
        page.browser.execute_async_script(bundle(FOLDER, "form.js") + FORMS, json.dumps(asked))
    )
    return answers


def test_what_nobody_has_changed_is_sent_as_it_is_and_not_kept(page: Page) -> None:
    defaults = {k: v for k, v in to_jsonable_python(Odd()).items() if v is not None}
    plain = {"model": f" {EXAMPLE_MODEL} ", "prompt": PROMPT}
    assert filled(page, (Odd, []), (PLAIN, [])) == [
        [defaults, [], defaults],
        [plain, [], plain],
    ]


def test_a_change_leaves_the_rest_as_it_was(page: Page) -> None:
    changes = [
        ["nulls", 0, "3000"],
        ["deep", 0, "x"],
        ["keys", 1, "z"],
        ["empty", 2, "y"],
        ["large", 0, str(LARGE + 1)],
    ]
    of_prompt = [["prompt", 1, "0.7"], ["prompt", 9, "remove"]]
    (sent, kept, again), (plain, _, plain_again) = filled(page, (Odd, changes), (PLAIN, of_prompt))
    assert sent == again
    assert kept == ["nulls", "deep", "keys", "empty", "large"]
    assert sent["nulls"] == {"zip": "3000", "words": []}
    nothing: dict[str, Any] = {"zip": None, "words": []}
    assert sent["deep"] == {
        "inner": {"zip": "x", "words": []},
        "items": [nothing, {"zip": "8000", "words": []}],
    }
    assert sent["keys"] == {"a\nb": "z", "__proto__": "y"}
    assert sent["empty"] == ["", "y"]
    assert sent["large"] == LARGE + 1
    messages = PROMPT["prompt"]["messages"][:1]  # type: ignore[index]
    assert plain == plain_again
    assert plain["prompt"]["options"]["params"] == {"temperature": 0.7}
    assert plain["prompt"]["prompt"]["messages"] == messages


def test_an_empty_field_is_null_where_that_is_not_what_the_default_is(page: Page) -> None:
    cleared = [["number", 0, ""], ["word", 0, ""]]
    (untouched, _, _), (sent, kept, again) = filled(page, (Required, []), (Required, cleared))
    rest = {"text": None, "inner": None, "listed": ["a"]}
    assert untouched == {**rest, "number": 0.5, "word": "x"}
    assert sent == again == {**rest, "number": None, "word": None}
    assert kept == ["number", "word"]


def test_what_is_half_written_is_kept_with_the_rest_of_its_parameter(page: Page) -> None:
    half = [["empty", 2, ""], ["anything", 0, "[1, "]]
    of_prompt = [["prompt", 1, "-1"], ["prompt", 6, "a long prompt"]]
    (sent, _, again), (prompt, _, prompt_again) = filled(page, (Odd, half), (PLAIN, of_prompt))
    assert sent == again
    empty, json_text = sent.split("\n")
    assert empty == 'parameter "empty": this item is empty: fill it in, or remove it'
    assert json_text.startswith('parameter "anything" is not valid JSON: ')
    assert prompt == prompt_again == 'parameter "prompt" must be 0 or more'
