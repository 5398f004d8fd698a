"""The unidirectional gRPC stream, driven by a real gRPC client."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest

from centripetal.connection import Client
from centripetal.engines.memory import MemoryBroker, MemoryPresenceManager
from centripetal.interfaces import PublishOptions, SystemClock
from centripetal.model import Disconnect
from centripetal.node.node import Node
from centripetal.node.settings import ChannelOptions, ChannelSettings, ClientSettings, NodeOptions
from centripetal.protocol.schema import client_pb2 as schema
from centripetal.transports import uni_grpc
from centripetal.transports.admission import Admission
from centripetal.transports.grpc_listener import GrpcListener
from centripetal.transports.origins import Origins
from centripetal.transports.reception import Reception
from centripetal.transports.uni_grpc import METHOD, UniGrpcService


@asynccontextmanager
async def serving(connection_limit: int = 0, ping_interval: float = 25.0) -> AsyncIterator[tuple[Node, Any]]:
    """A node behind a listener, and what opens a stream to it."""
    clock = SystemClock()
    options = ChannelOptions(allow_subscribe_for_client=True, allow_subscribe_for_anonymous=True)
    node = Node(
        broker=MemoryBroker(clock, history_meta_ttl_seconds=3600),
        presence=MemoryPresenceManager(clock),
        options=NodeOptions(
            client=ClientSettings(allow_anonymous_connect_without_token=True),
            channel=ChannelSettings(without_namespace=options),
        ),
    )
    await node.start()
    reception = Reception(
        Origins([]), Admission(clock, lambda: node.num_clients, connection_limit), ping_interval_seconds=ping_interval
    )
    service = UniGrpcService(reception, lambda transport, request: Client(node, transport, request))
    listener = GrpcListener([service])
    await listener.start("127.0.0.1", 0)
    async with grpc.aio.insecure_channel(f"127.0.0.1:{listener.port}") as channel:
        consume = channel.unary_stream(METHOD, response_deserializer=schema.Push.FromString)
        try:
            yield node, consume
        finally:
            await listener.stop(0)
            await node.stop()


def request(*channels: str) -> bytes:
    return schema.ConnectRequest(subs={name: schema.SubscribeRequest() for name in channels}).SerializeToString()


def test_pushes_arrive_one_by_one_and_the_disconnect_ends_the_stream() -> None:
    async def scene() -> None:
        async with serving() as (node, consume):
            stream = consume(request("news"))
            connect = (await stream.read()).connect
            assert connect.ping == 25 and list(connect.subs) == ["news"]
            for number in range(200):
                await node.publish("news", b"%d" % number, PublishOptions())
            assert [(await stream.read()).pub.data for _ in range(200)] == [b"%d" % number for number in range(200)]
            await node.disconnect_user("", Disconnect(4500, "enough"))
            last = (await stream.read()).disconnect
            assert (last.code, last.reason) == (4500, "enough")
            assert await stream.read() is grpc.aio.EOF
            assert node.num_clients == 0

    asyncio.run(scene())


def test_pings_are_empty_pushes() -> None:
    async def scene() -> None:
        async with serving(ping_interval=0.1) as (_, consume):
            stream = consume(request())
            await stream.read()
            assert await stream.read() == schema.Push()

    asyncio.run(scene())


def test_a_peer_that_leaves_leaves_nothing_behind() -> None:
    async def scene() -> None:
        async with serving() as (node, consume):
            stream = consume(request("news"))
            await stream.read()
            assert node.num_clients == 1
            stream.cancel()
            async with asyncio.timeout(20):
                while node.num_clients or node.hub.channels:
                    await asyncio.sleep(0.01)

    asyncio.run(scene())


@pytest.mark.parametrize(
    ("limit", "body", "status"),
    [
        (1, request(), grpc.StatusCode.RESOURCE_EXHAUSTED),
        (0, b"\xff\xff", grpc.StatusCode.INVALID_ARGUMENT),
    ],
)
def test_what_is_refused(limit: int, body: bytes, status: grpc.StatusCode) -> None:
    async def scene() -> None:
        async with serving(connection_limit=limit) as (_, consume):
            first = consume(request())
            await first.read()
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await consume(body).read()
            assert caught.value.code() is status

    asyncio.run(scene())


def test_a_peer_that_reads_nothing_is_ended() -> None:
    async def scene() -> None:
        async with serving() as (node, consume):
            stream = consume(request("news"))
            await stream.read()
            data = b'"' + b"x" * 60_000 + b'"'
            async with asyncio.timeout(20):
                while node.num_clients:
                    await node.publish("news", data, PublishOptions())
                    await asyncio.sleep(0)
            stream.cancel()

    asyncio.run(scene())


@pytest.mark.parametrize("how", ["close", "abort"])
def test_a_call_ends_although_its_peer_reads_nothing(monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    monkeypatch.setattr(uni_grpc, "CLOSE_SECONDS", 0.01)

    async def scene() -> None:
        never = asyncio.Event()

        async def send(message: bytes) -> None:
            await never.wait()

        stream = uni_grpc.UniGrpcStream(Reception(Origins([]), Admission(SystemClock(), lambda: 0)))
        call = asyncio.create_task(stream.send_all(send))
        stream.write(uni_grpc.UNI_GRPC.frame(b"x" * 300))
        assert stream.buffered_bytes() == 300
        await asyncio.sleep(0)
        if how == "close":
            stream.close(Disconnect(3001, "shutdown"))
        else:
            stream.abort()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(call, 20)

    asyncio.run(scene())
