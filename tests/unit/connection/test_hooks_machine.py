"""Clients whose application answers late, in any order, badly, or not before they have left."""

from __future__ import annotations

import asyncio
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from centripetal.connection.state import CLOSED, CONNECTED
from centripetal.interfaces import HookError
from centripetal.model import ClientError, Disconnect

from .pipe import Peer
from .test_hooks import HookScene

REFUSED = 1000
OUT = 4000
COMMANDS: dict[str, dict[str, Any]] = {
    "rpc": {"rpc": {"method": "m"}},
    "subscribe": {"subscribe": {"channel": "asked:x"}},
    "stream": {"subscribe": {"channel": "talk:x"}},
    "cache": {"subscribe": {"channel": "cache:x"}},
    "unsubscribe": {"unsubscribe": {"channel": "asked:x"}},
    "leave stream": {"unsubscribe": {"channel": "talk:x"}},
    "publish": {"publish": {"channel": "asked:x", "data": 1}},
    "send up": {"publish": {"channel": "talk:x", "data": 1}},
    "history": {"history": {"channel": "plain:x"}},
}
ERRORS = {"connect": {100, REFUSED}, "subscribe": {100, 105, REFUSED}, "history": {108}, "rpc": {100, REFUSED},
          "publish": {100, 108, REFUSED}, "unsubscribe": set()}  # fmt: skip
OUTCOMES = [..., ..., ..., ..., ..., None, HookError("broken"), "refused", "out"]


class Visitor:
    """A peer and what it waits for."""

    def __init__(self, scene: HookScene) -> None:
        self.peer = Peer(scene.node)
        self.asked: list[tuple[int, str, Any]] = [(1, "connect", None)]
        self.last_id = 1
        self.peer.send({"id": 1, "connect": {}})

    @property
    def open(self) -> bool:
        return self.peer.client.state != CLOSED

    def ask(self, names: list[str]) -> None:
        commands = []
        for name in names:
            command = dict(COMMANDS[name])
            method = next(iter(command))
            self.last_id += 1
            data = None
            if method == "rpc":
                data = self.last_id
                command = {"rpc": {"method": "m", "data": data}}
            commands.append({"id": self.last_id, **command})
            self.asked.append((self.last_id, method, data))
        self.peer.send(*commands)

    def take(self, *, ordered: bool) -> None:
        """Each reply answers a command, once, with what was asked or a documented error; in order where promised."""
        for message in self.peer.received():
            if "id" not in message:
                assert set(message) == {"push"}
                continue
            number = 0 if ordered else [one for one, _, _ in self.asked].index(message["id"])
            command_id, method, data = self.asked.pop(number)
            assert message["id"] == command_id
            if "error" in message:
                assert message["error"]["code"] in ERRORS[method]
            else:
                assert method in message
                assert method != "rpc" or message["rpc"].get("data", data) == data
        closed = self.peer.pipe.closed
        assert closed is None or closed.code in {OUT, 3005, 3501}


class HooksMachine(RuleBasedStateMachine):
    """See the module."""

    @initialize(concurrency=st.sampled_from([0, 0, 4]))
    def start(self, concurrency: int) -> None:
        self.concurrency = concurrency
        self.loop = asyncio.new_event_loop()
        self.visitors: list[Visitor] = []

        async def build() -> None:
            self.scene = HookScene(concurrency=concurrency)

        self.loop.run_until_complete(build())
        for _ in range(2):
            self.arrive()
            self.answer(0, 0, False)

    def run(self, function: Any) -> None:
        async def call() -> None:
            function()
            await self.scene.turns()

        self.loop.run_until_complete(call())
        for visitor in self.visitors:
            visitor.take(ordered=self.concurrency <= 1)

    def someone(self, who: int) -> Visitor | None:
        visitors = [visitor for visitor in self.visitors if visitor.open]
        return visitors[who % len(visitors)] if visitors else None

    @precondition(lambda self: len(self.visitors) < 4)
    @rule()
    def arrive(self) -> None:
        self.run(lambda: self.visitors.append(Visitor(self.scene)))

    @rule(who=st.integers(0, 9), names=st.lists(st.sampled_from(sorted(COMMANDS)), min_size=1, max_size=4))
    def command(self, who: int, names: list[str]) -> None:
        visitor = self.someone(who)
        if visitor is not None and visitor.asked[:1] != [(1, "connect", None)] and visitor.peer.client.state == CONNECTED:
            self.run(lambda: visitor.ask(names))

    @rule(who=st.integers(0, 9))
    def leave(self, who: int) -> None:
        visitor = self.someone(who)
        if visitor is not None:
            self.run(visitor.peer.client.transport_closed)

    @precondition(lambda self: self.scene.hooks.waiting)
    @rule(
        number=st.integers(0, 9),
        outcome=st.sampled_from(range(len(OUTCOMES))),
        leaves=st.sampled_from([False, False, False, True]),
    )
    def answer(self, number: int, outcome: int, leaves: bool) -> None:
        """The application answers; its caller may leave in the same turn."""

        accepted = OUTCOMES[outcome] is ...

        def go_on() -> None:
            chosen = OUTCOMES[outcome]
            if chosen == "refused":
                chosen = ClientError(REFUSED, "no")
            elif chosen == "out":
                chosen = Disconnect(OUT, "out")
            streams = self.scene.hooks.streams
            before = len(streams)
            _, request = self.scene.hooks.let_go(number, chosen)
            caller = getattr(request, "caller", None)
            if leaves and accepted and caller is not None:
                for visitor in self.visitors:
                    if visitor.peer.client.id == caller.client and visitor.open:
                        visitor.peer.client.transport_closed()
                        del streams[before:]  # its hook was cancelled, so that the stream is not accepted

        self.run(go_on)

    @precondition(lambda self: any(not stream.cancelled for stream in self.scene.hooks.streams))
    @rule(number=st.integers(0, 9), item=st.sampled_from([b"1", b"2", None, "broken"]))
    def feed(self, number: int, item: Any) -> None:
        streams = [stream for stream in self.scene.hooks.streams if not stream.cancelled]
        self.run(lambda: streams[number % len(streams)].feed(HookError("broken") if item == "broken" else item))

    @rule(seconds=st.sampled_from([1.0, 30.0, 70.0]))
    def wait(self, seconds: float) -> None:
        """Connections and subscriptions expire meanwhile; nobody is pinged."""

        def advance() -> None:
            for visitor in self.visitors:
                visitor.peer.client.due.stale = visitor.peer.client.due.ping = 0.0
            self.scene.advance(seconds)

        self.run(advance)

    @rule()
    def bystander(self) -> None:
        """Whoever waits, somebody who needs no answer of the application gets his reply at once."""
        self.scene.hooks.open = True

        def look() -> None:
            peer = Peer(self.scene.node)
            peer.ask({"connect": {}})
            assert peer.ask({"presence": {"channel": "asked:x"}})["presence"]
            peer.client.transport_closed()

        self.run(look)
        self.scene.hooks.open = False

    def teardown(self) -> None:
        if not hasattr(self, "scene"):
            return
        try:
            self.loop.run_until_complete(self.end())
        finally:
            self.loop.close()

    async def end(self) -> None:
        for visitor in self.visitors:
            visitor.peer.client.transport_closed()
        await self.scene.turns()
        assert self.scene.hooks.waiting == []
        assert all(stream.cancelled for stream in self.scene.hooks.streams)
        await self.scene.assert_all_gone()


HooksMachine.TestCase.settings = settings(max_examples=50, stateful_step_count=40, deadline=None)
TestHooks = HooksMachine.TestCase
