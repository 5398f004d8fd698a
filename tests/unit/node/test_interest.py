"""What the node wants of a slow, failing broker, in any interleaving."""

from __future__ import annotations

import asyncio
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from centripetal.fanout.channel import Channel
from centripetal.fanout.hub import Hub
from centripetal.fanout.outbox import Flusher
from centripetal.interfaces import BrokerError
from centripetal.node.interest import Interest

CHANNELS = ("a", "b")


class Broker:
    """Does what it is told when the test lets it; a failed unsubscribe leaves open what it does."""

    def __init__(self) -> None:
        self.subscribed: set[str] = set()
        self.uncertain: set[str] = set()
        self.changing: set[str] = set()
        self.gates: list[asyncio.Future[bool]] = []

    async def _change(self, channel: str) -> None:
        assert channel not in self.changing, "two changes of one channel at once"
        self.changing.add(channel)
        gate: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self.gates.append(gate)
        try:
            well = await gate
        finally:
            self.changing.discard(channel)
        if not well:
            raise BrokerError("away")

    async def subscribe(self, channel: str) -> None:
        await self._change(channel)
        self.subscribed.add(channel)
        self.uncertain.discard(channel)

    async def unsubscribe(self, channel: str) -> None:
        self.uncertain.add(channel)
        await self._change(channel)
        self.subscribed.discard(channel)
        self.uncertain.discard(channel)


class InterestMachine(RuleBasedStateMachine):
    """Those who hold a channel always get it, and nobody else keeps it."""

    @initialize()
    def start(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.broker = Broker()
        flusher = Flusher(lambda function: None)
        self.hub = Hub(flusher, lambda *_: None, lambda function: None, lambda outbox: None, lambda *_: None)
        self.interest = Interest(self.hub, self.broker)  # type: ignore[arg-type]
        self.holds: list[asyncio.Task[Channel]] = []
        self.held: list[Channel] = []

    def run(self, function: Any, turns: int) -> None:
        async def call() -> None:
            if function is not None:
                function()
            for _ in range(turns):
                await asyncio.sleep(0)

        self.loop.run_until_complete(call())
        for task in [task for task in self.holds if task.done()]:
            self.holds.remove(task)
            if not task.cancelled() and not isinstance(task.exception(), BrokerError):
                channel = task.result()
                assert self.hub.channels[channel.name] is channel
                self.held.append(channel)
        for channel in self.held:
            assert channel.name in self.broker.subscribed
            assert channel.name not in self.broker.changing

    @rule(name=st.sampled_from(CHANNELS), turns=st.integers(0, 4))
    def hold(self, name: str, turns: int) -> None:
        self.run(lambda: self.holds.append(self.loop.create_task(self.interest.hold(name))), turns)

    @precondition(lambda self: self.holds)
    @rule(number=st.integers(0, 9), turns=st.integers(0, 4))
    def give_up_waiting(self, number: int, turns: int) -> None:
        self.run(self.holds[number % len(self.holds)].cancel, turns)

    @precondition(lambda self: self.held)
    @rule(number=st.integers(0, 9), turns=st.integers(0, 4))
    def release(self, number: int, turns: int) -> None:
        channel = self.held.pop(number % len(self.held))
        self.run(lambda: self.interest.release(channel), turns)

    @precondition(lambda self: self.broker.gates)
    @rule(number=st.integers(0, 9), well=st.sampled_from([True, True, True, False]), turns=st.integers(0, 4))
    def go_on(self, number: int, well: bool, turns: int) -> None:
        gate = self.broker.gates.pop(number % len(self.broker.gates))
        self.run(lambda: gate.set_result(well), turns)

    def come_to_rest(self) -> None:
        for _ in range(200):
            self.run(None, 6)
            if not self.broker.gates:
                return
            gate = self.broker.gates.pop()
            self.run(lambda gate=gate: gate.set_result(True), 6)  # type: ignore[misc]
        raise AssertionError("never comes to rest")

    def teardown(self) -> None:
        if not hasattr(self, "loop"):
            return
        self.come_to_rest()
        assert not self.holds
        assert self.broker.subscribed - self.broker.uncertain == {channel.name for channel in self.held}
        while self.held:
            channel = self.held.pop()
            self.run(lambda channel=channel: self.interest.release(channel), 1)  # type: ignore[misc]
        self.come_to_rest()
        assert self.broker.subscribed <= self.broker.uncertain
        assert self.hub.channels == {} and not self.interest._changes and not self.interest._background
        assert not asyncio.all_tasks(self.loop)
        self.loop.close()


TestInterestMachine = InterestMachine.TestCase
TestInterestMachine.settings = settings(max_examples=300, stateful_step_count=30, deadline=None)
