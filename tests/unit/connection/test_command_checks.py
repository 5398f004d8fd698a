"""What is wrong with a command, and which fault is told when there are several."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from .pipe import Peer, connected, make_node, namespace

CLOSED = namespace(
    "closed",
    allow_subscribe_for_client=False,
    allow_publish_for_client=False,
    allow_history_for_client=False,
    allow_presence_for_client=False,
)
BARE = namespace("bare")
FULL = namespace("full", presence=True, history_size=5, history_ttl=60.0, publication_data_format="json_object")

ERRORS: list[tuple[str, dict[str, Any], int]] = [
    ("subscribe", {"channel": "x" * 256}, 107),
    ("subscribe", {"channel": "unknown:x"}, 102),
    ("subscribe", {"channel": "bare:ü"}, 107),
    ("subscribe", {"channel": "closed:x"}, 103),
    ("subscribe", {"channel": "$bare:x"}, 103),
    ("subscribe", {"channel": "bare:taken"}, 105),
    ("subscribe", {"channel": "bare:x", "type": 4}, 108),
    ("publish", {"channel": "unknown:x", "data": {}}, 102),
    ("publish", {"channel": "full:x", "data": []}, 107),
    ("publish", {"channel": "closed:x", "data": {}}, 103),
    ("publish", {"channel": "closed:x"}, 107),
    ("history", {"channel": "unknown:x"}, 102),
    ("history", {"channel": "closed:x"}, 108),
    ("history", {"channel": "full:x", "limit": 1, "reverse": True, "since": {"offset": 0}}, 107),
    ("history", {"channel": "full:x", "since": {"offset": 0, "epoch": "other"}}, 112),
    ("presence", {"channel": "bare:x"}, 108),
    ("presence_stats", {"channel": "unknown:x"}, 102),
    ("sub_refresh", {"channel": "bare:x", "token": "t"}, 103),
    ("sub_refresh", {"channel": "bare:taken"}, 107),
    ("rpc", {"method": "x"}, 108),
]

ENDS: list[tuple[str, dict[str, Any], int]] = [
    ("subscribe", {}, 3501),
    ("subscribe", {"channel": "unknown:x", "delta": "other"}, 3501),
    ("unsubscribe", {}, 3501),
    ("publish", {"data": {}}, 3501),
    ("history", {}, 3501),
    ("presence", {}, 3501),
    ("presence_stats", {}, 3501),
    ("refresh", {}, 3501),
    ("sub_refresh", {"token": "t"}, 3501),
    ("send", {"data": {}}, 3508),
    ("ping", {}, 3501),
    ("connect", {}, 3501),
]


def with_peer(function: Any, **client: Any) -> None:
    async def run() -> None:
        peer = connected(make_node(CLOSED, BARE, FULL, **client))
        assert "subscribe" in peer.ask({"subscribe": {"channel": "bare:taken"}})
        function(peer)

    asyncio.run(run())


@pytest.mark.parametrize(("method", "body", "code"), ERRORS)
def test_errors(method: str, body: dict[str, Any], code: int) -> None:
    def check(peer: Peer) -> None:
        assert peer.ask({method: body})["error"]["code"] == code
        assert peer.pipe.closed is None
        assert list(peer.client.subscriptions) == ["bare:taken"]

    with_peer(check)


@pytest.mark.parametrize(("method", "body", "code"), ENDS)
def test_ends(method: str, body: dict[str, Any], code: int) -> None:
    def check(peer: Peer) -> None:
        peer.send({method: body})
        assert peer.received() == []
        assert peer.pipe.closed is not None and peer.pipe.closed.code == code

    with_peer(check)


def test_the_channel_limit_comes_before_an_unknown_namespace_and_after_a_double_subscription() -> None:
    def check(peer: Peer) -> None:
        assert peer.ask({"subscribe": {"channel": "unknown:x"}})["error"]["code"] == 106
        assert peer.ask({"subscribe": {"channel": "bare:taken"}})["error"]["code"] == 105
        peer.ask({"unsubscribe": {"channel": "bare:taken"}})
        assert peer.ask({"subscribe": {"channel": "unknown:x"}})["error"]["code"] == 102

    with_peer(check, channel_limit=1)


def test_anything_before_connect_ends_the_connection() -> None:
    async def run() -> None:
        peer = Peer(make_node())
        peer.send({"subscribe": {"channel": "x"}}, {"connect": {}})
        assert peer.received() == []
        assert peer.pipe.closed is not None and peer.pipe.closed.code == 3501

    asyncio.run(run())
