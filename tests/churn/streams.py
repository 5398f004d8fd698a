"""How clients over streamed responses come and go, and what reaches the emulation endpoint."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

from .ground import ORIGIN, Ground, Wire, commands, request
from .sockets import connect_query, overfill

EMULATION = "/emulation"
OCTETS = "application/octet-stream"


async def open_stream(ground: Ground, name: str) -> tuple[Wire, str, str]:
    """Connects and subscribes over SSE or an HTTP stream; returns the connection, the session and the channel."""
    channel = f"chat:{ground.chance.randrange(5)}"
    first = commands({"connect": {}}, {"subscribe": {"channel": channel}}, {"subscribe": {"channel": f"live:{name}"}})
    way = ground.chance.randrange(3)
    if way == 0:
        head = request("GET", f"/connection/sse?cf_connect={quote(first)}", Origin=ORIGIN)
    else:
        head = request("POST", f"/connection/{('sse', 'http_stream')[way - 1]}", first, Origin=ORIGIN)
    wire = await Wire.to(ground, head)
    await wire.until(rb'"id":3')
    session = (await wire.until(rb'"session":"([^"]+)"'))[1].decode()
    ground.node = (await wire.until(rb'"node":"([^"]+)"'))[1].decode()
    return wire, session, channel


async def emulate(ground: Ground, session: str, data: bytes, node: str = "") -> int:
    """Sends commands to a session; returns the status."""
    url = f"http://127.0.0.1:{ground.instance.port}{EMULATION}"
    body = json.dumps({"session": session, "node": node or ground.node, "data": data.decode()})
    async with ground.session.post(url, data=body) as answer:
        await answer.read()
        return answer.status


def publish(channel: str, number: int = 9) -> bytes:
    """Returns a publish command."""
    return json.dumps({"id": number, "publish": {"channel": channel, "data": {"text": "y" * 200}}}).encode()


async def converse(ground: Ground, name: str) -> Wire:
    """Opens a stream, publishes by emulation and reads the publication and the reply."""
    wire, session, channel = await open_stream(ground, name)
    assert await emulate(ground, session, publish(channel)) == 204
    await wire.until(rb'"id":9')
    await wire.until(rb"yyyy")
    return wire


async def drop(ground: Ground, name: str) -> None:
    """Is gone without a word."""
    (await converse(ground, name)).abort()


async def half_close(ground: Ground, name: str) -> None:
    """Says that it is done, and reads the rest."""
    wire = await converse(ground, name)
    wire.half_close()
    await wire.until_end()


async def offend(ground: Ground, name: str) -> None:
    """Sends what is no command, and is disconnected in its stream."""
    wire, session, _ = await open_stream(ground, name)
    assert await emulate(ground, session, b'{"id": 99, "subscribe": ') == 204
    assert b"3501" in await wire.until_end()


async def keep_talking(ground: Ground, name: str) -> None:
    """Writes on while the server streams, until the server has had enough."""
    wire, _, _ = await open_stream(ground, name)
    wire.writer.write(b"x" * 100_000)
    await wire.until_end()


async def ask_in_vain(ground: Ground, name: str) -> None:
    """Sends to sessions that do not exist, to nodes that do not exist, and what is no request."""
    wire, session, channel = await open_stream(ground, name)
    assert await emulate(ground, "unknown", publish(channel)) == 204
    assert await emulate(ground, session[::-1], publish(channel)) == 204
    assert await emulate(ground, session, publish(channel), node="forged") == 404
    wire.abort()
    for body, status in ((b"{", 400), (b"", 400), (b"x" * 65537, 413)):
        refused = await Wire.to(ground, request("POST", EMULATION, body))
        await refused.until(rb"HTTP/1.1 %d " % status)
        refused.abort()


async def ask_for_too_much(ground: Ground, name: str) -> None:
    """Sends a larger body in chunks than is allowed, to every endpoint that takes one."""
    path = ground.chance.choice((EMULATION, *(f"/connection/{kind}" for kind in ("sse", "http_stream", "uni_sse"))))
    wire = await Wire.to(ground, request("POST", path, b"", Transfer_Encoding="chunked"))
    for _ in range(9):
        wire.writer.write(b"2000\r\n" + b"x" * 0x2000 + b"\r\n")
    await wire.until(rb"HTTP/1.1 413 ")
    wire.abort()


async def come_from_elsewhere(ground: Ground, name: str) -> None:
    """Is a page of an origin that is not allowed: it is served, without permission to read."""
    path = ground.chance.choice(("sse", "http_stream"))
    first = commands({"connect": {}})
    wire = await Wire.to(ground, request("POST", f"/connection/{path}", first, Origin="https://evil.test"))
    await wire.until(rb'"client"')
    assert b"Access-Control" not in wire.received
    wire.abort()


async def ask_first(ground: Ground, name: str) -> None:
    """Makes a preflight request."""
    path = ground.chance.choice((EMULATION, "/connection/http_stream", "/connection/uni_http_stream"))
    wire = await Wire.to(ground, request("OPTIONS", path, Origin=ORIGIN, Access_Control_Request_Method="POST"))
    await wire.until(rb"HTTP/1.1 204 ")
    wire.abort()


async def begin_badly(ground: Ground, name: str) -> None:
    """Opens a stream with what is no command."""
    path, content = ground.chance.choice((("sse", ""), ("http_stream", ""), ("http_stream", OCTETS)))
    wire = await Wire.to(ground, request("POST", f"/connection/{path}", b"\xff\xff", Content_Type=content))
    await wire.until_end()


async def speak_protobuf(ground: Ground, name: str) -> None:
    """Connects over an HTTP stream with Protobuf, and goes."""
    connect = b"\x04\x08\x01\x22\x00"  # length, id 1, an empty connect request
    wire = await Wire.to(ground, request("POST", "/connection/http_stream", connect, Content_Type=OCTETS))
    await wire.until(rb"\r\n\r\n[0-9a-f]+\r\n.{40}")
    wire.abort()


def open_listening(ground: Ground, channel: str) -> bytes:
    """Returns a request for a unidirectional stream with a subscription."""
    way = ground.chance.randrange(3)
    if way == 0:
        return request("GET", f"/connection/uni_sse?cf_connect={connect_query(channel)}")
    path = ("uni_sse", "uni_http_stream")[way - 1]
    return request("POST", f"/connection/{path}", json.dumps({"subs": {channel: {}}}).encode())


async def listen(ground: Ground, name: str) -> Wire:
    """Opens a unidirectional stream and hears a publication."""
    channel = f"live:{name}"
    wire = await Wire.to(ground, open_listening(ground, channel))
    await wire.until(rb'"connect"')
    await ground.api("publish", {"channel": channel, "data": {"text": "zzzz"}})
    await wire.until(rb"zzzz")
    return wire


async def listen_and_drop(ground: Ground, name: str) -> None:
    """Is gone without a word."""
    (await listen(ground, name)).abort()


async def listen_and_half_close(ground: Ground, name: str) -> None:
    """Says that it is done, and reads the rest."""
    wire = await listen(ground, name)
    wire.half_close()
    await wire.until_end()


async def listen_in_vain(ground: Ground, name: str) -> None:
    """Asks for a channel of an unknown namespace, or with no request at all, and is refused."""
    path = ground.chance.choice(("uni_sse", "uni_http_stream"))
    refused: list[tuple[bytes, bytes]] = [(json.dumps({"subs": {"nowhere:x": {}}}).encode(), b"3501"), (b"{", b" 400 ")]
    body, answer = ground.chance.choice(refused)
    wire = await Wire.to(ground, request("POST", f"/connection/{path}", body, Connection="close"))
    assert answer in await wire.until_end()


async def clog(ground: Ground, name: str) -> None:
    """Does not read what it asked for over a unidirectional stream, until the server has had enough."""
    channel = f"live:{name}"
    await overfill(ground, open_listening(ground, channel), channel)


async def clog_both_ways(ground: Ground, name: str) -> None:
    """The same over one with emulation."""
    channel = f"live:{name}"
    path = ground.chance.choice(("sse", "http_stream"))
    first: list[dict[str, Any]] = [{"connect": {}}, {"subscribe": {"channel": channel}}]
    await overfill(ground, request("POST", f"/connection/{path}", commands(*first)), channel)


MANNERS = (
    drop, half_close, offend, keep_talking, ask_in_vain, ask_for_too_much, come_from_elsewhere, ask_first, begin_badly,
    speak_protobuf, listen_and_drop, listen_and_half_close, listen_in_vain,
)  # fmt: skip
RARE_MANNERS = (clog, clog_both_ways)
