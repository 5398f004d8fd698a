"""Where keys are: which templates are safe, and what fills them."""

from __future__ import annotations

from typing import Any

import pytest
import re2

from centripetal.auth import TokenSettings, TokenSettingsError, unsafe_endpoints
from centripetal.auth.key_endpoint import KeyEndpoint
from centripetal.interfaces import TokenInvalid


def endpoint(template: str, issuer: str = "", audience: str = "", *, skip: bool = False) -> KeyEndpoint:
    for expression in (issuer, audience):
        re2.compile(expression)
    settings = TokenSettings(
        jwks_public_endpoint=template,
        issuer_regex=issuer,
        audience_regex=audience,
        insecure_skip_jwks_endpoint_safety_check=skip,
    )
    return KeyEndpoint(settings, "client.token")


PATH = "https://keys.test/{{realm}}/certs"


@pytest.mark.parametrize(
    "issuer",
    [
        r"https://x/(?P<realm>master|production)", r"(?P<realm>one)", r"(?P<realm>a|ab|abc)", r"(?<realm>a|b)",
        r"^https://(?P<realm>auth\.us\.test|auth\.eu\.test)$", r"(?P<realm>(?:a|b)-(c|d))", r"(?i)(?P<realm>a|b)",
        r"(?P<other>.+)/(?P<realm>a|b)", r"[a-z(]+(?P<realm>a|b)[)]", r"\((?P<realm>a|b)\)", r"\Q(\E(?P<realm>a|b)",
        r"(?P<realm>a_b|c-d|e f)", r"(?P<realm>(?P<inner>a|b)c)/.*", r"[]()](?P<realm>a)", r"[^](](?P<realm>a)",
    ],
)  # fmt: skip
def test_lists_of_fixed_values_are_safe(issuer: str) -> None:
    made = endpoint(PATH, issuer)
    assert made.is_template and made.warning == "" and not made.public_only
    assert endpoint(PATH, "", issuer).warning == ""


@pytest.mark.parametrize(
    "issuer",
    [
        r"(?P<realm>.+)", r"(?P<realm>.*)", r"(?P<realm>[a-z]+)", r"(?P<realm>[ab])", r"(?P<realm>a|b+)",
        r"(?P<realm>ab?)", r"(?P<realm>a{1,9})", r"(?P<realm>\w)", r"(?P<realm>\d|a)", r"(?P<realm>\pL)",
        r"(?P<realm>a|.)", r"(?P<realm>(a|b)*)", r"(?P<realm>(?:a|(?:b|(.))))", r"(?P<realm>^a$)", r"(?<realm>.+)",
        r"(?P<realm>\Q.+\E)", r"(?P<realm>(?s:.))", r"(?P<realm>\x41)", r"(?P<realm>a\)|.+)", r"(?P<realm>a|b\.+)",
        r"x(?P<realm>(?P<inner>.+))", r"[(](?P<realm>.)",
    ],
)  # fmt: skip
def test_other_expressions_are_not_safe(issuer: str) -> None:
    for place in ({"issuer": issuer}, {"audience": issuer}, {"issuer": "(?P<realm>a)", "audience": issuer}):
        with pytest.raises(TokenSettingsError, match=r"client\.token\.jwks_public_endpoint: group realm of client\.tok"):
            endpoint(PATH, **place)
    made = endpoint(PATH, issuer, skip=True)
    assert "not safe" in made.warning and not made.public_only
    assert endpoint("https://{{realm}}.test/certs", issuer, skip=True).public_only


def test_a_place_needs_a_group() -> None:
    for issuer in ("", "(?P<other>a|b)", r"\(?P<realm>a|b", r"[(?P<realm>a)]"):
        with pytest.raises(TokenSettingsError, match=r"\{\{realm\}\} is not a named group"):
            endpoint(PATH, issuer, skip=True)


@pytest.mark.parametrize(
    "template",
    [
        "keys.test/x", "ftp://keys.test/", "https://", "https:///x", "file:///etc/passwd", "https://a b/", "https://a/\n",
        "{{realm}}://keys.test/", "{{realm}}", "https://keys.test:port/", "https://[::1/", "//keys.test/",
    ],
)  # fmt: skip
def test_what_is_no_address(template: str) -> None:
    with pytest.raises(TokenSettingsError, match=r"client\.token\.jwks_public_endpoint: is not") as raised:
        endpoint(template, "(?P<realm>a|b)")
    assert "passwd" not in str(raised.value)


def test_warnings_are_for_the_start() -> None:
    assert unsafe_endpoints(TokenSettings()) == []
    assert unsafe_endpoints(TokenSettings(jwks_public_endpoint="https://keys.test")) == []
    unsafe = TokenSettings(
        jwks_public_endpoint=PATH, issuer_regex="(?P<realm>.+)", insecure_skip_jwks_endpoint_safety_check=True
    )
    (warning,) = unsafe_endpoints(unsafe, "client.subscription_token")
    assert warning.startswith("client.subscription_token.jwks_public_endpoint: not safe")


def test_a_fixed_address_stays_as_it_is() -> None:
    for url in ("https://keys.test", "http://u:p@keys.test:81/a//b/../c?x=/../y", "https://[::1]:8443/"):
        assert endpoint(url).url({}) == url and not endpoint(url).is_template


ANY = "(?P<realm>(?s:.*))"


@pytest.mark.parametrize(
    ("template", "value", "url"),
    [
        (PATH, "master", "https://keys.test/master/certs"),
        (PATH, "a/b.c~d_e-f", "https://keys.test/a/b.c~d_e-f/certs"),
        ("https://{{realm}}/certs", "a.test:8443", "https://a.test:8443/certs"),
        ("https://{{realm}}.keys.test/{{realm}}", "one", "https://one.keys.test/one"),
        ("https://keys.test/?realm={{realm}}", "one", "https://keys.test/?realm=one"),
        ("https://keys.test/certs?realm={{realm}}#x", "one", "https://keys.test/certs?realm=one#x"),
    ],
)
def test_values_that_fit(template: str, value: str, url: str) -> None:
    assert endpoint(template, ANY, skip=True).url({"realm": value}) == url


IN_PATH: list[Any] = [
    "", ".", "..", "../..", "a/../b", "/", "a//b", "/a", "a/", "..%2f", "%2e%2e", "%", "a?b", "a#b", "a\\b", "..\\", "a b",
    "a\n", "\r\n", "\x00", "\u00e9", "\uff0e\uff0e", "\u2215", "{{realm}}", "x" * 3000,
]  # fmt: skip
IN_HOST = [
    "", ".", "a.", ".a", "-", "evil.test/", "evil.test/x?", "evil.test#", "evil.test\\", "u@evil.test", "u:p@evil.test",
    "a:b", "a:1:2", "a:123456", "[::1]", "a b", "a%2f", "\u00e9vil.test", "evil.test\n", "x" * 3000,
]  # fmt: skip


@pytest.mark.parametrize(
    ("template", "values"),
    [
        (PATH, IN_PATH),
        ("https://{{realm}}/certs", IN_HOST),
        ("https://{{realm}}.keys.test/certs", IN_HOST),
        ("https://keys.test/?realm={{realm}}", ["", "a&b=c", "a/b", "a#", "%20", "a b", "x" * 3000]),
    ],
)
def test_values_that_do_not_fit(template: str, values: list[str]) -> None:
    made = endpoint(template, ANY, skip=True)
    for value in values:
        with pytest.raises(TokenInvalid):
            made.url({"realm": value})
    with pytest.raises(TokenInvalid):
        made.url({})
