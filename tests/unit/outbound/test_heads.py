from __future__ import annotations

import pytest
from yarl import URL

from centripetal.outbound.heads import Heads


def lines(head: bytes) -> list[str]:
    assert head.endswith(b"\r\n\r\n")
    return head[:-4].decode().split("\r\n")


def test_what_all_requests_say_comes_first() -> None:
    heads = Heads(URL("http://example.com:81/a%20b?q=1#fragment"), {"X-Static": "s", "X-Both": "static"})
    assert lines(heads.of("GET", None, None)) == [
        "GET /a%20b?q=1 HTTP/1.1", "Host: example.com:81", "X-Static: s", "X-Both: static",
    ]  # fmt: skip
    assert lines(heads.of("POST", {"Own": "größe"}, 0))[-2:] == ["Own: größe", "Content-Length: 0"]


def test_headers_of_a_request_replace_common_ones_also_in_another_case() -> None:
    heads = Heads(URL("http://example.com/"), {"X-Static": "s", "X-Both": "static"})
    assert lines(heads.of("POST", {"x-both": "own", "HOST": "other"}, 7)) == [
        "POST / HTTP/1.1", "HOST: other", "X-Static: s", "x-both: own", "Content-Length: 7",
    ]  # fmt: skip
    assert "X-Both: static" in lines(heads.of("POST", None, 7)), "the next request is not concerned"


def test_a_user_in_the_url_becomes_a_header() -> None:
    heads = Heads(URL("http://al%40ice:s3cret@[::1]/"), {})
    assert lines(heads.of("GET", None, None))[1:] == ["Host: [::1]", "Authorization: Basic YWxAaWNlOnMzY3JldA=="]
    assert lines(heads.of("GET", {"authorization": "own"}, None))[2:] == ["authorization: own"]


def test_only_the_body_says_how_long_it_is() -> None:
    heads = Heads(URL("http://example.com/"), {"Content-Length": "100", "Transfer-Encoding": "chunked"})
    assert lines(heads.of("POST", {"content-length": "1"}, 7))[2:] == ["Content-Length: 7"]


@pytest.mark.parametrize(
    ("name", "value"),
    [("", "x"), ("a b", "x"), ("a:", "x"), ("a\r\nb", "x"), ("é", "x"), ("a", "x\r\ny"), ("a", "x\0"), ("a", "\ud800")],
)
def test_headers_that_cannot_be_sent(name: str, value: str) -> None:
    url = URL("http://example.com/")
    with pytest.raises(ValueError):
        Heads(url, {name: value})
    with pytest.raises(ValueError):
        Heads(url, {}).of("GET", {name: value}, None)
