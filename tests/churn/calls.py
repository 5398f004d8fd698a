"""How streams over gRPC come and go."""

from __future__ import annotations

import asyncio
import json

import grpc
import grpc.aio

from centripetal.protocol.schema.client_pb2 import ConnectRequest, Push

from .ground import READ_SECONDS, Ground

METHOD = "/centrifugal.centrifugo.unistream.CentrifugoUniStream/Consume"

Call = grpc.aio.UnaryStreamCall[bytes, bytes]


def consume(channel: grpc.aio.Channel, body: bytes, method: str = METHOD) -> Call:
    """Opens a stream."""
    call: Call = channel.unary_stream(method)(body)
    return call


async def hear(call: Call) -> Push:
    """Returns the next push."""
    data = await asyncio.wait_for(call.read(), READ_SECONDS)
    assert isinstance(data, bytes), "the stream has ended"
    return Push.FromString(data)


async def listen(ground: Ground, channel: grpc.aio.Channel, name: str) -> Call:
    """Connects with a subscription and hears a publication."""
    wanted = ConnectRequest()
    wanted.subs[f"live:{name}"].SetInParent()
    call = consume(channel, wanted.SerializeToString())
    assert (await hear(call)).HasField("connect")
    await ground.api("publish", {"channel": f"live:{name}", "data": {"n": 1}})
    assert json.loads((await hear(call)).pub.data) == {"n": 1}
    return call


async def cancel(ground: Ground, name: str) -> None:
    """Cancels its stream; the connection lives on with others' streams."""
    (await listen(ground, ground.grpc, name)).cancel()


async def hang_up(ground: Ground, name: str) -> None:
    """Closes the connection under its stream."""
    # With an option of its own, or gRPC would share one connection among such channels.
    channel = grpc.aio.insecure_channel(f"127.0.0.1:{ground.grpc_port}", options=[("churn.name", name)])
    await listen(ground, channel, name)
    await channel.close()


async def ask_in_vain(ground: Ground, name: str) -> None:
    """Sends what is no connect request, or too much, or to no method; or connects to an unknown namespace."""
    unknown = ConnectRequest()
    unknown.subs["nowhere:x"].SetInParent()
    way = ground.chance.randrange(4)
    if way == 3:
        call = consume(ground.grpc, unknown.SerializeToString())
        assert (await hear(call)).disconnect.code == 3501
        return
    calls = (
        (b"\xff\xff", METHOD, grpc.StatusCode.INVALID_ARGUMENT),
        (b"\x0a\x80\x80\x80\x02" + b"x" * (4 * 1024 * 1024), METHOD, grpc.StatusCode.RESOURCE_EXHAUSTED),
        (b"", "/nothing/here", grpc.StatusCode.UNIMPLEMENTED),
    )
    body, method, status = calls[way]
    call = consume(ground.grpc, body, method)
    told = await asyncio.wait_for(call.code(), READ_SECONDS)
    assert told is status, f"{told} for {method}"


MANNERS = (cancel, hang_up, ask_in_vain)
