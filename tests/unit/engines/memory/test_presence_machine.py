"""The in-memory presence manager against a plain dict that looks at the time."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from centripetal.engines.memory import MemoryPresenceManager
from centripetal.interfaces import PresenceStats
from centripetal.model import ClientInfo
from centripetal.testing import ManualClock

channels = st.sampled_from(["a", "b"])
clients = st.sampled_from(["c1", "c2", "c3", "c4"])


def finish(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Runs a coroutine that must not suspend."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        return stop.value
    raise AssertionError("an in-memory presence manager waited")


class PresenceMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.clock = ManualClock()
        self.manager = MemoryPresenceManager(self.clock)
        self.entries: dict[tuple[str, str], tuple[ClientInfo, float]] = {}

    def present(self, channel: str) -> dict[str, ClientInfo]:
        now = self.clock.monotonic()
        return {c: info for (name, c), (info, until) in self.entries.items() if name == channel and until > now}

    @rule(channel=channels, client=clients, user=st.sampled_from(["", "alice", "bob"]), role=st.binary(max_size=1))
    def add(self, channel: str, client: str, user: str, role: bytes) -> None:
        info = ClientInfo(user, client, b"", role)
        finish(self.manager.add(channel, client, info))
        self.entries[channel, client] = (info, self.clock.monotonic() + 60.0)

    @rule(channel=channels, client=clients)
    def remove(self, channel: str, client: str) -> None:
        finish(self.manager.remove(channel, client))
        self.entries.pop((channel, client), None)

    @rule(seconds=st.sampled_from([0.5, 20.0, 27.0, 60.0]))
    def wait(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @rule(budget=st.integers(1, 3))
    def sweep(self, budget: int) -> None:
        self.manager.sweep(budget)

    @rule(channel=channels)
    def look(self, channel: str) -> None:
        present = self.present(channel)
        users = {info.user for info in present.values()}
        assert finish(self.manager.stats(channel)) == PresenceStats(len(present), len(users))
        assert finish(self.manager.presence(channel)) == present

    def teardown(self) -> None:
        self.clock.advance(60.0)
        while self.manager.sweep(2):
            pass
        assert not self.manager._channels and not self.manager._by_deadline


PresenceMachine.TestCase.settings = settings(max_examples=80, stateful_step_count=40, deadline=None)
TestPresenceMachine = PresenceMachine.TestCase
