"""Token, organisation and project, as a request's headers say them."""

from __future__ import annotations

import pytest
from werkzeug.datastructures import Headers

from flask_braintrust_evals.errors import RequestError
from flask_braintrust_evals.web.access.credentials import Credentials
from tests.web.support import Api, error_of


def read(*headers: tuple[str, str]) -> Credentials:
    return Credentials.of(Headers(list(headers)))


@pytest.mark.parametrize(
    "name", ["Authorization", "x-bt-auth-token", "x-bt-org-name", "x-bt-project-id"]
)
@pytest.mark.parametrize(
    "character",
    ["\x00", "\t", "\x1b", "\x7f", "\x85", "\u2028", "\u200f"],
    ids=["NUL", "tab", "escape", "delete", "next line", "line separator", "right-to-left mark"],
)
def test_a_value_with_control_characters_is_refused_by_its_headers_name(
    name: str, character: str
) -> None:
    headers = {name: f"a{character}b"}
    with pytest.raises(RequestError) as caught:
        Credentials.of(headers)
    assert str(caught.value) == f"header {name}: has control characters"
    assert caught.value.status == 400


@pytest.mark.parametrize(
    "name", ["Authorization", "x-bt-auth-token", "x-bt-org-name", "x-bt-project-id"]
)
def test_an_overlong_value_is_refused_and_not_repeated(name: str) -> None:
    with pytest.raises(RequestError) as caught:
        read((name, "s" * 4097))
    assert str(caught.value) == f"header {name}: longer than 4096 characters"


@pytest.mark.parametrize(
    ("headers", "token"),
    [
        ([], None),
        ([("x-bt-auth-token", "")], None),
        ([("x-bt-auth-token", "   ")], None),
        ([("x-bt-auth-token", "null")], None),
        ([("x-bt-auth-token", " NuLL ")], None),
        ([("Authorization", "")], None),
        ([("Authorization", "null")], None),
        ([("Authorization", "Bearer")], None),
        ([("Authorization", "Bearer ")], None),
        ([("Authorization", "Bearer null")], None),
        ([("Authorization", "bearer  NULL ")], None),
        ([("x-bt-auth-token", "null"), ("Authorization", "Bearer null")], None),
        ([("x-bt-auth-token", "own")], "own"),
        ([("X-Bt-Auth-Token", "  own ")], "own"),
        ([("x-bt-auth-token", "own"), ("Authorization", "Bearer other")], "own"),
        ([("Authorization", "Bearer other"), ("x-bt-auth-token", "own")], "own"),
        ([("x-bt-auth-token", "null"), ("Authorization", "Bearer other")], "other"),
        ([("x-bt-auth-token", ""), ("Authorization", "other")], "other"),
        ([("Authorization", "Bearer sk-1")], "sk-1"),
        ([("Authorization", "bearer sk-1")], "sk-1"),
        ([("Authorization", "BEARER   sk-1  ")], "sk-1"),
        ([("authorization", "sk-1")], "sk-1"),
        ([("Authorization", "Bearersk-1")], "Bearersk-1"),
        ([("Authorization", "Basic c2s6MQ==")], "Basic c2s6MQ=="),
        ([("Authorization", "nullable")], "nullable"),
        ([("Authorization", "Bearer " + "s" * 4089)], "s" * 4089),
        ([("x-bt-auth-token", "s" * 4096)], "s" * 4096),
    ],
)
def test_the_token_is_read_from_its_own_header_else_from_authorization(
    headers: list[tuple[str, str]], token: str | None
) -> None:
    assert read(*headers).token == token


@pytest.mark.parametrize(
    ("value", "read_as"),
    [(None, None), ("", None), (" ", None), ("null", None), ("Null", None), (" acme ", "acme")]
    + [("Acme & Söhne", "Acme & Söhne"), ("nullable", "nullable")],
)
def test_organisation_and_project_are_read_without_the_space_around_them(
    value: str | None, read_as: str | None
) -> None:
    headers = {} if value is None else {"x-bt-org-name": value, "x-bt-project-id": value}
    credentials = Credentials.of(headers)
    assert (credentials.org_name, credentials.project_id) == (read_as, read_as)


def test_a_token_is_not_shown() -> None:
    credentials = read(("x-bt-auth-token", "sk-secret"), ("x-bt-org-name", "acme"))
    assert "sk-secret" not in repr(credentials)
    assert "sk-secret" not in str(credentials)


@pytest.mark.parametrize("name", ["Authorization", "x-bt-auth-token", "x-bt-org-name"])
def test_absurd_headers_are_400_in_an_application(api: Api, name: str) -> None:
    text = error_of(api.get("/list", headers={name: "s" * 5000}), 400)
    assert text == f"header {name}: longer than 4096 characters"


@pytest.mark.parametrize("value", ["Basic dXNlcjpwYXNz", "Digest a=1, b=2", "Bearer two words"])
def test_what_is_no_key_is_401_and_says_how_to_send_one(api: Api, value: str) -> None:
    answer = api.get("/list", headers={"Authorization": value, "x-bt-auth-token": ""})
    error = error_of(answer, 401)
    assert "holds no Braintrust API key: send your Braintrust API key as 'Authorization" in error
    assert value.split()[-1] not in error
