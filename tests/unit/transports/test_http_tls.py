"""The front door behind TLS: requests, upgrades, the fallback application, and early closes."""

from __future__ import annotations

import datetime
import ssl
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from sockets import Client, House, frame, get, in_house, post, upgrade
from test_http_front_door import application

from centripetal.interfaces.clock import SystemClock
from centripetal.transports.admission import Admission
from centripetal.transports.listener import HttpLimits
from centripetal.transports.origins import Origins
from centripetal.transports.settings import WebSocketSettings
from centripetal.transports.websocket import WebSocketEndpoint


@pytest.fixture(scope="module")
def server_tls(tmp_path_factory: pytest.TempPathFactory) -> ssl.SSLContext:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    path: Path = tmp_path_factory.mktemp("tls") / "server.pem"
    path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    return context


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
