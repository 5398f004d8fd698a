"""HTTP responses as bytes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Sequence
from email.utils import formatdate
from http import HTTPStatus

from ..interfaces.request import HttpRequest, HttpResponse
from ..protocol.websocket import accept

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_REASONS = {status.value: status.phrase for status in HTTPStatus}


class ResponseWriter:
    """Encodes responses; formats the date once a second. The AnswerWriter of HTTP/1.x.

    Attributes:
        constant: header lines of every response.
    """

    __slots__ = ("_date", "_date_until", "_starts", "constant")

    def __init__(self) -> None:
        self.constant: list[str] = []
        self._date = ""
        self._date_until = 0.0
        self._starts: dict[tuple[int, Sequence[tuple[str, str]]], bytes] = {}
        """What answers with headers in a tuple begin with, up to their length; for one second, as the date."""

    def encode(
        self, response: HttpResponse, *, close: bool, http_10: bool = False, without_body: bool = False
    ) -> bytes:
        """Encodes one response.

        Args:
            response: what to send.
            close: the connection ends after it.
            http_10: the client speaks HTTP/1.0 and must be told when the connection stays.
            without_body: the request was a HEAD.

        Raises:
            ValueError: a header contains a line break.
        """
        if type(response.headers) is tuple and response.status == 200 and not (close or http_10 or without_body):
            return self._encode_known(response)
        status = response.status
        lines = self._begin(status, response.headers)
        body = response.body
        if status >= 200 and status != 204 and status != 304:
            lines.append(f"Content-Length: {len(body)}")
        else:
            body = b""
        if close:
            lines.append("Connection: close")
        elif http_10:
            lines.append("Connection: keep-alive")
        data = _join(lines)
        return data if without_body or not body else data + body

    def _encode_known(self, response: HttpResponse) -> bytes:
        """Encodes an answer to a client of HTTP/1.1 that stays, with headers that are given often."""
        if time.time() >= self._date_until:
            self._starts.clear()
        body = response.body
        key = response.status, response.headers
        start = self._starts.get(key)
        if start is None:
            lines = self._begin(response.status, response.headers)
            start = self._starts[key] = _join(lines)[:-2] + b"Content-Length: "
        return b"%b%d\r\n\r\n%b" % (start, len(body), body)

    def open(self, transport: asyncio.Transport, headers: list[tuple[str, str]], body: bytes, *, chunked: bool) -> None:
        """Sends the head of an answer that ends with the connection; see endpoints.AnswerWriter."""
        lines = self._begin(200, headers)
        if chunked:
            lines.append("Transfer-Encoding: chunked")
        lines.append("Connection: close")
        transport.write(_join(lines) + body)

    def respond(self, transport: asyncio.Transport, response: HttpResponse) -> None:
        """Sends the connection's last response; see endpoints.AnswerWriter."""
        transport.write(self.encode(response, close=True))

    def accept(self, transport: asyncio.Transport, request: HttpRequest, subprotocol: str, extensions: str) -> None:
        """Switches protocols (RFC 6455, 4.2.2); see endpoints.AnswerWriter."""
        transport.write(accept(request.headers["sec-websocket-key"], subprotocol, extensions))

    def date(self) -> str:
        """Returns the value of the Date header."""
        now = time.time()
        if now >= self._date_until:
            self._date_until = float(int(now) + 1)
            self._date = formatdate(now, usegmt=True)
        return self._date

    def _begin(self, status: int, headers: Iterable[tuple[str, str]]) -> list[str]:
        lines = [f"HTTP/1.1 {status} {_REASONS.get(status, 'Unknown')}", f"Date: {self.date()}", *self.constant]
        for name, value in headers:
            lines.append(f"{name}: {value}")
        return lines


def _join(lines: list[str]) -> bytes:
    head = "\r\n".join(lines)
    if head.count("\n") != len(lines) - 1 or head.count("\r") != len(lines) - 1:
        raise ValueError("line break in a header")
    return head.encode("latin-1", "replace") + b"\r\n\r\n"


def plain(status: int, headers: Iterable[tuple[str, str]] = ()) -> HttpResponse:
    """Makes a response whose body is the status' name."""
    text = _REASONS.get(status, "Unknown").encode() + b"\n"
    return HttpResponse(status, [("Content-Type", "text/plain; charset=utf-8"), *headers], text)
