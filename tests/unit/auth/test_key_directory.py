"""Several processes that have their keys from one directory: together they ask an endpoint as often as one would."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web

from centripetal.auth import JwtVerifier, KeptKeys, KeySets, TokenSettings
from centripetal.auth.key_cache import FETCHES_AT_ONCE, FRESH_SECONDS, MISSING_SECONDS, USABLE_SECONDS
from centripetal.auth.key_sets import STRANGERS_AT_ONCE
from centripetal.interfaces import KeyAnswer, KeyDirectoryError, TokenInvalid
from centripetal.outbound import HttpClient
from centripetal.testing import ManualClock

from .key_server import EC, GOOD, RSA, RSA_OTHER, KeyServer, entry, key_server, key_set, signed

NEW = entry("new", RSA_OTHER)


class Group:
    """Workers with an endpoint, a directory, and a clock that the test moves.

    Attributes:
        asked: how often the directory was.
        is_away: whether the directory cannot be asked.
    """

    def __init__(self, server: KeyServer, client: HttpClient) -> None:
        self.server = server
        self.clock = ManualClock()
        self.asked = 0
        self.is_away = False
        self._client = client
        self.renew_directory()
        self.workers = [self.make_worker() for _ in range(3)]

    def renew_directory(self) -> None:
        self.kept = KeptKeys(self._client, self.clock)

    async def find(self, url: str, public_only: bool, kid: str) -> KeyAnswer:
        if self.is_away:
            raise KeyDirectoryError("away")
        self.asked += 1
        return await self.kept.find(url, public_only, kid)

    def make_worker(self, path: str = "/keys", **options: Any) -> JwtVerifier:
        async def no_pause(seconds: float) -> None:
            pass

        sets = KeySets(self._client, self.clock, directory=self, pause=no_pause)
        settings = TokenSettings(jwks_public_endpoint=self.server.url + path, **options)
        return JwtVerifier(settings, clock=self.clock, key_sets=sets)

    async def users(self, token: str) -> list[str]:
        """Returns the user that each worker finds in a token; the reason where one refuses it."""
        results = await asyncio.gather(*(one.verify_connection(token) for one in self.workers), return_exceptions=True)
        for result in results:
            assert not isinstance(result, BaseException) or isinstance(result, TokenInvalid)
        return [str(result) if isinstance(result, BaseException) else result.user for result in results]


def play(scenario: Callable[[Group], Awaitable[None]], *entries: Any) -> None:
    async def main() -> None:
        client = HttpClient()
        try:
            async with key_server() as server:
                server.answers["/keys"] = key_set(*(entries or (GOOD,)))
                await scenario(Group(server, client))
        finally:
            await client.close()

    asyncio.run(main())


def test_a_key_is_fetched_once_for_all_and_then_found_without_waiting() -> None:
    async def scenario(group: Group) -> None:
        assert await group.users(signed("rsa")) == ["alice"] * 3
        assert await group.users(signed("rsa", RSA, "RS512")) == ["alice"] * 3
        assert await group.users(signed("two", EC["ES256"], "ES256")) == ["alice"] * 3
        assert group.server.calls == ["/keys"]
        asked = group.asked
        for worker in group.workers:
            with pytest.raises(StopIteration):
                worker.verify_connection(signed("rsa")).send(None)
        assert group.asked == asked

    play(scenario, GOOD, entry("two", EC["ES256"]))


def test_a_new_key_is_fetched_once_and_a_withdrawn_one_goes_at_the_same_time_everywhere() -> None:
    async def scenario(group: Group) -> None:
        first = group.workers[0]
        await first.verify_connection(signed("rsa"))
        group.server.answers["/keys"] = key_set(NEW)
        assert await group.users(signed("new", RSA_OTHER)) == ["alice"] * 3
        assert len(group.server.calls) == 2
        group.clock.advance(FRESH_SECONDS - 1)
        # Those who learn of the old key only now keep it no longer than the one who knew it from the start.
        assert await group.users(signed("rsa")) == ["alice"] * 3
        group.clock.advance(1)
        with pytest.raises(TokenInvalid):
            await first.verify_connection(signed("rsa"))
        assert await group.users(signed("rsa")) == ["the key set has no such key"] * 3
        assert await group.users(signed("new", RSA_OTHER)) == ["alice"] * 3
        assert len(group.server.calls) == 3

    play(scenario)


def test_a_key_that_is_missing_is_so_for_all_and_no_longer_than_for_one() -> None:
    async def scenario(group: Group) -> None:
        missing = ["the key set has no such key"] * 3
        with pytest.raises(TokenInvalid):
            await group.workers[0].verify_connection(signed("new", RSA_OTHER))
        group.server.answers["/keys"] = key_set(GOOD, NEW)
        group.clock.advance(MISSING_SECONDS - 1)
        assert await group.users(signed("new", RSA_OTHER)) == missing
        asked = group.asked
        assert await group.users(signed("new", RSA_OTHER)) == missing
        assert (group.asked, len(group.server.calls)) == (asked, 1)
        group.clock.advance(1)
        assert await group.users(signed("new", RSA_OTHER)) == ["alice"] * 3
        assert len(group.server.calls) == 2

    play(scenario)


def test_made_up_ids_are_no_flood_and_displace_nothing() -> None:
    async def scenario(group: Group) -> None:
        assert await group.users(signed("rsa")) == ["alice"] * 3
        for number in range(3 * FETCHES_AT_ONCE):
            assert "alice" not in await group.users(signed(f"forged{number}"))
        assert len(group.server.calls) <= FETCHES_AT_ONCE
        assert await group.users(signed("rsa")) == ["alice"] * 3
        assert await group.users(signed("x" * 600)) == ["the key set has no such key"] * 3

    play(scenario)


def test_endpoints_that_never_gave_a_key_have_one_budget_for_all() -> None:
    async def scenario(group: Group) -> None:
        group.workers = [
            group.make_worker("/{{realm}}", issuer_regex=f"(?P<realm>{'|'.join(f'r{n}' for n in range(100))})")
            for _ in range(3)
        ]
        for number in range(STRANGERS_AT_ONCE + 20):
            await group.users(signed("rsa", iss=f"r{number}"))
        assert len(group.server.calls) == STRANGERS_AT_ONCE

    play(scenario)


def test_without_the_directory_each_asks_for_itself() -> None:
    async def scenario(group: Group) -> None:
        group.is_away = True
        assert await group.users(signed("rsa")) == ["alice"] * 3
        assert len(group.server.calls) == 3
        for number in range(3 * FETCHES_AT_ONCE):
            assert "alice" not in await group.users(signed(f"forged{number}"))
        assert len(group.server.calls) <= 3 * FETCHES_AT_ONCE
        group.is_away = False
        assert await group.users(signed("rsa")) == ["alice"] * 3
        assert group.asked == 0

    play(scenario)


def test_an_outage_of_both_locks_nobody_out_for_a_day() -> None:
    async def scenario(group: Group) -> None:
        assert await group.users(signed("rsa")) == ["alice"] * 3
        group.server.answers["/keys"] = lambda: web.Response(status=503)
        group.renew_directory()
        group.clock.advance(USABLE_SECONDS - 1)
        assert await group.users(signed("rsa")) == ["alice"] * 3
        group.clock.advance(1)
        assert await group.users(signed("rsa")) == ["the key set cannot be fetched"] * 3

    play(scenario)


@pytest.mark.parametrize("answer", [b"x", b'{"keys":[]}', key_set(NEW)])
def test_a_directory_that_talks_nonsense_lets_nobody_in(answer: bytes) -> None:
    async def scenario(group: Group) -> None:
        async def find(url: str, public_only: bool, kid: str) -> KeyAnswer:
            return KeyAnswer(answer, 1.0)

        group.kept.find = find  # type: ignore[method-assign]
        assert await group.users(signed("rsa")) == ["the directory has no such key"] * 3

    play(scenario)
