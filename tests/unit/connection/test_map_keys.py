"""Keys that clients write, keys that go with a client, and presence as maps."""

from __future__ import annotations

import asyncio
from typing import Any, cast

from centripetal.engines.memory import MemoryMapBroker
from centripetal.interfaces import (
    BrokerError,
    ConnectionClaims,
    HookError,
    HookTable,
    MapPublishOptions,
    MapResult,
    StateFilter,
    SubscriptionClaims,
)
from centripetal.interfaces.map_hooks import (
    MAP_PUBLISH,
    MAP_REMOVE,
    MapPublishAnswer,
    MapPublishEvent,
    MapRemoveAnswer,
    MapRemoveEvent,
)
from centripetal.model import ClientError, ClientInfo
from centripetal.node.maps import MAX_KEY_LENGTH
from centripetal.node.settings import MapOptions
from centripetal.testing import ManualClock

from .pipe import Peer, connected, make_node, namespace


class Tokens:
    """Accepts every token: the user, or for a subscription the channel, is its text."""

    async def verify_connection(self, token: str, *, ignore_expiry: bool = False) -> ConnectionClaims:
        return ConnectionClaims(user=token)

    async def verify_subscription(self, token: str, *, ignore_expiry: bool = False) -> SubscriptionClaims:
        return SubscriptionClaims(user="alice", channel=token)


class Place:
    """A game whose players appear in maps, and a map of their cursors."""

    def __init__(self, broker: MemoryMapBroker | None = None) -> None:
        self.clock = ManualClock()
        self.broker = broker or MemoryMapBroker(self.clock)
        cursors = MapOptions(
            mode="ephemeral",
            key_ttl=60.0,
            client_key="client_id",
            remove_client_on_unsubscribe=True,
            allow_publish_for_subscriber=True,
        )
        open_map = MapOptions(
            mode="recoverable", key_ttl=60.0, allow_publish_for_client=True, allow_remove_for_client=True
        )
        presence = {"map_clients_presence_channel_prefix": "clients:", "map_users_presence_channel_prefix": "users:"}
        self.node = make_node(
            namespace("game", **presence),
            namespace("clients", subscription_type="map_clients", map=MapOptions(mode="ephemeral", key_ttl=50.0)),
            namespace("users", subscription_type="map_users", map=MapOptions(mode="recoverable", key_ttl=50.0)),
            namespace("cursor", subscription_type="map", map=cursors, **presence),
            namespace(
                "asked",
                subscription_type="map",
                map=MapOptions(
                    mode="recoverable", key_ttl=60.0, publish_proxy_enabled=True, remove_proxy_enabled=True
                ),
            ),
            namespace("open", subscription_type="map", map=open_map, delta_publish=True),
            clock=self.clock,
            map_broker=self.broker,
        )
        self.node.tokens = Tokens()

    async def keys(self, channel: str) -> dict[str, ClientInfo | None]:
        page = await self.node.maps.read_state(channel, StateFilter(limit=-1), self.node.maps.retention_of(channel))
        return {entry.key: entry.info for entry in page.entries}

    def renew(self, peer: Peer) -> None:
        peer.client.on_due(self.clock.monotonic())
        if peer.client.ping_sent_at:
            peer.send({})


def in_loop(scene: Any) -> None:
    asyncio.run(scene())


def test_presence_maps_follow_subscriptions() -> None:
    async def scene() -> None:
        place = Place()
        alice, again, nobody = connected(place.node, token="alice"), connected(place.node, token="alice"), connected(place.node)
        for peer in (alice, again, nobody):
            peer.ask({"subscribe": {"channel": "game:x"}})
        assert await place.keys("clients:game:x") == {
            peer.client.id: ClientInfo(peer.client.user, peer.client.id) for peer in (alice, again, nobody)
        }
        assert await place.keys("users:game:x") == {"alice": None}
        alice.ask({"unsubscribe": {"channel": "game:x"}})
        again.client.transport_closed()
        assert list(await place.keys("clients:game:x")) == [nobody.client.id]
        assert await place.keys("users:game:x") == {"alice": None}  # until nobody renews it
        place.clock.advance(51.0)
        assert await place.keys("users:game:x") == {} == await place.keys("clients:game:x")

    in_loop(scene)


def test_presence_maps_are_renewed_without_an_event() -> None:
    async def scene() -> None:
        place = Place()
        peer, watcher = connected(place.node, token="alice"), connected(place.node)
        watcher.ask({"subscribe": {"channel": "users:game:x", "type": 3, "phase": 2}})
        peer.ask({"subscribe": {"channel": "game:x"}})
        assert len(watcher.received()) == 1
        for _ in range(5):
            place.clock.advance(28.0)
            place.renew(peer)
            place.broker.sweep(1000)
        assert await place.keys("users:game:x") == {"alice": None}
        assert len(await place.keys("clients:game:x")) == 1
        assert not [message for message in watcher.received() if "push" in message]

    in_loop(scene)


def test_token_and_server_side_subscriptions_are_not_mirrored() -> None:
    async def scene() -> None:
        place = Place()
        peer = connected(place.node, token="alice")
        assert "subscribe" in peer.ask({"subscribe": {"channel": "game:x", "token": "game:x"}})
        await place.node.subscribe_user("alice", "game:y")
        for name in "xy":
            assert await place.keys(f"clients:game:{name}") == {} == await place.keys(f"users:game:{name}")

    in_loop(scene)


