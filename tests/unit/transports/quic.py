"""A QUIC client for tests, over real sockets: requests and WebTransport sessions."""

from __future__ import annotations

import asyncio
import datetime
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from aioquic.asyncio.client import connect
from aioquic.asyncio.protocol import QuicConnectionProtocol
from aioquic.h3.connection import H3_ALPN, H3Connection
from aioquic.h3.events import DataReceived, HeadersReceived
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.events import ConnectionTerminated, QuicEvent, StopSendingReceived, StreamDataReceived, StreamReset
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from centripetal.protocol.capsules import CLOSE_SESSION, read_quic_varint

SECONDS = 20.0


def make_certificate() -> tuple[bytes, bytes]:
    """Returns a self-signed certificate and its key, as PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    return (
        certificate.public_bytes(serialization.Encoding.PEM),
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()),
    )


async def until(condition: Callable[[], object], seconds: float = SECONDS) -> None:
    """Waits until something is true."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.005)


class Stream:
    """What came on a stream."""

    def __init__(self) -> None:
        self.headers: dict[str, str] = {}
        self.data = b""
        self.ended = False
        self.reset: int | None = None
        self.stopped: int | None = None

    @property
    def status(self) -> int:
        return int(self.headers.get(":status", 0))


class QuicClient(QuicConnectionProtocol):
    """The protocol of a connection."""

    def __init__(self, *args: Any, **keywords: Any) -> None:
        super().__init__(*args, **keywords)
        self.http = H3Connection(self._quic, enable_webtransport=True)
        self.streams: dict[int, Stream] = {}
        self.terminated: ConnectionTerminated | None = None
        self.raw: set[int] = set()

    def stream(self, stream_id: int) -> Stream:
        return self.streams.setdefault(stream_id, Stream())

    def quic_event_received(self, event: QuicEvent) -> None:
        if isinstance(event, StreamReset):
            self.stream(event.stream_id).reset = event.error_code
        elif isinstance(event, StopSendingReceived):
            self.stream(event.stream_id).stopped = event.error_code
        elif isinstance(event, ConnectionTerminated):
            self.terminated = event
        if isinstance(event, StreamDataReceived) and event.stream_id in self.raw:
            # aioquic takes what comes on streams that the client has opened for answers to requests.
            stream = self.stream(event.stream_id)
            stream.data += event.data
            stream.ended = stream.ended or event.end_stream
            return
        for http_event in self.http.handle_event(event):
            if isinstance(http_event, HeadersReceived):
                stream = self.stream(http_event.stream_id)
                stream.headers = {name.decode(): value.decode() for name, value in http_event.headers}
                stream.ended = stream.ended or http_event.stream_ended
            elif isinstance(http_event, DataReceived):
                stream = self.stream(http_event.stream_id)
                stream.data += http_event.data
                stream.ended = stream.ended or http_event.stream_ended

    def begin(self, method: str, path: str, headers: dict[str, str] | None = None, *, end: bool = True) -> int:
        """Sends the head of a request; returns the number of its stream."""
        stream_id = self._quic.get_next_available_stream_id()
        fields = {":method": method, ":scheme": "https", ":authority": "localhost", ":path": path} | (headers or {})
        fields = dict(sorted(fields.items(), key=lambda field: field[0][0] != ":"))
        encoded = [(name.encode(), value.encode()) for name, value in fields.items()]
        self.http.send_headers(stream_id, encoded, end_stream=end)
        self.stream(stream_id)
        self.transmit()
        return stream_id

    async def request(self, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None) -> Stream:
        """Makes a request and returns the whole answer."""
        stream_id = self.begin(method, path, headers, end=not body)
        if body:
            self.http.send_data(stream_id, body, end_stream=True)
            self.transmit()
        stream = self.stream(stream_id)
        await until(lambda: stream.ended or stream.reset is not None or self.terminated)
        return stream

    async def open_session(self, path: str, headers: dict[str, str] | None = None) -> Session:
        """Asks for a WebTransport session and waits for the answer."""
        wanted = {":protocol": "webtransport", "sec-webtransport-http3-draft02": "1"} | (headers or {})
        session = Session(self, self.begin("CONNECT", path, wanted, end=False))
        await until(lambda: session.request.status or session.request.reset is not None or self.terminated)
        return session


class Session:
    """A WebTransport session and the stream in it."""

    def __init__(self, client: QuicClient, session_id: int) -> None:
        self.client = client
        self.id = session_id
        self.request = client.stream(session_id)
        self.stream_id = -1
        self.stream = Stream()

    def open_stream(self) -> None:
        self.stream_id = self.client.http.create_webtransport_stream(self.id)
        self.client.raw.add(self.stream_id)
        self.stream = self.client.stream(self.stream_id)

    def send(self, data: bytes, *, end: bool = False) -> None:
        """Sends on the session's stream, which opens when needed."""
        if self.stream_id < 0:
            self.open_stream()
        self.client._quic.send_stream_data(self.stream_id, data, end)
        self.client.transmit()

    async def wait_data(self, part: bytes) -> bytes:
        """Waits until something has come on the stream; returns all of it and forgets it."""
        await until(lambda: part in self.stream.data or self.client.terminated)
        assert part in self.stream.data, self.stream.data
        data, self.stream.data = self.stream.data, b""
        return data

    async def wait_closed(self) -> tuple[int, str]:
        """Waits for the end of the session; returns its code and reason."""
        await until(lambda: self.request.ended)
        kind, at = read_quic_varint(self.request.data, 0)
        size, body = read_quic_varint(self.request.data, at)
        assert kind == CLOSE_SESSION and body + size == len(self.request.data)
        return int.from_bytes(self.request.data[body : body + 4], "big"), self.request.data[body + 4 :].decode()

    def close(self) -> None:
        """Ends the session."""
        self.client.http.send_data(self.id, b"", end_stream=True)
        self.client.transmit()


@asynccontextmanager
async def quic_client(port: int, **options: Any) -> AsyncIterator[QuicClient]:
    """A connection to a port of this machine."""
    configuration = QuicConfiguration(
        is_client=True, alpn_protocols=H3_ALPN, verify_mode=ssl.CERT_NONE, max_datagram_frame_size=65536, **options
    )
    configuration.server_name = "localhost"
    async with connect("127.0.0.1", port, configuration=configuration, create_protocol=QuicClient) as client:
        assert isinstance(client, QuicClient)
        yield client


def run(scene: Callable[[], Awaitable[None]]) -> None:
    """Runs a test's scene, bounded in time."""

    async def bounded() -> None:
        async with asyncio.timeout(60):
            await scene()

    asyncio.run(bounded())
