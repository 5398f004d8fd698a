"""HTTP/2 at the front door, over real sockets: requests, tunnels, bounds, and the end of connections."""

from __future__ import annotations

import asyncio
import gc
import shutil
import ssl
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
import trustme
from http2_client import Http2Client
from hyperframe.frame import (
    ContinuationFrame,
    DataFrame,
    ExtensionFrame,
    Frame,
    GoAwayFrame,
    HeadersFrame,
    PingFrame,
    PriorityFrame,
    RstStreamFrame,
    SettingsFrame,
    WindowUpdateFrame,
)
from sockets import House, frame, get, in_house
from test_http_front_door import application

from centripetal.interfaces.clock import SystemClock
from centripetal.model.certificates import Certificates
from centripetal.transports.admission import Admission
from centripetal.transports.exchange import HIGH_WATER_BYTES, Exchange
from centripetal.transports.http2 import Http2Connection
from centripetal.transports.http2_protocol import MAX_STREAMS, STREAM_WINDOW_BYTES
from centripetal.transports.listener import HttpLimits
from centripetal.transports.origins import Origins
from centripetal.transports.settings import WebSocketSettings
from centripetal.transports.tls import server_context
from centripetal.transports.websocket import WebSocketConnection, WebSocketEndpoint

NO_ERROR, PROTOCOL_ERROR, FLOW_CONTROL_ERROR, REFUSED_STREAM, ENHANCE_YOUR_CALM = 0, 1, 3, 7, 11


class Repeater:
    """Sends messages back; `pause` and `big` do what they say."""

    def __init__(self, connection: WebSocketConnection, request: Any) -> None:
        self.connection: WebSocketConnection | None = connection
        self.told: list[str] = []
        repeaters.append(self)

    def receive(self, message: bytes) -> None:
        assert self.connection is not None
        if message == b"pause":
            self.connection.pause_reading()
        elif message == b"big":
            message = b"x" * 300_000
        self.connection.write(self.connection.encoding.frame(message))

    def native_pong(self) -> None:
        self.told.append("pong")

    def writing_paused(self) -> None:
        self.told.append("paused")

    def writing_resumed(self) -> None:
        self.told.append("resumed")

    def transport_closed(self) -> None:
        self.told.append("closed")
        self.connection = None


repeaters: list[Repeater] = []


@pytest.fixture(autouse=True)
def _no_repeaters() -> Iterator[None]:
    yield
    repeaters.clear()


def in_h2_house(test: Any, *, compression: bool = False, **options: Any) -> None:
    settings = WebSocketSettings(message_size_limit=1_000_000, compression=compression)
    endpoint = WebSocketEndpoint(settings, Origins([]), Admission(SystemClock(), lambda: 0), Repeater)
    in_house(test, app=application, more={"/ws": endpoint}, **{"h2c": True, **options})


def test_requests_at_once_are_answered_as_they_are_done() -> None:
    async def test(house: House) -> None:
        client = await Http2Client.connect(house)
        waiting = client.request("POST", "/api/wait", body=b"a")
        others = [client.request("POST", "/echo", body=b"%d" % number) for number in range(20)]
        for number, stream in enumerate(others):
            assert await client.answer(stream) == ("200", b"POST %d" % number)
        assert waiting not in client.heads
        house.echo.gate.set()
        assert await client.answer(waiting) == ("200", b"waited a")
        request = house.echo.requests[0]
        assert request.http_version == "2" and request.remote_address.startswith("127.0.0.1:")
        assert request.headers["host"] == "localhost"

    in_h2_house(test)


@pytest.mark.parametrize(
    ("method", "path", "status", "body"),
    [
        ("GET", "/api/secret", "401", b""),
        ("GET", "/api/none", "204", b""),
        ("GET", "/api/broken", "500", b"Internal Server Error\n"),
        ("HEAD", "/echo", "200", b""),
        ("GET", "/ws", "400", b"Bad Request\n"),
        ("GET", "/page", "200", b"asgi GET /page "),
    ],
)
def test_answers(method: str, path: str, status: str, body: bytes) -> None:
    async def test(house: House) -> None:
        client = await Http2Client.connect(house)
        assert await client.answer(client.request(method, path)) == (status, body)

    in_h2_house(test)


