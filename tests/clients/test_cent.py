"""The published client of the server API."""

from __future__ import annotations

import asyncio

import pytest
from cent import (
    BatchRequest,
    BroadcastRequest,
    CentApiResponseError,
    CentUnauthorizedError,
    ChannelsRequest,
    Client,
    HistoryRemoveRequest,
    HistoryRequest,
    InfoRequest,
    PresenceRequest,
    PresenceStatsRequest,
    PublishRequest,
    RefreshRequest,
    StreamPosition,
)

from .conftest import Play
from .instance import Instance
from .stage import Stage


def test_publish_answers_with_the_position(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        channel = stage.channel("chat")
        first = await stage.api.publish(PublishRequest(channel=channel, data={"n": 1}))
        second = await stage.api.publish(PublishRequest(channel=channel, data={"n": 2}))
        assert (first.offset, second.offset) == (1, 2)
        assert first.epoch == second.epoch != ""

    play(scene)


def test_an_idempotency_key_publishes_once(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        channel = stage.channel("chat")
        request = PublishRequest(channel=channel, data={"n": 1}, idempotency_key="once")
        assert (await stage.api.publish(request)).offset == (await stage.api.publish(request)).offset == 1
        history = await stage.api.history(HistoryRequest(channel=channel, limit=10))
        assert len(history.publications) == 1

    play(scene)


def test_broadcast_reaches_every_channel_and_reports_each(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        channels = [stage.channel("chat"), stage.channel("unknown"), stage.channel("chat")]
        client, _ = await stage.connected()
        _, heard = await stage.subscription(client, channels[2])
        await heard.take("subscribed")
        result = await stage.api.broadcast(BroadcastRequest(channels=channels, data={"n": 1}))
        assert [response.error and response.error.code for response in result.responses] == [None, 102, None]
        assert await stage.publications(heard, 1) == [{"n": 1}]

    play(scene)


@pytest.mark.parametrize("parallel", [False, True])
def test_a_batch_answers_every_command_in_order(play: Play, parallel: bool) -> None:
    async def scene(stage: Stage) -> None:
        channels = [stage.channel("chat") for _ in range(3)]
        requests = [PublishRequest(channel=channel, data={"channel": channel}) for channel in channels]
        result = await stage.api.batch(BatchRequest(requests=requests, parallel=parallel))
        assert [reply.offset for reply in result.replies] == [1, 1, 1]
        for channel in channels:
            history = await stage.api.history(HistoryRequest(channel=channel, limit=1))
            assert history.publications[0].data == {"channel": channel}

    play(scene)


def test_history_is_read_in_parts_and_removed(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        channel = stage.channel("chat")
        for n in range(1, 6):
            await stage.publish(channel, {"n": n}, tags={"n": str(n)})
        top = await stage.api.history(HistoryRequest(channel=channel))
        assert (top.offset, top.publications) == (5, [])
        since = StreamPosition(offset=2, epoch=top.epoch)
        part = await stage.api.history(HistoryRequest(channel=channel, limit=2, since=since))
        assert [(pub.offset, pub.data, pub.tags) for pub in part.publications] == [
            (3, {"n": 3}, {"n": "3"}),
            (4, {"n": 4}, {"n": "4"}),
        ]
        back = await stage.api.history(HistoryRequest(channel=channel, limit=2, reverse=True))
        assert [pub.offset for pub in back.publications] == [5, 4]
        await stage.api.history_remove(HistoryRemoveRequest(channel=channel))
        empty = await stage.api.history(HistoryRequest(channel=channel, limit=10))
        assert (empty.offset, empty.publications) == (5, [])

    play(scene)


def test_presence_and_channels_know_a_subscriber(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        channel, user = stage.channel("chat"), stage.user()
        client, _ = await stage.connected(token=stage.token(user, info={"name": "X"}))
        _, heard = await stage.subscription(client, channel)
        await heard.take("subscribed")
        presence = (await stage.api.presence(PresenceRequest(channel=channel))).presence
        assert [(info.user, info.conn_info) for info in presence.values()] == [(user, {"name": "X"})]
        stats = await stage.api.presence_stats(PresenceStatsRequest(channel=channel))
        assert (stats.num_clients, stats.num_users) == (1, 1)
        channels = (await stage.api.channels(ChannelsRequest(pattern=f"{channel[:20]}*"))).channels
        assert channels[channel].num_clients == 1

    play(scene)


def test_refresh_can_end_a_connection(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        user = stage.user()
        client, events = await stage.connected(token=stage.token(user))
        await stage.api.refresh(RefreshRequest(user=user, expired=True))
        again = await events.take("connecting")
        assert again.code == 3005
        await client.disconnect()

    play(scene)


def test_info_names_the_node(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        nodes = (await stage.api.info(InfoRequest())).nodes
        assert len(nodes) == 1
        assert nodes[0].uid
        assert nodes[0].version

    play(scene)


def test_mistakes_are_reported_with_code_and_message(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        with pytest.raises(CentApiResponseError) as unknown:
            await stage.publish("unknown:channel", {})
        assert (unknown.value.code, unknown.value.message) == (102, "unknown channel")
        with pytest.raises(CentApiResponseError) as no_history:
            await stage.api.history(HistoryRequest(channel=stage.channel("live"), limit=1))
        assert no_history.value.code == 108

    play(scene)


def test_the_blocking_client_works_and_a_wrong_key_does_not(instance: Instance) -> None:
    channel = "chat:blocking"
    assert Client(instance.api_url, instance.api_key).publish(PublishRequest(channel=channel, data={})).offset == 1
    with pytest.raises(CentUnauthorizedError):
        Client(instance.api_url, "wrong").publish(PublishRequest(channel=channel, data={}))


def test_many_publications_at_once_are_all_delivered_in_order(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        channel = stage.channel("live")
        client, _ = await stage.connected()
        _, heard = await stage.subscription(client, channel)
        await heard.take("subscribed")
        requests = [PublishRequest(channel=channel, data={"n": n}) for n in range(200)]
        await asyncio.gather(stage.api.batch(BatchRequest(requests=requests)))
        assert await stage.publications(heard, 200) == [{"n": n} for n in range(200)]

    play(scene)
