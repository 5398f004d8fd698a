"""How clients over WebSockets come and go."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any
from urllib.parse import quote

import aiohttp

from .ground import ORIGIN, QUIET_SECONDS, READ_SECONDS, Ground, Wire, commands, request

HANDSHAKE = {
    "Upgrade": "websocket", "Connection": "Upgrade", "Sec_WebSocket_Version": "13",
    "Sec_WebSocket_Key": "dGhlIHNhbXBsZSBub25jZQ==",
}  # fmt: skip


async def dial(ground: Ground, path: str = "websocket") -> aiohttp.ClientWebSocketResponse:
    """Opens a WebSocket."""
    return await ground.session.ws_connect(f"ws://127.0.0.1:{ground.instance.port}/connection/{path}", max_msg_size=0)


async def hear(socket: aiohttp.ClientWebSocketResponse) -> str:
    """Returns the next message."""
    return str(await socket.receive_str(timeout=READ_SECONDS))


async def closed_with(socket: aiohttp.ClientWebSocketResponse) -> int | None:
    """Reads to the end; returns the code of the close frame."""
    while (await socket.receive(timeout=READ_SECONDS)).type in (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY):
        pass
    return socket.close_code


def vanish(socket: aiohttp.ClientWebSocketResponse) -> None:
    """Is gone without a word."""
    transport = socket.get_extra_info("transport") or socket._response.connection.transport  # type: ignore[union-attr]
    transport.abort()


async def speak(ground: Ground, name: str) -> aiohttp.ClientWebSocketResponse:
    """Connects, subscribes to channels of several kinds, publishes into each, and reads the replies."""
    socket = await dial(ground)
    # Channels with history have names that come again, because what is kept of them is meant to stay.
    kinds = ("chat:{group}", "delta:{group}", "live:{name}", "tags:{group}")
    channels = [kind.format(group=ground.chance.randrange(5), name=name) for kind in kinds]
    sent: list[dict[str, Any]] = [{"connect": {}}]
    sent += [{"subscribe": {"channel": channel, "delta": "fossil"}} for channel in channels]
    sent += [{"publish": {"channel": channels[n % 3], "data": {"n": n, "text": "x" * 200}}} for n in range(3)]
    await socket.send_str(commands(*sent).decode())
    answered = 0
    while answered < len(sent):
        answered += sum('"id":' in line[:6] for line in (await hear(socket)).split("\n"))
    return socket


async def leave(ground: Ground, name: str) -> None:
    """Closes with a handshake."""
    await (await speak(ground, name)).close()


async def drop(ground: Ground, name: str) -> None:
    """Is gone without a word."""
    vanish(await speak(ground, name))


async def offend(ground: Ground, name: str) -> None:
    """Sends what is no command, and is disconnected."""
    socket = await speak(ground, name)
    await socket.send_str('{"id": 99, "subscribe": ')
    code = await closed_with(socket)
    assert code == 3501, f"closed with {code}"


async def unsubscribe(ground: Ground, name: str) -> None:
    """Leaves one channel first."""
    socket = await speak(ground, name)
    await socket.send_str(json.dumps({"id": 90, "unsubscribe": {"channel": f"live:{name}"}}))
    await hear(socket)
    await socket.close()


async def exceed(ground: Ground, name: str) -> None:
    """Sends a message larger than allowed."""
    socket = await dial(ground)
    await socket.send_str(json.dumps({"id": 1, "connect": {"data": "x" * 70_000}}))
    code = await closed_with(socket)
    assert code == 1009, f"closed with {code}"


async def say_nothing(ground: Ground, name: str) -> None:
    """Is upgraded, half a frame is sent, and nothing follows."""
    wire = await Wire.to(ground, request("GET", "/connection/websocket", **HANDSHAKE))
    await wire.until(rb"HTTP/1.1 101 ")
    wire.writer.write(b"\x81\xfe\x10")
    wire.half_close()
    await wire.until_end()


async def come_from_elsewhere(ground: Ground, name: str) -> None:
    """Is a page of an origin that is not allowed."""
    path = ground.chance.choice(("websocket", "uni_websocket"))
    wire = await Wire.to(ground, request("GET", f"/connection/{path}", Origin="https://evil.test", **HANDSHAKE))
    await wire.until(rb"HTTP/1.1 403 ")
    wire.abort()


async def come_from_home(ground: Ground, name: str) -> None:
    """Is a page of an origin that is allowed, and goes before it connects."""
    wire = await Wire.to(ground, request("GET", "/connection/websocket", Origin=ORIGIN, **HANDSHAKE))
    await wire.until(rb"HTTP/1.1 101 ")
    wire.abort()


async def clog(ground: Ground, name: str) -> None:
    """Does not read what it asked for, until the server has had enough."""
    channel = f"live:{name}"
    head = request("GET", f"/connection/uni_websocket?cf_connect={connect_query(channel)}", **HANDSHAKE)
    await overfill(ground, head, channel)


async def overfill(ground: Ground, head: bytes, channel: str) -> None:
    """Opens a stream of a channel, and publishes into it until the server gives up on who does not read."""
    wire = await Wire.to(ground, head)
    await wire.until(rb'"client"')
    wire.stop_reading()
    limit = time.monotonic() + QUIET_SECONDS
    while (await ground.api("channels", {"pattern": channel}))["channels"]:
        assert time.monotonic() < limit, "the server keeps everything for a client that does not read"
        await ground.api("publish", {"channel": channel, "data": "x" * 1_000_000})
    wire.abort()


def connect_query(channel: str) -> str:
    """Returns a connect request with a subscription, for a query."""
    return quote(json.dumps({"subs": {channel: {}}}))


async def listen(ground: Ground, name: str) -> None:
    """Connects over uni_websocket, hears a publication and goes, politely or not."""
    channel = f"live:{name}"
    first = ground.chance.random() < 0.5
    socket = await dial(ground, "uni_websocket" if first else f"uni_websocket?cf_connect={connect_query(channel)}")
    if first:
        await socket.send_str(json.dumps({"subs": {channel: {}}}))
    assert '"connect"' in await hear(socket)
    await ground.api("publish", {"channel": channel, "data": {}})
    assert '"pub"' in await hear(socket)
    if ground.chance.random() < 0.5:
        vanish(socket)
    else:
        await socket.close()


async def mumble(ground: Ground, name: str) -> None:
    """Sends no connect request over uni_websocket, and is disconnected."""
    socket = await dial(ground, "uni_websocket")
    await socket.send_str("hello")
    code = await closed_with(socket)
    assert code == 3501, f"closed with {code}"


async def stay_mute(ground: Ground, name: str) -> None:
    """Sends nothing at all over uni_websocket, and goes."""
    socket = await dial(ground, "uni_websocket")
    await asyncio.sleep(0)
    vanish(socket)


MANNERS = (
    leave, drop, offend, unsubscribe, exceed, say_nothing, come_from_elsewhere, come_from_home, listen, mumble, stay_mute,
)  # fmt: skip
RARE_MANNERS = (clog,)
