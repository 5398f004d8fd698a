"""Publishing to a broker that can be exchanged."""

from __future__ import annotations

import asyncio

from centripetal.engines.local import Switch, SwitchedBroker
from centripetal.engines.memory import MemoryBroker
from centripetal.interfaces import PublishOptions, PublishResult
from centripetal.testing import ManualClock, RecordedEvents

KEPT = PublishOptions(history_size=10, history_ttl_seconds=60.0)


def test_a_publish_waits_only_while_everything_is_held() -> None:
    async def scene() -> None:
        switch = Switch()
        broker = SwitchedBroker(switch, MemoryBroker(ManualClock(), history_meta_ttl_seconds=0.0))
        broker.bind(RecordedEvents())
        first = broker.begin_publish("a", b"1", KEPT)
        assert isinstance(first, PublishResult) and first.position.offset == 1
        switch.hold()
        second = broker.begin_publish("a", b"2", KEPT)
        assert not isinstance(second, PublishResult)
        waiting = asyncio.ensure_future(second)
        await asyncio.sleep(0)
        assert not waiting.done()
        heir = MemoryBroker(ManualClock(), history_meta_ttl_seconds=0.0)
        await broker.exchange(heir)
        switch.release()
        assert (await waiting).position.offset == 1  # at the heir, which has a stream of its own
        third = broker.begin_publish("a", b"3", KEPT)
        assert isinstance(third, PublishResult) and third.position.offset == 2

    asyncio.run(scene())
