"""Which pages may use the server. Whatever is not surely Braintrust's is refused."""

from __future__ import annotations

import re
import string
import time
import timeit
from collections.abc import Callable
from functools import partial

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from flask_braintrust_evals.web.access.origins import is_allowed_origin

PATTERN = re.compile(r"https://[a-z]+\.example\.com(:\d+)?")
HOSTILE = {
    "empty": "",
    "blank": " ",
    "opaque": "null",
    "opaque in capitals": "NULL",
    "wildcard": "*",
    "suffix": "https://braintrust.dev.evil.com",
    "suffix of a subdomain": "https://x.preview.braintrust.dev.evil.com",
    "suffix of the exact one": "https://www.braintrustdata.com.evil.com",
    "prefix": "https://evilbraintrust.dev",
    "prefix with a dash": "https://evil-braintrust.dev",
    "prefix of the other domain": "https://evilbraintrustdata.dev",
    "in a path": "https://evil.com/www.braintrust.dev",
    "in a path with scheme": "https://evil.com/https://www.braintrust.dev",
    "in a query": "https://evil.com?.braintrust.dev",
    "in a fragment": "https://evil.com#.braintrust.dev",
    "in userinfo": "https://www.braintrust.dev@evil.com",
    "in userinfo with port": "https://www.braintrust.dev:8443@evil.com",
    "userinfo": "https://user@www.braintrust.dev",
    "userinfo with password": "https://user:secret@www.braintrust.dev",
    "empty userinfo": "https://@www.braintrust.dev",
    "backslash": "https://evil.com\\.braintrust.dev",
    "backslash behind": "https://www.braintrust.dev\\.evil.com",
    "escaped dot": "https://www.braintrust.dev%2eevil.com",
    "escaped slash": "https://evil.com%2f.braintrust.dev",
    "escaped NUL": "https://www.braintrust.dev%00.evil.com",
    "any character for a dot": "https://www.braintrustXdev",
    "dash for a dot": "https://braintrust-dev",
    "port": "https://www.braintrust.dev:8443",
    "default port": "https://www.braintrust.dev:443",
    "port zero": "http://www.braintrust.dev:0",
    "empty port": "https://www.braintrust.dev:",
    "slash": "https://www.braintrust.dev/",
    "path": "https://www.braintrust.dev/app",
    "query": "https://www.braintrust.dev?x",
    "fragment": "https://www.braintrust.dev#x",
    "root dot": "https://www.braintrust.dev.",
    "leading dot": "https://.braintrust.dev",
    "double dot": "https://x..braintrust.dev",
    "label that starts with a dash": "https://-x.braintrust.dev",
    "label that ends with a dash": "https://x-.braintrust.dev",
    "underscore": "https://x_y.braintrust.dev",
    "star for a label": "https://*.braintrust.dev",
    "newline": "https://www.braintrust.dev\n",
    "carriage return": "https://www.braintrust.dev\r",
    "both": "https://www.braintrust.dev\r\nX-Evil: 1",
    "newline in front": "\nhttps://www.braintrust.dev",
    "newline within": "https://evil.com\nhttps://www.braintrust.dev",
    "newline in the host": "https://www.\nbraintrust.dev",
    "vertical tab": "https://www.braintrust.dev\x0b",
    "next line": "https://www.braintrust.dev\x85",
    "line separator": "https://www.braintrust.dev\u2028",
    "NUL": "https://www.braintrust.dev\x00",
    "NUL and suffix": "https://www.braintrust.dev\x00.evil.com",
    "space behind": "https://www.braintrust.dev ",
    "space in front": " https://www.braintrust.dev",
    "tab": "https://www.braintrust.dev\t",
    "host in capitals": "https://www.BRAINTRUST.dev",
    "one capital": "https://www.braintrust.Dev",
    "scheme in capitals": "HTTPS://www.braintrust.dev",
    "exact one in capitals": "https://www.BraintrustData.com",
    "punycode look-alike": "https://www.xn--brintrust-bsf.dev",
    "punycode top level": "https://www.braintrust.xn--dev",
    "cyrillic a": "https://www.br\u0430intrust.dev",
    "dotless i": "https://www.bra\u0131ntrust.dev",
    "long s": "https://www.braintru\u017ft.dev",
    "fullwidth letters": "https://www.\uff42raintrust.dev",
    "unicode digit": "https://\u0661.braintrust.dev",
    "ideographic full stops": "https://www\u3002braintrust\u3002dev",
    "fullwidth full stops": "https://www\uff0ebraintrust\uff0edev",
    "halfwidth full stops": "https://www\uff61braintrust\uff61dev",
    "zero-width joiner": "https://www.brain\u200dtrust.dev",
    "soft hyphen": "https://www.brain\xadtrust.dev",
    "right-to-left mark": "https://www.braintrust.dev\u200f",
    "ftp": "ftp://www.braintrust.dev",
    "file": "file://www.braintrust.dev",
    "web socket": "wss://www.braintrust.dev",
    "script": "javascript://www.braintrust.dev",
    "extension": "chrome-extension://www.braintrust.dev",
    "longer scheme": "xhttps://www.braintrust.dev",
    "longer scheme behind": "httpss://www.braintrust.dev",
    "no scheme": "www.braintrust.dev",
    "scheme-relative": "//www.braintrust.dev",
    "one slash": "https:/www.braintrust.dev",
    "no slash": "https:www.braintrust.dev",
    "three slashes": "https:///www.braintrust.dev",
    "scheme alone": "https://",
    "top level alone": "https://dev",
    "other top level": "https://www.braintrust.com",
    "shorter top level": "https://www.braintrust.de",
    "longer top level": "https://www.braintrust.devs",
    "further top level": "https://www.braintrust.io",
    "both top levels": "https://www.braintrust.dev.com",
    "exact one without www": "https://braintrustdata.com",
    "sibling of the exact one": "https://api.braintrustdata.com",
    "subdomain of the exact one": "https://x.www.braintrustdata.com",
    "exact one without encryption": "http://www.braintrustdata.com",
    "exact one with port": "https://www.braintrustdata.com:443",
    "two by a space": "https://www.braintrust.dev https://evil.com",
    "two by a comma": "https://www.braintrust.dev, https://evil.com",
    "two by a comma, ours last": "https://evil.com,https://www.braintrust.dev",
    "address": "https://127.0.0.1",
    "localhost": "http://localhost:3000",
}