def test_http_1_and_split_prefaces_on_the_same_port() -> None:
    async def test(house: House) -> None:
        old = await house.connect()
        old.send(b"G")
        await asyncio.sleep(0)
        old.send(get("/echo")[1:])
        assert (await old.response())[2] == b"GET "
        pri = await house.connect()
        pri.send(b"PRI * HTTP/1.1\r\nHost: a\r\n\r\n")
        assert (await pri.response())[0] == 400
        late = await house.connect()
        late.send(get("/echo") + b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        assert (await late.response())[0] == 200
        assert (await late.response())[0] == 400
        client = Http2Client(*await house.open_plain())
        client.protocol.initiate_connection()
        for byte in client.protocol.data_to_send():
            client.writer.write(bytes((byte,)))
            await asyncio.sleep(0)
        assert await client.answer(client.request("GET", "/echo")) == ("200", b"GET ")
        client.writer.close()

    in_h2_house(test)


def test_without_the_option_the_preface_is_a_bad_request() -> None:
    async def test(house: House) -> None:
        client = await house.connect()
        client.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        assert (await client.response())[0] == 400

    in_h2_house(test, h2c=False)


@pytest.fixture(scope="module")
def server_tls() -> ssl.SSLContext:
    leaf = trustme.CA().issue_cert("localhost")
    certificate = b"".join(blob.bytes() for blob in leaf.cert_chain_pems)
    return server_context(Certificates(certificate, leaf.private_key_pem.bytes()))


def test_alpn_decides_over_tls(server_tls: ssl.SSLContext) -> None:
    async def test(house: House) -> None:
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        context.set_alpn_protocols(["h2", "http/1.1"])
        client = Http2Client(*await asyncio.open_connection("127.0.0.1", house.listener.port, ssl=context))
        assert client.writer.get_extra_info("ssl_object").selected_alpn_protocol() == "h2"
        client.protocol.initiate_connection()
        assert await client.answer(client.request("POST", "/echo", body=b"x" * 10_000)) == ("200", b"POST " + b"x" * 10_000)
        assert house.echo.requests[0].is_tls
        client.writer.close()
        old = await house.connect()
        old.send(get("/echo"))
        assert (await old.response())[2] == b"GET "

    in_h2_house(test, h2c=False, tls=server_tls)


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
def test_curl_over_tls(server_tls: ssl.SSLContext) -> None:
    async def test(house: House) -> None:
        process = await asyncio.create_subprocess_exec(
            "curl", "-sk", "--http2", "-w", " %{http_version} %{http_code}", "-d", "body",
            f"https://127.0.0.1:{house.listener.port}/echo", stdout=subprocess.PIPE,
        )  # fmt: skip
        output, _ = await process.communicate()
        assert output == b"POST body 2 200"

    in_h2_house(test, h2c=False, tls=server_tls)


def test_large_bodies_both_ways_within_the_windows() -> None:
    async def test(house: House) -> None:
        client = await Http2Client.connect(house)
        for path, prefix in (("/echo", b"POST "), ("/page", b"asgi POST /page ")):
            body = bytes(range(256)) * 1200
            stream = client.protocol.get_next_available_stream_id()
            head = head_fields("POST", path)
            client.protocol.send_headers(stream, head)
            sent = 0
            while sent < len(body):
                size = min(client.protocol.local_flow_control_window(stream), 16384, len(body) - sent)
                if size:
                    client.send(stream, body[sent : sent + size], end=sent + size == len(body))
                    sent += size
                else:
                    await client.read()
            assert await client.answer(stream) == ("200", prefix + body)

    in_h2_house(test, max_body_bytes=400_000)


def test_bodies_that_are_too_large_are_refused_and_not_read() -> None:
    async def test(house: House) -> None:
        client = await Http2Client.connect(house)
        told = client.protocol.get_next_available_stream_id()
        client.protocol.send_headers(told, [*head_fields("POST", "/echo"), ("content-length", "101")])
        stream = told + 2
        client.protocol.send_headers(stream, head_fields("POST", "/echo"))
        client.send(stream, b"x" * 101)
        for refused in (told, stream):
            assert (await client.answer(refused))[0] == "413"
            await client.until(lambda refused=refused: client.resets.get(refused) == NO_ERROR)

    in_h2_house(test, max_body_bytes=100)


def test_a_tunnel_carries_frames_and_ends_with_the_closing_handshake() -> None:
    async def test(house: House) -> None:
        client = await Http2Client.connect(house)
        stream = client.tunnel("/ws", ("sec-websocket-protocol", "x, centrifuge-json"))
        client.send(stream, frame(1, b"hello")[:3])
        client.send(stream, frame(1, b"hello")[3:] + frame(9, b"p"))
        await client.until(lambda: len(client.bodies.get(stream, b"")) == 10)
        assert client.heads[stream][":status"] == "200"
        assert client.heads[stream]["sec-websocket-protocol"] == "centrifuge-json"
        assert client.bodies[stream] == b"\x81\x05hello\x8a\x01p"
        client.send(stream, frame(8, b"\x03\xe8"), end=True)
        await client.until(lambda: stream in client.ended)
        assert client.bodies[stream].endswith(b"\x88\x02\x03\xe8")
        assert repeaters[0].told == ["closed"]
        assert await client.answer(client.request("GET", "/echo")) == ("200", b"GET ")

    in_h2_house(test)


def test_compression_is_agreed_on() -> None:
    async def test(house: House) -> None:
        client = await Http2Client.connect(house)
        stream = client.tunnel("/ws", ("sec-websocket-extensions", "permessage-deflate"))
        await client.until(lambda: stream in client.heads)
        assert client.heads[stream]["sec-websocket-extensions"].startswith("permessage-deflate")

    in_h2_house(test, compression=True)


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/nowhere", (), "404"),
        ("/ws", (("origin", "https://evil.test"),), "403"),
        ("/ws", (("sec-websocket-version", "8"),), "426"),
    ],
)
def test_tunnels_that_are_refused(path: str, headers: tuple[tuple[str, str], ...], status: str) -> None:
    async def test(house: House) -> None:
        client = await Http2Client.connect(house)
        assert (await client.answer(client.tunnel(path, *headers)))[0] == status

    in_h2_house(test)


