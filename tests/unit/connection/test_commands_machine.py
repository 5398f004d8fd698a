"""Commands of several clients on an engine that is slow and fails, in any interleaving."""

from __future__ import annotations

import asyncio
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from centripetal.connection.state import CLOSED
from centripetal.interfaces import BrokerError, PresenceError, ServerSubscription
from centripetal.model import ClientError

from .pipe import Peer
from .test_leaving import Scene

CHANNELS = ("room:x", "room:y", "plain:x")
ERRORS = {
    "subscribe": {105, 112},
    "unsubscribe": set(),
    "publish": {100},
    "history": {100, 108},
    "presence": {100, 108},
    "presence_stats": {100, 108},
}
ENDS = {3004, 3000}
"""The engine failed during a subscription; the client was told to go."""


class Visitor:
    """A peer and what it waits for."""

    def __init__(self, scene: Scene) -> None:
        self.peer = Peer(scene.node)
        self.asked: list[tuple[int, str]] = [(1, "connect")]
        self.last_id = 1
        self.failed_subscribing = False

    @property
    def open(self) -> bool:
        return self.peer.pipe.closed is None and self.peer.client.state != CLOSED

    def ask(self, commands: list[dict[str, Any]]) -> None:
        numbered = []
        for command in commands:
            self.last_id += 1
            numbered.append({"id": self.last_id, **command})
            self.asked.append((self.last_id, next(iter(command))))
        self.peer.send(*numbered)

    def take(self, *, ordered: bool) -> None:
        """Each reply answers a command, once, with an error that is documented; in order where that is promised."""
        connected = not any(command_id == 1 for command_id, _ in self.asked)
        for message in self.peer.received():
            if "id" not in message:
                assert connected, f"before the reply of connect came {message}"
                continue
            number = 0
            if not ordered:
                number = [command_id for command_id, _ in self.asked].index(message["id"])
            command_id, method = self.asked.pop(number)
            assert message["id"] == command_id
            connected = connected or method == "connect"
            if "error" in message:
                assert message["error"]["code"] in ERRORS[method]
            else:
                assert method in message
        closed = self.peer.pipe.closed
        assert closed is None or closed.code in ENDS


class CommandsMachine(RuleBasedStateMachine):
    """See the module."""

    @initialize(concurrency=st.sampled_from([0, 1, 2, 5]))
    def start(self, concurrency: int) -> None:
        self.concurrency = concurrency
        self.loop = asyncio.new_event_loop()
        self.visitors: list[Visitor] = []
        self.calls: list[asyncio.Task[None]] = []

        async def build() -> None:
            self.scene = Scene(concurrency=concurrency)

        self.loop.run_until_complete(build())

    def run(self, function: Any) -> None:
        async def call() -> None:
            function()

        self.loop.run_until_complete(call())

    @rule(turns=st.integers(1, 3))
    def turn(self, turns: int) -> None:
        async def take_turns() -> None:
            for _ in range(turns):
                await asyncio.sleep(0)

        self.loop.run_until_complete(take_turns())
        for visitor in self.visitors:
            visitor.take(ordered=self.concurrency <= 1)

    def someone(self, who: int) -> Visitor | None:
        visitors = [visitor for visitor in self.visitors if visitor.open]
        return visitors[who % len(visitors)] if visitors else None

    @precondition(lambda self: len(self.visitors) < 5)
    @rule(subscriptions=st.sets(st.sampled_from(CHANNELS), max_size=3))
    def arrive(self, subscriptions: set[str]) -> None:
        def connect() -> None:
            self.scene.tokens.subscriptions = {name: ServerSubscription() for name in sorted(subscriptions)}
            visitor = Visitor(self.scene)
            visitor.peer.send({"id": 1, "connect": {"token": "ann"}})
            self.visitors.append(visitor)

        self.run(connect)

    @rule(
        who=st.integers(0, 9),
        commands=st.lists(
            st.tuples(st.sampled_from(sorted(ERRORS)), st.sampled_from(CHANNELS)), min_size=1, max_size=4
        ),
        recover=st.booleans(),
    )
    def command(self, who: int, commands: list[tuple[str, str]], recover: bool) -> None:
        visitor = self.someone(who)
        if visitor is None:
            return
        bodies: list[dict[str, Any]] = []
        for method, channel in commands:
            body: dict[str, Any] = {"channel": channel}
            if method == "publish":
                body["data"] = {}
            if method == "subscribe" and recover:
                body |= {"recover": True, "offset": 1, "flag": 2}
            bodies.append({method: body})
        self.run(lambda: visitor.ask(bodies))

    @rule(who=st.integers(0, 9))
    def leave(self, who: int) -> None:
        visitor = self.someone(who)
        if visitor is not None:
            self.run(visitor.peer.client.transport_closed)
            visitor.peer.pipe.written = b""

    @rule(channel=st.sampled_from((*CHANNELS, "")), subscribe=st.booleans())
    def steer(self, channel: str, subscribe: bool) -> None:
        """The server API subscribes and unsubscribes."""

        async def call() -> None:
            try:
                if subscribe and channel:
                    await self.scene.node.subscribe_user("ann", channel)
                else:
                    await self.scene.node.unsubscribe_user("ann", channel)
            except (ClientError, BrokerError, PresenceError) as error:
                error.__traceback__ = error.__context__ = None

        self.calls.append(self.loop.create_task(call()))

    @precondition(lambda self: self.scene.gates.waiting)
    @rule(number=st.integers(0, 9), well=st.sampled_from([True, True, True, True, False]))
    def go_on(self, number: int, well: bool) -> None:
        gates = self.scene.gates
        # What was begun before this turn may have given up the only step that waited.
        self.run(lambda: gates.let_go(number, well=well) if gates.waiting else None)

    @rule(seconds=st.sampled_from([1.0, 14.0]))
    def wait(self, seconds: float) -> None:
        """Presence is renewed meanwhile; nobody is pinged in this time."""

        def advance() -> None:
            self.scene.clock.advance(seconds)
            for visitor in self.visitors:
                visitor.peer.client.due.ping = visitor.peer.client.due.stale = 0.0
            self.scene.node.ticker.advance()

        self.run(advance)

    def teardown(self) -> None:
        if not hasattr(self, "scene"):
            return
        try:
            self.loop.run_until_complete(self.end())
        finally:
            self.loop.close()

    async def end(self) -> None:
        for visitor in self.visitors[::2]:
            visitor.peer.client.transport_closed()
            visitor.peer.pipe.written = b""
        await self.scene.finish()
        for visitor in self.visitors:
            if visitor.open:
                visitor.take(ordered=self.concurrency <= 1)
                assert visitor.asked == [], "commands without a reply"
                visitor.peer.client.transport_closed()
        await self.scene.finish()
        self.scene.broker.joined = self.scene.broker.left = []
        for call in self.calls:
            await call
        await self.scene.assert_all_gone()


TestCommandsMachine = CommandsMachine.TestCase
TestCommandsMachine.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