@pytest.mark.parametrize(
    "allowed",
    [
        pytest.param(is_allowed_origin, id="alone"),
        pytest.param(
            partial(is_allowed_origin, further=["https://tools.example.com", PATTERN]),
            id="beside further ones",
        ),
        pytest.param(partial(is_allowed_origin, with_token=False), id="without a token"),
    ],
)
def test_hostile_origins_are_refused(allowed: Callable[[str], bool]) -> None:
    assert [name for name, origin in HOSTILE.items() if allowed(origin)] == []


TOO_LONG = {
    "one label": "https://" + "a" * 100_000 + ".braintrust.dev",
    "many labels": "https://" + "a." * 50_000 + "braintrust.dev",
    "many labels, wrong end": "https://" + "a." * 50_000 + "braintrust.de",
    "dashes": "https://" + "a-" * 50_000 + "!",
    "dots": "https://" + "." * 100_000 + "braintrust.dev",
    "slashes": "https:" + "/" * 100_000,
    "scheme": "https" * 20_000,
    "domain over and over": "https://" + "braintrust.dev." * 7_000 + "evil.com",
}
LONG = {
    "dashes": "https://" + "a-" * 140 + "!",
    "labels": "https://" + "a." * 140 + "!",
}


@pytest.mark.parametrize("origin", TOO_LONG.values(), ids=TOO_LONG.keys())
def test_an_origin_that_is_too_long_is_refused_unmatched(origin: str) -> None:
    assert not is_allowed_origin(origin, map(pytest.fail, ["it was matched"]))


@pytest.mark.parametrize("origin", LONG.values(), ids=LONG.keys())
def test_a_long_origin_takes_little_longer_than_a_short_one(origin: str) -> None:
    def cost(origin: str) -> float:
        further = [re.compile(r"https://[a-z.-]+\.example\.com")]
        assert not is_allowed_origin(origin, further)
        check = partial(is_allowed_origin, origin, further)
        return min(timeit.repeat(check, timer=time.thread_time, number=100, repeat=5))

    # Some 10 times, where the length is of the first power; 20,000 times, where it is of the third.
    assert cost(origin) < 1000 * cost("https://evil.com")


