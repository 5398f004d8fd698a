"""The WebSocket endpoint over real sockets: handshake, delivery, back pressure, and every way of ending."""

from __future__ import annotations

import asyncio
import gc
import zlib
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from sockets import KEY, Client, House, frame, get, in_house, until, upgrade

from centripetal.interfaces.clock import SystemClock
from centripetal.interfaces.request import HttpRequest
from centripetal.model import Disconnect
from centripetal.transports import websocket
from centripetal.transports.admission import Admission
from centripetal.transports.origins import Origins
from centripetal.transports.settings import WebSocketSettings
from centripetal.transports.websocket import WebSocketConnection, WebSocketEndpoint


class Session:
    """A client that writes down what its transport tells."""

    def __init__(self, connection: WebSocketConnection, request: HttpRequest) -> None:
        self.connection = connection
        self.request = request
        self.messages: list[bytes] = []
        self.told: list[str] = []
        self.on_message: Callable[[bytes], None] | None = None

    def receive(self, message: bytes) -> None:
        self.messages.append(message)
        if self.on_message is not None:
            self.on_message(message)

    def native_pong(self) -> None:
        self.told.append("pong")

    def writing_paused(self) -> None:
        self.told.append("paused")

    def writing_resumed(self) -> None:
        self.told.append("resumed")

    def transport_closed(self) -> None:
        self.told.append("closed")


class Stage:
    """A WebSocket endpoint at `/ws` and its sessions."""

    def __init__(self, house: House, sessions: list[Session]) -> None:
        self.house = house
        self.sessions = sessions

    async def open(self, *headers: str, path: str = "/ws", more: bytes = b"") -> tuple[Client, Session]:
        client = await self.house.connect()
        client.send(upgrade(*headers, path=path) + more)
        status, _, _ = await client.response()
        assert status == 101
        return client, self.sessions[-1]


def on_stage(
    test: Callable[[Stage], Awaitable[None]],
    *,
    settings: WebSocketSettings | None = None,
    origins: tuple[str, ...] = ("https://example.com",),
    **limits: Any,
) -> None:
    async def run(house: House) -> None:
        await test(Stage(house, sessions))

    sessions: list[Session] = []

    def new_client(connection: WebSocketConnection, request: HttpRequest) -> Session:
        sessions.append(Session(connection, request))
        return sessions[-1]

    admission = Admission(SystemClock(), lambda: len(sessions), **limits)
    endpoint = WebSocketEndpoint(settings or WebSocketSettings(), Origins(origins), admission, new_client)
    in_house(run, more={"/ws": endpoint})


@pytest.mark.parametrize(
    ("headers", "path", "encoding", "subprotocol"),
    [
        ((), "/ws", "websocket-json", None),
        (("Sec-WebSocket-Protocol: centrifuge-json",), "/ws", "websocket-json", "centrifuge-json"),
        (("Sec-WebSocket-Protocol: x, centrifuge-protobuf",), "/ws", "websocket-protobuf", "centrifuge-protobuf"),
        (("Sec-WebSocket-Protocol: x",), "/ws", "websocket-json", None),
        ((), "/ws?format=protobuf", "websocket-protobuf", None),
        ((), "/ws?cf_protocol=protobuf", "websocket-protobuf", None),
        ((), "/ws?format=json&cf_ws_frame_ping_pong=true", "websocket-json", None),
        (("Origin: https://EXAMPLE.com",), "/ws", "websocket-json", None),
    ],
)
def test_accepted_handshakes(headers: tuple[str, ...], path: str, encoding: str, subprotocol: str | None) -> None:
    async def test(stage: Stage) -> None:
        client = await stage.house.connect()
        client.send(upgrade(*headers, path=path))
        status, answer, _ = await client.response()
        assert status == 101
        assert answer["sec-websocket-accept"] == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
        assert answer.get("sec-websocket-protocol") == subprotocol
        assert "sec-websocket-extensions" not in answer
        connection = stage.sessions[0].connection
        assert connection.encoding.name == encoding
        assert connection.frame_ping_pong is ("ping_pong" in path)
        assert not stage.house.listener.connections

    on_stage(test)


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (get("/ws"), 400),
        (get("/ws", method="POST"), 400),
        (upgrade("Origin: https://evil.test"), 403),
        (upgrade().replace(b"GET", b"POST"), 405),
        (upgrade().replace(b": 13", b": 12"), 426),
        (upgrade().replace(KEY.encode(), b"x"), 400),
    ],
)
def test_refused_handshakes_leave_the_connection_to_http(data: bytes, status: int) -> None:
    async def test(stage: Stage) -> None:
        client = await stage.house.connect()
        client.send(data + get("/echo"))
        answered, headers, _ = await client.response()
        assert (answered, headers["sec-websocket-version"] if status != 403 else "13") == (status, "13")
        assert (await client.response())[0] == 200
        client.send(upgrade())
        assert (await client.response())[0] == 101

    on_stage(test)


