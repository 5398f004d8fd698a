"""Lets clients come and go, well behaved and not, and looks for what is left behind in the server.

A round is many connections that live at once: they subscribe, publish and read, and then end in one of several ways.
After each round the server must have no client, no channel and no more open files than before; after the rounds its
memory must not have grown beyond what the first ones made of it. The last line is `N passed, N failed`.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp

sys.path.insert(0, str(Path(__file__).resolve().parent))

from clients.instance import Instance

ROUNDS = 40
WARM_UP_ROUNDS = 10
CONNECTIONS = 250
CHANNELS = 4
GROWTH_BYTES = 2 * 1024 * 1024
QUIET_SECONDS = 20.0


class Ground:
    """The server and what can be seen of it from outside."""

    def __init__(self, instance: Instance, session: aiohttp.ClientSession) -> None:
        self.instance = instance
        self.session = session
        self.chance = random.Random(7)

    def resident_bytes(self) -> int:
        return int(Path(f"/proc/{self.instance.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")

    def open_files(self) -> int:
        return len(os.listdir(f"/proc/{self.instance.pid}/fd"))

    async def api(self, method: str, body: dict[str, Any]) -> dict[str, Any]:
        url = f"{self.instance.api_url}/{method}"
        async with self.session.post(url, json=body, headers={"X-API-Key": self.instance.api_key}) as answer:
            assert answer.status == 200, f"{method}: HTTP {answer.status}"
            result: dict[str, Any] = (await answer.json())["result"]
            return result

    async def left_behind(self) -> str:
        """Waits until nothing is left; returns what is, if it does not go away."""
        limit = time.monotonic() + QUIET_SECONDS
        while True:
            node = (await self.api("info", {}))["nodes"][0]
            left = {name: node.get(name, 0) for name in ("num_clients", "num_subs", "num_channels", "num_users")}
            if not any(left.values()):
                return ""
            if time.monotonic() > limit:
                return str(left)
            await asyncio.sleep(0.1)


async def speak(ground: Ground, name: str) -> aiohttp.ClientWebSocketResponse:
    """Connects, subscribes to channels of several kinds, publishes into each, and reads the replies."""
    socket = await ground.session.ws_connect(f"ws://127.0.0.1:{ground.instance.port}/connection/websocket")
    # Channels with history have names that come again, because what is kept of them is meant to stay.
    kinds = ("chat:{group}", "delta:{group}", "live:{name}", "tags:{group}")
    channels = [kind.format(group=ground.chance.randrange(5), name=name) for kind in kinds[:CHANNELS]]
    commands: list[dict[str, Any]] = [{"connect": {}}]
    commands += [{"subscribe": {"channel": channel, "delta": "fossil"}} for channel in channels]
    commands += [{"publish": {"channel": channels[n % 3], "data": {"n": n, "text": "x" * 200}}} for n in range(3)]
    await socket.send_str("\n".join(json.dumps({"id": n, **each}) for n, each in enumerate(commands, 1)))
    answered = 0
    while answered < len(commands):
        text = await socket.receive_str(timeout=20)
        answered += sum('"id":' in line[:6] for line in text.split("\n"))
    return socket


async def leave(ground: Ground, name: str) -> None:
    """Closes with a handshake."""
    await (await speak(ground, name)).close()


async def drop(ground: Ground, name: str) -> None:
    """Is gone without a word."""
    socket = await speak(ground, name)
    transport = socket.get_extra_info("transport") or socket._response.connection.transport  # type: ignore[union-attr]
    transport.abort()


async def offend(ground: Ground, name: str) -> None:
    """Sends what is no command, and is disconnected."""
    socket = await speak(ground, name)
    await socket.send_str('{"id": 99, "subscribe": ')
    while (await socket.receive(timeout=20)).type is aiohttp.WSMsgType.TEXT:
        pass
    assert socket.close_code == 3501, f"closed with {socket.close_code}"


async def unsubscribe(ground: Ground, name: str) -> None:
    """Leaves one channel first."""
    socket = await speak(ground, name)
    await socket.send_str(json.dumps({"id": 90, "unsubscribe": {"channel": f"live:{name}"}}))
    await socket.receive(timeout=20)
    await socket.close()


async def stammer(ground: Ground, name: str) -> None:
    """Begins a request, or talks another protocol, and goes."""
    _, writer = await asyncio.open_connection("127.0.0.1", ground.instance.port)
    writer.write(ground.chance.choice((b"", b"GET /conn", b"\x16\x03\x01\x02\x00", b"POST /api/info HTTP/1.1\r\nX:")))
    await writer.drain()
    writer.transport.abort()


MANNERS: tuple[Callable[[Ground, str], Awaitable[None]], ...] = (leave, drop, offend, unsubscribe, stammer)


async def churn(instance: Instance) -> list[str]:
    """Runs all rounds; returns what went wrong."""
    problems: list[str] = []
    connector = aiohttp.TCPConnector(limit=0, force_close=True)
    async with aiohttp.ClientSession(connector=connector) as session:
        ground = Ground(instance, session)
        await ground.api("info", {})
        files = ground.open_files()
        sizes: list[int] = []
        for number in range(ROUNDS):
            manners = [MANNERS[n % len(MANNERS)] for n in range(CONNECTIONS)]
            results = await asyncio.gather(
                *(manner(ground, f"{number}-{n}") for n, manner in enumerate(manners)), return_exceptions=True
            )
            problems += [f"round {number}: {error!r}" for error in results if isinstance(error, BaseException)][:3]
            left = await ground.left_behind()
            if left:
                problems.append(f"round {number}: left behind: {left}")
            sizes.append(ground.resident_bytes())
            if problems:
                break
        print("resident MiB:", " ".join(f"{size / 1048576:.1f}" for size in sizes))
        print(f"open files: {files} before, {ground.open_files()} after")
        # The connection that asks is one itself.
        if ground.open_files() > files + 2:
            problems.append(f"{ground.open_files() - files} more open files than before")
        grown = sizes[-1] - max(sizes[: WARM_UP_ROUNDS + 1])
        if grown > GROWTH_BYTES:
            problems.append(f"memory grew by {grown / 1048576:.1f} MiB after round {WARM_UP_ROUNDS}")
    return problems


def main() -> int:
    """Returns the exit status."""
    everybody = {"client": {"insecure": True}}
    instance = Instance(everybody)
    try:
        problems = asyncio.run(churn(instance))
        log = instance.log()
    finally:
        status = instance.stop()
    if "Traceback" in log or '"level":"error"' in log:
        problems.append(f"the server logged an error:\n{log[:4000]}")
    if status != 0:
        problems.append(f"the server ended with {status}")
    for problem in problems:
        print("FAIL", problem)
    print(f"{0 if problems else 1} passed, {len(problems)} failed")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