@pytest.mark.parametrize(
    "origin",
    [
        "https://www.braintrust.dev",
        "https://braintrust.dev",
        "http://braintrust.dev",
        "https://braintrustdata.dev",
        "http://www.braintrustdata.dev",
        "https://x.preview.braintrust.dev",
        "https://a.b.c.d.braintrustdata.dev",
        "https://my-branch-12.preview.braintrust.dev",
        "https://1.braintrust.dev",
        "https://a--b.braintrust.dev",
        "https://www.braintrustdata.com",
    ],
)
def test_braintrusts_own_pages_are_allowed(origin: str) -> None:
    assert is_allowed_origin(origin)


@pytest.mark.parametrize(
    "origin",
    [
        "http://www.braintrust.dev",
        "http://anything.braintrust.dev",
        "https://anything.braintrust.dev",
        "https://braintrust.dev",
        "https://www.braintrustdata.dev",
        "https://www.braintrustdata.com",
    ],
)
def test_without_a_token_no_page_of_braintrust_but_the_playground_is_allowed(origin: str) -> None:
    assert not is_allowed_origin(origin, with_token=False)
    assert is_allowed_origin(origin, [origin], with_token=False)
    assert is_allowed_origin("https://www.braintrust.dev", with_token=False)


@pytest.mark.parametrize(
    ("further", "origin", "allowed"),
    [
        ("https://tools.example.com", "https://tools.example.com", True),
        ("https://tools.example.com", "https://tools.example.com:443", False),
        ("https://tools.example.com", "https://tools.example.com.evil.com", False),
        ("https://tools.example.com", "https://toolsxexample.com", False),
        ("https://tools.example.com", "https://TOOLS.example.com", False),
        ("https://tools.example.com", "https://x.tools.example.com", False),
        ("http://localhost:3000", "http://localhost:3000", True),
        ("http://localhost:3000", "http://localhost:30000", False),
        ("https://.*", "https://evil.com", False),
        (PATTERN, "https://tools.example.com", True),
        (PATTERN, "https://tools.example.com:8443", True),
        (PATTERN, "https://tools.example.com.evil.com", False),
        (PATTERN, "https://tools.example.com:8443/path", False),
        (PATTERN, "https://tools.example.com\n", False),
        (PATTERN, "x https://tools.example.com", False),
        (re.compile("https://a"), "https://ab", False),
        (re.compile("https://a$"), "https://a\n", False),
        (re.compile("(?i)https://a"), "HTTPS://A", True),
        (re.compile("https://a|https://b"), "https://b", True),
        (re.compile(".*"), "", False),
    ],
)
def test_a_further_origin_is_matched_whole(
    further: str | re.Pattern[str], origin: str, allowed: bool
) -> None:
    assert is_allowed_origin(origin, [further]) is allowed


def surely_braintrust(origin: str) -> bool:
    """The rule, once more and without patterns."""
    if origin == "https://www.braintrustdata.com":
        return True
    scheme, separator, host = origin.partition("://")
    labels = host.split(".")
    return (
        scheme in ("http", "https")
        and bool(separator)
        and labels[-1] == "dev"
        and labels[-2:-1] in (["braintrust"], ["braintrustdata"])
        and all(
            label and set(label) <= {*string.ascii_lowercase, *"0123456789-"} for label in labels
        )
    )


pieces = st.sampled_from(
    ["http://", "https://", "www", ".", "braintrust", "data", "dev", "com", "evil", ":", "/", "@"]
    + ["443", "\n", "\x00", "-", "#", "?", "\u3002", "X", "*"]
)


@pytest.mark.slow
@given(st.text() | st.lists(pieces, max_size=12).map("".join))
@settings(max_examples=400, deadline=None)
def test_nothing_that_does_not_end_in_an_allowed_host_passes(origin: str) -> None:
    if is_allowed_origin(origin):
        assert surely_braintrust(origin)


@pytest.mark.slow
@given(
    st.sampled_from(["https://x.preview.braintrust.dev", "https://www.braintrustdata.com"]),
    st.integers(0, 40),
    st.integers(0, 2),
    st.text(max_size=2),
)
@example("https://x.preview.braintrust.dev", 32, 0, "\n")
@settings(max_examples=400, deadline=None)
def test_no_small_change_of_an_allowed_origin_lets_another_host_in(
    origin: str, place: int, cut: int, put: str
) -> None:
    changed = origin[:place] + put + origin[place + cut :]
    if is_allowed_origin(changed):
        assert surely_braintrust(changed)
