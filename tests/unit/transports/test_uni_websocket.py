"""The unidirectional WebSocket: one message up, pushes down, and the ways to end it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import quote

import uvloop
from sockets import frame, upgrade

from centripetal.connection import Client
from centripetal.engines.memory import MemoryBroker, MemoryPresenceManager
from centripetal.interfaces import PublishOptions
from centripetal.interfaces.request import HttpRequest
from centripetal.model import Disconnect
from centripetal.node.node import Node
from centripetal.node.settings import ChannelOptions, ChannelSettings, ClientSettings, NodeOptions
from centripetal.testing import ManualClock
from centripetal.transports.admission import Admission
from centripetal.transports.endpoints import Routes
from centripetal.transports.listener import Listener
from centripetal.transports.origins import Origins
from centripetal.transports.reception import Reception
from centripetal.transports.settings import UniWebSocketSettings
from centripetal.transports.unidirectional import UniWebSocketEndpoint
from centripetal.transports.websocket import WebSocketConnection

SUBSCRIBE = {"subs": {"x": {}}}
TEXT, CLOSE = 1, 8


class Room:
    """A node with one endpoint, and a connection to it."""

    connection: WebSocketConnection

    def __init__(self, node: Node, port: int) -> None:
        self.node = node
        self._port = port

    async def connect(self, path: str = "/ws") -> None:
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self._port)
        self.writer.write(upgrade(path=path))
        await self.reader.readuntil(b"\r\n\r\n")

    async def frame(self) -> tuple[int, bytes]:
        """Reads one frame; opcode 0 when the connection has ended."""
        async with asyncio.timeout(20):
            try:
                first, size = await self.reader.readexactly(2)
                if size == 126:
                    size = int.from_bytes(await self.reader.readexactly(2), "big")
                return first & 15, await self.reader.readexactly(size)
            except asyncio.IncompleteReadError:
                return 0, b""

    async def push(self) -> Any:
        opcode, payload = await self.frame()
        assert opcode == TEXT
        return json.loads(payload)

    def disconnect(self) -> None:
        (client,) = self.node.registry.clients.values()
        client.disconnect(Disconnect(4321, "so"))


def in_room(test: Callable[[Room], Awaitable[None]], **options: Any) -> None:
    async def run() -> None:
        clock = ManualClock()
        node = Node(
            broker=MemoryBroker(clock, history_meta_ttl_seconds=60.0),
            presence=MemoryPresenceManager(clock),
            options=NodeOptions(
                client=ClientSettings(allow_anonymous_connect_without_token=True),
                channel=ChannelSettings(
                    without_namespace=ChannelOptions(
                        allow_subscribe_for_client=True, allow_subscribe_for_anonymous=True
                    )
                ),
            ),
            clock=clock,
        )

        def new_client(connection: WebSocketConnection, request: HttpRequest) -> Client:
            room.connection = connection
            return Client(node, connection, request)

        reception = Reception(Origins([]), Admission(clock, lambda: node.num_clients))
        endpoint = UniWebSocketEndpoint(UniWebSocketSettings(enabled=True, **options), reception, new_client)
        listener = Listener(Routes({"/ws": endpoint}))
        await listener.start("127.0.0.1", 0)
        room = Room(node, listener.port)
        try:
            await test(room)
        finally:
            room.writer.close()
            await listener.close(0.2)

    uvloop.run(run())


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.002)


def test_the_first_message_connects_and_others_are_ignored() -> None:
    async def test(room: Room) -> None:
        await room.connect()
        room.writer.write(frame(TEXT, json.dumps(SUBSCRIBE).encode()) + frame(TEXT, b"{") + frame(TEXT, b""))
        connected = await room.push()
        assert connected["connect"]["subs"] == {"x": {}} and connected["connect"]["session"]
        await room.node.publish("x", b"1", PublishOptions())
        assert await room.push() == {"channel": "x", "pub": {"data": 1}}
        room.disconnect()
        assert await room.push() == {"disconnect": {"code": 4321, "reason": "so"}}
        assert await room.frame() == (CLOSE, (4321).to_bytes(2, "big") + b"so")

    in_room(test)


def test_the_connect_request_may_come_in_the_query() -> None:
    async def test(room: Room) -> None:
        await room.connect("/ws?cf_connect=" + quote(json.dumps(SUBSCRIBE)))
        assert (await room.push())["connect"]["subs"] == {"x": {}}
        room.writer.close()
        await until(lambda: not room.node.num_clients)
        assert not room.node.registry.sessions

    in_room(test)


def test_a_malformed_request_is_told_by_the_close_frame_only() -> None:
    async def test(room: Room) -> None:
        await room.connect()
        room.writer.write(frame(TEXT, b"[]"))
        assert await room.frame() == (CLOSE, (3501).to_bytes(2, "big") + b"bad request")

    in_room(test)


def test_pushes_of_one_turn_share_a_frame_where_that_is_wanted() -> None:
    async def test(room: Room) -> None:
        await room.connect()
        room.writer.write(frame(TEXT, json.dumps(SUBSCRIBE).encode()))
        await room.push()
        for number in range(3):
            await room.node.publish("x", b"%d" % number, PublishOptions())
        opcode, payload = await room.frame()
        assert opcode == TEXT
        assert [json.loads(line)["pub"]["data"] for line in payload.split(b"\n")] == [0, 1, 2]
        room.writer.write(frame(9, b"ping"))
        assert await room.frame() == (10, b"ping")
        room.disconnect()
        assert await room.push() == {"disconnect": {"code": 4321, "reason": "so"}}
        assert (await room.frame())[0] == CLOSE

    in_room(test, join_push_messages=True)


def test_push_and_closing_handshake_can_be_turned_off() -> None:
    async def no_push(room: Room) -> None:
        await room.connect("/ws?cf_connect=%7B%7D")
        await room.push()
        room.disconnect()
        assert (await room.frame())[0] == CLOSE

    async def no_handshake(room: Room) -> None:
        await room.connect("/ws?cf_connect=%7B%7D")
        await room.push()
        room.disconnect()
        assert "disconnect" in await room.push()
        assert await room.frame() == (0, b"")

    in_room(no_push, disable_disconnect_push=True)
    in_room(no_handshake, disable_closing_handshake=True)


def test_a_peer_whose_websocket_answers_no_ping_is_dead() -> None:
    async def test(room: Room) -> None:
        await room.connect("/ws?cf_connect=%7B%7D")
        await room.push()
        room.connection.expire()
        assert await room.frame() == (9, b"")
        room.writer.write(frame(10) + frame(9))
        assert await room.frame() == (10, b"")
        room.connection.expire()
        assert await room.frame() == (9, b"")
        room.connection.expire()
        assert await room.frame() == (0, b"")
        assert not room.node.num_clients

    in_room(test)
