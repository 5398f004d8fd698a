"""The engine of workers moves to another process while they use it, and on to a third one."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from centripetal.engines.local import Heir, HeirError, Host, LocalBroker, LocalController, Post, Remote
from centripetal.engines.memory import MemoryBroker, MemoryEngine, MemoryMapBroker, MemoryPresenceManager
from centripetal.interfaces import HistoryFilter, PublishOptions
from centripetal.model import ClientInfo, Publication, StreamPosition
from centripetal.server.engine import HostedEngine, SwitchedEngine
from centripetal.server.takeover import Successor
from centripetal.testing import ManualClock

OPTIONS = PublishOptions(history_size=1000, history_ttl_seconds=600.0)
ALL = HistoryFilter(limit=-1)
CHANNELS = ("a", "b")


async def link(host: Host, remote: Remote) -> None:
    loop = asyncio.get_running_loop()
    ours, theirs = socket.socketpair()
    await loop.create_connection(host.welcome, sock=ours)
    await loop.create_connection(lambda: remote.link, sock=theirs)


class Keeper:
    """A process that keeps the engine for others."""

    def __init__(self) -> None:
        clock = ManualClock()
        self.memory = MemoryEngine(MemoryBroker(clock, history_meta_ttl_seconds=86400.0), MemoryPresenceManager(clock), MemoryMapBroker(clock))
        post = Post()
        targets = {"broker": self.memory.broker, "presence": self.memory.presence, "map_broker": self.memory.map_broker}
        self.host = Host({**targets, "controller": post})
        self.memory.broker.bind(self.host.events["broker"])
        self.memory.map_broker.bind(self.host.events["map_broker"])
        post.bind(self.host.events["controller"])
        self.estate = HostedEngine(self.memory, self.host)

    async def hand_over_to(self, heir: Keeper) -> None:
        remote = Remote(keeps_interest=True)
        await link(heir.host, remote)
        await hand_over(self.estate, heir, remote)

    async def go_on_after_a_failure(self) -> None:
        """Begins to hand over, to one that goes."""
        heir, remote = Keeper(), Remote(keeps_interest=True)
        await link(heir.host, remote)
        target = heir.host.targets["heir"] = Heir(heir.memory)
        handing_over = asyncio.ensure_future(Successor("", dict, self.estate, lambda: None)._hand_over_state(remote))
        await target.complete.wait()
        remote.link.abort()
        with contextlib.suppress(HeirError):
            await handing_over
        await self.estate.go_on()

    async def stop(self) -> None:
        for guest in tuple(self.host.guests):
            guest.link.abort()
        for part in (self.memory.broker, self.memory.presence, self.memory.map_broker):
            await part.stop()


async def hand_over(estate: HostedEngine | SwitchedEngine, heir: Keeper, remote: Remote) -> None:
    target = heir.host.targets["heir"] = Heir(heir.memory)
    target.accepting.set()
    await Successor("", dict, estate, lambda: None)._hand_over_state(remote)


class Node:
    """What a worker's node sees of the engine; checks that nothing comes twice or in disorder."""

    def __init__(self, name: str) -> None:
        self.remote = Remote()
        self.broker = LocalBroker(self.remote)
        self.broker.bind(self)
        self.controller = LocalController(self.remote)
        self.controller.bind(self)
        self.name = name
        self.seen: dict[str, list[int]] = {channel: [] for channel in CHANNELS}
        self.messages: list[tuple[str, bytes]] = []

    def on_publication(
        self, channel: str, publication: Publication, position: StreamPosition, use_delta: bool, previous: Any
    ) -> None:
        seen = self.seen[channel]
        assert not seen or publication.offset > seen[-1]
        seen.append(publication.offset)

    def on_join(self, channel: str, info: ClientInfo) -> None: ...

    def on_leave(self, channel: str, info: ClientInfo) -> None: ...

    def on_control(self, address: str, message: bytes) -> None:
        self.messages.append((address, message))


steps = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["publish", "subscribe", "unsubscribe"]), st.integers(0, 1), st.sampled_from(CHANNELS)),
        st.tuples(st.sampled_from(["move", "fail", "wait"]), st.just(0), st.just("")),
    ),
    max_size=30,
)


