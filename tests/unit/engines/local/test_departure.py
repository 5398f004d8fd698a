"""A node whose link breaks is gone for the others at once, without a word of its own."""

from __future__ import annotations

import asyncio
from typing import Any

from centripetal.engines.local import Host, LocalController, Post, Remote
from centripetal.node import control
from centripetal.node.cluster import Cluster, Membership
from centripetal.node.counters import Counters
from centripetal.testing import ManualClock

from .pair import link

LIMIT_SECONDS = 20.0


def make_host() -> Host:
    post = Post()
    host = Host({"controller": post})
    post.bind(host.events["controller"])
    return host


class Node:
    """A node whose clock stands still: it takes nobody for silent."""

    def __init__(self, name: str) -> None:
        self.remote = Remote()
        membership = Membership(LocalController(self.remote), "server")
        self.cluster = Cluster(name, membership, ManualClock(), Counters(), dict, self.carry_out)
        self.asked = asyncio.Event()

    async def carry_out(self, message: control.AnyMessage) -> None:
        raise AssertionError(message)

    async def be_slow(self, body: bytes) -> bytes:
        self.asked.set()
        await asyncio.Event().wait()
        return b""

    async def knows(self, *names: str) -> None:
        async with asyncio.timeout(LIMIT_SECONDS):
            while set(self.cluster.group_members()) != set(names):
                await asyncio.sleep(0)

    def leave(self) -> None:
        self.remote.link.abort()


async def meet(*hosts: Host) -> list[Node]:
    """Returns a node at each host; all know each other."""
    nodes = [Node(name) for name, _ in zip("abcdef", hosts, strict=False)]
    for node, host in zip(nodes, hosts, strict=True):
        await link(host, node.remote)
        await node.cluster.start()
    for node in nodes:
        await node.knows(*(other.cluster.node for other in nodes if other is not node))
    return nodes


async def end(*nodes: Node) -> None:
    for node in nodes:
        for task in tuple(node.cluster._tasks):
            task.cancel()
        node.leave()


def test_the_others_do_not_wait_for_what_they_asked_it() -> None:
    async def scene() -> None:
        host = make_host()
        first, second, third = await meet(host, host, host)
        second.cluster.handlers["slow"] = second.be_slow
        question = asyncio.ensure_future(first.cluster.ask("slow", nodes=["b"], seconds=3600.0))
        async with asyncio.timeout(LIMIT_SECONDS):
            await second.asked.wait()
            second.leave()
            assert await question == {}
        await first.knows("c")
        await third.knows("a")
        await end(first, second, third)

    asyncio.run(scene())


def test_a_node_that_has_a_new_link_before_the_old_one_ends_is_there() -> None:
    async def scene() -> None:
        host = make_host()
        first, second = await meet(host, host)
        old, new = second.remote, Remote()
        controller = LocalController(new)
        controller.bind(second.cluster)
        await link(host, new)
        await controller.start("b")
        heard: list[Any] = []
        first.remote.bind("controller", Ear(heard))
        old.link.abort()
        async with asyncio.timeout(LIMIT_SECONDS):
            while len(host.guests) > 2:
                await asyncio.sleep(0)
        await controller.send("a", control.encode(control.Alive(sender="b", description={})))
        async with asyncio.timeout(LIMIT_SECONDS):
            while not heard:
                await asyncio.sleep(0)
        assert [type(message) for message in heard] == [control.Alive]
        new.link.abort()
        await end(first, second)

    asyncio.run(scene())


class Ear:
    def __init__(self, heard: list[Any]) -> None:
        self._heard = heard

    def on_control(self, address: str, message: bytes) -> None:
        self._heard.append(control.decode(message))


async def relay(host: Host, other: Host) -> Remote:
    """Has a host pass on to another one what its guests tell."""
    remote = Remote(keeps_interest=True)
    await link(other, remote)
    remote.bind("controller", host.events["controller"])
    controller = LocalController(remote)
    for address in list(host.events["controller"].interested):
        await controller.subscribe(address)
    host.relay({"controller": controller})
    return remote


def test_nodes_of_another_host_learn_of_it_too() -> None:
    async def scene() -> None:
        old, new = make_host(), make_host()
        first, second, third = await meet(old, old, old)
        way = await relay(old, new)
        fourth = Node("d")
        await link(new, fourth.remote)
        await fourth.cluster.start()
        await fourth.knows("a", "b", "c")
        second.leave()
        for node, others in ((first, "cd"), (third, "ad"), (fourth, "ac")):
            await node.knows(*others)
        way.link.abort()  # their host is gone with all of them
        await fourth.knows()
        first.leave()  # which its host cannot pass on any more
        async with asyncio.timeout(LIMIT_SECONDS):
            while len(old.guests) > 1:
                await asyncio.sleep(0)
        await end(third, fourth)

    asyncio.run(scene())