def test_a_slow_reader_is_told_of_and_holds_up_nobody_else() -> None:
    async def test(house: House) -> None:
        client = await Http2Client.connect(house)
        slow, quick = client.tunnel("/ws"), client.tunnel("/ws")
        client.reading = False
        client.protocol.increment_flow_control_window(1_000_000)
        client.send(slow, frame(1, b"big"))
        await client.until(lambda: len(client.bodies.get(slow, b"")) == 65535)
        client.send(quick, frame(1, b"hello"))
        await client.until(lambda: bytes(client.bodies.get(quick, b"")) == b"\x81\x05hello")
        connection = repeaters[0].connection
        assert connection is not None
        assert connection.buffered_bytes() == 300_010 - 65535 and repeaters[0].told == ["paused"]
        client.protocol.increment_flow_control_window(300_000, slow)
        client.flush()
        await client.until(lambda: len(client.bodies[slow]) == 300_010)
        assert repeaters[0].told == ["paused", "resumed"] and connection.buffered_bytes() == 0

    in_h2_house(test)


def test_a_window_that_settings_open_goes_on() -> None:
    async def test(house: House) -> None:
        client = await Http2Client.connect(house, window=10)
        stream = client.tunnel("/ws")
        client.reading = False
        client.send(stream, frame(1, b"twenty bytes of text"))
        await client.until(lambda: len(client.bodies.get(stream, b"")) == 10)
        client.protocol.update_settings({4: 1000})
        client.flush()
        await client.until(lambda: len(client.bodies[stream]) == 22)

    in_h2_house(test)


