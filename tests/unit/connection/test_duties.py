"""What happens later: pings, staleness, slow peers; on a clock that the test moves."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from centripetal.connection import duties
from centripetal.fanout.outbox import FRAMES_A_WRITE
from centripetal.interfaces import ServerSubscription

from .pipe import Peer, connected
from .test_leaving import Scene


def play(scenario: Callable[[Scene], Awaitable[None]], **client: object) -> None:
    async def run() -> None:
        scene = Scene(**client)
        scene.gates.open = True
        await scenario(scene)

    asyncio.run(run())


def advance(scene: Scene, seconds: float) -> None:
    scene.clock.advance(seconds)
    scene.node.ticker.advance()


def closed_with(peer: Peer) -> int | None:
    return peer.pipe.closed.code if peer.pipe.closed is not None else None


def test_a_client_that_never_connects_is_stale() -> None:
    async def scenario(scene: Scene) -> None:
        peer = Peer(scene.node)
        advance(scene, 9.9)
        assert closed_with(peer) is None
        advance(scene, 0.3)
        assert closed_with(peer) == 3502

    play(scenario)


def test_a_pong_in_time_and_one_that_is_missing() -> None:
    async def scenario(scene: Scene) -> None:
        peer = connected(scene.node)
        advance(scene, 25.1)
        assert peer.received() == [{}]
        peer.send({})
        advance(scene, 24)
        assert closed_with(peer) is None
        advance(scene, 1.2)
        assert peer.received() == [{}]
        advance(scene, 8.2)
        assert closed_with(peer) == 3012

    play(scenario)


@pytest.mark.skipif(not duties.__file__.endswith(".py"), reason="what is compiled cannot be replaced")
def test_a_pong_that_came_wakes_nobody_later(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario(scene: Scene) -> None:
        peer = connected(scene.node)
        woken: list[float] = []
        perform = duties.perform
        monkeypatch.setattr(duties, "perform", lambda client, now: (woken.append(now), perform(client, now)))
        advance(scene, 25.1)
        peer.send({})
        for _ in range(24):
            advance(scene, 1)
        assert len(woken) == 1
        advance(scene, 1.2)
        assert len(woken) == 2
        assert peer.received() == [{}, {}]
        received = scene.node.counters.messages_received[peer.client.transport.name, "client_pong"]
        assert (received.count, received.size) == (1, 2)

    play(scenario)


def test_a_pong_that_nobody_asked_for() -> None:
    async def scenario(scene: Scene) -> None:
        peer = connected(scene.node)
        peer.send({})
        assert closed_with(peer) == 3501

    play(scenario)


def test_a_pong_frame_that_nobody_asked_for_means_nothing() -> None:
    async def scenario(scene: Scene) -> None:
        peer = connected(scene.node)
        peer.client.native_pong()
        advance(scene, 25.1)
        peer.client.native_pong()
        advance(scene, 8.2)
        assert closed_with(peer) == 3012

    play(scenario)


def test_a_pong_counts_while_a_command_waits() -> None:
    async def scenario(scene: Scene) -> None:
        peer = connected(scene.node)
        scene.gates.open = False
        peer.send({"subscribe": {"channel": "plain:x"}}, {"history": {"channel": "plain:x"}})
        advance(scene, 25.1)
        peer.client.receive(b"{}")
        advance(scene, 8.2)
        assert closed_with(peer) is None
        await scene.finish()
        assert [message["id"] for message in peer.received() if "id" in message] == [2, 3]

    play(scenario)


def test_a_slow_consumer_is_ended_and_written_nothing_more() -> None:
    async def scenario(scene: Scene) -> None:
        peer = connected(scene.node, token="ann")
        peer.client.writing_paused()
        peer.pipe.buffered = scene.node.client.queue_max_size - 10
        for _ in range(FRAMES_A_WRITE + 1):
            peer.client.send(b"x" * 50, "test")
        assert peer.received() == []
        assert closed_with(peer) == 3008
        assert peer.client.id not in scene.node.registry.clients

    play(scenario)


@pytest.mark.parametrize("takes", [True, False])
def test_a_peer_that_takes_nothing_is_cut_off(takes: bool) -> None:
    async def scenario(scene: Scene) -> None:
        peer = connected(scene.node)
        peer.pipe.buffered = 1000
        peer.client.writing_paused()
        if takes:
            peer.pipe.buffered = 900
        advance(scene, 1.2)
        assert closed_with(peer) == (None if takes else 3009)
        assert peer.pipe.aborted is not takes
        peer.client.writing_resumed()
        advance(scene, 5)
        assert closed_with(peer) == (None if takes else 3009)

    play(scenario)


def test_a_transport_that_pauses_after_the_end_schedules_nothing() -> None:
    async def scenario(scene: Scene) -> None:
        peer = connected(scene.node)
        peer.client.transport_closed()
        peer.client.writing_paused()
        peer.client.writing_resumed()
        assert len(scene.node.ticker._wheel) == 0

    play(scenario)


def test_reading_pauses_behind_a_command_that_waits() -> None:
    async def scenario(scene: Scene) -> None:
        peer = connected(scene.node)
        scene.gates.open = False
        peer.send({"subscribe": {"channel": "plain:x"}})
        big = {"publish": {"channel": "plain:x", "data": "x" * 400_000}}
        for _ in range(3):
            peer.send(big)
        assert not peer.pipe.reading
        await scene.finish()
        assert peer.pipe.reading
        assert [message["id"] for message in peer.received() if "id" in message] == [2, 3, 4, 5]

    play(scenario)


def test_the_server_api_waits_for_the_reply_of_connect() -> None:
    async def scenario(scene: Scene) -> None:
        scene.gates.open = False
        scene.tokens.subscriptions = {"plain:x": ServerSubscription()}
        peer = Peer(scene.node)
        peer.send({"connect": {"token": "ann"}})
        call = asyncio.create_task(scene.node.subscribe_user("ann", "plain:y"))
        await scene.turns()
        await scene.node.refresh_user("ann", expire_at=int(scene.clock.time()) + 60)
        assert peer.received() == []
        await scene.finish()
        await call
        messages = peer.received()
        assert messages[0]["connect"]["ttl"] == 60
        assert [next(iter(message["push"])) for message in messages[1:]] == ["channel"]

    play(scenario)
