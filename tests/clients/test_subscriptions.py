"""Tokens, server-side subscriptions, and how subscriptions and connections of a Python client end."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable

import jwt
from cent import Disconnect, DisconnectRequest, SubscribeRequest, UnsubscribeRequest

from .conftest import Play
from .stage import Recorder, Stage


def expiring(make: Callable[[int], str]) -> tuple[Callable[..., Awaitable[str]], list[int]]:
    """A token source whose first token expires in two seconds, and the list that counts what was asked for."""
    asked: list[int] = []

    async def get_token(*_: object) -> str:
        asked.append(len(asked))
        return make(int(time.time()) + (2 if len(asked) == 1 else 600))

    return get_token, asked


async def renewed(asked: list[int], heard: Recorder, stage: Stage, channel: str) -> None:
    """Waits until a second token was asked for; publications mark the time."""
    while len(asked) < 2:
        await stage.publish(channel, {})
        await heard.take("publication")


def test_a_connection_token_is_renewed_without_a_reconnect(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        get_token, asked = expiring(lambda exp: stage.token("alice", exp=exp))
        client, events = await stage.connected(token="", get_token=get_token)
        channel = stage.channel("live")
        _, heard = await stage.subscription(client, channel)
        await heard.take("subscribed")
        await renewed(asked, heard, stage, channel)
        await client.publish(channel, stage.write({}))
        assert not events.rest("connecting")
        assert not events.rest("disconnected")

    play(scene)


def test_a_subscription_token_opens_a_channel_and_is_renewed(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        channel = stage.channel("private")
        get_token, asked = expiring(lambda exp: stage.token("alice", channel=channel, info={"role": "guest"}, exp=exp))
        client, _ = await stage.connected()
        subscription, heard = await stage.subscription(client, channel, get_token=get_token)
        await heard.take("subscribed")
        await renewed(asked, heard, stage, channel)
        presence = await subscription.presence()
        assert [stage.read(info.chan_info) for info in presence.clients.values()] == [{"role": "guest"}]
        assert not heard.rest("unsubscribed")
        assert not heard.rest("subscribing")[1:]

    play(scene)


def test_a_token_signed_with_another_key_ends_the_connection(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        client, events = stage.client(token=jwt.encode({"sub": "alice"}, "another secret" * 3, "HS256"))
        await client.connect()
        assert (await events.take("disconnected")).code == 3500

    play(scene)


def test_a_channel_that_is_not_allowed_ends_the_subscription_with_103(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        client, _ = await stage.connected()
        _, heard = await stage.subscription(client, stage.channel("private"))
        assert (await heard.take("unsubscribed")).code == 103

    play(scene)


def test_channels_in_the_token_are_subscribed_at_connect_and_recover(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        channel = stage.channel("chat")
        cable = await stage.cable()
        _, events = await stage.connected(port=cable.port, token=stage.token("alice", channels=[channel]))
        subscribed = await events.take("subscribed")
        assert (subscribed.channel, subscribed.recoverable) == (channel, True)
        await stage.publish(channel, {"n": 1})
        assert await stage.publications(events, 1) == [{"n": 1}]
        cable.cut()
        await events.take("connecting")
        for n in range(2, 5):
            await stage.publish(channel, {"n": n})
        cable.mend()
        assert (await events.take("subscribed")).recovered
        assert await stage.publications(events, 3) == [{"n": 2}, {"n": 3}, {"n": 4}]

    play(scene)


def test_the_backend_subscribes_and_unsubscribes_a_user(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        channel, user = stage.channel("chat"), stage.user()
        _, events = await stage.connected(token=stage.token(user))
        await stage.api.subscribe(SubscribeRequest(user=user, channel=channel))
        assert (await events.take("subscribed")).channel == channel
        await stage.publish(channel, {"n": 1})
        assert (await events.take("publication")).channel == channel
        await stage.api.unsubscribe(UnsubscribeRequest(user=user, channel=channel))
        assert (await events.take("unsubscribed")).channel == channel

    play(scene)


def test_the_backend_ends_a_subscription_with_2000(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        channel, user = stage.channel("chat"), stage.user()
        client, _ = await stage.connected(token=stage.token(user))
        _, heard = await stage.subscription(client, channel)
        await heard.take("subscribed")
        await stage.api.unsubscribe(UnsubscribeRequest(user=user, channel=channel))
        assert (await heard.take("unsubscribed")).code == 2000

    play(scene)


def test_a_disconnect_from_3500_is_final_and_another_one_makes_the_client_return(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        user = stage.user()
        _, events = await stage.connected(token=stage.token(user))
        come_back = Disconnect(code=4000, reason="come back")
        await stage.api.disconnect(DisconnectRequest(user=user, disconnect=come_back))
        await events.take("connected")
        await stage.api.disconnect(DisconnectRequest(user=user))
        final = await events.take("disconnected")
        while final.code == 4000:
            final = await events.take("disconnected")
        assert (final.code, final.reason) == (3503, "force disconnect")

    play(scene)
