"""What hooks decide, and what becomes of a client that waits for one."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import pytest

from centripetal.connection.state import CLOSED
from centripetal.interfaces import HookError, PublishOptions, SubscriptionOverrides
from centripetal.interfaces.hooks import (
    CONNECT,
    RPC,
    SUB_REFRESH,
    SUBSCRIBE,
    CacheEmptyAnswer,
    ConnectAnswer,
    Event,
    Forwarding,
    PublishAnswer,
    RefreshAnswer,
    RpcAnswer,
    SubRefreshAnswer,
    SubscribeAnswer,
)
from centripetal.interfaces.request import HttpRequest
from centripetal.model import ClientError, Disconnect
from centripetal.node.namespaces import Namespaces
from centripetal.node.settings import (
    ChannelOptions,
    ChannelSettings,
    RpcNamespaceSettings,
    RpcOptions,
    RpcPingSettings,
    RpcSettings,
)

from .gated_hooks import GatedHooks, GatedStream
from .pipe import RECOVERABLE, Peer, namespace
from .test_leaving import Scene, live_clients

ASKED = namespace(
    "asked",
    subscribe_proxy_enabled=True,
    publish_proxy_enabled=True,
    sub_refresh_proxy_enabled=True,
    presence=True,
    history_size=10,
    history_ttl=60.0,
)
FEED = namespace("feed", subscribe_stream_proxy_enabled=True)
TALK = namespace("talk", subscribe_stream_proxy_enabled=True, subscribe_stream_proxy_bidirectional=True)
CACHE = namespace("cache", **RECOVERABLE, force_recovery_mode="cache", auto_cache_recover=True, cache_empty_proxy_enabled=True)
JSON_ONLY = namespace("json", publish_proxy_enabled=True, publication_data_format="json")
PLAIN = namespace("plain")
RPC_SETTINGS = RpcSettings(
    without_namespace=RpcOptions(proxy_enabled=True),
    namespaces=(RpcNamespaceSettings(name="off"), RpcNamespaceSettings(name="math", proxy_enabled=True, proxy_name="other")),
    ping=RpcPingSettings(enabled=True, method="ping"),
)


class HookScene(Scene):
    """A node with an application; the engine never waits."""

    def __init__(self, *events: Event[Any, Any], **client: Any) -> None:
        super().__init__(**client)
        self.gates.open = True
        self.hooks = GatedHooks(self.clock, *events)
        self.node.hooks = self.hooks
        self.node.rpc = RPC_SETTINGS
        namespaces = (ASKED, FEED, TALK, CACHE, JSON_ONLY, PLAIN)
        self.node.namespaces = Namespaces(ChannelSettings(namespaces=namespaces, without_namespace=ChannelOptions()))

    def connected(self, **request: Any) -> Peer:
        """Returns a peer whose connect the application has accepted."""
        was, self.hooks.open = self.hooks.open, True
        peer = Peer(self.node)
        peer.ask({"connect": request})
        self.hooks.open = was
        return peer

    async def answer(self, event: str, outcome: Any = ...) -> Any:
        """Ends the one call that waits; returns its request."""
        assert self.hooks.names() == [event]
        _, request = self.hooks.let_go(0, outcome)
        await self.turns()
        return request

    def advance(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.node.ticker.advance()


def play(scenario: Callable[[HookScene], Awaitable[None]], *events: Event[Any, Any], **client: Any) -> None:
    async def run() -> None:
        scene = HookScene(*events, **client)
        await scenario(scene)
        for client_ in list(scene.node.registry.clients.values()):
            client_.transport_closed()  # type: ignore[attr-defined]
        await scene.assert_all_gone()
        assert scene.hooks.waiting == []
        assert all(stream.cancelled for stream in scene.hooks.streams)

    asyncio.run(run())


def closed_with(peer: Peer) -> int | None:
    return peer.pipe.closed.code if peer.pipe.closed is not None else None


def test_the_application_says_who_a_client_is() -> None:
    async def scenario(scene: HookScene) -> None:
        peer = Peer(scene.node)
        peer.send({"connect": {"data": {"a": 1}, "name": "js", "version": "5", "subs": {"plain:x": {}}}})
        assert peer.received() == []
        request = await scene.answer(
            "connect",
            ConnectAnswer(
                user="bob",
                info=b'{"n":1}',
                data=b'{"hello":1}',
                channels=("plain:a", "asked:b"),
                subs={"asked:b": SubscribeAnswer(data=b"1", info=b'"i"', overrides=SubscriptionOverrides(presence=True))},
            ),
        )
        assert (request.data, request.name, request.version, request.channels) == (b'{"a": 1}', "js", "5", ("plain:x",))
        [reply] = peer.received()
        assert reply["connect"]["data"] == {"hello": 1}
        assert set(reply["connect"]["subs"]) == {"plain:a", "asked:b"}
        assert reply["connect"]["subs"]["asked:b"]["data"] == 1
        [info] = (await scene.node.presence("asked:b")).values()
        assert (info.user, info.conn_info, info.chan_info) == ("bob", b'{"n":1}', b'"i"')

    play(scenario)


def test_a_server_side_subscription_of_a_connect_answer_expires() -> None:
    async def scenario(scene: HookScene) -> None:
        peer = Peer(scene.node)
        peer.send({"connect": {}})
        expiring = SubscribeAnswer(expire_at=int(scene.clock.time()) + 5)
        await scene.answer("connect", ConnectAnswer(user="bob", subs={"plain:a": expiring}))
        peer.received()
        for _ in range(3):
            scene.advance(27)
            peer.send({})
        assert closed_with(peer) == 3006

    play(scenario, CONNECT)


@pytest.mark.parametrize(
    ("outcome", "code"),
    [
        (HookError("broken"), 100),
        (ValueError("a mistake"), 100),
        (ClientError(1000, "no"), 1000),
        (ConnectAnswer(channels=("nowhere:x",)), 102),
        (ConnectAnswer(subs={"nowhere:x": SubscribeAnswer()}), 102),
        (ConnectAnswer(expire_at=1), 110),
    ],
)
def test_a_connect_that_fails_is_answered(outcome: Any, code: int) -> None:
    async def scenario(scene: HookScene) -> None:
        peer = Peer(scene.node)
        peer.send({"connect": {}})
        await scene.answer("connect", outcome)
        [reply] = peer.received()
        assert reply["error"]["code"] == code
        peer.client.transport_closed()

    play(scenario)


@pytest.mark.parametrize(("outcome", "code"), [(Disconnect(4000, "out"), 4000), (None, 3501)])
def test_a_connect_that_ends_the_connection(outcome: Any, code: int) -> None:
    async def scenario(scene: HookScene) -> None:
        scene.node.client = msgspec.structs.replace(scene.node.client, allow_anonymous_connect_without_token=False)
        peer = Peer(scene.node)
        peer.send({"connect": {}})
        await scene.answer("connect", outcome)
        assert closed_with(peer) == code

    play(scenario)


def test_no_answer_leaves_it_to_the_options() -> None:
    async def scenario(scene: HookScene) -> None:
        peer = Peer(scene.node)
        peer.send({"connect": {"subs": {"plain:x": {}, "asked:x": {}, "feed:x": {}}}})
        await scene.answer("connect", None)
        [reply] = peer.received()
        assert set(reply["connect"]["subs"]) == {"plain:x"}  # the others are not for the asking
        assert peer.client.user == ""

    play(scenario)


def test_a_token_is_not_given_to_the_application() -> None:
    async def scenario(scene: HookScene) -> None:
        peer = Peer(scene.node)
        assert peer.ask({"connect": {"token": "bob"}})["connect"]
        assert peer.client.user == "bob"

    play(scenario)


def test_only_what_is_wanted_of_a_request_is_kept() -> None:
    async def scenario(scene: HookScene) -> None:
        scene.hooks.forwarding = Forwarding(frozenset({"x-a"}), frozenset({"x-b"}), frozenset({"x-c", "x-a"}))
        peer = Peer(scene.node)
        peer.client.request = HttpRequest("GET", "/", headers={"x-a": "1", "x-b": "2", "cookie": "secret"})
        peer.send({"connect": {"headers": {"X-C": "3", "x-d": "4", "X-A": "5"}}})
        request = await scene.answer("connect")
        forwarded = request.caller.forwarded
        assert (forwarded.headers, forwarded.metadata) == ({"x-a": "1"}, {})
        assert forwarded.emulated == {"x-c": "3", "x-a": "5"}
        assert peer.client.request is None
        other = Peer(scene.node)
        other.pipe.name = "uni_grpc"
        other.client.request = HttpRequest("POST", "/", headers={"x-a": "1", "x-b": "2"})
        other.send({"connect": {}})
        forwarded = (await scene.answer("connect")).caller.forwarded
        assert (forwarded.headers, forwarded.metadata, forwarded.emulated) == ({}, {"x-b": "2"}, {})

    play(scenario)


def test_leaving_during_each_call_cancels_it() -> None:
    async def scenario(scene: HookScene) -> None:
        commands = {
            "rpc": {"rpc": {"method": "m"}},
            "subscribe": {"subscribe": {"channel": "asked:x"}},
            "publish": {"publish": {"channel": "asked:x", "data": 1}},
            "subscribe_stream": {"subscribe": {"channel": "feed:x"}},
            "cache_empty": {"subscribe": {"channel": "cache:x"}},
        }
        for event, command in commands.items():
            peer = scene.connected()
            peer.send(command)
            assert scene.hooks.names() == [event]
            peer.client.transport_closed()
            await scene.turns()
            assert scene.hooks.waiting == []
            scene.assert_nothing_left()
        peer = Peer(scene.node)
        peer.send({"connect": {}})
        peer.client.transport_closed()
        await scene.turns()
        assert scene.hooks.waiting == []

    play(scenario)


def test_methods_and_their_namespaces() -> None:
    async def scenario(scene: HookScene) -> None:
        scene.hooks.add(RPC, answer_other, "other")
        peer = scene.connected()
        assert peer.ask({"rpc": {"method": "ping"}})["rpc"] == {}
        assert peer.ask({"rpc": {"method": "nowhere:m"}})["error"]["code"] == 104
        assert peer.ask({"rpc": {"method": "off:m"}})["error"]["code"] == 108
        assert peer.ask({"rpc": {"method": "math:sum"}})["rpc"] == {"data": "other"}
        peer.send({"rpc": {"method": "sum", "data": [1]}})
        request = await scene.answer("rpc")
        assert (request.method, request.data, request.caller.user) == ("sum", b"[1]", "ann")
        assert peer.received() == [{"id": 6, "rpc": {"data": [1]}}]

    async def answer_other(request: Any) -> RpcAnswer:
        return RpcAnswer(data=b'"other"')

    play(scenario)


def test_a_namespace_that_names_a_hook_which_is_not_there() -> None:
    async def scenario(scene: HookScene) -> None:
        peer = scene.connected()
        for command in (
            {"subscribe": {"channel": "asked:x"}},
            {"subscribe": {"channel": "feed:x"}},
            {"publish": {"channel": "asked:x", "data": 1}},
            {"rpc": {"method": "math:sum"}},
        ):
            assert peer.ask(command)["error"]["code"] == 108
        scene.hooks.open = True
        assert peer.ask({"subscribe": {"channel": "cache:x"}})["subscribe"]["was_recovering"] is True

    play(scenario, CONNECT, RPC)


def test_commands_stay_in_order_and_reading_pauses_at_the_bound() -> None:
    async def scenario(scene: HookScene) -> None:
        peer, other = scene.connected(), scene.connected()
        for number in range(3):
            peer.send({"rpc": {"method": "m", "data": number}}, {"presence": {"channel": "plain:x"}})
        assert scene.hooks.names() == ["rpc"]  # one after the other
        assert peer.pipe.reading
        peer.send({"rpc": {"method": "m", "data": "x" * (1 << 20)}})
        assert not peer.pipe.reading
        assert other.ask({"presence_stats": {"channel": "asked:x"}})["presence_stats"]["num_clients"] == 0
        while scene.hooks.waiting:
            scene.hooks.let_go()
            await scene.turns()
        assert peer.pipe.reading
        assert [message["id"] for message in peer.received()] == list(range(2, 9))

    play(scenario)


def test_a_subscription_as_the_application_wants_it() -> None:
    async def scenario(scene: HookScene) -> None:
        peer = scene.connected()
        wishes = {"channel": "asked:x", "data": {"q": 1}, "positioned": True, "recoverable": True, "join_leave": True}
        peer.send({"subscribe": wishes})
        answer = SubscribeAnswer(
            data=b'{"d":1}', info=b'"i"', overrides=SubscriptionOverrides(presence=False, force_positioning=True)
        )
        request = await scene.answer("subscribe", answer)
        assert (request.channel, request.data) == ("asked:x", b'{"q": 1}')
        [reply] = peer.received()
        assert reply["subscribe"]["data"] == {"d": 1}
        assert reply["subscribe"]["positioned"] is True and "recoverable" not in reply["subscribe"]
        assert await scene.node.presence("asked:x") == {}
        assert peer.client.info_in("asked:x").chan_info == b'"i"'

    play(scenario)


@pytest.mark.parametrize(
    ("outcome", "code"), [(HookError("broken"), 100), (ClientError(1000, "no"), 1000), (SubscribeAnswer(expire_at=1), 110)]
)
def test_a_subscription_that_is_refused_leaves_its_place(outcome: Any, code: int) -> None:
    async def scenario(scene: HookScene) -> None:
        peer = scene.connected()
        peer.send({"subscribe": {"channel": "asked:x"}})
        await scene.answer("subscribe", outcome)
        assert peer.received()[0]["error"]["code"] == code
        assert peer.client.subscriptions == {}
        peer.send({"subscribe": {"channel": "asked:x"}})
        await scene.answer("subscribe", None)
        assert peer.received() == [{"id": 3, "subscribe": {}}]

    play(scenario)


def test_a_publication_as_the_application_wants_it() -> None:
    async def scenario(scene: HookScene) -> None:
        peer = scene.connected()
        scene.hooks.open = True
        peer.ask({"subscribe": {"channel": "asked:x"}})
        scene.hooks.open = False
        peer.send({"publish": {"channel": "asked:x", "data": 1}})
        await scene.answer("publish", PublishAnswer(data=b"2", tags={"t": "1"}, skip_history=True))
        push, reply = peer.received()
        assert push["push"]["pub"] == {"data": 2, "tags": {"t": "1"}, "info": {"user": "ann", "client": peer.client.id}}
        assert reply["publish"] == {}
        peer.send({"publish": {"channel": "asked:x", "data": 1}})
        await scene.answer("publish", ClientError(1001, "rude"))
        assert peer.received()[0]["error"]["code"] == 1001

    play(scenario)


def test_data_in_place_of_the_clients_must_be_json_where_that_is_said() -> None:
    async def scenario(scene: HookScene) -> None:
        peer = scene.connected()
        peer.send({"publish": {"channel": "json:x", "data": 1}})
        await scene.answer("publish", PublishAnswer(data=b'"\xff"'))
        assert peer.received()[0]["error"]["code"] == 100

    play(scenario)


def test_an_expired_connection_is_prolonged_replaced_or_ended() -> None:
    async def scenario(scene: HookScene) -> None:
        peer = scene.connected()
        assert peer.client.expire_at and not peer.client.client_side_refresh
        peer.client.due.ping = 0.0
        scene.advance(101)
        later = int(scene.clock.time()) + 50
        await scene.answer("refresh", RefreshAnswer(expire_at=later, info=b'"new"', meta=b'{"m":2}'))
        assert (peer.client.info, peer.client.meta, peer.client.expire_at) == (b'"new"', b'{"m":2}', later)
        scene.advance(51)
        request = await scene.answer("refresh", HookError("broken"))
        assert request.caller.meta == b'{"m":2}'
        assert peer.client.expire_at == int(scene.clock.time()) + 60 and peer.client.info == b'"new"'
        scene.advance(61)
        await scene.answer("refresh", ValueError("a mistake"))
        assert peer.client.state != CLOSED
        scene.advance(61)
        await scene.answer("refresh", RefreshAnswer(expired=True, expire_at=later * 2))
        assert closed_with(peer) == 3005

    play(scenario, ping_interval=1000.0)


@pytest.mark.parametrize("outcome", [None, RefreshAnswer(), RefreshAnswer(expire_at=1), ClientError(1000, ""), Disconnect(4000, "")])
def test_a_connection_that_is_not_prolonged(outcome: Any) -> None:
    async def scenario(scene: HookScene) -> None:
        peer = scene.connected()
        peer.client.due.ping = 0.0
        scene.advance(101)
        await scene.answer("refresh", outcome)
        assert closed_with(peer) == 3005

    play(scenario)


def test_leaving_while_the_connection_is_refreshed() -> None:
    async def scenario(scene: HookScene) -> None:
        peer = scene.connected()
        peer.client.due.ping = 0.0
        scene.advance(101)
        assert scene.hooks.names() == ["refresh"]
        peer.client.transport_closed()
        await scene.turns()
        assert scene.hooks.waiting == []

    play(scenario)


@pytest.mark.parametrize(
    ("outcome", "left"),
    [
        (SubRefreshAnswer(info=b'"new"'), True),
        (HookError("broken"), True),
        (None, False),
        (SubRefreshAnswer(expired=True), False),
        (SubRefreshAnswer(expire_at=1), False),
        (Disconnect(4000, ""), False),
    ],
)
def test_an_expired_subscription(outcome: Any, left: bool) -> None:
    async def scenario(scene: HookScene) -> None:
        peer = scene.connected()
        peer.send({"subscribe": {"channel": "asked:x"}})
        await scene.answer("subscribe", SubscribeAnswer(expire_at=int(scene.clock.time()) + 10, info=b'"old"'))
        assert peer.received() == [{"id": 2, "subscribe": {}}]  # nothing of the expiry
        for _ in range(4):
            peer.client.due.ping = 0.0
            scene.advance(20)
        await scene.answer("sub_refresh", outcome)
        pushes = [message["push"]["unsubscribe"]["code"] for message in peer.received()]
        assert pushes == ([] if left else [2501])
        assert ("asked:x" in peer.client.subscriptions) is left
        if isinstance(outcome, SubRefreshAnswer) and left:
            assert peer.client.info_in("asked:x").chan_info == b'"new"'
            for _ in range(5):
                peer.client.due.ping = 0.0
                scene.advance(20)
            assert scene.hooks.waiting == []  # it does not expire any more
        elif left:
            for _ in range(7):
                peer.client.due.ping = peer.client.due.expiry = 0.0
                scene.advance(20)
            assert scene.hooks.names() == ["sub_refresh"]  # prolonged by a minute only
            await scene.answer("sub_refresh")

    play(scenario, CONNECT, SUBSCRIBE, SUB_REFRESH)


def test_an_empty_cache_is_filled() -> None:
    async def scenario(scene: HookScene) -> None:
        peer = scene.connected()
        peer.send({"subscribe": {"channel": "cache:x"}})
        assert scene.hooks.names() == ["cache_empty"]
        await scene.node.publish("cache:x", b"7", PublishOptions(history_size=10, history_ttl_seconds=60))
        request = await scene.answer("cache_empty", CacheEmptyAnswer(populated=True))
        assert request.channel == "cache:x"
        [reply] = peer.received()
        assert reply["subscribe"]["recovered"] is True
        assert [publication["data"] for publication in reply["subscribe"]["publications"]] == [7]

    play(scenario)


def test_an_empty_cache_that_cannot_be_filled() -> None:
    async def scenario(scene: HookScene) -> None:
        peer = scene.connected()
        for outcome in (HookError("broken"), None, CacheEmptyAnswer()):
            peer.send({"subscribe": {"channel": "cache:x"}})
            await scene.answer("cache_empty", outcome)
            [reply] = peer.received()
            assert "recovered" not in reply["subscribe"]
            peer.ask({"unsubscribe": {"channel": "cache:x"}})

    play(scenario)


def test_a_stream_feeds_its_subscriber_until_it_ends() -> None:
    async def scenario(scene: HookScene) -> None:
        scene.hooks.open = True
        peer, other = scene.connected(), scene.connected()
        peer.ask({"subscribe": {"channel": "feed:x"}})
        other.ask({"subscribe": {"channel": "feed:x"}})
        stream = scene.hooks.streams[0]
        stream.feed(b'{"n":1}')
        await scene.turns()
        assert peer.received() == [{"push": {"channel": "feed:x", "pub": {"data": {"n": 1}}}}]
        assert other.received() == []
        stream.feed(b"2")
        stream.feed(None)
        await scene.turns()
        pushes = [message["push"] for message in peer.received()]
        assert pushes[0]["pub"] == {"data": 2} and pushes[1]["unsubscribe"]["code"] == 2000
        scene.hooks.streams[1].feed(HookError("broken"))
        await scene.turns()
        [push] = other.received()
        assert push["push"]["unsubscribe"]["code"] == 2500
        peer.ask({"subscribe": {"channel": "feed:x"}})
        scene.hooks.streams[2].feed(ValueError("a mistake"))
        await scene.turns()
        [push] = peer.received()
        assert push["push"]["unsubscribe"]["code"] == 2500

    play(scenario)


def test_data_of_a_stream_that_the_client_cannot_read_ends_it() -> None:
    async def scenario(scene: HookScene) -> None:
        scene.hooks.open = True
        peer = scene.connected()
        peer.ask({"subscribe": {"channel": "feed:x"}})
        scene.hooks.streams[0].feed(b"\xff")
        await scene.turns()
        assert closed_with(peer) == 3506

    play(scenario)


def test_leaving_a_stream_is_not_told_as_its_end() -> None:
    async def scenario(scene: HookScene) -> None:
        scene.hooks.open = True
        peer = scene.connected()
        peer.ask({"subscribe": {"channel": "feed:x"}})
        peer.send({"unsubscribe": {"channel": "feed:x"}})
        assert scene.hooks.streams[0].cancelled
        scene.hooks.streams[0].feed(HookError("cancelled"))
        await scene.turns()
        assert peer.received() == [{"id": 3, "unsubscribe": {}}]

    play(scenario)


def test_a_stream_whose_subscription_cannot_be_made_is_ended() -> None:
    async def scenario(scene: HookScene) -> None:
        peer = scene.connected()
        peer.send({"subscribe": {"channel": "feed:x"}})
        expired = GatedStream(SubscribeAnswer(expire_at=1))
        scene.hooks.streams.append(expired)
        await scene.answer("subscribe_stream", expired)
        assert peer.received()[0]["error"]["code"] == 110
        assert expired.cancelled
        scene.gates.open = False
        peer.send({"subscribe": {"channel": "feed:x"}})
        await scene.answer("subscribe_stream")
        await scene.let_go("subscribe feed:x", well=False)
        assert closed_with(peer) == 3004

    play(scenario)


def test_publishing_into_streams() -> None:
    async def scenario(scene: HookScene) -> None:
        scene.hooks.open = True
        peer = scene.connected()
        assert peer.ask({"publish": {"channel": "talk:x", "data": 1}})["error"]["code"] == 108
        peer.ask({"subscribe": {"channel": "talk:x"}})
        peer.ask({"subscribe": {"channel": "feed:x"}})
        assert peer.ask({"publish": {"channel": "talk:x", "data": 1}})["publish"] == {}
        assert peer.ask({"publish": {"channel": "feed:x", "data": 1}})["error"]["code"] == 108
        assert scene.hooks.streams[0].sent == [b"1"]

    play(scenario)


def test_a_connection_with_a_stream_is_freed_by_its_reference_count() -> None:
    async def live(scene: HookScene) -> None:
        peer = scene.connected()
        peer.ask({"subscribe": {"channel": "feed:x"}})
        scene.hooks.streams.pop().feed(b"1")
        await scene.turns()
        peer.received()
        scene.hooks.open = False
        peer.send({"rpc": {"method": "m"}})
        await scene.turns()
        peer.client.transport_closed()
        await scene.turns()
        scene.hooks.open = True

    async def run() -> None:
        scene = HookScene()
        scene.hooks.open = True
        await live(scene)
        gc.collect()
        before = live_clients()
        gc.disable()
        try:
            for _ in range(4):
                await live(scene)
            assert live_clients() == before
        finally:
            gc.enable()

    asyncio.run(run())
