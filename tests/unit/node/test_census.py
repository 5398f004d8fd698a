"""What nodes count together: a user's connections, while others of that user are coming in."""

from __future__ import annotations

import asyncio
import random
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_cluster import Wire, WireController

from centripetal.fanout.hub import Hub
from centripetal.interfaces import BrokerError
from centripetal.node.census import Census
from centripetal.node.cluster import Cluster, Membership
from centripetal.node.counters import Counters
from centripetal.node.registry import Registry
from centripetal.testing import ManualClock


class Group:
    """Nodes that are one server, and a wire that delivers in any order."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.wire = Wire()
        self.clock = ManualClock()
        self.nodes: list[tuple[Census, Registry]] = []

    async def join(self, name: str) -> None:
        async def carry_out(message: Any) -> None:
            raise AssertionError(message)

        registry = Registry()
        membership = Membership(WireController(self.wire), "group", name)
        cluster = Cluster(name, membership, self.clock, Counters(), dict, carry_out)
        census = Census(registry, cast("Hub", None), dict, cluster, self.clock)
        self.nodes.append((census, registry))
        await cluster.start()
        await self.wire.settle()

    async def come(self, user: str, limit: int) -> bool:
        """Comes in at any node, if there is room."""
        census, registry = self.chance.choice(self.nodes)
        if await census.connections_before(user) >= limit:
            return False
        registry.add(cast("Any", SimpleNamespace(id=str(self.chance.random()), user=user, session="")))
        return True

    async def deliver_one(self) -> None:
        queue = self.wire.queue
        if queue:
            queue.rotate(self.chance.randrange(len(queue)))
            address, message = queue.popleft()
            for node, events in list(self.wire.nodes.items()):
                if address in ("", node):
                    events.on_control(address, message)
        for _ in range(3):
            await asyncio.sleep(0)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 4), st.integers(1, 3), st.integers(1, 12))
def test_of_newcomers_who_come_at_once_as_many_enter_as_may(
    seed: int, limit: int, num_nodes: int, count: int
) -> None:
    async def main() -> None:
        chance = random.Random(seed)
        group = Group(chance)
        for number in range(num_nodes):
            await group.join(f"n{number}")
        coming: list[asyncio.Task[bool]] = []
        for _ in range(count):
            coming.append(asyncio.create_task(group.come("alice", limit)))
            coming.append(asyncio.create_task(group.come("bob", 100)))
            for _ in range(chance.randrange(5)):
                group.clock.advance(chance.choice([0.0, 0.001]))
                await group.deliver_one()
        while not all(task.done() for task in coming):
            await group.deliver_one()
        assert sum(task.result() for task in coming[::2]) == min(limit, count)
        assert all(task.result() for task in coming[1::2])
        assert not any(census._newcomers for census, _ in group.nodes)

    asyncio.run(main())


def test_who_cannot_ask_or_goes_away_is_not_counted() -> None:
    async def main() -> None:
        group = Group(random.Random(1))
        await group.join("a")
        await group.join("b")
        gone = asyncio.create_task(group.nodes[0][0].connections_before("alice"))
        await asyncio.sleep(0)
        gone.cancel()
        await asyncio.gather(gone, return_exceptions=True)
        group.wire.broken = True
        with pytest.raises(BrokerError):
            await group.nodes[0][0].connections_before("alice")
        group.wire.broken = False
        asked = asyncio.create_task(group.nodes[1][0].connections_before("alice"))
        await group.wire.settle()
        assert await asked == 0

    asyncio.run(main())
