"""Addresses in options."""

from __future__ import annotations

import pytest

from centripetal.transports.addresses import split_address


@pytest.mark.parametrize(
    ("text", "expected"),
    [(":80", ("", 80)), ("127.0.0.1:8080", ("127.0.0.1", 8080)), ("[::1]:80", ("::1", 80)), ("a.test:1", ("a.test", 1))],
)
def test_host_and_port(text: str, expected: tuple[str, int]) -> None:
    assert split_address(text) == expected


@pytest.mark.parametrize("text", ["", ":", "80", "a", "a:", "a:http", "a:0", "a:65536", "a:\u0661", "::1:80", ":-1", ":1 "])
def test_other_forms(text: str) -> None:
    with pytest.raises(ValueError, match="host:port"):
        split_address(text)
