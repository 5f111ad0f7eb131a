"""What the tests of the stand-in share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import requests

ADA = "token-of-ada"
BOB = "token-of-bob"
CAPITALS: list[dict[str, Any]] = [
    {"input": "France", "expected": "Paris", "tags": ["eu"]},
    {"input": "Japan", "expected": "Tokyo", "metadata": {"continent": "Asia"}},
    {"input": "Peru", "expected": "Lima"},
    {"input": "Chad", "expected": "N'Djamena"},
    {"input": "Fiji", "expected": "Suva"},
]
COUNTRIES = [row["input"] for row in CAPITALS]


class Client:
    """A user of the stand-in over HTTP."""

    def __init__(self, url: str, token: str | None, **headers: str) -> None:
        self._url = url
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.headers.update(headers)
        if token is not None:
            self.session.headers["Authorization"] = f"Bearer {token}"

    def __call__(self, method: str, path: str, **options: Any) -> requests.Response:
        return self.session.request(method, self._url + path, timeout=20, **options)

    def get(self, path: str, **query: str) -> Any:
        return self._good(self("GET", path, params=query))

    def post(self, path: str, **body: Any) -> Any:
        return self._good(self("POST", path, json=body))

    def _good(self, response: requests.Response) -> Any:
        assert response.status_code == 200, response.text
        return response.json()


MakeClient = Callable[..., Client]


def btql(id: str, kind: str = "dataset", **query: Any) -> dict[str, Any]:
    source = {
        "op": "function",
        "name": {"op": "ident", "name": [kind]},
        "args": [{"op": "literal", "value": id}],
    }
    return {"select": [{"op": "star"}], "from": source, "limit": 1000, "cursor": None, **query}


def inputs(rows: list[dict[str, Any]]) -> list[Any]:
    return [row["input"] for row in rows]
