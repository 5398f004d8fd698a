"""A listener on loopback and raw sockets that talk to it."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import uvloop

from centripetal.interfaces.request import HttpRequest, HttpResponse
from centripetal.protocol.websocket import unmask
from centripetal.transports.endpoints import Routes
from centripetal.transports.listener import HttpLimits, Listener


class Echo:
    """An endpoint that answers with what it was asked; its paths choose how."""

    def __init__(self, max_body_bytes: int = 100_000) -> None:
        self.max_body_bytes = max_body_bytes
        self.requests: list[HttpRequest] = []
        self.gate = asyncio.Event()

    def begin(self, request: HttpRequest) -> HttpResponse | None:
        return HttpResponse(401) if request.path.endswith("/secret") else None

    def respond(self, request: HttpRequest, body: bytes) -> HttpResponse | Coroutine[Any, Any, HttpResponse]:
        self.requests.append(request)
        path = request.path
        if path.endswith("/wait"):
            return self._wait(body)
        if path.endswith("/soon"):
            return self._at_once(body)
        if path.endswith("/broken"):
            raise RuntimeError("a mistake of ours")
        if path.endswith("/split"):
            return HttpResponse(200, [("X-A", "a\r\nX-B: b")])
        if path.endswith("/none"):
            return HttpResponse(204)
        return HttpResponse(200, [("Content-Type", "text/plain")], request.method.encode() + b" " + body)

    async def _wait(self, body: bytes) -> HttpResponse:
        await self.gate.wait()
        return HttpResponse(200, [], b"waited " + body)

    async def _at_once(self, body: bytes) -> HttpResponse:
        return HttpResponse(200, [], b"soon " + body)


class Client:
    """A raw connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def response(self) -> tuple[int, dict[str, str], bytes]:
        """Reads one response."""
        async with asyncio.timeout(20):
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            status_line, *lines = head.strip().split("\r\n")
            headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
            body = await self.reader.readexactly(int(headers.get("content-length", "0")))
            return int(status_line.split()[1]), headers, body

    async def end(self) -> bytes:
        """Reads until the server closes."""
        async with asyncio.timeout(20):
            return await self.reader.read()


async def until(condition: Callable[[], Any]) -> None:
    """Lets the loop run until something holds."""
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.001)


class House:
    """A listener with an Echo at `/echo` and under `/api/`."""

    def __init__(self, listener: Listener, echo: Echo) -> None:
        self.listener = listener
        self.echo = echo
        self.clients: list[Client] = []

    async def connect(self, context: ssl.SSLContext | None = None, server_hostname: str | None = None) -> Client:
        """Opens a connection, over TLS if the listener speaks it; without a context its certificate is not checked."""
        if self.listener.is_tls and context is None:
            context = ssl.create_default_context()
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", self.listener.port, ssl=context, server_hostname=server_hostname
        )
        client = Client(reader, writer)
        self.clients.append(client)
        return client

    async def open_plain(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.listener.port)


def in_house(
    test: Callable[[House], Awaitable[None]],
    *,
    limits: HttpLimits | None = None,
    app: Any = None,
    more: dict[str, Any] | None = None,
    max_body_bytes: int = 100_000,
    tls: ssl.SSLContext | None = None,
    h2c: bool = False,
) -> None:
    """Runs a test against a listener."""

    async def run() -> None:
        echo = Echo(max_body_bytes)
        listener = Listener(Routes({"/echo": echo, **(more or {})}, [("/api/", echo)]), app, limits, h2c=h2c)
        await listener.start("127.0.0.1", 0, tls=tls)
        house = House(listener, echo)
        try:
            await test(house)
        finally:
            for client in house.clients:
                client.writer.close()
            await listener.close(0.2)

    uvloop.run(run())


def get(path: str, *headers: str, method: str = "GET", version: str = "1.1") -> bytes:
    """Builds a request head."""
    return "\r\n".join([f"{method} {path} HTTP/{version}", "Host: localhost", *headers, "", ""]).encode()


def post(path: str, body: bytes, *headers: str) -> bytes:
    """Builds a request with a body."""
    return get(path, f"Content-Length: {len(body)}", *headers, method="POST") + body


KEY = "dGhlIHNhbXBsZSBub25jZQ=="


def upgrade(*headers: str, path: str = "/ws") -> bytes:
    """Builds an opening handshake."""
    fields = ("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", f"Sec-WebSocket-Key: {KEY}")
    return get(path, *fields, *headers)


def frame(opcode: int, payload: bytes = b"", first: int = 0x80) -> bytes:
    """Builds a client's frame; `first` has the flags."""
    size = bytes((0x80 | len(payload),)) if len(payload) < 126 else b"\xfe" + len(payload).to_bytes(2, "big")
    return bytes((first | opcode,)) + size + b"mask" + unmask(payload, b"mask")
