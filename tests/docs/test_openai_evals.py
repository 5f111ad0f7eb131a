"""What the page for users of OpenAI's hosted Evals saves is read by what it shows next."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from .pages import ROOT, blocks_of

PAGE = ROOT / "docs" / "coming-from-openai-evals.md"
ITEMS = [{"ticket": "a", "label": "x"}, {"ticket": "b", "label": "y"}]
OUTPUT_ITEMS = "/v1/evals/eval_1/runs/run_{}/output_items"


def page_of(*values: Any) -> dict[str, Any]:
    return {"object": "list", "data": list(values), "has_more": False}


ANSWERS: dict[str, Any] = {
    "/v1/evals/eval_1/runs": page_of({"id": "run_1"}, {"id": "run_2"}),
    OUTPUT_ITEMS.format(1): page_of(*({"id": "o", "datasource_item": item} for item in ITEMS)),
    OUTPUT_ITEMS.format(2): page_of({"id": "o", "datasource_item": ITEMS[0], "results": []}),
}


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        data = json.dumps(ANSWERS[self.path.partition("?")[0]]).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def client() -> Iterator[Any]:
    openai = pytest.importorskip("openai")
    with HTTPServer(("127.0.0.1", 0), _Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        with openai.OpenAI(api_key="k", base_url=f"http://127.0.0.1:{server.server_port}/v1") as it:
            yield it
        server.shutdown()
        thread.join()


@pytest.mark.slow
def test_exported_items_become_cases(
    client: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    for block in [each for each in blocks_of(PAGE) if each.kind == "python"][:2]:
        exec(compile(block.text, str(PAGE), "exec"), names)
    names["export"](client, "eval_1", "all.jsonl")
    assert len(Path("all.jsonl").read_text().splitlines()) == 3
    assert names["cases_of"]("all.jsonl", expected="label") == [
        {"input": item, "expected": item["label"]} for item in ITEMS
    ]
