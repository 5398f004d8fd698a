"""Shared polls of several workers: their backend is asked as often as by one."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
from pathlib import Path
from typing import Any

import websockets.asyncio.client
from aiohttp import web
from test_lifecycle import OPEN, START_SECONDS, Running

SECRET = "0e84d3b2-6f0c-4cc2-8b9e-2d1e5f0f7a55"
CHANNEL = "votes:feed"
INTERVAL = 0.5


class Backend:
    """Has a new version of everything each time that it is asked for the next one."""

    def __init__(self) -> None:
        self.cycles = 0

    async def serve(self, request: web.BaseRequest) -> web.Response:
        event = await request.json()
        self.cycles += any(item.get("version") for item in event["items"])
        version = self.cycles + 1
        items = [{"key": item["key"], "data": {"n": version}, "version": version} for item in event["items"]]
        return web.json_response({"result": {"items": items}})


def track() -> dict[str, Any]:
    digest = hashlib.sha256(b"a").hexdigest()
    text = f"0\x000\x00\x00{CHANNEL}\x00{digest}"
    signature = f"0:0:{hmac.new(SECRET.encode(), text.encode(), hashlib.sha256).hexdigest()}"
    batch = {"signature": signature, "items": [{"key": "a", "version": 0}]}
    return {"id": 3, "sub_refresh": {"channel": CHANNEL, "type": 1, "track": [batch]}}


async def watch(port: int, versions: int) -> None:
    """Tracks an item until it has changed so often."""
    async with websockets.asyncio.client.connect(f"ws://127.0.0.1:{port}/connection/websocket") as socket:
        await socket.send(json.dumps({"id": 1, "connect": {}}))
        await socket.send(json.dumps({"id": 2, "subscribe": {"channel": CHANNEL, "type": 4}}))
        await socket.send(json.dumps(track()))
        seen = 0
        async for text in socket:
            for line in str(text).split("\n"):
                message = json.loads(line)
                assert "error" not in message, message
                publication = message.get("push", {}).get("pub")
                if publication is not None:
                    seen = publication["version"]
            if seen >= versions:
                return


def test_the_backend_is_asked_once_for_the_clients_of_all_workers(tmp_path: Path) -> None:
    async def scene() -> None:
        backend = Backend()
        runner = web.ServerRunner(web.Server(backend.serve))
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        votes = {
            "name": "votes",
            "subscription_type": "shared_poll",
            "allow_subscribe_for_client": True,
            "allow_subscribe_for_anonymous": True,
            "shared_poll": {"mode": "versioned", "refresh_interval": f"{INTERVAL}s"},
        }
        proxies = {"shared_poll_refresh": {"endpoint": url, "timeout": "2s"}}
        config = {
            "workers": "3",
            "shared_poll": {"hmac_secret_key": SECRET},
            "channel": {"proxy": proxies, "namespaces": [votes]},
        }
        server = Running(tmp_path, OPEN | config)
        try:
            await asyncio.to_thread(server.wait_for_times, '"listening"', 3)
            loop = asyncio.get_running_loop()
            started = loop.time()
            async with asyncio.timeout(START_SECONDS):
                await asyncio.gather(*(watch(server.port, 12) for _ in range(12)))
            # Three workers by themselves would have asked three times as often.
            assert 11 <= backend.cycles <= 1.5 * (loop.time() - started) / INTERVAL + 1
        finally:
            server.process.kill()
            server.process.wait()
            await runner.cleanup()

    asyncio.run(scene())