def test_a_client_that_does_not_read_its_connection_is_bounded_stream_by_stream() -> None:
    async def test(house: House) -> None:
        client = await Http2Client.connect(house)
        client.reading = False
        streams = [client.tunnel("/ws") for _ in range(3)]
        for stream in streams:
            client.protocol.increment_flow_control_window(1_000_000, stream)
            client.send(stream, frame(1, b"big"))
        # The window of the connection is used up; the rest waits where its owners count it.
        await client.until(lambda: sum(map(len, client.bodies.values())) == 65535)
        await client.until(lambda: len(client.heads) == 3)
        before = {stream: len(client.bodies.get(stream, b"")) for stream in streams}
        client.protocol.increment_flow_control_window(3 * 16384)
        client.flush()
        await client.until(lambda: sum(map(len, client.bodies.values())) == 65535 + 3 * 16384)
        assert [len(client.bodies[stream]) - before[stream] for stream in streams] == [16384] * 3
        waiting = [repeater.connection.buffered_bytes() for repeater in repeaters if repeater.connection]
        assert sum(waiting) == 3 * 300_010 - 65535 - 3 * 16384 and min(waiting) > HIGH_WATER_BYTES

    in_h2_house(test)


def test_a_stream_that_does_not_read_gets_no_more_than_a_window() -> None:
    async def test(house: House) -> None:
        client = await Http2Client.connect(house)
        stream = client.tunnel("/ws")
        client.send(stream, frame(1, b"pause"))
        await client.until(lambda: client.bodies.get(stream))
        before = client.window_updates(stream)
        sent = 0
        while (size := min(client.protocol.local_flow_control_window(stream), 16384)) > 0:
            client.send(stream, b"x" * size)
            sent += size
        assert STREAM_WINDOW_BYTES - 20 < sent + 11 <= STREAM_WINDOW_BYTES + before
        assert await client.answer(client.request("GET", "/echo")) == ("200", b"GET ")
        assert client.window_updates(stream) == before

    in_h2_house(test)


def head_fields(method: str, path: str) -> list[tuple[str, str]]:
    return [(":method", method), (":scheme", "http"), (":authority", "a"), (":path", path)]


def header_flood(client: Http2Client) -> Iterator[Frame]:
    yield HeadersFrame(1, b"\x82")
    while True:
        yield ContinuationFrame(1, b"\x82" * 10)


def resets(client: Http2Client) -> Iterator[Frame]:
    block = client.protocol.encoder.encode(head_fields("GET", "/api/wait"))
    stream = 1
    while True:
        yield HeadersFrame(stream, block, flags=["END_HEADERS", "END_STREAM"])
        yield RstStreamFrame(stream, error_code=8)
        stream += 2


def our_resets(client: Http2Client) -> Iterator[Frame]:
    """Streams that the server has to reset for a mistake of the client."""
    block = client.protocol.encoder.encode(head_fields("GET", "/api/wait"))
    stream = 1
    while True:
        yield HeadersFrame(stream, block, flags=["END_HEADERS", "END_STREAM"])
        yield WindowUpdateFrame(stream, window_increment=2**31 - 1)
        stream += 2


def empty_data(client: Http2Client) -> Iterator[Frame]:
    block = client.protocol.encoder.encode(head_fields("POST", "/echo"))
    yield HeadersFrame(1, block, flags=["END_HEADERS"])
    while True:
        yield DataFrame(1)


def forever(make: Any) -> Any:
    def frames(client: Http2Client) -> Iterator[Frame]:
        while True:
            yield make()

    return frames


