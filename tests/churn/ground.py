"""The server under churn, what can be seen of it, and raw connections to it."""

from __future__ import annotations

import asyncio
import json
import os
import random
import re
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import grpc
import grpc.aio
from clients.instance import Instance
from free_ports import free_port

from .watched import HEADS_REMEMBERED, REPORT

QUIET_SECONDS = 20.0
READ_SECONDS = 20.0
ORIGIN = "https://good.test"

CHANNEL_OPTIONS: dict[str, Any] = {
    "allow_subscribe_for_client": True,
    "allow_publish_for_subscriber": True,
    "history_size": 3,
    "history_ttl": "600s",
    "force_recovery": True,
}
OPTIONS: dict[str, Any] = {
    "client": {"insecure": True, "allowed_origins": [ORIGIN]},
    "http_stream": {"enabled": True},
    "sse": {"enabled": True},
    "uni_websocket": {"enabled": True},
    "uni_sse": {"enabled": True},
    "uni_http_stream": {"enabled": True},
    "channel": {
        "namespaces": [
            {"name": "chat", "presence": True, "join_leave": True, "force_push_join_leave": True, **CHANNEL_OPTIONS},
            {"name": "delta", "allowed_delta_types": ["fossil"], "delta_publish": True, **CHANNEL_OPTIONS},
            {"name": "tags", "allow_tags_filter": True, **CHANNEL_OPTIONS},
            {"name": "live", "allow_subscribe_for_client": True, "allow_publish_for_subscriber": True},
        ]
    },
}
"""Histories are short, so that they are full after the first rounds and stay as large as they are."""


@dataclass(frozen=True)
class Sight:
    """What lives in the server at a moment.

    Attributes:
        tasks: of the event loop.
        uncollected: objects by type, garbage included.
        collected: objects by type without garbage.
        blocks: pieces of memory that Python has in use without garbage, for objects of any kind.
        bytes: memory that `malloc` has given out, for larger objects and what libraries in C keep.
        resident_bytes: memory of the process.
        open_files: of the process.
    """

    tasks: int
    uncollected: Mapping[str, int]
    collected: Mapping[str, int]
    blocks: int
    bytes: int
    resident_bytes: int
    open_files: int


