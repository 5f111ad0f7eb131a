"""What ``bp.load()`` does not change: the SDK, the search path, and installations without it."""

from __future__ import annotations

import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from braintrust import framework

from flask_braintrust_evals import EvalsBlueprint
from tests.contrib.support import sdk_evaluator
from tests.support import PATIENCE, python

from .support import IMPORTS, SDK, Write, eval_of, names, refusal

# --- What is left behind ---


@pytest.mark.parametrize("line", ["", "1 / 0", "import sys; sys.exit()", "def broken(:"])
def test_loading_does_not_change_the_sdk(bp: EvalsBlueprint, write: Write, line: str) -> None:
    registry = SDK.registry
    mine: Any = framework.EvaluatorInstance(sdk_evaluator(), None)
    reporter = framework.Reporter("mine", lambda *args: 1, lambda *args: True)
    registry.evaluators["mine"] = mine
    registry.reporters["mine"] = reporter
    mine_of_file = "Reporter('mine', report_eval=lambda *a: 1, report_run=lambda *a: 1)"
    # The application's own names are not taken: a file is looked at by itself.
    file = write("eval_one.py", eval_of("mine"), mine_of_file, line)
    try:
        if line:
            refusal(bp, file)
        else:
            bp.load(file)
            assert names(bp) == ["mine"]
        assert SDK.registry is registry
        assert registry.evaluators == {"mine": mine}
        assert registry.reporters == {"mine": reporter}
        assert not SDK.lazy
    finally:
        registry.evaluators.clear()
        registry.reporters.clear()


def test_an_interrupt_is_raised_and_does_not_change_the_sdk(
    bp: EvalsBlueprint, write: Write
) -> None:
    file = write("eval_one.py", eval_of("one"), "raise KeyboardInterrupt")
    with pytest.raises(KeyboardInterrupt):
        bp.load(file)
    assert names(bp) == []
    assert not SDK.lazy


def test_the_search_path_is_only_added_to_and_only_once(
    bp: EvalsBlueprint, write: Write, tmp_path: Path
) -> None:
    before = list(sys.path)
    write("eval_one.py", eval_of("one"))
    write("eval_two.py", eval_of("two"))
    bp.load(tmp_path)
    assert sys.path[: len(before)] == before
    assert sys.path.count(str(tmp_path)) == 1


def test_files_may_be_loaded_in_several_threads_at_once(write: Write) -> None:
    count = 8
    barrier = threading.Barrier(count)
    folders = []
    for number in range(count):
        # The interpreter changes threads at each wait: each file is imported in many pieces.
        define = [eval_of(f"{number}-{each}") for each in range(5)]
        lines = [line for each in define for line in ("time.sleep(0)", each)]
        file = write(f"{number}/eval_same.py", "import time", *lines)
        folders.append(file.parent)
    blueprints = [EvalsBlueprint(f"evals-{number}", __name__) for number in range(count)]

    def load(number: int) -> None:
        barrier.wait(PATIENCE)
        blueprints[number].load(folders[number])

    threads = [threading.Thread(target=load, args=(n,), daemon=True) for n in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
        assert not thread.is_alive()
    for number, bp in enumerate(blueprints):
        assert names(bp) == [f"{number}-{each}" for each in range(5)]
    # Each puts back what it found, which must not be what another had put there.
    assert type(SDK.registry.evaluators) is dict


@pytest.mark.slow
def test_a_file_may_import_an_application_that_loads_files_itself(tmp_path: Path) -> None:
    # In a process of its own: a load() that waits for itself would never let go.
    inner, outer = tmp_path / "inner" / "eval_inner.py", tmp_path / "eval_outer.py"
    inner.parent.mkdir()
    inner.write_text(IMPORTS + eval_of("inner"), "utf-8")
    application = tmp_path / "the_application.py"
    application.write_text(
        "from flask_braintrust_evals import EvalsBlueprint\n"
        "bp = EvalsBlueprint('evals', __name__)\n"
        f"bp.load({str(inner)!r})\n",
        "utf-8",
    )
    outer.write_text(
        IMPORTS + eval_of("before") + "\nimport the_application\n" + eval_of("after"), "utf-8"
    )
    printed = python(
        f"""
        from flask_braintrust_evals import EvalsBlueprint
        bp = EvalsBlueprint("evals", __name__)
        bp.load({str(outer)!r})
        import the_application
        for each in (bp, the_application.bp):
            print([evaluator.name for evaluator in each.registry])
        """,
        seconds=20,
    )
    assert printed.splitlines() == ["['before', 'after']", "['inner']"]


# --- Without the SDK ---

WITHOUT_THE_SDK = """
    import sys

    class Without:
        # Finds all but the SDK, as where it is not installed.
        def __init__(self, finder):
            self.finder = finder

        def __getattr__(self, name):
            return getattr(self.finder, name)

        def find_spec(self, name, *args):
            if name.partition(".")[0] != "braintrust":
                return self.finder.find_spec(name, *args)

    HOW
    from flask import Flask
    from flask_braintrust_evals import EvalsBlueprint, Evaluator, RegistrationError
    bp = EvalsBlueprint("evals", __name__)
    bp.evaluator("echo", scores=[lambda output: 1])(lambda input: input)
    assert bp.registry.get("echo").run([{"input": 5}]).results[0].output == 5
    app = Flask(__name__)
    app.config["BRAINTRUST_EVALS_AUTH"] = "none"
    app.register_blueprint(bp, url_prefix="/evals")
    for act in (lambda: bp.load("evals/"), lambda: bp.add(print)):
        try:
            act()
        except RegistrationError as error:
            print(error)
        else:
            raise AssertionError
    client = app.test_client()
    assert list(client.get("/evals/list").get_json()) == ["echo"]
    body = {"name": "echo", "data": [{"input": 5}], "stream": False}
    answer = client.post("/evals/eval", json=body)
    assert answer.status_code == 200, answer.text
    assert "braintrust.framework" not in sys.modules
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    "how",
    [
        "sys.modules['braintrust'] = None",
        "sys.meta_path[:] = [Without(finder) for finder in sys.meta_path]",
    ],
)
def test_without_the_sdk_all_else_works_and_load_says_what_to_install(how: str) -> None:
    load, add = python(WITHOUT_THE_SDK.replace("HOW", how), fresh=True).splitlines()
    assert load.startswith(
        "load() needs the braintrust package, 0.31 or later: pip install"
        " 'flask-braintrust-evals[braintrust]'"
    )
    assert add.startswith("add() takes an Evaluator, not <built-in function print>")


@pytest.mark.slow
def test_the_sdk_is_not_imported_before_it_is_asked_for() -> None:
    printed = python(
        """
        import sys
        from flask_braintrust_evals import EvalsBlueprint, Evaluator
        bp = EvalsBlueprint("evals", __name__, evaluators=[Evaluator("e", lambda input: input)])
        print(any(name.partition(".")[0] == "braintrust" for name in sys.modules))
        """,
        fresh=True,
    )
    assert printed == "False\n"
