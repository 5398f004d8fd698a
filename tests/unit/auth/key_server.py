"""Keys of several types, tokens signed with them, and a server that gives their set away."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import jwt
import pytest
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from centripetal.auth import JwtVerifier, KeySets, TokenSettings
from centripetal.interfaces import TokenInvalid
from centripetal.outbound import HttpClient
from centripetal.testing import ManualClock

RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
RSA_OTHER = rsa.generate_private_key(public_exponent=65537, key_size=2048)
EC = {
    "ES256": ec.generate_private_key(ec.SECP256R1()),
    "ES384": ec.generate_private_key(ec.SECP384R1()),
    "ES512": ec.generate_private_key(ec.SECP521R1()),
}
ED = ed25519.Ed25519PrivateKey.generate()

_MAKERS: dict[Any, Any] = {
    rsa.RSAPrivateKey: jwt.algorithms.RSAAlgorithm,
    ec.EllipticCurvePrivateKey: jwt.algorithms.ECAlgorithm,
    ed25519.Ed25519PrivateKey: jwt.algorithms.OKPAlgorithm,
}


def entry(kid: str, key: Any, /, **more: Any) -> dict[str, Any]:
    """Returns the public half of a key as an entry of a set; `more` replaces members, None takes them away."""
    maker = next(maker for kind, maker in _MAKERS.items() if isinstance(key, kind))
    made = {**json.loads(maker.to_jwk(key.public_key())), "kid": kid, "use": "sig", **more}
    return {name: value for name, value in made.items() if value is not None}


def key_set(*entries: Any) -> bytes:
    """Returns the JSON of a set."""
    return json.dumps({"keys": list(entries)}).encode()


def signed(kid: str | None, key: Any = RSA, alg: str = "RS256", /, *, header: Any = None, **claims: Any) -> str:
    """Returns a token."""
    headers = {**({"kid": kid} if kid is not None else {}), **(header or {})}
    return jwt.encode({"sub": "alice", **claims}, key, alg, headers=headers)


class KeyServer:
    """Answers GET with what the test says.

    Attributes:
        answers: body, or function that answers, by path; others are 404.
        calls: paths, in order.
        url: without a path.
        gate: answers wait for it.
    """

    def __init__(self) -> None:
        self.answers: dict[str, bytes | Callable[[], web.Response]] = {}
        self.calls: list[str] = []
        self.url = ""
        self.gate = asyncio.Event()
        self.gate.set()

    async def serve(self, request: web.BaseRequest) -> web.Response:
        assert request.method == "GET"
        self.calls.append(request.path_qs)
        answer = self.answers.get(request.path_qs)
        await self.gate.wait()
        if answer is None:
            return web.Response(status=404)
        return answer() if callable(answer) else web.Response(body=answer)

    async def wait_calls(self, count: int) -> None:
        async with asyncio.timeout(20):
            while len(self.calls) < count:
                await asyncio.sleep(0)


@asynccontextmanager
async def key_server() -> AsyncIterator[KeyServer]:
    """Serves on a free port of the loopback interface."""
    serving = KeyServer()
    runner = web.ServerRunner(web.Server(serving.serve))
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    serving.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield serving
    finally:
        serving.gate.set()
        await runner.cleanup()


class Stage:
    """A verifier with a key server and a clock that the test moves; pauses between attempts take no time.

    Attributes:
        pauses: seconds of each.
    """

    def __init__(self, server: KeyServer, client: HttpClient, **store: Any) -> None:
        self.server = server
        self.clock = ManualClock()
        self.pauses: list[float] = []
        self.key_sets = KeySets(client, self.clock, pause=self._pause, jitter=lambda: 0.5, **store)
        self.verifier = self.make(jwks_public_endpoint=f"{server.url}/keys")

    async def _pause(self, seconds: float) -> None:
        self.pauses.append(seconds)

    def make(self, **options: Any) -> JwtVerifier:
        """Returns another verifier with the same key sets."""
        return JwtVerifier(TokenSettings(**options), clock=self.clock, key_sets=self.key_sets)

    async def user(self, token: str) -> str:
        """Returns the user of a connection token."""
        return (await self.verifier.verify_connection(token)).user


@asynccontextmanager
async def stage(*entries: Any, **store: Any) -> AsyncIterator[Stage]:
    """Gives a stage whose server has a set at /keys."""
    client = HttpClient()
    try:
        async with key_server() as server:
            server.answers["/keys"] = key_set(*entries)
            yield Stage(server, client, **store)
    finally:
        await client.close()


GOOD = entry("rsa", RSA)
"""What the stage has if a test says nothing else."""


def play(scenario: Callable[[Stage], Awaitable[None]], *entries: Any, **store: Any) -> None:
    """Runs a scenario on a stage of its own."""

    async def main() -> None:
        async with stage(*(entries or (GOOD,)), **store) as on:
            await scenario(on)

    asyncio.run(main())


async def refused(on: Stage, token: str) -> str:
    """Returns why a token is invalid."""
    with pytest.raises(TokenInvalid) as raised:
        await on.user(token)
    return str(raised.value)
