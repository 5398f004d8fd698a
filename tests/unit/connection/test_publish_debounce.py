"""`client_publish_debounce_interval` is told to subscribers."""

from __future__ import annotations

import asyncio

import pytest

from centripetal.node.settings import MapOptions

from .pipe import connected, make_node, namespace


@pytest.mark.parametrize(("seconds", "told"), [(0.0, None), (0.05, 50), (1.5, 1500)])
def test_who_publishes_is_told_how_often(seconds: float, told: int | None) -> None:
    async def scene() -> None:
        node = make_node(
            namespace("cursors", client_publish_debounce_interval=seconds),
            namespace(
                "table",
                subscription_type="map",
                map=MapOptions(mode="persistent"),
                client_publish_debounce_interval=seconds,
            ),
        )
        peer = connected(node)
        stream = peer.ask({"subscribe": {"channel": "cursors:x"}})["subscribe"]
        table = peer.ask({"subscribe": {"channel": "table:x", "type": 1, "phase": 2}})["subscribe"]
        assert stream.get("publish_debounce") == table.get("publish_debounce") == told

    asyncio.run(scene())
