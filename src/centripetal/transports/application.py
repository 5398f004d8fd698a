"""Runs the fallback application for one request of a connection that carries many.

The protocols of uvicorn speak HTTP/1.x only; what an application needs of HTTP/2 and HTTP/3 is little.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import structlog

from ..interfaces.request import HttpRequest
from .exchange_writer import EXCHANGE_WRITER
from .fallback import Fallback
from .responses import plain

if TYPE_CHECKING:
    from .exchange import Exchange

_log = structlog.get_logger()

MAX_RUNS = 1000
"""So many requests may be with an application at once; more are answered 503."""

_MAX_WAITING_BYTES = 65536

_WAITS, _STARTED, _COMPLETE = range(3)


class ApplicationRun(asyncio.Protocol):
    """One call of an ASGI application; the protocol of its exchange.

    Args:
        fallback: the application.
        exchange: of the request.
        request: what is asked for.
        ended: there is no body.
    """

    __slots__ = ("_body", "_changed", "_ended", "_exchange", "_fallback", "_gone", "_head", "_request", "_state", "_told")

    def __init__(self, fallback: Fallback, exchange: Exchange, request: HttpRequest, *, ended: bool) -> None:
        self._fallback = fallback
        self._exchange = exchange
        self._request = request
        self._body = bytearray()
        self._ended = ended
        self._told = False  # the application knows that the body has ended
        self._gone = False
        self._state = _WAITS
        self._head: tuple[int, list[tuple[str, str]]] | None = None
        self._changed = asyncio.Event()  # something that receive() or send() may wait for

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begins."""
        runs = self._fallback.runs  # the loop itself keeps no reference to its tasks
        task = loop.create_task(self._run())
        runs.add(task)
        task.add_done_callback(runs.discard)

    # What the exchange tells

    def data_received(self, data: bytes) -> None:
        self._body += data
        if len(self._body) > _MAX_WAITING_BYTES:
            self._exchange.pause_reading()
        self._changed.set()

    def eof_received(self) -> bool:
        self._ended = True
        if not self._exchange.is_full:
            self._exchange.body_read()
        self._changed.set()
        return True

    def pause_writing(self) -> None:
        self._exchange.await_reader()

    def resume_writing(self) -> None:
        self._exchange.body_read()
        self._changed.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self._gone = True
        self._changed.set()

    # The application

    async def _run(self) -> None:
        exchange = self._exchange
        try:
            await self._fallback.app(_scope(self._request, exchange), self._receive, self._send)
        except Exception:  # noqa: BLE001  the application's mistake ends its request only
            _log.exception("http_request_failed", method=self._request.method)
        if self._gone or self._state == _COMPLETE:
            return
        if self._state == _WAITS:
            EXCHANGE_WRITER.respond(exchange, plain(500))
            exchange.finish()
        else:
            exchange.abort()

    async def _receive(self) -> dict[str, Any]:
        while not self._gone and self._state != _COMPLETE:
            if self._body or (self._ended and not self._told):
                data = bytes(self._body)
                self._body.clear()
                self._told = self._ended
                if not self._ended:
                    self._exchange.resume_reading()
                return {"type": "http.request", "body": data, "more_body": not self._ended}
            self._changed.clear()
            await self._changed.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: dict[str, Any]) -> None:
        kind = message["type"]
        if self._gone:
            return
        if kind == "http.response.start" and self._head is None:
            headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in message.get("headers", ())]
            self._head = (message["status"], headers)
            return
        if kind != "http.response.body" or self._head is None or self._state == _COMPLETE:
            raise RuntimeError(f"unexpected ASGI message {kind!r}")
        if self._state == _WAITS:
            self._exchange.start(*self._head)
            self._state = _STARTED
        if not self._exchange.without_body:
            self._exchange.write(message.get("body", b""))
        if not message.get("more_body", False):
            self._state = _COMPLETE
            self._changed.set()
            self._exchange.finish()
            return
        while self._exchange.is_full and not self._gone:
            self._changed.clear()
            await self._changed.wait()


def _scope(request: HttpRequest, exchange: Exchange) -> dict[str, Any]:
    peer, ours = exchange.get_extra_info("peername"), exchange.get_extra_info("sockname")
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": request.http_version,
        "method": request.method,
        "scheme": "https" if request.is_tls else "http",
        "path": request.path,
        "raw_path": quote(request.path, safe="/:@!$&'()*+,;=-._~").encode(),
        "query_string": request.query.encode("latin-1", "replace"),
        "root_path": "",
        "headers": [(name.encode("latin-1"), value.encode("latin-1")) for name, value in request.headers.items()],
        "client": peer[:2] if isinstance(peer, tuple) else None,
        "server": ours[:2] if isinstance(ours, tuple) else None,
        "state": {},
    }
