"""Nodes of a cluster: who is there, what they tell and ask each other."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from centripetal.interfaces import BrokerError, ControlEvents
from centripetal.node import control
from centripetal.node.cluster import ANSWER_SECONDS, SILENCE_SECONDS, Cluster, Membership
from centripetal.node.counters import Counters
from centripetal.testing import ManualClock


class Wire:
    """Carries messages between controllers when a test says, in order."""

    def __init__(self) -> None:
        self.nodes: dict[str, ControlEvents] = {}
        self.queue: deque[tuple[str, bytes]] = deque()
        self.broken = False

    async def settle(self) -> None:
        for _ in range(50):
            while self.queue:
                address, message = self.queue.popleft()
                for node, events in list(self.nodes.items()):
                    if address in ("", node):
                        events.on_control(address, message)
            await asyncio.sleep(0)


class WireController:
    def __init__(self, wire: Wire) -> None:
        self.wire = wire
        self.node = ""

    def bind(self, events: ControlEvents) -> None:
        self.events = events

    async def start(self, node: str) -> None:
        self.node = node
        self.wire.nodes[node] = self.events

    async def stop(self) -> None:
        del self.wire.nodes[self.node]

    async def send(self, address: str, message: bytes) -> None:
        if self.wire.broken:
            raise BrokerError("broken")
        self.wire.queue.append((address, message))


class House:
    def __init__(self) -> None:
        self.wire = Wire()
        self.clock = ManualClock()
        self.told: list[tuple[str, Any]] = []

    async def join(self, name: str) -> Cluster:
        async def carry_out(message: Any) -> None:
            self.told.append((name, message))

        membership = Membership(WireController(self.wire))
        cluster = Cluster(
            name, membership, self.clock, Counters(), lambda: {"uid": name, "num_clients": 1}, carry_out
        )
        await cluster.start()
        await self.wire.settle()
        return cluster

    def pass_seconds(self, count: int, *clusters: Cluster) -> None:
        for _ in range(count):
            self.clock.advance(1.0)
            for cluster in clusters:
                cluster.every_second()


def run(scene: Callable[[House], Awaitable[None]]) -> None:
    async def main() -> None:
        await scene(House())

    asyncio.run(main())


def test_nodes_find_each_other_at_once_and_leave() -> None:
    async def scene(house: House) -> None:
        a, b = await house.join("a"), await house.join("b")
        c = await house.join("c")
        assert [set(cluster.members) for cluster in (a, b, c)] == [{"b", "c"}, {"a", "c"}, {"a", "b"}]
        await b.stop()
        await house.wire.settle()
        assert set(a.members) == {"c"}

    run(scene)


def test_a_silent_node_is_forgotten_and_one_that_speaks_is_not() -> None:
    async def scene(house: House) -> None:
        a, b = await house.join("a"), await house.join("b")
        for _ in range(20):
            house.pass_seconds(1, a, b)
            await house.wire.settle()
        assert set(a.members) == {"b"}
        for _ in range(int(SILENCE_SECONDS) + 1):
            house.pass_seconds(1, a)
            await house.wire.settle()
        assert a.members == {}

    run(scene)


def test_what_is_told_reaches_all_others_once_in_order() -> None:
    async def scene(house: House) -> None:
        a, _, _ = await house.join("a"), await house.join("b"), await house.join("c")
        messages = [control.UnsubscribeUser(sender="a", user="u", channel=f"c{number}") for number in range(3)]
        for message in messages:
            await a.tell(message)
        await house.wire.settle()
        for name in "bc":
            assert [message for node, message in house.told if node == name] == messages
        assert not [node for node, _ in house.told if node == "a"]

    run(scene)


def test_a_node_that_comes_does_not_disturb_what_is_told_to_each() -> None:
    class Busy(WireController):
        """Another is heard of while something is sent."""

        async def send(self, address: str, message: bytes) -> None:
            await super().send(address, message)
            if address == "b":
                self.events.on_control("", control.encode(control.Alive(sender="d", description={})))

    async def scene(house: House) -> None:
        a, _, _ = await house.join("a"), await house.join("b"), await house.join("c")
        a._controller = Busy(house.wire)
        a._controller.bind(a)
        message = control.UnsubscribeUser(sender="a", user="u", channel="c")
        await a.steer(message)
        await house.wire.settle()
        assert ("b", message) in house.told
        assert set(a.members) == {"b", "c", "d"}

    run(scene)


def test_questions_gather_the_answers_of_all_or_of_one() -> None:
    async def scene(house: House) -> None:
        clusters = [await house.join(name) for name in "abc"]
        for cluster in clusters:

            async def answer(body: bytes, name: str = cluster.node) -> bytes:
                if name == "c" and body == b"fail":
                    raise ValueError("no")
                return name.encode() + body

            cluster.handlers["topic"] = answer

        async def ask(body: bytes, *nodes: str) -> dict[str, bytes]:
            task = asyncio.create_task(clusters[0].ask("topic", body, nodes or None))
            await asyncio.sleep(0)
            await house.wire.settle()
            return await asyncio.wait_for(task, ANSWER_SECONDS / 2)

        assert await ask(b"1") == {"b": b"b1", "c": b"c1"}
        assert await ask(b"2", "c") == {"c": b"c2"}
        assert await ask(b"fail") == {"b": b"bfail"}
        assert clusters[0]._questions == {}

    run(scene)


def test_a_node_that_leaves_is_not_waited_for() -> None:
    async def scene(house: House) -> None:
        a, b = await house.join("a"), await house.join("b")
        never = asyncio.Event()

        async def wait(body: bytes) -> bytes:
            await never.wait()
            return b""

        b.handlers["topic"] = wait
        task = asyncio.create_task(a.ask("topic"))
        await asyncio.sleep(0)
        await house.wire.settle()
        assert not task.done()
        await b.stop()
        await house.wire.settle()
        assert await asyncio.wait_for(task, ANSWER_SECONDS / 2) == {}

    run(scene)


def test_an_unknown_topic_and_nonsense_do_no_harm() -> None:
    async def scene(house: House) -> None:
        a, _ = await house.join("a"), await house.join("b")
        house.wire.queue.append(("", b"\xc1nonsense"))
        task = asyncio.create_task(a.ask("nobody knows"))
        await asyncio.sleep(0)
        await house.wire.settle()
        assert await asyncio.wait_for(task, ANSWER_SECONDS / 2) == {}

    run(scene)


def test_a_broken_controller_is_told_to_whoever_asks() -> None:
    async def scene(house: House) -> None:
        a, _ = await house.join("a"), await house.join("b")
        house.wire.broken = True
        with pytest.raises(BrokerError):
            await a.ask("topic")
        house.pass_seconds(3, a)  # telling of itself fails quietly
        await house.wire.settle()
        assert a._questions == {}

    run(scene)
