"""An authorised request, and the world it is made in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from .answers import Refusal
from .journal import Call, Journal
from .state import Caller, Cloud, Experiment, Project


@dataclass
class World:
    """Everything behind the HTTP edge.

    Attributes:
        page_size: The largest page of rows served, whatever the request asks for.
        cursor_on_last_page: As the real cloud: every page that has rows also has a cursor.
        addresses: What the login says of an organisation's addresses, where it is not `url`.
    """

    cloud: Cloud
    journal: Journal
    url: str = ""
    page_size: int | None = None
    cursor_on_last_page: bool = True
    addresses: dict[str, dict[str, str]] = field(default_factory=dict)

    def project_url(self, project: Project) -> str:
        return f"{self.url}/app/{quote(project.org, safe='')}/p/{quote(project.name, safe='')}"

    def experiment_url(self, project: Project, experiment: Experiment) -> str:
        return f"{self.project_url(project)}/experiments/{quote(experiment.name, safe='')}"


@dataclass(frozen=True)
class Request:
    """A call whose caller is known, with the variables of its path."""

    world: World
    call: Call
    caller: Caller
    params: Mapping[str, str]

    @property
    def body(self) -> dict[str, Any]:
        """The JSON object sent; an absent body is an empty one. Raises `Refusal`."""
        if not self.call.body:
            return {}
        media_type = self.call.headers.get("content-type", "").partition(";")[0].strip().lower()
        if media_type != "application/json":
            raise Refusal(400, f"Content-Type must be application/json, not {media_type!r}")
        if not isinstance(self.call.json, dict):
            raise Refusal(400, "The body must be a JSON object")
        return self.call.json

    def text(self, key: str) -> str:
        """A string that the body must have."""
        value = self.optional_text(key)
        if value is None:
            raise Refusal(400, f"{key} is required")
        return value

    def optional_text(self, key: str) -> str | None:
        """A string that the body may have; `null` is as good as absent."""
        value = self.body.get(key)
        if value is not None and not isinstance(value, str):
            raise Refusal(400, f"{key} must be a string")
        return value
