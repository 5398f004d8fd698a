"""Heads of HTTP requests: from bytes to an HttpRequest and how its body is framed.

llhttp checks whole heads only, with a new parser for each (0.4 µs), so that an idle connection owns none; bodies are framed
here and in `bodies`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import unquote_to_bytes

import httptools

from ..interfaces.request import HttpRequest

if TYPE_CHECKING:
    from .endpoints import HttpEndpoint, Routes

CHUNKED = -1
"""Body length of a request with `Transfer-Encoding: chunked`."""

_MAX_LENGTH_DIGITS = 18
_KNOWN_HEADS = 256
_KNOWN_BYTES = 1024


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

    def again(self) -> Head:
        """Returns the same for another request; only the header mapping is shared."""
        old = self.request
        request = HttpRequest(old.method, old.path, old.query, old.headers, http_version=old.http_version)
        return Head(request, self.body_length, self.keep_alive, self.expects_continue)


class KnownHead:
    """The head of a request that was served, and may come again on its connection: clients of an API send the same one.

    Args:
        text: from the request line to the empty line.
        head: what it says; its body has a known length.
        endpoint: who answers it; one that forgets requests.
        routes: by which that was found.
    """

    __slots__ = ("_routes", "endpoint", "head", "text")

    def __init__(self, text: bytes, head: Head, endpoint: HttpEndpoint, routes: Routes) -> None:
        self.text = text
        self.head = head
        self.endpoint = endpoint
        self._routes = routes

    def find_end(self, data: bytes, position: int, routes: Routes) -> int:
        """Returns where such a request ends; 0 if another one begins at the position, or it has not come as a whole.

        Args:
            data: received bytes.
            position: where a request begins in them.
            routes: that hold now.
        """
        if routes is self._routes and data.startswith(self.text, position):
            end = position + len(self.text) + self.head.body_length
            if end <= len(data):
                return end
        return 0


class HeadReader:
    """Parses heads, and remembers some: the heads of an API client hardly differ.

    Args:
        max_headers: see parse_head.
    """

    __slots__ = ("_known", "_max_headers")

    def __init__(self, max_headers: int) -> None:
        self._max_headers = max_headers
        self._known: dict[bytes, Head] = {}

    def read(self, head: bytes) -> Head:
        """Parses a head as parse_head does; the header mapping must not be changed."""
        known = self._known.get(head)
        if known is not None:
            return known.again()
        parsed = parse_head(head, self._max_headers)
        if parsed.body_length and len(head) <= _KNOWN_BYTES:
            if len(self._known) >= _KNOWN_HEADS:
                self._known.clear()
            self._known[head] = parsed.again()
        return parsed


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
    lines = head.decode("latin-1").split("\r\n")
    if len(lines) > max_headers + 3:
        raise BadHead(431)
    try:
        # Without callbacks: llhttp checks the syntax, strictly, and what it lets pass is simple to split.
        httptools.HttpRequestParser(None).feed_data(head)
    except httptools.HttpParserUpgrade:
        pass
    except httptools.HttpParserError as error:
        raise BadHead(400) from error
    request_line = lines[0].split(" ")
    if len(request_line) != 3:
        raise BadHead(400)
    method, target, version = request_line
    headers: dict[str, str] = {}
    for line in lines[1:-2]:
        name, colon, value = line.partition(":")
        name = name.lower()
        if name in headers or not colon:
            _repeat(headers, name, value.strip(" \t"))
        else:
            headers[name] = value.strip(" \t")
    if version == "HTTP/1.1":
        version, keep_alive = "1.1", True
        if "host" not in headers:
            raise BadHead(400)
    elif version == "HTTP/1.0":
        version, keep_alive = "1.0", False
    else:
        raise BadHead(400)
    if "connection" in headers:
        connection = headers["connection"].lower()
        keep_alive = "close" not in connection if keep_alive else "keep-alive" in connection
    length = 0
    if "content-length" in headers or "transfer-encoding" in headers:
        length = _body_length(headers, version)
    if target[0] == "/" and "%" not in target:
        path, _, query = target.partition("?")
    else:
        path, query = split_target(target)
    expects_continue = "expect" in headers and headers["expect"].lower() == "100-continue" and version == "1.1"
    return Head(HttpRequest(method, path, query, headers, http_version=version), length, keep_alive, expects_continue)


def _repeat(headers: dict[str, str], name: str, value: str) -> None:
    """Joins the values of a repeated header."""
    # Two lengths or hosts could be read differently by a proxy before us; names are not empty and have a colon.
    if name in ("host", "content-length", "") or name not in headers:
        raise BadHead(400)
    headers[name] += ("; " if name == "cookie" else ", ") + value


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


def split_target(text: str) -> tuple[str, str]:
    """Returns decoded path and raw query of a request target."""
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
