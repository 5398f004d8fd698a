"""Clients over HTTP/2 against a whole node: slow ones, shutdown, and which listener speaks it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import uvloop
from http2_client import Http2Client
from sockets import frame, get
from test_streaming import BASE, until

from centripetal.config import Config
from centripetal.interfaces import PublishOptions
from centripetal.model.errors import DISCONNECT_SHUTDOWN
from centripetal.node.node import Node
from centripetal.server.build import build_node
from centripetal.server.doors import build_doors, share
from centripetal.transports.listener import Listener

HELLO = frame(1, b'{"id":1,"connect":{}}') + frame(1, b'{"id":2,"subscribe":{"channel":"x"}}')


class Place:
    def __init__(self, node: Node, external: Listener, internal: Listener) -> None:
        self.node = node
        self.external = external
        self.internal = internal

    async def connect(self) -> Http2Client:
        client = Http2Client(*await asyncio.open_connection("127.0.0.1", self.external.port))
        client.protocol.initiate_connection()
        client.flush()
        return client

    async def subscribe(self, client: Http2Client) -> int:
        stream = client.tunnel("/connection/websocket")
        client.send(stream, HELLO)
        await client.until(lambda: b'"id":2' in client.bodies.get(stream, b""))
        return stream

    async def publish(self, size: int) -> None:
        await self.node.publish("x", b'"' + b"x" * size + b'"', PublishOptions())


def in_place(test: Callable[[Place], Awaitable[None]], **sections: Any) -> None:
    merged = {name: {**BASE.get(name, {}), **sections.get(name, {})} for name in {**BASE, **sections}}
    merged["http_server"] = {"h2c_external": True, "internal_port": "8001"}
    config = msgspec.convert(merged, Config)

    async def run() -> None:
        node = build_node(config)
        doors = [door.listener for door in build_doors(config, share(config, node))]
        await node.start()
        for door in doors:
            await door.start("127.0.0.1", 0)
        try:
            await test(Place(node, *doors))
        finally:
            for door in doors:
                await door.close(0.2)
            await node.stop()

    uvloop.run(run())


def test_a_stream_that_does_not_keep_up_is_disconnected_and_costs_the_others_nothing() -> None:
    async def test(place: Place) -> None:
        client = await place.connect()
        slow, quick = await place.subscribe(client), await place.subscribe(client)
        client.reading = False
        client.protocol.increment_flow_control_window(5_000_000)
        client.protocol.increment_flow_control_window(5_000_000, quick)
        client.flush()
        for _ in range(100):
            await place.publish(5000)
        await until(lambda: place.node.counters.server_disconnects[3008] == 1)
        assert place.node.num_clients == 1
        await client.until(lambda: client.bodies[quick].count(b'"pub"') == 100)
        # The close frame waits behind what the peer does not take; its stream is given up in time.
        client.protocol.increment_flow_control_window(5_000_000, slow)
        client.flush()
        await client.until(lambda: client.bodies[slow].endswith(b"\x0b\xc0slow"))

    in_place(test, client={**BASE["client"], "queue_max_size": 200_000})


def test_a_stream_that_takes_nothing_is_disconnected_after_the_time_of_a_write() -> None:
    async def test(place: Place) -> None:
        client = await place.connect()
        await place.subscribe(client)
        client.reading = False
        for _ in range(30):
            await place.publish(5000)
        assert place.node.num_clients == 1
        await until(lambda: not place.node.num_clients)

    in_place(test, websocket={"write_timeout": 1.0})


def test_shutdown_tells_clients_and_closes_the_connection() -> None:
    async def test(place: Place) -> None:
        client = await place.connect()
        await place.subscribe(client)
        place.external.stop_accepting()
        for each in list(place.node.registry.clients.values()):
            each.disconnect(DISCONNECT_SHUTDOWN)
        async with asyncio.timeout(20):
            rest = await client.reader.readuntil(b"shutdown")
            assert b"\x0b\xb9shutdown" in rest
            client.writer.write(b"\x00\x00\x00\x00\x01\x00\x00\x00\x01")  # the end of the stream
            await client.reader.read()
        assert not place.external.connections

    in_place(test)


def test_only_the_external_listener_speaks_it() -> None:
    async def test(place: Place) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", place.internal.port)
        writer.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        assert (await reader.readline()).startswith(b"HTTP/1.1 400 ")
        writer.close()
        reader, writer = await asyncio.open_connection("127.0.0.1", place.external.port)
        writer.write(get("/nowhere"))
        assert (await reader.readline()).startswith(b"HTTP/1.1 404 ")
        writer.close()

    in_place(test)


def test_a_failed_connect_of_a_stream_is_a_whole_response() -> None:
    async def test(place: Place) -> None:
        client = await place.connect()
        refused = client.request("POST", "/connection/uni_sse", body=b'{"token":"a.b.c"}')
        assert (await client.answer(refused))[0] == "418"
        taken = client.request("POST", "/connection/uni_http_stream", body=b"{}")
        await client.until(lambda: client.bodies.get(taken, b"").endswith(b"\n"))
        assert json.loads(client.bodies[taken])["connect"]["ping"] == 25
        client.protocol.reset_stream(taken)
        client.flush()
        await until(lambda: not place.node.num_clients)

    transform = {"code": 3500, "to": {"status_code": 418}}
    in_place(
        test,
        client={**BASE["client"], "token": {"hmac_secret_key": "secret"}},
        uni_sse={"enabled": True, "connect_code_to_http_response": {"enabled": True, "transforms": [transform]}},
    )