@pytest.mark.parametrize(
    ("flood", "code"),
    [
        (resets, ENHANCE_YOUR_CALM),
        (our_resets, ENHANCE_YOUR_CALM),
        (header_flood, PROTOCOL_ERROR),
        (empty_data, ENHANCE_YOUR_CALM),
        (forever(lambda: PingFrame(0, b"12345678")), ENHANCE_YOUR_CALM),
        (forever(lambda: SettingsFrame(0, settings={4: 65535})), ENHANCE_YOUR_CALM),
        (forever(lambda: PriorityFrame(1, depends_on=3)), ENHANCE_YOUR_CALM),
        (forever(lambda: ExtensionFrame(0xEE, 0)), ENHANCE_YOUR_CALM),
    ],
    ids=["resets", "our_resets", "continuation", "empty_data", "pings", "settings", "priorities", "unknown"],
)
def test_floods_end_the_connection(flood: Any, code: int) -> None:
    async def test(house: House) -> None:
        client = await Http2Client.connect(house)
        frames = flood(client)
        for _ in range(4000):
            client.writer.write(next(frames).serialize())
        async with asyncio.timeout(20):
            assert goodbye_in(await client.reader.read()) == code
        other = await Http2Client.connect(house)
        assert await other.answer(other.request("GET", "/echo")) == ("200", b"GET ")

    in_h2_house(test)


def goodbye_in(data: bytes) -> int | None:
    """Returns the code of the GOAWAY frame in received bytes."""
    while data:
        kind, length = Frame.parse_frame_header(memoryview(data[:9]))
        if isinstance(kind, GoAwayFrame):
            return int.from_bytes(data[13:17], "big")
        data = data[9 + length :]
    return None


def test_pings_and_settings_at_a_usual_pace_are_answered() -> None:
    async def test(house: House) -> None:
        client = await Http2Client.connect(house)
        for number in range(100):
            client.protocol.ping(b"%08d" % number)
        client.flush()
        await client.until(lambda: sum(type(event).__name__ == "PingAckReceived" for event in client.events) == 100)

    in_h2_house(test)


def test_heads_that_are_too_large_end_the_connection_and_too_many_fields_the_stream() -> None:
    async def test(house: House) -> None:
        client = await Http2Client.connect(house)
        stream = client.request("GET", "/echo", *((f"x-{number}", "1") for number in range(21)))
        await client.until(lambda: client.resets.get(stream) == PROTOCOL_ERROR)
        assert await client.answer(client.request("GET", "/echo")) == ("200", b"GET ")
        client.request("GET", "/echo", *((f"x-{number}", "1" * 500) for number in range(5)))
        await client.end()
        assert client.goodbye == ENHANCE_YOUR_CALM

    in_h2_house(test, limits=HttpLimits(head_bytes=2000, headers=20))


def test_the_peer_does_not_decide_on_our_memory() -> None:
    async def test(house: House) -> None:
        client = await Http2Client.connect(house)
        client.protocol.update_settings({1: 1 << 30, 5: (1 << 24) - 1})
        client.flush()
        assert await client.answer(client.request("GET", "/echo")) == ("200", b"GET ")
        (connection,) = house.listener.connections
        assert isinstance(connection, Http2Connection)
        assert connection._protocol.encoder.header_table_size == 4096

    in_h2_house(test)


def test_more_streams_than_allowed_are_refused_one_by_one() -> None:
    async def test(house: House) -> None:
        client = await Http2Client.connect(house)
        await client.read()
        client.protocol.remote_settings[3] = 1000
        client.protocol.remote_settings.acknowledge()
        streams = [client.request("GET", "/api/wait") for _ in range(MAX_STREAMS + 2)]
        await client.until(lambda: len(client.resets) == 2)
        assert client.resets == {stream: REFUSED_STREAM for stream in streams[MAX_STREAMS:]}
        house.echo.gate.set()
        assert await client.answer(streams[0]) == ("200", b"waited ")

    in_h2_house(test)


