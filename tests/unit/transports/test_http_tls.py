"""The front door behind TLS: requests, upgrades, the fallback application, and early closes."""

from __future__ import annotations

import asyncio
import ssl
from typing import Any

import pytest
import trustme
from sockets import Client, House, frame, get, in_house, post, upgrade
from test_http_front_door import application

from centripetal.interfaces.clock import SystemClock
from centripetal.model.certificates import Certificates
from centripetal.transports import asyncio_transports
from centripetal.transports.admission import Admission
from centripetal.transports.listener import HttpLimits
from centripetal.transports.origins import Origins
from centripetal.transports.settings import WebSocketSettings
from centripetal.transports.tls import server_context
from centripetal.transports.websocket import WebSocketEndpoint


@pytest.fixture(scope="module")
def server_tls() -> ssl.SSLContext:
    leaf = trustme.CA().issue_cert("localhost")
    certificate = b"".join(blob.bytes() for blob in leaf.cert_chain_pems)
    return server_context(Certificates(certificate, leaf.private_key_pem.bytes()))


class Repeater:
    """Sends messages back."""

    def __init__(self, connection, request) -> None:  # type: ignore[no-untyped-def]
        self.connection = connection
        assert request.is_tls

    def receive(self, message: bytes) -> None:
        self.connection.write(self.connection.encoding.frame(message))

    native_pong = writing_paused = writing_resumed = transport_closed = lambda self: None


def test_everything_behind_tls(server_tls: ssl.SSLContext) -> None:
    endpoint = WebSocketEndpoint(
        WebSocketSettings(message_size_limit=1000), Origins([]), Admission(SystemClock(), lambda: 0), Repeater
    )

    async def test(house: House) -> None:
        client = await house.connect()
        for _ in range(2):
            client.send(post("/echo", b"x" * 50_000))
            assert (await client.response())[2] == b"POST " + b"x" * 50_000
            client.send(post("/page", b"y" * 50_000))
            assert (await client.response())[2] == b"asgi POST /page " + b"y" * 50_000
        assert house.echo.requests[0].is_tls
        client.send(upgrade() + frame(1, b"hello"))
        assert (await client.response())[0] == 101
        assert await client.reader.readexactly(7) == b"\x81\x05hello"
        client.send(frame(1, bytes(5000)))
        assert await client.end() == b"\x88\x02\x03\xf1"

        client = await house.connect()
        client.send(get("/api/secret", "Content-Length: 50000", method="POST"))
        assert (await client.response())[0] == 401
        client.send(bytes(50_000))
        assert await client.end() == b""

    in_house(test, app=application, more={"/ws": endpoint}, tls=server_tls, limits=HttpLimits(linger_seconds=0.1))


def test_plain_text_at_a_tls_port(server_tls: ssl.SSLContext) -> None:
    async def test(house: House) -> None:
        client = Client(*await house.open_plain())
        client.send(get("/echo"))
        await client.end()

    in_house(test, tls=server_tls)


def test_a_handshake_that_does_not_go_on_is_ended(
    server_tls: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asyncio_transports, "HANDSHAKE_SECONDS", 0.2)

    async def test(house: House) -> None:
        reported: list[Any] = []
        asyncio.get_running_loop().set_exception_handler(lambda _loop, context: reported.append(context))
        silent = [Client(*await house.open_plain()) for _ in range(3)]
        silent[1].send(b"\x16\x03\x01\x02\x00")  # the beginning of a ClientHello
        for client in silent:
            await client.end()
        assert not house.listener.connections and not reported
        monkeypatch.setattr(asyncio_transports, "HANDSHAKE_SECONDS", 1.0)
        whole = await house.connect()
        await asyncio.sleep(1.1)  # longer than the handshake may take
        whole.send(get("/echo"))
        assert (await whole.response())[0] == 200

    in_house(test, tls=server_tls)
