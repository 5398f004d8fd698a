"""Measures the link of the local engine: processor time per message, both ends together. Run: python benchmarks/micro/local_engine.py"""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Awaitable, Callable

import uvloop

from centripetal.engines.local import Host, LocalBroker, Remote
from centripetal.engines.memory import MemoryBroker
from centripetal.interfaces import Broker, PublishOptions
from centripetal.model import ClientInfo, Publication, StreamPosition
from centripetal.testing import ManualClock

DATA = b'{"text":"' + b"x" * 118 + b'"}'
AT_ONCE = 256
ROUNDS = 60
OPTIONS = PublishOptions(history_size=0, history_ttl_seconds=0)


class Counter:
    """Takes events and counts them."""

    def __init__(self) -> None:
        self.seen = 0

    def on_publication(
        self, channel: str, publication: Publication, position: StreamPosition, delta: bool, previous: Publication | None
    ) -> None:
        self.seen += 1

    def on_join(self, channel: str, info: ClientInfo) -> None:
        self.seen += 1

    def on_leave(self, channel: str, info: ClientInfo) -> None:
        self.seen += 1


async def linked() -> tuple[Host, MemoryBroker, LocalBroker, Counter]:
    """Links a process that keeps a memory broker with one that asks it, both in this one."""
    loop = asyncio.get_running_loop()
    kept = MemoryBroker(ManualClock(), history_meta_ttl_seconds=60.0)
    host, remote, counter = Host({"broker": kept}), Remote(), Counter()
    kept.bind(host.events["broker"])
    await kept.start()
    ours, theirs = socket.socketpair()
    await loop.create_connection(host.welcome, sock=ours)
    await loop.create_connection(lambda: remote.link, sock=theirs)
    broker = LocalBroker(remote)
    broker.bind(counter)
    await broker.subscribe("heard")
    return host, kept, broker, counter


async def report(name: str, messages: int, once: Callable[[], Awaitable[None]]) -> None:
    """Prints what a round costs; `messages` go over the link in it."""
    await once()
    costs = []
    for _ in range(7):
        start = time.process_time()
        for _ in range(ROUNDS):
            await once()
        costs.append((time.process_time() - start) / ROUNDS / messages * 1e6)
    cost = sorted(costs)[len(costs) // 2]
    print(f"{name:<38} {cost:6.2f} µs a message, {1e6 / cost:12,.0f} messages a second")


async def main() -> None:
    """Prints a line for each kind of traffic, `AT_ONCE` operations in flight."""
    host, kept, broker, counter = await linked()

    async def publish(channel: str, to: Broker = broker) -> None:
        await asyncio.gather(*(to.publish(channel, DATA, OPTIONS) for _ in range(AT_ONCE)))

    async def tell() -> None:
        wanted = counter.seen + AT_ONCE
        publication, position = Publication(data=DATA), StreamPosition(0, "")
        for _ in range(AT_ONCE):
            host.events["broker"].on_publication("heard", publication, position, False, None)
        while counter.seen < wanted:
            await asyncio.sleep(0)

    await report("publish without a link, for comparison", AT_ONCE, lambda: publish("unheard", kept))
    await report("event", AT_ONCE, tell)
    await report("publish, answer", 2 * AT_ONCE, lambda: publish("unheard"))
    await report("publish, event, answer", 3 * AT_ONCE, lambda: publish("heard"))


if __name__ == "__main__":
    uvloop.run(main())
