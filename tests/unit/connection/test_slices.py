"""Long work of one connection is done in slices; what comes out is the same."""

from __future__ import annotations

import asyncio
import json

import pytest

from centripetal.connection import recovery
from centripetal.connection.unsubscribe import SUBSCRIPTIONS_A_SLICE
from centripetal.fanout.fossil import apply_delta
from centripetal.interfaces import PublishOptions

from .pipe import RECOVERABLE, connected, make_node, namespace

OPTIONS = PublishOptions(history_size=10, history_ttl_seconds=60)


def test_a_connection_with_many_subscriptions_leaves_nothing_behind() -> None:
    async def scene() -> None:
        many = 2 * SUBSCRIPTIONS_A_SLICE + 1
        node = make_node(namespace("room", presence=True), channel_limit=many)
        peer = connected(node)
        for number in range(many):
            peer.ask({"subscribe": {"channel": f"room:{number}"}})
        peer.client.transport_closed()
        assert 0 < node.hub.num_live < many
        for _ in range(10):
            await asyncio.sleep(0)
        assert node.hub.num_live == 0 and not node.hub.channels
        assert (await node.presence_stats("room:0")).num_clients == 0

    asyncio.run(scene())


@pytest.mark.parametrize("delta", [False, True])
def test_a_long_recovery_is_whole_while_publications_go_on(monkeypatch: pytest.MonkeyPatch, delta: bool) -> None:
    monkeypatch.setattr(recovery, "SLICE_SECONDS", 0.0)  # a pause after each publication

    async def scene() -> None:
        node = make_node(namespace("room", **RECOVERABLE))
        rows = [{"rows": ["constant"] * 20, "number": number} for number in range(8)]
        for row in rows[:5]:
            await node.publish("room:x", json.dumps(row).encode(), OPTIONS)
        peer = connected(node)
        request = {"channel": "room:x", "recover": True, "offset": 1} | ({"delta": "fossil"} if delta else {})
        peer.send({"subscribe": request})
        assert peer.received() == []
        for row in rows[5:]:
            await node.publish("room:x", json.dumps(row).encode(), OPTIONS)
            await asyncio.sleep(0)
        for _ in range(20):
            await asyncio.sleep(0)
        (reply, *pushes) = peer.received()
        publications = reply["subscribe"]["publications"] + [push["push"]["pub"] for push in pushes]
        assert [publication["offset"] for publication in publications] == list(range(2, 9))
        previous = b""
        for publication, row in zip(publications, rows[1:], strict=True):
            data = publication["data"]
            if delta:
                text = data.encode()
                previous = apply_delta(previous, text) if publication.get("delta") else text
                data = json.loads(previous)
            assert data == row

    asyncio.run(scene())
