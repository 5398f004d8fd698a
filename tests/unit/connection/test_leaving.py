"""What is left behind when a client goes, whatever it waits for: nothing."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from centripetal.connection import Client
from centripetal.connection import unsubscribe as unsubscribing
from centripetal.interfaces import ConnectionClaims, ServerSubscription, SubscriptionClaims
from centripetal.model import errors
from centripetal.testing import ManualClock

from .pipe import Peer, connected, make_node, namespace
from .slow_engine import GatedBroker, GatedPresence, Gates

ROOM = namespace(
    "room",
    presence=True,
    join_leave=True,
    force_push_join_leave=True,
    history_size=10,
    history_ttl=60.0,
    force_recovery=True,
)
PLAIN = namespace("plain")


class Tokens:
    """Accepts every token: the user is its text; server-side subscriptions are set by the test."""

    def __init__(self) -> None:
        self.subscriptions: dict[str, ServerSubscription] = {}

    async def verify_connection(self, token: str, *, ignore_expiry: bool = False) -> ConnectionClaims:
        return ConnectionClaims(user=token, subscriptions=self.subscriptions)

    async def verify_subscription(self, token: str, *, ignore_expiry: bool = False) -> SubscriptionClaims:
        raise AssertionError("no test here subscribes with a token")


class Scene:
    """A node on a gated engine."""

    def __init__(self, **client: Any) -> None:
        unsubscribing._background.clear()
        self.clock = ManualClock()
        self.gates = Gates()
        self.broker = GatedBroker(self.gates, self.clock)
        self.presence = GatedPresence(self.gates, self.clock)
        self.node = make_node(ROOM, PLAIN, clock=self.clock, broker=self.broker, presence=self.presence, **client)
        self.tokens = self.node.tokens = Tokens()

    async def turns(self) -> None:
        for _ in range(8):
            await asyncio.sleep(0)

    async def let_go(self, *steps: str, well: bool = True) -> None:
        """Lets these steps go on, in this order; each must be waiting."""
        for step in steps:
            self.gates.let_go(self.gates.steps().index(step), well=well)
            await self.turns()

    async def finish(self) -> None:
        """Lets everything go on until nothing waits."""
        for _ in range(5000):
            await self.turns()
            if not self.gates.waiting:
                return
            self.gates.let_go()
        raise AssertionError("the engine never comes to rest")

    def assert_nothing_left(self) -> None:
        node = self.node
        assert node.hub.channels == {}
        assert node.hub.num_live == 0
        assert self.broker.subscribed <= self.broker.not_unsubscribed
        assert node.registry.clients == {} and node.registry.users == {}
        assert node.interest._subscribed == set() and node.interest._changes == {}
        assert not node.interest._background and not unsubscribing._background
        assert not node.positions._due and not node.positions._tasks
        assert len(node.ticker._wheel) == 0
        assert not node.flusher.prompt and not node.flusher.bulk
        assert sorted(self.broker.joined) == sorted(self.broker.left)
        assert not any(self.presence.inner._channels.values())
        assert not any(node.counters.connections_inflight.values())
        assert not any(node.counters.subscriptions_inflight.values())

    async def assert_all_gone(self) -> None:
        await self.finish()
        while self.node.flusher.prompt or self.node.flusher.bulk:
            self.node.flusher.flush()
        self.assert_nothing_left()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        assert not tasks, tasks


def play(scenario: Callable[[Scene], Awaitable[None]], **client: Any) -> None:
    async def run() -> None:
        scene = Scene(**client)
        await scenario(scene)
        await scene.assert_all_gone()

    asyncio.run(run())


STEPS_OF_SUBSCRIBE = ["subscribe room:x", "add room:x", "history room:x", "history room:x answer", "join room:x"]


@pytest.mark.parametrize("step", range(len(STEPS_OF_SUBSCRIBE)))
def test_leaving_at_each_step_of_a_subscription(step: int) -> None:
    async def scenario(scene: Scene) -> None:
        peer = connected(scene.node)
        peer.send({"subscribe": {"channel": "room:x"}})
        await scene.let_go(*STEPS_OF_SUBSCRIBE[:step])
        assert scene.gates.steps() == [STEPS_OF_SUBSCRIBE[step]]
        peer.client.transport_closed()
        if step == len(STEPS_OF_SUBSCRIBE) - 1:
            await scene.finish()
            assert scene.broker.left  # the subscription was live, so its end is told although its join was not
            scene.broker.joined = list(scene.broker.left)

    play(scenario)


@pytest.mark.parametrize("step", range(len(STEPS_OF_SUBSCRIBE) - 1))
def test_a_failure_at_each_step_of_a_subscription(step: int) -> None:
    async def scenario(scene: Scene) -> None:
        peer = connected(scene.node)
        peer.send({"subscribe": {"channel": "room:x"}})
        await scene.let_go(*STEPS_OF_SUBSCRIBE[:step])
        await scene.let_go(STEPS_OF_SUBSCRIBE[step], well=False)
        assert peer.pipe.closed is not None and peer.pipe.closed.code == 3004

    play(scenario)


@pytest.mark.parametrize("step", range(len(STEPS_OF_SUBSCRIBE) - 1))
@pytest.mark.parametrize("well", [True, False])
def test_connect_with_one_subscription_made_and_one_waiting(step: int, well: bool) -> None:
    """The client leaves, or the second subscription fails, after the first one was made completely."""

    async def scenario(scene: Scene) -> None:
        scene.tokens.subscriptions = {"room:x": ServerSubscription(), "room:y": ServerSubscription()}
        peer = Peer(scene.node)
        peer.send({"connect": {"token": "ann"}})
        for each in STEPS_OF_SUBSCRIBE[:-1]:
            await scene.let_go(each.replace(":x", ":y"))
        await scene.let_go(*STEPS_OF_SUBSCRIBE[:step])
        assert scene.gates.steps() == [STEPS_OF_SUBSCRIBE[step]]
        if well:
            peer.client.transport_closed()
        else:
            await scene.let_go(STEPS_OF_SUBSCRIBE[step], well=False)
            assert peer.pipe.closed is not None and peer.pipe.closed.code == 3004
        assert peer.received() == []

    play(scenario)


def test_leaving_while_an_unsubscription_is_told() -> None:
    """Presence and others learn of it although the command was cancelled."""

    async def scenario(scene: Scene) -> None:
        scene.gates.open = True
        peer = connected(scene.node)
        peer.ask({"subscribe": {"channel": "room:x"}})
        scene.gates.open = False
        peer.send({"unsubscribe": {"channel": "room:x"}})
        assert "remove room:x" in scene.gates.steps()
        peer.client.transport_closed()
        await scene.turns()
        await scene.let_go("remove room:x", "leave room:x")
        assert scene.broker.left == [("room:x", peer.client.id)]

    play(scenario)


def test_a_leave_is_told_although_presence_fails() -> None:
    async def scenario(scene: Scene) -> None:
        scene.gates.open = True
        peer = connected(scene.node)
        peer.ask({"subscribe": {"channel": "room:x"}})
        scene.gates.open = False
        peer.client.transport_closed()
        await scene.let_go("remove room:x", well=False)
        await scene.let_go("leave room:x")
        assert scene.broker.left == [("room:x", peer.client.id)]

    play(scenario)


def test_unsubscribing_does_not_hit_a_later_subscription() -> None:
    """The first attempt fails softly while an unsubscription waits for it; the next attempt must live."""

    async def scenario(scene: Scene) -> None:
        peer = connected(scene.node)
        # Error 112 ends the first attempt without ending the connection.
        peer.send({"subscribe": {"channel": "room:x", "recover": True, "offset": 7, "flag": 2}})
        await scene.let_go(*STEPS_OF_SUBSCRIBE[:3])
        peer.send({"unsubscribe": {"channel": "room:x"}})
        await scene.turns()
        scene.gates.let_go(scene.gates.steps().index("history room:x answer"))
        # In the turn in which it fails, before the unsubscription goes on:
        await asyncio.sleep(0)
        peer.send({"subscribe": {"channel": "room:x"}})
        await scene.finish()
        replies = {message["id"]: message for message in peer.received() if "id" in message}
        assert peer.pipe.closed is None
        assert replies[2]["error"]["code"] == 112
        assert replies[3] == {"id": 3, "unsubscribe": {}}
        assert replies[4].get("subscribe") is not None
        peer.client.transport_closed()

    play(scenario, concurrency=8)


def test_a_renewal_on_its_way_does_not_remove_the_next_subscription_from_presence() -> None:
    async def scenario(scene: Scene) -> None:
        scene.gates.open = True
        peer = connected(scene.node)
        peer.ask({"subscribe": {"channel": "room:x"}})
        scene.gates.open = False
        scene.clock.advance(28)
        scene.node.ticker.advance()
        assert scene.gates.steps() == ["add room:x"]
        renewal = scene.gates.waiting.pop()
        scene.gates.open = True
        peer.ask({"unsubscribe": {"channel": "room:x"}})
        peer.ask({"subscribe": {"channel": "room:x"}})
        renewal[1].set_result(True)
        await scene.turns()
        assert list(await scene.node.presence("room:x")) == [peer.client.id]
        peer.client.transport_closed()

    play(scenario)


def test_a_renewal_that_comes_too_late_is_taken_back() -> None:
    async def scenario(scene: Scene) -> None:
        scene.gates.open = True
        peer = connected(scene.node)
        peer.ask({"subscribe": {"channel": "room:x"}})
        scene.gates.open = False
        scene.clock.advance(28)
        scene.node.ticker.advance()
        peer.client.transport_closed()
        await scene.finish()
        scene.gates.open = True
        assert await scene.node.presence("room:x") == {}

    play(scenario)


def test_subscribing_for_a_client_that_leaves_is_no_failure() -> None:
    async def scenario(scene: Scene) -> None:
        peer = connected(scene.node, token="ann")
        call = asyncio.create_task(scene.node.subscribe_user("ann", "room:x"))
        await scene.turns()
        peer.client.transport_closed()
        await scene.finish()
        await call

    play(scenario)


def live_clients() -> int:
    return sum(isinstance(thing, Client) for thing in gc.get_objects())


async def live_fully(scene: Scene) -> None:
    """A whole life: every kind of ending of a command, pings, a slow peer."""
    peer = connected(scene.node)
    peer.send({"subscribe": {"channel": "room:x", "delta": "fossil"}})
    peer.send({"subscribe": {"channel": "unknown:x"}}, {"subscribe": {"channel": "room:x"}})
    await scene.finish()
    peer.send({"publish": {"channel": "room:x", "data": {}}}, {"history": {"channel": "room:x", "limit": 1}})
    await scene.finish()
    scene.clock.advance(26)
    scene.node.ticker.advance()
    peer.send({})
    await scene.finish()
    peer.send({"subscribe": {"channel": "room:y"}})  # cancelled
    await scene.turns()
    peer.client.writing_paused()
    peer.client.transport_closed()
    await scene.finish()
    peer.received()


def test_a_closed_connection_is_freed_by_its_reference_count() -> None:
    async def run() -> None:
        scene = Scene()
        await live_fully(scene)
        gc.collect()
        before = live_clients()
        gc.disable()
        try:
            for _ in range(5):
                await live_fully(scene)
            await scene.turns()
            assert live_clients() == before
        finally:
            gc.enable()

    asyncio.run(run())


@pytest.mark.parametrize("how", ["fails", "3501", "slow"])
def test_a_connection_ended_by_the_server_is_freed_by_its_reference_count(how: str) -> None:
    async def end(scene: Scene) -> None:
        peer = connected(scene.node)
        if how == "3501":
            peer.client.receive(b"nonsense")
        elif how == "slow":
            peer.client.writing_paused()
            peer.pipe.buffered = 10_000_000
            peer.send({"presence": {"channel": "room:x"}})
        else:
            peer.send({"subscribe": {"channel": "room:x"}})
            await scene.let_go("subscribe room:x", well=False)
        await scene.finish()
        peer.received()
        assert peer.pipe.closed is not None

    async def run() -> None:
        scene = Scene()
        await end(scene)
        gc.collect()
        before = live_clients()
        gc.disable()
        try:
            for _ in range(3):
                await end(scene)
            await scene.turns()
            assert live_clients() == before
        finally:
            gc.enable()

    asyncio.run(run())


def test_shared_errors_do_not_grow() -> None:
    async def run() -> None:
        scene = Scene()
        scene.gates.open = True
        peer = connected(scene.node)
        for _ in range(20):
            assert peer.ask({"subscribe": {"channel": "unknown:x"}})["error"]["code"] == 102
            Peer(scene.node).send({"connect": {"subs": {"unknown:x": {}}}})
        assert errors.ERROR_UNKNOWN_CHANNEL.__traceback__ is None
        assert errors.DISCONNECT_BAD_REQUEST.__traceback__ is None

    asyncio.run(run())