def test_a_failing_map_broker_does_not_stop_subscriptions() -> None:
    class Failing:
        def __init__(self, broker: MemoryMapBroker) -> None:
            self._broker = broker

        def __getattr__(self, name: str) -> Any:
            return getattr(self._broker, name)

        async def publish(self, channel: str, key: str, data: bytes, options: MapPublishOptions) -> MapResult:
            raise BrokerError("away")

    async def scene() -> None:
        place = Place(cast(MemoryMapBroker, Failing(MemoryMapBroker(ManualClock()))))
        peer = connected(place.node, token="alice")
        assert "subscribe" in peer.ask({"subscribe": {"channel": "game:x"}})
        assert "unsubscribe" in peer.ask({"unsubscribe": {"channel": "game:x"}})
        refused = peer.ask({"publish": {"channel": "open:x", "type": 1, "key": "k", "data": 1}})
        assert refused["error"]["code"] == 100

    in_loop(scene)


def test_a_clients_key_goes_however_its_subscription_ends() -> None:
    async def scene() -> None:
        place = Place()
        peers = [connected(place.node, token=f"user{number}") for number in range(4)]
        for peer in peers:
            peer.ask({"subscribe": {"channel": "cursor:x", "type": 1, "phase": 2}})
            assert "publish" in peer.ask({"publish": {"channel": "cursor:x", "type": 1, "data": {"x": 1}}})
        assert set(await place.keys("cursor:x")) == {peer.client.id for peer in peers}
        assert len(await place.keys("clients:cursor:x")) == 4
        peers[0].ask({"unsubscribe": {"channel": "cursor:x"}})
        assert peers[0].client.id not in await place.keys("cursor:x")
        await place.node.unsubscribe_user("user1", "cursor:x")
        peers[2].client.transport_closed()
        assert list(await place.keys("cursor:x")) == [peers[3].client.id]
        await place.node.maps.clear("cursor:x")  # ends subscriptions by the server's will
        assert await place.keys("clients:cursor:x") == {}

    in_loop(scene)


def test_a_client_writes_and_removes() -> None:
    async def scene() -> None:
        place = Place()
        peer = connected(place.node, token="alice")
        write = {"channel": "open:x", "type": 1, "key": "k", "data": {"v": 1}}
        assert peer.ask({"publish": write})["publish"] == {}
        assert (await place.keys("open:x"))["k"] == ClientInfo("alice", peer.client.id)
        assert peer.ask({"publish": {"channel": "open:x", "type": 1, "key": "k", "removed": True}})["publish"] == {}
        assert await place.keys("open:x") == {}
        for refused in ({"key": ""}, {"key": "k" * (MAX_KEY_LENGTH + 1)}):
            assert peer.ask({"publish": write | refused})["error"]["code"] == 107
        assert peer.ask({"publish": write | {"channel": "game:x"}})["error"]["code"] == 103
        peer.ask({"subscribe": {"channel": "open:x", "type": 1, "phase": 2, "delta": "fossil"}})
        for number in (1, 2):
            text = "long enough for a patch to be shorter"
            peer.send({"publish": write | {"data": {"v": number, "text": text}}})
        pushes = [message["push"]["pub"] for message in peer.received() if "push" in message]
        assert [push.get("delta", False) for push in pushes] == [False, True]

    in_loop(scene)


def test_without_a_map_broker_there_are_no_maps() -> None:
    async def scene() -> None:
        place = Place()
        place.node.maps._broker = None
        peer = connected(place.node, token="alice")
        assert peer.ask({"subscribe": {"channel": "open:x", "type": 1, "phase": 2}})["error"]["code"] == 108
        assert peer.ask({"publish": {"channel": "open:x", "type": 1, "key": "k"}})["error"]["code"] == 108
        assert not peer.client.subscriptions

    in_loop(scene)


def test_the_application_decides_what_is_written() -> None:
    async def scene() -> None:
        place = Place()
        asked: list[Any] = []
        answers: list[Any] = []

        async def answer(event: Any) -> Any:
            asked.append(event)
            given = answers.pop(0)
            if isinstance(given, Exception):
                raise given
            return given

        peer = connected(place.node, token="alice")
        write = {"channel": "asked:x", "type": 1, "key": "k", "data": {"v": 1}}
        remove = {"channel": "asked:x", "type": 1, "key": "k", "removed": True}
        assert peer.ask({"publish": write})["error"]["code"] == 108  # nobody is there to ask
        place.node.hooks = table = HookTable()
        table.add(MAP_PUBLISH, answer)
        table.add(MAP_REMOVE, answer)
        answers += [
            None,
            MapPublishAnswer(key="other", data=b"2", tags={"t": "1"}, key_mode="if_new"),
            MapPublishAnswer(key="other", key_mode="if_new"),
            MapPublishAnswer(),
            ClientError(1000, "no"),
            HookError("away"),
            MapRemoveAnswer(key="other"),
        ]
        assert peer.ask({"publish": write})["publish"] == {}
        assert peer.ask({"publish": write})["publish"] == {}
        assert peer.ask({"publish": write})["publish"] == {}  # suppressed
        assert peer.ask({"publish": write | {"key": ""}})["error"]["code"] == 107
        assert peer.ask({"publish": write})["error"]["code"] == 1000
        assert peer.ask({"publish": write})["error"]["code"] == 100
        page = await place.node.maps.read_state("asked:x", StateFilter(limit=-1), place.node.maps.retention_of("asked:x"))
        assert [(entry.key, entry.data, entry.tags) for entry in page.entries] == [
            ("k", b'{"v": 1}', None), ("other", b"2", {"t": "1"}),
        ]  # fmt: skip
        assert peer.ask({"publish": remove})["publish"] == {}
        assert list(await place.keys("asked:x")) == ["k"]
        first, last = asked[0], asked[-1]
        assert isinstance(first, MapPublishEvent) and (first.channel, first.key, first.data) == ("asked:x", "k", b'{"v": 1}')
        assert first.caller.user == "alice" and isinstance(last, MapRemoveEvent) and last.key == "k"

    in_loop(scene)
