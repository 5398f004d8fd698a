"""Heads of HTTP requests: from bytes to an HttpRequest and how its body is framed.

llhttp reads whole heads only, with a new parser for each (0.4 µs), so that an idle connection owns none; bodies are framed
here and in `bodies`.
"""

from __future__ import annotations

from urllib.parse import unquote_to_bytes

import httptools

from ..interfaces.request import HttpRequest

CHUNKED = -1
"""Body length of a request with `Transfer-Encoding: chunked`."""

_MAX_LENGTH_DIGITS = 18


class BadHead(Exception):
    """A head that cannot be served.

    Attributes:
        status: to answer with; the connection must be closed then.
    """

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class Head:
    """A parsed head.

    Attributes:
        request: without remote address.
        body_length: bytes that follow; CHUNKED when chunks do.
        keep_alive: the client can send another request on this connection.
        expects_continue: it waits for `100 Continue` before it sends the body.
    """

    __slots__ = ("body_length", "expects_continue", "keep_alive", "request")

    def __init__(self, request: HttpRequest, body_length: int, keep_alive: bool, expects_continue: bool) -> None:
        self.request = request
        self.body_length = body_length
        self.keep_alive = keep_alive
        self.expects_continue = expects_continue


class _Sink:
    """Takes llhttp's callbacks; parsing is synchronous, so one serves all heads."""

    __slots__ = ("headers", "target")

    headers: dict[str, str]
    target: bytes

    def on_url(self, url: bytes) -> None:
        self.target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        key = name.decode("latin-1").lower()
        text = value.decode("latin-1")
        headers = self.headers
        if key in headers:
            # Two lengths or hosts could be read differently by a proxy before us.
            if key == "host" or key == "content-length":
                raise ValueError(key)
            text = headers[key] + ("; " if key == "cookie" else ", ") + text
        headers[key] = text


_sink = _Sink()


def parse_head(head: bytes, max_headers: int) -> Head:
    """Parses one whole head.

    Args:
        head: from the request line to the empty line, both included.
        max_headers: largest number of header lines.

    Returns:
        The request and how its body is framed.

    Raises:
        BadHead: with status 400, 431 or 501.
    """
    if head.count(b"\n") > max_headers + 2:
        raise BadHead(431)
    sink = _sink
    headers: dict[str, str] = {}
    sink.headers = headers
    sink.target = b""
    parser = httptools.HttpRequestParser(sink)
    try:
        parser.feed_data(head)
    except httptools.HttpParserUpgrade:
        pass
    except httptools.HttpParserError as error:
        raise BadHead(400) from error
    method = parser.get_method().decode("latin-1")
    version = parser.get_http_version()
    if version == "1.1":
        keep_alive = True
        if "host" not in headers:
            raise BadHead(400)
    elif version == "1.0":
        keep_alive = False
    else:
        raise BadHead(400)
    if "connection" in headers:
        connection = headers["connection"].lower()
        keep_alive = "close" not in connection if keep_alive else "keep-alive" in connection
    length = 0
    if "content-length" in headers or "transfer-encoding" in headers:
        length = _body_length(headers, version)
    path, query = _split_target(sink.target)
    expects_continue = "expect" in headers and headers["expect"].lower() == "100-continue" and version == "1.1"
    return Head(HttpRequest(method, path, query, headers, http_version=version), length, keep_alive, expects_continue)


def _body_length(headers: dict[str, str], version: str) -> int:
    coding = headers.get("transfer-encoding")
    if coding is not None:
        if "content-length" in headers or version != "1.1":
            raise BadHead(400)
        if coding.lower() != "chunked":
            raise BadHead(501)
        return CHUNKED
    text = headers["content-length"]
    if not (text.isascii() and text.isdigit() and len(text) <= _MAX_LENGTH_DIGITS):
        raise BadHead(400)
    return int(text)


def _split_target(target: bytes) -> tuple[str, str]:
    """Returns decoded path and raw query of a request target."""
    text = target.decode("latin-1")
    if text[:1] != "/":
        # The absolute form, that clients send to proxies; "*" and authorities are paths that no route has.
        scheme, separator, rest = text.partition("://")
        if separator and scheme.lower() in ("http", "https"):
            slash = rest.find("/")
            text = rest[slash:] if slash >= 0 else "/"
    text, _, query = text.partition("?")
    if "%" in text:
        text = unquote_to_bytes(text.encode("latin-1")).decode("utf-8", "replace")
    return text, query