class Ground:
    """The server and its clients' common means.

    Attributes:
        instance: the server's process.
        session: for requests that are in order.
        grpc: a channel to the port of uni_grpc.
        grpc_port: that port.
        chance: makes choices, the same in each run.
        node: id of the node, as emulated clients learn it.
    """

    def __init__(self, instance: Instance, session: aiohttp.ClientSession) -> None:
        self.instance = instance
        self.session = session
        self.grpc_port: int = instance.config["uni_grpc"]["port"]
        self.grpc = grpc.aio.insecure_channel(f"127.0.0.1:{self.grpc_port}")
        self.chance = random.Random(7)
        self.node = ""

    async def api(self, method: str, body: dict[str, Any]) -> dict[str, Any]:
        """Calls a method of the server API."""
        url = f"{self.instance.api_url}/{method}"
        async with self.session.post(url, json=body, headers={"X-API-Key": self.instance.api_key}) as answer:
            assert answer.status == 200, f"{method}: HTTP {answer.status}"
            result: dict[str, Any] = (await answer.json())["result"]
            return result

    async def look(self, *, collect: bool = False) -> Sight:
        """Looks into the server, which may collect its garbage between what it counts."""
        query = "?collect" if collect else ""
        async with self.session.get(f"http://127.0.0.1:{self.instance.port}{REPORT}{query}") as answer:
            told = await answer.json()
        process = Path(f"/proc/{self.instance.pid}")
        resident = int((process / "statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")
        return Sight(**told, resident_bytes=resident, open_files=len(os.listdir(process / "fd")))

    async def look_when_quiet(self, before: Sight | None = None) -> Sight:
        """Waits until the server has no clients, and no more of its own objects than before; then looks.

        Gives up after some seconds: what is seen then is left behind. Garbage is collected at the end only.
        """
        limit = time.monotonic() + QUIET_SECONDS
        while time.monotonic() < limit:
            node = (await self.api("info", {}))["nodes"][0]
            clients = any(node.get(name, 0) for name in ("num_clients", "num_subs", "num_channels", "num_users"))
            if not clients and (before is None or not left_behind(before, await self.look())):
                break
            await asyncio.sleep(0.2)
        return await self.look(collect=True)


def start() -> Instance:
    """Starts the watched server."""
    port = free_port()
    options = {**OPTIONS, "uni_grpc": {"enabled": True, "address": "127.0.0.1", "port": port}}
    return Instance(options, command=[sys.executable, str(Path(__file__).with_name("watched.py"))])


OWN = ("centripetal.", "uvloop.", "asyncio.", "_asyncio.", "_ssl.", "ssl.", "builtins.coroutine")
"""Objects of which a connection that has ended must leave none, without any garbage collection."""

OWN_TOLERANCE = 2
"""The connection that asks is one itself."""

TIMERS = 8
"""What the server has one of, whatever the number of connections: each runs only while it has something to wait for."""

REMEMBERED = {
    "uvloop.loop.TimerHandle": TIMERS,
    "uvloop.loop.UVTimer": TIMERS,
    "centripetal.transports.heads.Head": HEADS_REMEMBERED,
    "centripetal.interfaces.request.HttpRequest": HEADS_REMEMBERED,
}
"""So many objects there may be, even if there were fewer before."""

TOLERANCE = 100
"""Objects of any type that may come and go; one kept by each connection of one manner would be more."""


def left_behind(before: Sight, after: Sight) -> list[str]:
    """Returns what the second look sees more of than the first."""
    found: list[str] = []
    if after.tasks > before.tasks:
        found.append(f"{after.tasks - before.tasks} tasks")
    if after.open_files > before.open_files + OWN_TOLERANCE:
        found.append(f"{after.open_files - before.open_files} open files")
    for kind, count in after.uncollected.items():
        more = count - max(before.collected.get(kind, 0), REMEMBERED.get(kind, 0))
        if kind.startswith(OWN) and more > OWN_TOLERANCE:
            found.append(f"{more} {kind} without garbage collection")
    for kind, count in after.collected.items():
        more = count - before.collected.get(kind, 0)
        if more > TOLERANCE:
            found.append(f"{more} {kind}")
    return found


class Wire:
    """A TCP connection to the server on which anything can be written.

    Attributes:
        received: everything read so far.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self.writer = writer
        self.received = b""

    @classmethod
    async def to(cls, ground: Ground, data: bytes = b"") -> Wire:
        """Connects and writes."""
        wire = cls(*await asyncio.open_connection("127.0.0.1", ground.instance.port))
        wire.writer.write(data)
        return wire

    async def until(self, pattern: bytes) -> re.Match[bytes]:
        """Reads until a regular expression is found in all that was received."""
        while not (match := re.search(pattern, self.received, re.DOTALL)):
            data = await asyncio.wait_for(self._reader.read(65536), READ_SECONDS)
            assert data, f"the connection ended before {pattern!r}: {self.received[-300:]!r}"
            self.received += data
        return match

    async def until_end(self) -> bytes:
        """Reads until the server closes, and closes; returns all that was received."""
        try:
            while data := await asyncio.wait_for(self._reader.read(65536), READ_SECONDS):
                self.received += data
        except ConnectionError:
            pass
        self.writer.close()
        return self.received

    def stop_reading(self) -> None:
        """Takes nothing more from the kernel."""
        self.writer.transport.pause_reading()  # type: ignore[attr-defined]

    def half_close(self) -> None:
        """Says that nothing more will be written."""
        self.writer.write_eof()

    def abort(self) -> None:
        """Is gone without a word."""
        self.writer.transport.abort()


def request(method: str, path: str, body: bytes | None = None, **headers: str) -> bytes:
    """Returns an HTTP request; underscores in names of headers stand for hyphens."""
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    if body is not None and "Transfer_Encoding" not in headers and "Content_Length" not in headers:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + (body or b"")


def commands(*bodies: dict[str, Any]) -> bytes:
    """Returns commands as lines of JSON, with ids from 1."""
    return "\n".join(json.dumps({"id": number, **body}) for number, body in enumerate(bodies, 1)).encode()
