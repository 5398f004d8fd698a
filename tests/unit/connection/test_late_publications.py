"""A subscriber that read ahead of what is on its way takes nothing from the others of its channel."""

from __future__ import annotations

import asyncio
import json

from centripetal.engines.memory import MemoryBroker
from centripetal.interfaces import PublishOptions
from centripetal.testing import ManualClock

from .pipe import Peer, connected, make_node, namespace
from .slow_broker import SlowBroker

OPTIONS = PublishOptions(history_size=10, history_ttl_seconds=60)


def test_those_without_position_get_what_a_positioned_newcomer_had_from_the_history() -> None:
    async def scene() -> None:
        clock = ManualClock()
        broker = SlowBroker(MemoryBroker(clock, history_meta_ttl_seconds=3600))
        room = namespace("room", history_size=10, history_ttl=60.0, allow_positioning=True)
        node = make_node(room, clock=clock, broker=broker)

        async def go_on() -> None:
            for _ in range(20):
                await asyncio.sleep(0)
                if broker.gates:
                    broker.open_gate(0)

        def data(peer: Peer) -> list[int]:
            return [message["push"]["pub"]["data"] for message in peer.received() if "push" in message]

        plain, newcomer = connected(node), connected(node)
        plain.send({"subscribe": {"channel": "room:x"}})
        await go_on()
        for number in range(1, 4):
            await node.publish("room:x", json.dumps(number).encode(), OPTIONS)
        broker.deliver_next()
        newcomer.send({"subscribe": {"channel": "room:x", "positioned": True}})
        await go_on()
        assert newcomer.received()[0]["subscribe"]["offset"] == 3
        broker.deliver_next()
        broker.deliver_next()
        await node.publish("room:x", b"4", OPTIONS)
        broker.deliver_next()
        assert data(plain) == [1, 2, 3, 4]
        assert data(newcomer) == [4]

    asyncio.run(scene())
