"""The session of a signed-in user: a token that Braintrust accepted, and an organisation."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from flask_braintrust_evals.cloud.http.addresses import AddressRules
from flask_braintrust_evals.cloud.http.client import CloudClient
from flask_braintrust_evals.cloud.http.tokens import Token
from flask_braintrust_evals.errors import (
    AccessDeniedError,
    AuthenticationError,
    CloudAddressError,
    CloudBusyError,
    CloudError,
    CloudForbiddenError,
    CloudUnauthorizedError,
    RequestError,
)

DEFAULT_RETRY_AFTER = 5.0
"""Seconds to wait before the next login, if Braintrust does not say how long."""
_PROXY_SUFFIX = "/v1/proxy"


@dataclass(frozen=True)
class Endpoints:
    """The addresses of Braintrust's services.

    Attributes:
        app_url: the control plane, which checks tokens.
        api_url: the data plane; ``None``: the one that the login names.
        proxy_url: the function proxy; ``None``: the one that the login names.
        timeout: seconds that one attempt of a call may take.
        api_hosts: hosts that the login may name although they are not public.
    """

    app_url: str
    api_url: str | None = None
    proxy_url: str | None = None
    timeout: float = 30.0
    api_hosts: tuple[str, ...] = ()

    @property
    def rules(self) -> AddressRules:
        """The addresses that may be called although they are not public."""
        return AddressRules.of((self.app_url, self.api_url, self.proxy_url), self.api_hosts)


GIT_FIELDS = (
    "commit",
    "branch",
    "tag",
    "dirty",
    "author_name",
    "author_email",
    "commit_message",
    "commit_time",
)
"""What an organisation may collect about the code of an experiment. Braintrust's own list also has
``git_diff``, which is never sent."""


@dataclass(frozen=True)
class Organization:
    """An organisation in Braintrust, with its id and its name.

    Attributes:
        git_fields: those of :data:`GIT_FIELDS` that its settings collect.
    """

    id: str
    name: str
    git_fields: frozenset[str] = frozenset()


class UserSession:
    """Calls Braintrust as one user. All calls of a request are made with the same session.

    Attributes:
        org: the organisation that the user acts in.
        app_url: the control plane, which also serves Braintrust's web pages.
        api_url: the data plane.
        proxy_url: the function proxy, which runs saved functions.
        closed: whether :meth:`close` has been called.
        on_refusal: called when Braintrust refuses the token.
        known: objects of Braintrust that were looked up for summaries, by their kind and id.
    """

    def __init__(
        self, client: CloudClient, org: Organization, app_url: str, api_url: str, proxy_url: str
    ) -> None:
        self._client = client
        self.org = org
        self.app_url = app_url
        self.api_url = api_url
        self.proxy_url = proxy_url
        # A header can have latin-1 only. Calls that need the name also send it in another way.
        self._org_header = {"x-bt-org-name": org.name} if _is_latin_1(org.name) else {}
        self.closed = False
        self.on_refusal: Callable[[], None] = lambda: None
        self.known: dict[tuple[str, str], Any] = {}

    def __repr__(self) -> str:
        return f"UserSession(org={self.org.name!r})"

    def api(self, method: str, path: str, **options: Any) -> Any:
        """Call the data plane; the options are those of :meth:`CloudClient.call`.

        With ``optional=True``, the caller can do without the answer, and a token that is refused
        only this answer (403) is not reported to ``on_refusal``.
        """
        return self._call(method, self.api_url + path, **options)

    def proxy(self, method: str, path: str, **options: Any) -> Any:
        """Call the function proxy; the options are those of :meth:`CloudClient.call`."""
        return self._call(method, self.proxy_url + path, **options)

    def download(self, url: str, what: str, limit: int, timeout: float) -> bytes:
        """Return what is at an address: see :meth:`CloudClient.download`."""
        return self._client.download(url, what, limit, timeout)

    def upload(
        self, url: str, what: str, content: bytes, headers: Mapping[str, str], timeout: float
    ) -> None:
        """Send content to an address: see :meth:`CloudClient.upload`."""
        self._client.upload(url, what, content, headers, timeout)

    def _call(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str] | None = None,
        optional: bool = False,
        **options: Any,
    ) -> Any:
        try:
            # A token may belong to several organisations: without the header, Braintrust would
            # choose one of them.
            all_headers = {**self._org_header, **(headers or {})}
            return self._client.call(method, url, headers=all_headers, **options)
        except CloudUnauthorizedError:
            self.on_refusal()
            raise
        except CloudForbiddenError:
            if not optional:
                self.on_refusal()
            raise

    def close(self) -> None:
        """Close the connections. The session cannot be used afterwards."""
        self.closed = True
        self._client.close()

    def close_idle(self) -> None:
        """Close most of the connections that no call uses."""
        self._client.close_idle()


def log_in(
    token: Token,
    org_name: str | None,
    endpoints: Endpoints,
    *,
    named_by: str = "the x-bt-org-name header",
) -> UserSession:
    """Have Braintrust check a token, and return a session in one of the token's organisations.

    Args:
        token: the caller's token.
        org_name: the name or the id of the organisation; ``None``: the token's only one.
        endpoints: the addresses of Braintrust.
        named_by: the header or setting that names the organisation, for error messages.

    Raises:
        AuthenticationError: Braintrust does not accept the token.
        AccessDeniedError: the organisation is not one of the token's.
        RequestError: no organisation was named, and the token has several.
        CloudBusyError: Braintrust asks to wait before the next login.
        CloudAddressError: the login names an address that may not be called.
        CloudError: Braintrust could not be reached, or its answer could not be read.
    """
    rules = endpoints.rules
    client = CloudClient(token, endpoints.timeout, rules)
    try:
        answer = _check_token(client, endpoints.app_url)
        org = _choose(_organizations(answer), org_name, named_by)
        api_url = endpoints.api_url or _url(org, "api_url", rules)
        if api_url is None:
            raise CloudError(
                f"Braintrust's login names no api_url for organisation {org['name']!r};"
                " set BRAINTRUST_API_URL"
            )
        proxy_url = endpoints.proxy_url or _url(org, "proxy_url", rules) or api_url
        return UserSession(
            client,
            Organization(org["id"], org["name"], _git_fields(org)),
            endpoints.app_url,
            api_url,
            proxy_url.removesuffix(_PROXY_SUFFIX),
        )
    except BaseException:
        client.close()
        raise


def _check_token(client: CloudClient, app_url: str) -> Any:
    try:
        return client.call("POST", f"{app_url}/api/apikey/login", quick=True)
    except (CloudUnauthorizedError, CloudForbiddenError):
        raise AuthenticationError(
            f"Braintrust at {app_url} does not accept this token; sign in again, or create a new"
            " API key"
        ) from None
    except CloudError as error:
        status = error.answered or 0
        if status == 429 or (status == 503 and error.retry_after):
            raise _busy(error) from None
        if status != 404 and not 300 <= status < 400:
            raise
        raise CloudError(
            f"{app_url} is not Braintrust: {error}; check BRAINTRUST_APP_URL"
        ) from error


def _busy(error: CloudError) -> CloudBusyError:
    seconds = error.retry_after or DEFAULT_RETRY_AFTER
    busy = CloudBusyError(
        f"Braintrust accepts no further login at the moment (status {error.answered}); try again in"
        f" {math.ceil(seconds)} seconds"
    )
    busy.answered, busy.transient, busy.retry_after = error.answered, True, seconds
    return busy


def _organizations(answer: Any) -> list[dict[str, Any]]:
    listed = answer.get("org_info") if isinstance(answer, dict) else None
    if not isinstance(listed, list) or not all(
        isinstance(org, dict)
        and isinstance(org.get("id"), str)
        and isinstance(org.get("name"), str)
        for org in listed
    ):
        raise CloudError("Braintrust's answer to the login does not list organisations")
    return listed


def _choose(organizations: list[dict[str, Any]], name: str | None, named_by: str) -> dict[str, Any]:
    if name is not None:
        for key in ("name", "id"):
            for org in organizations:
                if org[key] == name:
                    return org
        raise AccessDeniedError(
            f"organisation {name!r} is not one of this token's; check {named_by}"
        )
    if not organizations:
        raise AccessDeniedError("this token belongs to no organisation")
    if len(organizations) > 1:
        names = ", ".join(repr(org["name"]) for org in organizations)
        raise RequestError(
            f"this token belongs to several organisations ({names}); name one in {named_by}"
        )
    return organizations[0]


def _git_fields(org: Mapping[str, Any]) -> frozenset[str]:
    """Return what an organisation collects about code; as in the SDK, nothing by default."""
    settings = org.get("git_metadata")
    settings = settings if isinstance(settings, Mapping) else {}
    if settings.get("collect") == "all":
        return frozenset(GIT_FIELDS)
    fields = settings.get("fields")
    if settings.get("collect") != "some" or not isinstance(fields, list):
        return frozenset()
    return frozenset(name for name in GIT_FIELDS if name in fields)


def _url(org: Mapping[str, Any], key: str, rules: AddressRules) -> str | None:
    """Return an address that the login names, if it does. The organisation has chosen it."""
    value = org.get(key)
    if not isinstance(value, str) or not value:
        return None
    what = f"the {key} of organisation {org['name']!r}"
    rules.check(value, what)
    if "?" in value or "#" in value:
        raise CloudAddressError(f"{what} must not have a query; set BRAINTRUST_API_URL")
    return value.rstrip("/")


def _is_latin_1(text: str) -> bool:
    return all(ord(character) < 256 for character in text)
