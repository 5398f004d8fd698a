"""What every presence manager must do, as tests for pytest to collect from a subclass."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from unittest import SkipTest

from ..interfaces import PresenceManager, PresenceStats
from ..model import ClientInfo

Scenario = Callable[[PresenceManager], Awaitable[None]]


def info(user: str, client: str, **parts: bytes) -> ClientInfo:
    """Returns the info of a connection."""
    return ClientInfo(user, client, **parts)


class PresenceManagerSuite:
    """Subclass it in a test module, named `Test...`, and say how to make a presence manager.

    Every test uses channels of its own, so that a store may be shared and need not be emptied.

    Attributes:
        patient: set False where lifetimes cannot be waited for in a test; then advance() is not called.
        ttl_seconds: the lifetime of an entry that make_presence_manager() is to set.
    """

    patient = True
    ttl_seconds = 60.0

    def make_presence_manager(self) -> PresenceManager:
        """Returns a presence manager, not started. Called within a running loop."""
        raise SkipTest("the suite itself has no presence manager")

    async def advance(self, manager: PresenceManager, seconds: float) -> None:
        """Lets at least so many seconds pass for the presence manager."""
        raise SkipTest("no way to let time pass")

    def run(self, scenario: Scenario) -> None:
        """Runs a scenario with a started presence manager of its own."""

        async def main() -> None:
            manager = self.make_presence_manager()
            await manager.start()
            try:
                await scenario(manager)
            finally:
                await manager.stop()

        asyncio.run(main())

    def channel(self) -> str:
        """Returns a channel that nobody else uses."""
        return f"test:{uuid.uuid4().hex}"

    def test_nobody_is_in_an_unknown_channel(self) -> None:
        async def scenario(manager: PresenceManager) -> None:
            channel = self.channel()
            assert await manager.presence(channel) == {}
            assert await manager.stats(channel) == PresenceStats(0, 0)
            await manager.remove(channel, "nobody")

        self.run(scenario)

    def test_entries_are_listed_with_their_infos(self) -> None:
        async def scenario(manager: PresenceManager) -> None:
            channel, other = self.channel(), self.channel()
            alice = info("alice", "c1", conn_info=b'{"name":"Alice"}', chan_info=b"\x00\xff")
            anonymous = info("", "c2")
            await manager.add(channel, "c1", alice)
            await manager.add(channel, "c2", anonymous)
            await manager.add(other, "c3", info("carol", "c3"))
            assert await manager.presence(channel) == {"c1": alice, "c2": anonymous}
            assert await manager.stats(channel) == PresenceStats(2, 2)

        self.run(scenario)

    def test_users_are_counted_once(self) -> None:
        async def scenario(manager: PresenceManager) -> None:
            channel = self.channel()
            for client, user in (("c1", "alice"), ("c2", "alice"), ("c3", "bob")):
                await manager.add(channel, client, info(user, client))
            assert await manager.stats(channel) == PresenceStats(3, 2)
            await manager.remove(channel, "c1")
            assert await manager.stats(channel) == PresenceStats(2, 2)
            await manager.remove(channel, "c2")
            assert await manager.stats(channel) == PresenceStats(1, 1)
            await manager.remove(channel, "c3")
            assert await manager.stats(channel) == PresenceStats(0, 0)

        self.run(scenario)

    def test_adding_again_replaces_the_info(self) -> None:
        async def scenario(manager: PresenceManager) -> None:
            channel = self.channel()
            await manager.add(channel, "c1", info("alice", "c1"))
            changed = info("alice", "c1", chan_info=b'{"role":"admin"}')
            await manager.add(channel, "c1", changed)
            assert await manager.presence(channel) == {"c1": changed}
            assert await manager.stats(channel) == PresenceStats(1, 1)

        self.run(scenario)

    def test_removing_twice_is_no_error(self) -> None:
        async def scenario(manager: PresenceManager) -> None:
            channel = self.channel()
            await manager.add(channel, "c1", info("alice", "c1"))
            await manager.remove(channel, "c1")
            await manager.remove(channel, "c1")
            assert await manager.presence(channel) == {}

        self.run(scenario)

    def test_the_answer_belongs_to_the_caller(self) -> None:
        async def scenario(manager: PresenceManager) -> None:
            channel = self.channel()
            await manager.add(channel, "c1", info("alice", "c1"))
            (await manager.presence(channel)).clear()
            assert list(await manager.presence(channel)) == ["c1"]

        self.run(scenario)

    def test_unrenewed_entries_expire(self) -> None:
        if not self.patient:
            raise SkipTest("lifetimes cannot be waited for")

        async def scenario(manager: PresenceManager) -> None:
            channel = self.channel()
            await manager.add(channel, "c1", info("alice", "c1"))
            await manager.add(channel, "c2", info("bob", "c2"))
            await self.advance(manager, self.ttl_seconds * 0.6)
            await manager.add(channel, "c2", info("bob", "c2"))
            assert await manager.stats(channel) == PresenceStats(2, 2)
            await self.advance(manager, self.ttl_seconds * 0.6)
            assert list(await manager.presence(channel)) == ["c2"]
            assert await manager.stats(channel) == PresenceStats(1, 1)
            await self.advance(manager, self.ttl_seconds)
            assert await manager.presence(channel) == {}
            assert await manager.stats(channel) == PresenceStats(0, 0)

        self.run(scenario)
