"""Which addresses that Braintrust's answers name are called, and which are not."""

from __future__ import annotations

import pytest

from flask_braintrust_evals.cloud.http.addresses import AddressRules, Origin, is_public
from flask_braintrust_evals.errors import CloudAddressError

HOW = "set BRAINTRUST_API_URL, or add the host to BRAINTRUST_EVALS_API_HOSTS"


@pytest.mark.parametrize(
    "address",
    [
        "0.0.0.0",
        "10.0.0.7",
        "100.64.0.1",
        "100.100.100.200",
        "127.0.0.1",
        "127.255.255.254",
        "168.63.129.16",
        "169.254.169.254",
        "172.16.0.1",
        "172.31.255.255",
        "192.0.0.192",
        "192.0.2.1",
        "192.88.99.1",
        "192.168.1.1",
        "198.18.0.1",
        "224.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::127.0.0.1",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.7",
        "::ffff:8.8.8.8",
        "64:ff9b::10.0.0.7",
        "64:ff9b::a9fe:a9fe",
        "64:ff9b:1::808:808",
        "100::1",
        "2001::1",
        "2001:db8::1",
        "2002:a00:7::1",
        "2002:808:808::1",
        "3fff::1",
        "fc00::1",
        "fd00:ec2::254",
        "fe80::1",
        "fe80::1%eth0",
        "fec0::1",
        "ff02::1",
        "",
        "localhost",
        "2130706433",
    ],
)
def test_an_address_of_a_network_is_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize(
    "address",
    ["8.8.8.8", "172.32.0.1", "100.128.0.1", "2606:4700::1111", "64:ff9b::808:808", "2001:4860::8"],
)
def test_an_address_of_the_internet_is_public(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://api.example.com", "the x at api.example.com is not https"),
        ("http://127.0.0.1:8001", "the x at 127.0.0.1 is not https"),
        ("https://127.0.0.1", "the x at 127.0.0.1 is not public"),
        ("https://127.0.0.1.:8000", "the x at 127.0.0.1 is not public"),
        ("https://169.254.169.254/latest", "the x at 169.254.169.254 is not public"),
        ("https://[::1]:8000", "the x at ::1 is not public"),
        ("https://[::ffff:10.0.0.1]", "the x at ::ffff:10.0.0.1 is not public"),
        ("https://[fe80::1%25eth0]", "the x at fe80::1%25eth0 is not public"),
    ],
)
def test_an_address_that_leads_inward_is_refused_with_what_an_operator_can_do(
    url: str, reason: str
) -> None:
    with pytest.raises(CloudAddressError) as caught:
        AddressRules.of(["https://www.braintrust.dev"]).check(url, "the x")
    text = f"{reason}, so this server does not call it; if it should, {HOW}"
    assert (str(caught.value), caught.value.status) == (text, 502)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "//api.example.com",
        "api.example.com",
        "ftp://api.example.com",
        "file:///etc/passwd",
        "gopher://127.0.0.1:70",
        "https://",
        "https://:443",
        "https://user:password@api.example.com",
        "https://api.example.com@127.0.0.1",
        "https://api.example.com\\@127.0.0.1",
        "https://api.example.com:0",
        "https://api.example.com:x",
        "https://api.example.com:99999",
        "https://[::1",
        "https://api.example.com/a b",
        "https://api.example.com\n",
    ],
)
def test_what_is_no_plain_address_is_refused(url: str) -> None:
    with pytest.raises(CloudAddressError, match=r"^the x is not an http:// or https:// address$"):
        AddressRules(hosts=("*.example.com", "127.0.0.1")).check(url, "the x")


@pytest.mark.parametrize(
    ("configured", "same", "others"),
    [
        (
            "http://127.0.0.1:8001/app",
            ["http://127.0.0.1:8001", "http://127.0.0.1:8001/other"],
            ["http://127.0.0.1:8002", "https://127.0.0.1:8001", "http://127.0.0.2:8001"],
        ),
        (
            "https://10.0.0.1",
            ["https://10.0.0.1:443", "HTTPS://10.0.0.1"],
            ["https://10.0.0.1:8443", "http://10.0.0.1"],
        ),
        ("http://Größe.internal", ["http://größe.internal/x"], ["http://groesse.internal"]),
    ],
)
def test_the_origin_of_a_configured_address_is_allowed_whatever_it_is(
    configured: str, same: list[str], others: list[str]
) -> None:
    rules = AddressRules.of([configured, None])
    for url in same:
        assert rules.exempts(rules.check(url, "the x"))
    for url in others:
        with pytest.raises(CloudAddressError):
            rules.check(url, "the x")


@pytest.mark.parametrize(
    ("host", "allowed", "refused"),
    [
        (
            "api.internal",
            ["http://api.internal", "https://API.internal:8443/x"],
            ["http://x.api.internal", "http://api.internal.evil.com", "http://internal"],
        ),
        ("api.internal:8443", ["http://api.internal:8443"], ["http://api.internal"]),
        (
            "*.internal",
            ["http://a.internal", "http://a.b.internal:81"],
            ["http://internal", "http://ainternal", "http://a.internal.evil.com"],
        ),
        ("*.internal:81", ["http://a.internal:81"], ["http://a.internal:82"]),
        ("10.0.0.7", ["http://10.0.0.7:9000"], ["http://10.0.0.8"]),
        ("[fd00::1]", ["http://[fd00::1]:81"], ["http://[fd00::2]"]),
        ("[fd00::1]:81", ["http://[fd00::1]:81"], ["http://[fd00::1]:82"]),
    ],
)
def test_a_listed_host_is_allowed_and_no_other(
    host: str, allowed: list[str], refused: list[str]
) -> None:
    rules = AddressRules(hosts=(host,))
    for url in allowed:
        rules.check(url, "the x")
    for url in refused:
        with pytest.raises(CloudAddressError):
            rules.check(url, "the x")


@pytest.mark.parametrize(
    ("url", "trusted"),
    [
        ("http://127.0.0.1:8001/x", True),
        ("https://api.braintrust.dev", True),
        ("https://api-eu.braintrust.dev", True),
        ("http://api.braintrust.dev", False),
        ("https://evilbraintrust.dev", False),
        ("https://braintrust.dev.evil.com", False),
        ("https://api.example.com", False),
        ("http://api.internal", False),
    ],
)
def test_texts_are_quoted_from_configured_addresses_and_braintrusts_own(
    url: str, trusted: bool
) -> None:
    rules = AddressRules.of(["http://127.0.0.1:8001"], ["api.internal"])
    origin = Origin.of(url)
    assert origin is not None
    assert rules.trusts(origin) is trusted


def test_behind_a_proxy_an_address_that_cannot_be_checked_is_refused() -> None:
    rules = AddressRules.of(["https://braintrust.example.com"], ["api.internal"])
    for url in (
        "https://braintrust.example.com",
        "http://api.internal",
        "https://api.braintrust.dev",
    ):
        rules.check_behind_proxy(rules.check(url, "the x"))
    with pytest.raises(CloudAddressError, match="cannot be checked behind a proxy"):
        rules.check_behind_proxy(rules.check("https://rebind.example.com", "the x"))