@settings(max_examples=150, deadline=None)
@given(steps)
def test_nothing_is_lost_or_told_twice(story: list[tuple[str, int, str]]) -> None:
    async def main() -> None:
        keepers, nodes = [Keeper()], [Node("0"), Node("1")]
        for node in nodes:
            await link(keepers[0].host, node.remote)
            await node.controller.start(node.name)
            await node.broker.subscribe("a")
        wanted = [{"a"}, {"a"}]
        published = dict.fromkeys(CHANNELS, 0)
        tasks: list[asyncio.Task[Any]] = []
        moving: asyncio.Task[None] | None = None
        for verb, number, channel in story:
            if verb in ("move", "fail"):
                if moving is not None:
                    await moving
                if verb == "fail":
                    moving = asyncio.create_task(keepers[-1].go_on_after_a_failure())
                else:
                    keepers.append(Keeper())
                    moving = asyncio.create_task(keepers[-2].hand_over_to(keepers[-1]))
            elif verb == "wait":
                await asyncio.sleep(0)
            elif verb == "publish":
                tasks.append(asyncio.create_task(nodes[number].broker.publish(channel, b"{}", OPTIONS)))
                published[channel] += 1
            else:
                tasks.append(asyncio.create_task(getattr(nodes[number].broker, verb)(channel)))
                (wanted[number].add if verb == "subscribe" else wanted[number].discard)(channel)
            await asyncio.sleep(0)
        if moving is not None:
            await moving
        await asyncio.gather(*tasks)
        newcomer = Node("2")
        await link(keepers[-1].host, newcomer.remote)
        for channel in CHANNELS:
            before = len(nodes[0].seen[channel]), len(nodes[1].seen[channel])
            kept, position = await newcomer.broker.history(channel, ALL)
            assert [publication.offset for publication in kept] == list(range(1, published[channel] + 1))
            assert position.offset == published[channel]
            await newcomer.broker.publish(channel, b"{}", OPTIONS)
            for node in nodes:  # until what came before this, has come
                await node.broker.history(channel, ALL)
            told = [len(node.seen[channel]) - count for node, count in zip(nodes, before, strict=True)]
            assert told == [int(channel in wanted[0]), int(channel in wanted[1])]
        await nodes[0].controller.send("1", b"hello")
        await nodes[1].controller.send("", b"all")
        for node in nodes:
            await node.controller.send("nobody", b"")
        assert nodes[1].messages == [("1", b"hello"), ("", b"all")]
        assert nodes[0].messages == [("", b"all")]
        if not any(verb == "unsubscribe" for verb, _, _ in story):
            for node in nodes:
                assert node.seen["a"] == list(range(1, published["a"] + 2))
        for keeper in keepers:
            await keeper.stop()

    asyncio.run(main())


def test_messages_between_workers_pass_while_the_engine_is_held() -> None:
    async def main() -> None:
        keeper, node = Keeper(), Node("0")
        await link(keeper.host, node.remote)
        await keeper.estate.hold()
        publishing = asyncio.create_task(node.broker.publish("a", b"{}", OPTIONS))
        await node.controller.send("nobody", b"")
        assert not publishing.done()
        await keeper.estate.go_on()
        assert (await publishing).position.offset == 1
        await keeper.stop()

    asyncio.run(main())


def test_a_predecessor_that_is_still_there_moves_on_with_its_successor() -> None:
    """The node of a single process, and the guest that it took over from, both move to a third process."""

    async def main() -> None:
        first, third = Keeper(), Keeper()
        second = SwitchedEngine(Keeper().memory)
        own = Node("own")
        second.broker.bind(own)
        second.map_broker.bind(Host({"map_broker": None}).events["map_broker"])
        guest = Node("guest")

        class Predecessor:
            async def inherit(self, host: Host, memory: MemoryEngine, left: Any) -> None:
                self.host = host
                target = host.targets["heir"] = Heir(memory)
                target.accepting.set()

        predecessor = Predecessor()
        await second.inherit(predecessor)  # type: ignore[arg-type]
        await link(predecessor.host, guest.remote)
        await guest.broker.subscribe("a")
        await second.broker.subscribe("a")
        await second.broker.publish("a", b"{}", OPTIONS)
        remote = Remote(keeps_interest=True)
        await link(third.host, remote)
        moving = asyncio.create_task(hand_over(second, third, remote))
        late = asyncio.create_task(guest.broker.publish("a", b"{}", OPTIONS))
        await moving
        await late
        await second.broker.unsubscribe("a")
        await second.broker.publish("a", b"{}", OPTIONS)
        kept, _ = await guest.broker.history("a", ALL)
        assert [publication.offset for publication in kept] == [1, 2, 3]
        assert guest.seen["a"] == [1, 2, 3]
        assert own.seen["a"][:2] == [1, 2]
        for keeper in (first, third):
            await keeper.stop()

    asyncio.run(main())