def test_no_room_is_said_before_anything_else() -> None:
    async def test(stage: Stage) -> None:
        await stage.open()
        client = await stage.house.connect()
        client.send(get("/ws"))
        assert (await client.response())[0] == 503

    on_stage(test, connection_limit=1)


def test_frames_that_come_with_the_handshake_are_delivered() -> None:
    async def test(stage: Stage) -> None:
        _, session = await stage.open(more=frame(1, b"one") + frame(2, b"two"))
        await until(lambda: len(session.messages) == 2)
        assert session.messages == [b"one", b"two"]

    on_stage(test)


def test_requests_before_the_upgrade_are_answered_before_it() -> None:
    async def test(stage: Stage) -> None:
        client = await stage.house.connect()
        client.send(get("/api/wait") + upgrade() + frame(1, b"early"))
        await until(lambda: stage.house.echo.requests)
        stage.house.echo.gate.set()
        assert (await client.response())[2] == b"waited "
        assert (await client.response())[0] == 101
        await until(lambda: stage.sessions[0].messages)
        client.send(frame(1, b"late"))
        await until(lambda: stage.sessions[0].messages == [b"early", b"late"])

    on_stage(test)


def test_messages_in_pieces_with_pings_between() -> None:
    async def test(stage: Stage) -> None:
        client, session = await stage.open()
        data = (
            frame(1, b"a") + frame(2, b"b", 0) + frame(9, b"ping") + frame(0, b"c") + frame(10) + frame(1, b"d" * 300)
        )
        for byte in data:
            client.send(bytes((byte,)))
            await asyncio.sleep(0)
        assert await client.reader.readexactly(6) == b"\x8a\x04ping"
        await until(lambda: len(session.messages) == 3)
        assert session.messages == [b"a", b"bc", b"d" * 300]
        assert session.told == ["pong"]
        assert session.connection._parser is None
        assert session.connection._backlog is None

    on_stage(test)


def test_the_peer_closes() -> None:
    async def test(stage: Stage) -> None:
        client, session = await stage.open()
        client.send(frame(8, b"\x0f\xa0bye") + frame(1, b"after"))
        assert await client.end() == b"\x88\x05\x0f\xa0bye"
        await until(lambda: session.told)
        assert (session.messages, session.told) == ([], ["closed"])

    on_stage(test)


def test_the_peer_vanishes() -> None:
    async def test(stage: Stage) -> None:
        client, session = await stage.open()
        client.send(frame(1, b"x")[:4])
        client.writer.transport.abort()
        await until(lambda: session.told)
        session.connection.close(Disconnect(3000, ""))
        session.connection.abort()
        session.connection.write(b"x")
        assert (session.connection.buffered_bytes(), session.told) == (0, ["closed"])

    on_stage(test)


def test_the_server_closes_and_waits_for_the_answer() -> None:
    async def test(stage: Stage) -> None:
        client, session = await stage.open()
        session.on_message = lambda message: session.connection.close(Disconnect(3001, "shutdown"))
        client.send(frame(1, b"x") + frame(1, b"after"))
        assert await client.reader.readexactly(12) == b"\x88\x0a\x0b\xb9shutdown"
        client.send(frame(1, b"still") + frame(9) + frame(1, b"part", 0))
        await asyncio.sleep(0.02)
        assert session.told == []
        client.send(frame(8, b"\x0b\xb9"))
        assert await client.end() == b""
        await until(lambda: session.told)
        assert (session.messages, session.told) == ([b"x"], ["closed"])

    on_stage(test)


def test_nobody_waits_for_an_answer_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(websocket, "CLOSE_SECONDS", 0.01)

    async def test(stage: Stage) -> None:
        _, session = await stage.open()
        session.connection.close(Disconnect(3001, "shutdown"))
        await until(lambda: session.told == ["closed"])

    on_stage(test)


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (frame(1, b"\xff"), 1007),
        (frame(3, b"x"), 1002),
        (b"\x81\x01x", 1002),
        (frame(1, b"x", 0xC0), 1002),
        (frame(8, b"x"), 1002),
        (frame(1, bytes(201)), 1009),
    ],
)
def test_violations_are_answered_with_their_code(data: bytes, code: int) -> None:
    async def test(stage: Stage) -> None:
        client, session = await stage.open()
        client.send(frame(1, b"good") + data + frame(1, b"after") * 1000)
        answer = await client.end()
        assert (answer[0], int.from_bytes(answer[2:4], "big")) == (0x88, code)
        client.writer.close()
        await until(lambda: session.told)
        assert (session.messages, session.told) == ([b"good"], ["closed"])

    on_stage(test, settings=WebSocketSettings(message_size_limit=200))