def test_draining_says_goodbye_and_ends_with_the_last_answer() -> None:
    async def test(house: House) -> None:
        idle, busy = await Http2Client.connect(house), await Http2Client.connect(house)
        stream = busy.request("GET", "/api/wait")
        tunnel = busy.tunnel("/ws")
        await busy.until(lambda: tunnel in busy.heads)
        await idle.answer(idle.request("GET", "/echo"))
        house.listener.stop_accepting()
        await idle.end()
        assert idle.goodbye == NO_ERROR
        # The library takes no answers after GOAWAY, so that these are read as frames.
        repeaters[0].connection.abort()  # type: ignore[union-attr]
        house.echo.gate.set()
        async with asyncio.timeout(20):
            rest = await busy.reader.read()
        assert b"waited " in rest and stream == 1

    in_h2_house(test)


def test_a_client_that_says_goodbye_gets_its_answers() -> None:
    async def test(house: House) -> None:
        client = await Http2Client.connect(house)
        client.request("GET", "/api/wait")
        client.protocol.close_connection()
        client.flush()
        await client.reader.read(1)
        while not house.echo.requests:
            await asyncio.sleep(0)
        house.echo.gate.set()
        async with asyncio.timeout(20):
            assert b"waited " in await client.reader.read()

    in_h2_house(test)


def test_time_limits() -> None:
    async def test(house: House) -> None:
        silent, idle, half = await house.connect(), await Http2Client.connect(house), await Http2Client.connect(house)
        await idle.answer(idle.request("GET", "/echo"))
        head = head_fields("POST", "/echo")
        half.protocol.send_headers(1, head)
        half.flush()
        await half.until(lambda: house.listener.deadlines)
        while not any(isinstance(item, Http2Connection) and item._exchanges for item in house.listener.connections):
            await asyncio.sleep(0)
        for connection in list(house.listener.connections):
            connection.expire()
        assert await silent.end() == b""
        await idle.end()
        assert idle.goodbye == NO_ERROR

    in_h2_house(test)


def test_a_body_that_does_not_come_is_408() -> None:
    async def test(house: House) -> None:
        client = await Http2Client.connect(house)
        head = head_fields("POST", "/echo")
        client.protocol.send_headers(1, head)
        client.flush()
        assert (await client.answer(1))[0] == "408"

    in_h2_house(test, limits=HttpLimits(body_seconds=0.1))


def test_connections_that_ended_leave_nothing() -> None:
    async def test(house: House) -> None:
        for end in ("close", "drop", "flood", "reset"):
            client = await Http2Client.connect(house)
            for _ in range(5):
                await client.answer(client.request("POST", "/echo", body=b"x"))
            await client.answer(client.request("POST", "/page", body=b"x"))
            stream = client.tunnel("/ws")
            client.request("GET", "/api/wait")
            client.send(stream, frame(1, b"big"))
            await client.until(lambda client=client, stream=stream: client.bodies.get(stream))
            if end == "close":
                client.send(stream, frame(8, b"\x03\xe8"), end=True)
                await client.until(lambda client=client, stream=stream: stream in client.ended)
            elif end == "reset":
                client.protocol.reset_stream(stream)
                client.flush()
            elif end == "flood":
                for _ in range(2000):
                    client.protocol.ping(b"12345678")
                client.flush()
            client.writer.transport.abort()
        house.echo.gate.set()
        house.echo.requests.clear()
        while house.listener.connections:
            await asyncio.sleep(0)
        for _ in range(5):
            await asyncio.sleep(0)
        assert not counted()

    gc.collect()
    gc.disable()
    try:
        in_h2_house(test)
    finally:
        gc.enable()


def counted() -> list[str]:
    """Returns what there still is of connections, by reference count alone."""
    kinds = (Http2Connection, Exchange, WebSocketConnection)
    return [type(item).__name__ for item in gc.get_objects() if isinstance(item, kinds)]
