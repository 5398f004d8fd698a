"""How requests come in pieces, come too large, and do not come to an end."""

from __future__ import annotations

import asyncio
import json

from .ground import Ground, Wire, request


async def stammer(ground: Ground, name: str) -> None:
    """Begins a request, or talks another protocol, and goes."""
    beginnings = (b"", b"GET /conn", b"\x16\x03\x01\x02\x00", b"POST /api/info HTTP/1.1\r\nX:", b"PRI * HTTP/2.0\r\n")
    wire = await Wire.to(ground, ground.chance.choice(beginnings))
    await wire.writer.drain()
    wire.abort()


async def come_in_pieces(ground: Ground, name: str) -> None:
    """Sends a request in pieces, one turn of the loop after the other."""
    key = ground.instance.api_key
    body = json.dumps({"channel": f"live:{name}", "data": {}}).encode()
    whole = request("POST", "/api/publish", body, X_API_Key=key)
    wire = await Wire.to(ground)
    for start in range(0, len(whole), 7):
        wire.writer.write(whole[start : start + 7])
        await asyncio.sleep(0)
    await wire.until(rb'HTTP/1.1 200 .*"result"')
    wire.abort()


async def come_in_a_row(ground: Ground, name: str) -> None:
    """Sends requests without waiting for answers, for pages and for the API, and goes before they are answered."""
    api = request("POST", "/api/info", b"{}", X_API_Key=ground.instance.api_key)
    wire = await Wire.to(ground, (api + request("GET", "/health")) * 4)
    if ground.chance.random() < 0.5:
        await wire.until(rb"(HTTP/1.1 200 .*){8}")
    wire.abort()


async def stop_in_the_middle(ground: Ground, name: str) -> None:
    """Sends half a body, to the API, a stream or a page, and goes or says that it is done."""
    path = ground.chance.choice(("/api/publish", "/connection/sse", "/emulation", "/health"))
    wire = await Wire.to(ground, request("POST", path, b'{"chan', Content_Length="100"))
    await wire.writer.drain()
    if ground.chance.random() < 0.5:
        wire.abort()
    else:
        wire.half_close()
        await wire.until_end()


async def boast(ground: Ground, name: str) -> None:
    """Sends a head that is too large, has too many lines, contradicts itself, or is none."""
    bad = (
        (request("GET", "/health", X_Long="x" * 70_000), rb"HTTP/1.1 431 "),
        (request("GET", "/health", **{f"X_{n}": "y" for n in range(300)}), rb"HTTP/1.1 431 "),
        (request("POST", "/health", b"", Content_Length="5", Transfer_Encoding="chunked"), rb"HTTP/1.1 400 "),
        (b"nonsense\r\n\r\n", rb"HTTP/1.1 400 "),
        (request("POST", "/connection/http_stream", b"", Content_Length="1000000"), rb"HTTP/1.1 413 "),
        (request("POST", "/api/publish", b"", Content_Length="5"), rb"HTTP/1.1 401 "),
    )
    data, status = ground.chance.choice(bad)
    wire = await Wire.to(ground, data)
    await wire.until(status)
    await wire.until_end() if ground.chance.random() < 0.3 else wire.abort()


async def get_lost(ground: Ground, name: str) -> None:
    """Asks for what there is not, in a way there is not."""
    wire = await Wire.to(ground, request("GET", f"/nowhere/{name}") + request("PUT", "/connection/sse"))
    await wire.until(rb"HTTP/1.1 404 .*HTTP/1.1 405 ")
    wire.abort()


MANNERS = (stammer, come_in_pieces, come_in_a_row, stop_in_the_middle, boast, get_lost)
