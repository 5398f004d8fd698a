"""Streams over raw sockets: heads, framing, the ends, and that nothing of them is left."""

from __future__ import annotations

import asyncio
import gc
import json
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import quote

import msgspec
import pytest
import uvloop
from sockets import get, post

from centripetal.config import Config
from centripetal.interfaces import PublishOptions
from centripetal.model import Disconnect
from centripetal.node.node import Node
from centripetal.server.build import build_node
from centripetal.server.doors import build_doors, share


class Place:
    """A whole node behind a listener."""

    def __init__(self, node: Node, port: int) -> None:
        self.node = node
        self.port = port

    async def open(self, request: bytes) -> Stream:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(request)
        return Stream(reader, writer)


class Stream:
    """One response: its head, and its body piece by piece."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.status = 0
        self.headers: dict[str, str] = {}

    async def head(self) -> Stream:
        async with asyncio.timeout(20):
            lines = (await self.reader.readuntil(b"\r\n\r\n")).decode().strip().split("\r\n")
        self.status = int(lines[0].split()[1])
        self.headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:])}
        return self

    async def chunk(self) -> bytes:
        """Reads one chunk; empty for the last one."""
        async with asyncio.timeout(20):
            size = int(await self.reader.readuntil(b"\r\n"), 16)
            return (await self.reader.readexactly(size + 2))[:-2]

    async def message(self) -> Any:
        return json.loads((await self.chunk()).removeprefix(b"data: "))

    async def rest(self) -> bytes:
        async with asyncio.timeout(20):
            return await self.reader.read()

    def close(self) -> None:
        self.writer.close()


STREAMS = ("sse", "http_stream", "uni_sse", "uni_http_stream")
BASE: dict[str, Any] = {
    "client": {"allow_anonymous_connect_without_token": True, "allowed_origins": ["https://a.test"]},
    "channel": {"without_namespace": {"allow_subscribe_for_client": True, "allow_subscribe_for_anonymous": True}},
    **{name: {"enabled": True} for name in (*STREAMS, "uni_websocket")},
}


def in_place(test: Callable[[Place], Awaitable[None]], **sections: Any) -> None:
    """Runs a test against a node with all streams, and other options laid over."""
    merged = {name: {**BASE.get(name, {}), **sections.get(name, {})} for name in {**BASE, **sections}}
    config = msgspec.convert(merged, Config)

    async def run() -> None:
        node = build_node(config)
        (door,) = build_doors(config, share(config, node))
        await node.start()
        await door.listener.start("127.0.0.1", 0)
        try:
            await test(Place(node, door.listener.port))
        finally:
            await door.listener.close(0.2)
            await node.stop()

    uvloop.run(run())


async def until(condition: Callable[[], bool]) -> None:
    """Lets the loop turn until something has happened."""
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.002)


CONNECT = b'{"id":1,"connect":{}}'


def emulation(session: str, node: str, data: str) -> bytes:
    return post("/emulation", json.dumps({"session": session, "node": node, "data": data}).encode())


async def answer(place: Place, request: bytes) -> Stream:
    stream = await (await place.open(request)).head()
    stream.close()
    return stream


def test_commands_come_through_the_emulation_endpoint_until_the_peer_goes() -> None:
    async def test(place: Place) -> None:
        stream = await (await place.open(post("/connection/http_stream", CONNECT, "Origin: https://a.test"))).head()
        assert stream.headers["transfer-encoding"] == "chunked" and stream.headers["x-accel-buffering"] == "no"
        assert stream.headers["access-control-allow-origin"] == "https://a.test"
        connected = (await stream.message())["connect"]
        session, node = connected["session"], connected["node"]
        wanted = emulation(session, node, '{"id":2,"subscribe":{"channel":"x"}}')
        assert (await answer(place, wanted)).status == 204
        assert await stream.message() == {"id": 2, "subscribe": {}}
        assert session in place.node.registry.sessions
        stream.close()
        await until(lambda: not place.node.registry.sessions)
        assert not place.node.hub.channels and not place.node.num_clients
        assert (await answer(place, wanted)).status == 204

    in_place(test)


def test_http_1_0_gets_no_chunks_and_the_end_is_the_close() -> None:
    async def test(place: Place) -> None:
        request = get("/connection/sse?cf_connect=" + quote('{"id":1,"subscribe":{}}'), version="1.0")
        stream = await (await place.open(request)).head()
        assert "transfer-encoding" not in stream.headers
        push = b'{"push":{"disconnect":{"code":3501,"reason":"bad request"}}}'
        assert await stream.rest() == b"\r\ndata: " + push + b"\n\n"

    in_place(test)


def test_a_stream_ends_with_its_push_and_last_chunk() -> None:
    async def test(place: Place) -> None:
        stream = await (await place.open(post("/connection/uni_sse", b"{}"))).head()
        assert await stream.chunk() == b"\r\n"
        await stream.message()
        (client,) = place.node.registry.clients.values()
        client.disconnect(Disconnect(4000, "so"))
        assert await stream.message() == {"disconnect": {"code": 4000, "reason": "so"}}
        assert await stream.rest() == b"0\r\n\r\n"

    in_place(test)


def test_a_half_closed_client_is_gone() -> None:
    async def test(place: Place) -> None:
        stream = await (await place.open(post("/connection/http_stream", CONNECT))).head()
        await stream.message()
        stream.writer.write_eof()
        await until(lambda: not place.node.num_clients)
        assert await stream.rest() == b""

    in_place(test)


def test_input_behind_the_request_is_ignored_and_bounded() -> None:
    async def test(place: Place) -> None:
        stream = await (await place.open(post("/connection/http_stream", CONNECT) + get("/emulation"))).head()
        await stream.message()
        assert place.node.num_clients == 1
        stream.writer.write(b"x" * 200_000)
        await until(lambda: not place.node.num_clients)

    in_place(test)


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (get("/connection/sse"), 400),
        (get("/connection/sse?cf_connect="), 400),
        (get("/connection/sse", method="OPTIONS"), 405),
        (get("/connection/uni_sse?cf_connect=%7B"), 400),
        (get("/connection/uni_sse?cf_connect=[]"), 400),
        (get("/connection/http_stream"), 405),
        (get("/connection/uni_http_stream", method="DELETE"), 405),
        (get("/connection/http_stream", method="OPTIONS"), 204),
        (post("/connection/uni_http_stream", b""), 400),
        (post("/connection/uni_http_stream", b"\xff"), 400),
        (post("/connection/http_stream", b"x" * 70_000), 413),
        (post("/emulation", b"x" * 70_000), 413),
        (post("/emulation", b"[]"), 400),
        (post("/emulation", b"\xff\xff", "Content-Type: application/octet-stream"), 400),
        (post("/emulation", b"{}"), 404),
        (get("/emulation"), 405),
        (get("/connection/uni_websocket?cf_connect=%7B"), 400),
    ],
)
def test_what_is_no_stream(request_bytes: bytes, status: int) -> None:
    async def test(place: Place) -> None:
        assert (await answer(place, request_bytes)).status == status
        assert not place.node.num_clients

    in_place(test)


def test_foreign_origins_lose_their_headers_only() -> None:
    async def test(place: Place) -> None:
        for origin, named in (("https://a.test", True), ("https://b.test", False)):
            stream = await (await place.open(post("/connection/http_stream", CONNECT, f"Origin: {origin}"))).head()
            assert stream.status == 200 and ("access-control-allow-origin" in stream.headers) is named
            await stream.message()
            stream.close()

    in_place(test)


def test_the_connection_limit_counts_streams() -> None:
    async def test(place: Place) -> None:
        stream = await (await place.open(post("/connection/http_stream", CONNECT))).head()
        await stream.message()
        for path in STREAMS:
            assert (await answer(place, post(f"/connection/{path}", b"{}"))).status == 503
        stream.close()

    in_place(test, client={"connection_limit": 1})


def test_failed_connects_become_responses_where_asked_for() -> None:
    codes = {"enabled": True, "transforms": [{"code": 3501, "to": {"status_code": 418}}]}

    async def test(place: Place) -> None:
        refused = await (await place.open(post("/connection/uni_sse", b"{}"))).head()
        assert refused.status == 418 and await refused.rest() == b"bad request"
        unmatched = await (await place.open(post("/connection/uni_sse", b'{"token":"x"}'))).head()
        assert unmatched.status == 500
        assert not place.node.num_clients

    in_place(
        test,
        client={"allow_anonymous_connect_without_token": False},
        uni_sse={"connect_code_to_http_response": codes},
    )


def test_an_opened_stream_has_its_head_before_the_connect_push() -> None:
    async def test(place: Place) -> None:
        stream = await (await place.open(post("/connection/uni_sse", b"null"))).head()
        assert stream.status == 200 and await stream.chunk() == b"\r\n"
        assert "connect" in await stream.message()
        stream.close()

    in_place(test, uni_sse={"connect_code_to_http_response": {"enabled": True}})


def test_a_peer_that_does_not_read_is_ended() -> None:
    async def test(place: Place) -> None:
        _, writer = await asyncio.open_connection("127.0.0.1", place.port, limit=1024)
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        commands = b"\n".join([CONNECT, b'{"id":2,"subscribe":{"channel":"x"}}'])
        writer.write(post("/connection/http_stream", commands))
        await until(lambda: "x" in place.node.hub.channels)
        data = b'"' + b"x" * 500_000 + b'"'
        async with asyncio.timeout(20):
            while place.node.num_clients:
                await place.node.publish("x", data, PublishOptions())
                await asyncio.sleep(0)
        writer.close()

    in_place(test)


def test_churn_leaves_nothing() -> None:
    async def round_of(place: Place, count: int) -> None:
        for number in range(count):
            path = STREAMS[number % len(STREAMS)]
            stream = await (await place.open(post(f"/connection/{path}", CONNECT if number % 2 else b"{}"))).head()
            stream.close()
        await until(lambda: not place.node.registry.clients)

    def objects() -> int:
        gc.collect()
        return len(gc.get_objects())

    async def test(place: Place) -> None:
        await round_of(place, 100)
        before, tasks = objects(), len(asyncio.all_tasks())
        await round_of(place, 2000)
        await until(lambda: len(asyncio.all_tasks()) <= tasks)
        assert objects() - before < 200
        assert not place.node.registry.sessions and not place.node.registry.users

    in_place(test)
