"""When a channel's continuity is lost, its positioned subscribers are told in slices, and get nothing in between."""

from __future__ import annotations

import asyncio

from centripetal.interfaces import PublishOptions
from centripetal.node.slices import CLIENTS_A_SLICE
from centripetal.testing import ManualClock

from .pipe import RECOVERABLE, Peer, connected, make_node, namespace

OPTIONS = PublishOptions(history_size=10, history_ttl_seconds=60, history_meta_ttl_seconds=3600)
MANY = 2 * CLIENTS_A_SLICE + 1


def codes(peer: Peer) -> list[int]:
    """Returns the codes of unsubscribe pushes; a publication is 0."""
    pushes = [message["push"] for message in peer.received() if "push" in message]
    return [push["unsubscribe"]["code"] if "unsubscribe" in push else 0 for push in pushes]


def test_many_subscribers_are_told_in_slices_and_get_nothing_meanwhile() -> None:
    async def scene() -> None:
        clock = ManualClock()
        node = make_node(namespace("room", **RECOVERABLE), clock=clock)
        peers = [connected(node) for _ in range(MANY)]
        for peer in peers:
            assert "subscribe" in peer.ask({"subscribe": {"channel": "room:x"}})
        await node.publish("room:x", b"1", OPTIONS)
        assert {tuple(codes(peer)) for peer in peers} == {(0,)}
        clock.advance(4000)  # offset and epoch are forgotten
        await node.publish("room:x", b"2", OPTIONS)
        assert sum(codes(peer) == [2500] for peer in peers) == CLIENTS_A_SLICE
        await node.publish("room:x", b"3", OPTIONS)
        # One that has not been told yet subscribes anew, which is no loss of the new subscription.
        waiting = next(peer for peer in peers if "room:x" in peer.client.subscriptions)
        waiting.ask({"unsubscribe": {"channel": "room:x"}})
        assert waiting.ask({"subscribe": {"channel": "room:x"}})["subscribe"]["offset"] == 2
        for _ in range(5):
            await asyncio.sleep(0)
        told = [codes(peer) for peer in peers if peer is not waiting]
        assert all(code in ([], [2500]) for code in told)
        assert codes(waiting) == []
        assert node.hub.channels["room:x"].num_live == node.hub.num_live == 1
        assert node.hub.channels["room:x"].position.holders == 1

    asyncio.run(scene())


def test_unpositioned_subscribers_of_the_channel_go_on() -> None:
    async def scene() -> None:
        clock = ManualClock()
        node = make_node(namespace("room", history_size=10, history_ttl=60.0, allow_positioning=True), clock=clock)
        plain, positioned = connected(node), connected(node)
        plain.ask({"subscribe": {"channel": "room:x"}})
        positioned.ask({"subscribe": {"channel": "room:x", "positioned": True}})
        await node.publish("room:x", b"1", OPTIONS)
        clock.advance(4000)
        await node.publish("room:x", b"2", OPTIONS)
        assert codes(plain) == [0, 0]
        assert codes(positioned) == [0, 2500]

    asyncio.run(scene())
