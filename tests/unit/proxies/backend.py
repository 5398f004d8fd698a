"""A backend over HTTP that answers as a test says, and hooks that ask it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

from centripetal.interfaces import Caller
from centripetal.interfaces.hooks import Event, Forwarded
from centripetal.node.counters import Counters
from centripetal.outbound import HttpClient
from centripetal.proxies.settings import ProxySettings
from centripetal.proxies.table import ProxyTable
from centripetal.testing import ManualClock

ANN = Caller(
    client="c1",
    transport="websocket",
    protocol="json",
    user="ann",
    meta=b'{"org":7}',
    forwarded=Forwarded(headers={"x-tenant": "acme"}, emulated={"x-emulated": "e"}),
)


class HttpBackend:
    """Answers every request alike.

    Attributes:
        body, status, headers: of the answer.
        gate: when set, answers wait for it.
        calls: bodies of the requests, decoded.
        seen: headers of the last request.
        running: requests that wait for the gate.
    """

    def __init__(self) -> None:
        self.body: bytes = b"{}"
        self.status = 200
        self.headers: dict[str, str] = {}
        self.gate: asyncio.Event | None = None
        self.calls: list[Any] = []
        self.seen: dict[str, str] = {}
        self.running = 0
        self.url = ""

    def answer(self, value: Any) -> None:
        self.body = json.dumps(value).encode()

    async def handle(self, request: web.Request) -> web.Response:
        self.calls.append(await request.json())
        self.seen = {name.lower(): value for name, value in request.headers.items()}
        if self.gate is not None:
            self.running += 1
            try:
                await self.gate.wait()
            finally:
                self.running -= 1
        return web.Response(body=self.body, status=self.status, headers=self.headers)


class Asking:
    """A backend and what is needed to ask it."""

    def __init__(self, backend: HttpBackend, http: HttpClient) -> None:
        self.backend = backend
        self.counters = Counters()
        self.clock = ManualClock()
        self._http = http

    def hook(self, event: Event[Any, Any], **settings: Any) -> Callable[[Any], Any]:
        table = ProxyTable(self._http, self.counters, self.clock)
        table.add_proxy(event, ProxySettings(**{"endpoint": self.backend.url, "timeout": 5.0, **settings}))
        found = table.find(event)
        assert found is not None
        return found


@asynccontextmanager
async def asking() -> AsyncIterator[Asking]:
    """Serves a backend on a free port of the loopback interface."""
    backend = HttpBackend()
    app = web.Application()
    app.router.add_post("/{tail:.*}", backend.handle)
    runner = web.AppRunner(app, handler_cancellation=True)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    backend.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
    http = HttpClient()
    try:
        yield Asking(backend, http)
    finally:
        await http.close()
        await runner.cleanup()