def test_paused_reading_keeps_order_and_is_bounded() -> None:
    async def test(stage: Stage) -> None:
        client, session = await stage.open()
        connection = session.connection

        def pause(message: bytes) -> None:
            connection.pause_reading()

        session.on_message = pause
        count = 20_000
        for number in range(count):
            client.send(frame(1, b"%05d" % number + bytes(200)))
        for expected in range(1, 4):
            await until(lambda expected=expected: len(session.messages) == expected)
            await asyncio.sleep(0.01)
            assert len(session.messages) == expected
            connection.resume_reading()
        assert len(connection._backlog or b"") <= 600_000
        session.on_message = None
        connection.resume_reading()
        await until(lambda: len(session.messages) == count)
        assert [int(message[:5]) for message in session.messages] == list(range(count))

    on_stage(test)


def test_closing_while_paused_still_finds_the_close_frame() -> None:
    async def test(stage: Stage) -> None:
        client, session = await stage.open()
        session.on_message = lambda message: session.connection.pause_reading()
        client.send(frame(1, b"one") + frame(1, b"two") + frame(8, b"\x03\xe8"))
        await until(lambda: session.messages)
        session.connection.close(Disconnect(3501, "bad request"))
        assert await client.end() == b"\x88\x0d\x0d\xadbad request"
        await until(lambda: session.told)
        assert session.messages == [b"one"]

    on_stage(test)


def test_many_messages_leave_the_loop_to_others() -> None:
    async def test(stage: Stage) -> None:
        client, session = await stage.open()
        turns = 0

        async def count_turns() -> None:
            nonlocal turns
            while True:
                await asyncio.sleep(0)
                turns += 1

        def work(message: bytes) -> None:
            end = asyncio.get_running_loop().time() + 0.0005
            while asyncio.get_running_loop().time() < end:
                pass

        session.on_message = work
        task = asyncio.create_task(count_turns())
        client.send(frame(1, b"x") * 200)
        await until(lambda: len(session.messages) == 200)
        task.cancel()
        assert turns >= 10

    on_stage(test)


def test_slow_readers_are_told_and_get_the_last_pong_only() -> None:
    async def test(stage: Stage) -> None:
        client, session = await stage.open()
        client.writer.transport.pause_reading()
        while not session.told:
            session.connection.write(bytes(100_000))
            await asyncio.sleep(0)
        assert session.told == ["paused"]
        assert session.connection.buffered_bytes() > 0
        for number in range(100):
            client.send(frame(9, b"%02d" % number))
        await until(lambda: session.connection._pong == b"99")
        client.writer.transport.resume_reading()
        data = b""
        async with asyncio.timeout(20):
            while not data.endswith(b"\x8a\x0299"):
                data += await client.reader.read(1 << 20)
        assert data.count(b"\x8a\x02") == 1
        assert session.told == ["paused", "resumed"]

    on_stage(test)


def test_native_pings() -> None:
    async def test(stage: Stage) -> None:
        client, session = await stage.open(path="/ws?cf_ws_frame_ping_pong=true")
        session.connection.send_native_ping()
        assert await client.reader.readexactly(2) == b"\x89\x00"

    on_stage(test)


def test_compression_is_agreed_on_and_bounded() -> None:
    async def test(stage: Stage) -> None:
        client = await stage.house.connect()
        client.send(upgrade("Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits"))
        _, headers, _ = await client.response()
        assert headers["sec-websocket-extensions"].startswith("permessage-deflate; server_no_context_takeover")
        session = stage.sessions[0]
        assert session.connection.encoding.name == "websocket-json-deflate"
        client.send(frame(1, bytes.fromhex("f248cdc9c90700"), 0xC0) + frame(1, b"plain"))
        await until(lambda: len(session.messages) == 2)
        assert session.messages == [b"Hello", b"plain"]
        bomb = zlib.compressobj(9, zlib.DEFLATED, -15)
        payload = bomb.compress(bytes(100_000)) + bomb.flush(zlib.Z_SYNC_FLUSH)
        client.send(frame(1, payload[:-4], 0xC0))
        assert (await client.end())[2:4] == b"\x03\xf1"

    on_stage(test, settings=WebSocketSettings(compression=True, message_size_limit=1000))


def test_a_closed_connection_is_freed_at_once() -> None:
    def alive() -> int:
        return sum(type(thing) is WebSocketConnection for thing in gc.get_objects())

    async def test(stage: Stage) -> None:
        gc.collect()
        gc.disable()
        try:
            client, _ = await stage.open()
            assert alive() == 1
            client.send(frame(1, b"x") + frame(2, b"y", 0) + frame(9))
            await until(lambda: stage.sessions[0].messages)
            client.writer.close()
            await until(lambda: stage.sessions[0].told)
            stage.sessions.clear()
            del _
            await until(lambda: alive() == 0)  # the loop lets go of it
        finally:
            gc.enable()

    on_stage(test)
