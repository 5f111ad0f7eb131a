"""What registering evaluators imports, and what the first request imports."""

from __future__ import annotations

import json
import sys
from functools import partial

import pytest

from . import support

pytestmark = pytest.mark.slow

python = partial(support.python, fresh=True)

APPLICATION = """
    import json, sys
    import flask, gevent
    before = {*sys.modules}
    from flask_braintrust_evals import EvalsBlueprint
    bp = EvalsBlueprint("evals", __name__)
    @bp.evaluator(scores=[lambda output: 1])
    async def upper(input): return input.upper()
    app = flask.Flask(__name__)
    app.config["BRAINTRUST_EVALS_AUTH"] = "none"
    app.register_blueprint(bp, url_prefix="/evals")
"""
REGISTRATION = {
    "_version",
    "blueprint",
    "blueprint.evals_blueprint",
    "blueprint.routes",
    "cli",
    "concurrency",
    "concurrency.gevent_patch",
    "concurrency.turns",
    "config",
    "config.distribution",
    "config.settings",
    "config.values",
    "config.webhook",
    "contrib",
    "contrib.references",
    "contrib.shared_names",
    "engine",
    "engine.calls",
    "engine.calls.arguments",
    "engine.calls.introspection",
    "engine.calls.plan",
    "engine.calls.signatures",
    "engine.evaluator",
    "engine.naming",
    "engine.parameters",
    "engine.parameters.attribute_dict",
    "engine.parameters.values",
    "engine.registry",
    "engine.tracing",
    "engine.tracing.span_classes",
    "engine.values",
    "engine.values.copies",
    "engine.values.foreign_datasets",
    "engine.values.names",
    "engine.values.option_checks",
    "errors",
    "extension",
    "extension.setting_mistakes",
    "extension.start_warnings",
    "extension.state",
    "serialization",
    "serialization.json_reading",
    "serialization.json_writing",
    "serialization.large_integers",
    "serialization.object_contents",
    "serialization.plain_values",
    "texts",
    "texts.error_texts",
    "texts.excerpts",
    "texts.log_filter",
    "texts.safe_texts",
    "texts.suggestions",
    "tracing",
    "tracing.span_context",
    "web",
    "web.access",
    "web.access.hosts",
    "web.answers",
    "web.answers.responses",
    "web.answers.unrouted",
    "web.page",
    "web.page.page_address",
}
"""The modules that may be imported to register a plain evaluator."""


def ours(modules: set[str]) -> set[str]:
    """The names of our modules, without that of the package."""
    package = "flask_braintrust_evals."
    return {name.removeprefix(package) for name in modules if name.startswith(package)}


def others(modules: set[str]) -> set[str]:
    """The libraries outside of the standard library."""
    top = {name.partition(".")[0] for name in modules} - {"flask_braintrust_evals"}
    return top - {*sys.stdlib_module_names}


@pytest.mark.parametrize("known", ["flask, gevent", "flask, gevent, braintrust"])
def test_registering_an_evaluator_imports_little(known: str) -> None:
    application = APPLICATION.replace("flask, gevent", known)
    printed = python(application + "    print(json.dumps([*{*sys.modules} - before]))")
    loaded = set(json.loads(printed))
    assert ours(loaded) <= REGISTRATION
    assert others(loaded) <= {"orjson"}


def test_listing_the_commands_of_any_application_imports_none_of_ours() -> None:
    printed = python("""
        import json, sys
        from flask.cli import cli
        cli.main(["--help"], standalone_mode=False)
        print()
        print(json.dumps([*sys.modules]))
    """)
    assert "evals" in printed
    loaded = ours(set(json.loads(printed.splitlines()[-1])))
    assert loaded <= REGISTRATION
    assert "blueprint.evals_blueprint" not in loaded


def test_after_warming_up_the_first_run_imports_nothing_of_ours() -> None:
    printed = python(
        APPLICATION
        + """
    from flask_braintrust_evals import warm_up
    warm_up()
    warm = {*sys.modules}
    client = app.test_client()
    body = {"name": "upper", "data": {"data": [{"input": "a"}]}}
    answers = [client.get("/evals/"), client.get("/evals/list")]
    answers.append(client.post("/evals/eval", json=body))
    assert [each.status_code for each in answers] == [200, 200, 200]
    assert b"summary" in answers[-1].data
    print(json.dumps([*{*sys.modules} - warm]))
"""
    )
    loaded = set(json.loads(printed))
    assert ours(loaded) == set()
    assert others(loaded) <= {"flask", "click", "wrapt"}  # the first two are the test client's


def test_evaluators_that_are_only_defined_cost_no_run() -> None:
    """An evaluator runs in a process that has imported nothing but its class."""
    printed = python("""
        import json, sys
        from flask_braintrust_evals import Evaluator
        evaluator = Evaluator("double", lambda input: input * 2)
        loaded = {*sys.modules}
        assert "opentelemetry" not in loaded and "pydantic" not in loaded
        print(json.dumps([each.output for each in evaluator.run([{"input": 2}]).results]))
    """)
    assert json.loads(printed) == [4]
