"""Keys fetched by the server as a process: who waits, in which order, and what a reload keeps."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
from typing import Any

import jwt
import websockets.asyncio.client
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import ec
from test_lifecycle import OPEN, Running, run  # noqa: F401  a fixture
from websockets.exceptions import ConnectionClosed

from centripetal.auth.key_cache import FETCHES_AT_ONCE

KEY = ec.generate_private_key(ec.SECP256R1())


def signed(kid: str, **claims: Any) -> str:
    return jwt.encode({"sub": "alice", **claims}, KEY, "ES256", headers={"kid": kid})


class Keys:
    """An endpoint that answers when the test says so."""

    def __init__(self) -> None:
        self.calls = 0
        self.asked = asyncio.Event()
        self.gate = asyncio.Event()
        self.url = ""

    async def serve(self, request: web.BaseRequest) -> web.Response:
        self.calls += 1
        self.asked.set()
        await self.gate.wait()
        entry = json.loads(jwt.algorithms.ECAlgorithm.to_jwk(KEY.public_key()))
        return web.json_response({"keys": [{**entry, "kid": "k", "use": "sig"}]})

    async def open(self) -> web.ServerRunner:
        runner = web.ServerRunner(web.Server(self.serve))
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}/keys"
        return runner


async def connect(server: Running) -> Any:
    return await websockets.asyncio.client.connect(f"ws://127.0.0.1:{server.port}/connection/websocket")


def config(url: str) -> dict[str, Any]:
    client = {**OPEN["client"], "token": {"jwks_public_endpoint": url, "hmac_secret_key": "x" * 32}}
    return {**OPEN, "client": client}


def test_only_who_needs_a_key_waits_for_it_and_in_order(run: Any) -> None:  # noqa: F811
    async def scene() -> None:
        keys = Keys()
        runner = await keys.open()
        server = run(config(keys.url))
        await asyncio.to_thread(server.wait_started)
        waiting = await connect(server)
        await waiting.send(
            json.dumps({"id": 1, "connect": {"token": signed("k")}})
            + '\n{"id":2,"subscribe":{"channel":"x"}}\n{"id":3,"publish":{"channel":"x","data":1}}'
        )
        await keys.asked.wait()
        other = await connect(server)
        await other.send('{"id":1,"connect":{}}\n{"id":2,"subscribe":{"channel":"x"}}')
        assert json.loads((await other.recv()).split("\n")[0])["connect"]
        keys.gate.set()
        replies: list[Any] = []
        while len(replies) < 3:
            replies += map(json.loads, (await waiting.recv()).split("\n"))
        assert [reply["id"] for reply in replies] == [1, 2, 3]
        assert "connect" in replies[0] and "subscribe" in replies[1]
        assert replies[2]["error"]["code"] == 103

        server.write({**json.loads(server.path.read_text()), "log": {"level": "debug"}})
        os.kill(server.process.pid, signal.SIGHUP)
        await asyncio.to_thread(server.wait_for, "reloaded")
        again = await connect(server)
        await again.send(json.dumps({"id": 1, "connect": {"token": signed("k")}}))
        assert json.loads(await again.recv())["connect"]
        assert keys.calls == 1

        for forged in (signed("k")[:-8] + "A" * 8, jwt.encode({"sub": "x"}, "x" * 32), signed("other")):
            client = await connect(server)
            await client.send(json.dumps({"id": 1, "connect": {"token": forged}}))
            try:
                await client.recv()
            except ConnectionClosed as closed:
                assert closed.rcvd is not None and closed.rcvd.code == 3500
            else:
                raise AssertionError("a forged token was taken")
        assert keys.calls == 2
        for client in (waiting, other, again):
            await client.close()
        server.process.terminate()
        assert await asyncio.to_thread(server.process.wait, 20) == 0
        assert "Traceback" not in server.log_path.read_text()
        await runner.cleanup()

    asyncio.run(scene())


async def is_taken(server: Running, token: str) -> bool:
    """Connects with a token; returns whether it counts."""
    async with await connect(server) as client:
        await client.send(json.dumps({"id": 1, "connect": {"token": token}}))
        try:
            return "connect" in json.loads(await client.recv())
        except ConnectionClosed as closed:
            assert closed.rcvd is not None and closed.rcvd.code == 3500
            return False


def test_workers_fetch_a_set_once_for_all_and_go_on_alone_without_the_engine(run: Any) -> None:  # noqa: F811
    async def scene() -> None:
        keys = Keys()
        keys.gate.set()
        runner = await keys.open()
        server = run({**config(keys.url), "workers": "3"})
        await asyncio.to_thread(server.wait_for_times, '"listening"', 3)
        assert all(await asyncio.gather(*(is_taken(server, signed("k")) for _ in range(30))))
        assert keys.calls == 1
        # Ids that somebody makes up have the endpoint asked no more often than one process would.
        assert not any(await asyncio.gather(*(is_taken(server, signed(f"forged{n}")) for n in range(60))))
        assert 2 <= keys.calls <= FETCHES_AT_ONCE
        assert all(await asyncio.gather(*(is_taken(server, signed("k")) for _ in range(10))))

        calls = keys.calls
        (engine,) = map(int, re.findall(r'"pid":(\d+)[^\n]*"message":"engine_started"', server.log_path.read_text()))
        os.kill(engine, signal.SIGSTOP)
        try:
            assert await is_taken(server, signed("k")), "keys that are known need nobody"
            assert not await is_taken(server, signed("stranger"))
            assert keys.calls == calls + 1, "the worker asked by itself"
        finally:
            os.kill(engine, signal.SIGCONT)
        server.process.terminate()
        assert await asyncio.to_thread(server.process.wait, 20) == 0
        assert "Traceback" not in server.log_path.read_text()
        await runner.cleanup()

    asyncio.run(scene())


def test_the_end_does_not_wait_for_an_endpoint(run: Any) -> None:  # noqa: F811
    async def scene() -> None:
        keys = Keys()
        runner = await keys.open()
        server = run(config(keys.url))
        await asyncio.to_thread(server.wait_started)
        waiting = await connect(server)
        await waiting.send(json.dumps({"id": 1, "connect": {"token": signed("k")}}))
        await keys.asked.wait()
        server.process.terminate()
        assert await asyncio.to_thread(server.process.wait, 20) == 0
        log = server.log_path.read_text()
        assert "Traceback" not in log and "never retrieved" not in log and "Unclosed" not in log
        keys.gate.set()
        await runner.cleanup()

    asyncio.run(scene())


def test_an_unsafe_endpoint_is_told_at_start(run: Any) -> None:  # noqa: F811
    token = {
        "jwks_public_endpoint": "https://keys.test/{{realm}}",
        "issuer_regex": "(?P<realm>.+)",
        "insecure_skip_jwks_endpoint_safety_check": True,
    }
    server = run({"client": {"token": token}})
    server.wait_started()
    assert "unsafe_key_endpoint" in server.log_path.read_text()
