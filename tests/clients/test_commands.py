"""What a Python client asks for, and what is refused."""

from __future__ import annotations

import pytest
from centrifuge import ReplyError, StreamPosition

from .conftest import Play
from .stage import Stage


def test_a_publication_of_a_client_reaches_all_subscribers_with_its_author(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        channel = stage.channel("chat")
        alice, _ = await stage.connected(token=stage.token("alice", info={"name": "Alice"}))
        bob, _ = await stage.connected(token=stage.token("bob"))
        at_alice, alice_heard = await stage.subscription(alice, channel)
        _, bob_heard = await stage.subscription(bob, channel)
        await alice_heard.take("subscribed")
        await bob_heard.take("subscribed")
        await at_alice.publish(stage.write({"text": "hello"}))
        for heard in (alice_heard, bob_heard):
            pub = (await heard.take("publication")).pub
            assert stage.read(pub.data) == {"text": "hello"}
            assert pub.info.user == "alice"
            assert stage.read(pub.info.conn_info) == {"name": "Alice"}
            assert int(pub.offset) == 1

    play(scene)


def test_history_comes_in_pages_forward_and_in_reverse(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        channel = stage.channel("chat")
        client, _ = await stage.connected()
        subscription, heard = await stage.subscription(client, channel)
        await heard.take("subscribed")
        for n in range(1, 6):
            await stage.publish(channel, {"n": n})

        async def numbers(**options: object) -> list[int]:
            result = await subscription.history(**options)  # type: ignore[arg-type]
            return [stage.read(pub.data)["n"] for pub in result.publications]

        top = await subscription.history(limit=0)
        assert int(top.offset) == 5
        assert top.publications == []
        assert await numbers(limit=2) == [1, 2]
        assert await numbers(limit=2, reverse=True) == [5, 4]
        since = StreamPosition(offset=3, epoch=top.epoch)
        assert await numbers(limit=10, since=since) == [4, 5]
        assert await numbers(limit=10, since=since, reverse=True) == [2, 1]

    play(scene)


def test_presence_lists_who_is_there_and_joins_and_leaves_are_told(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        channel = stage.channel("chat")
        alice, _ = await stage.connected(token=stage.token("alice"))
        subscription, heard = await stage.subscription(alice, channel)
        assert (await heard.take("join")).info.user == "alice"
        bob, _ = await stage.connected(token=stage.token("bob"))
        await stage.subscription(bob, channel)
        assert (await heard.take("join")).info.user == "bob"
        presence = await subscription.presence()
        assert sorted(info.user for info in presence.clients.values()) == ["alice", "bob"]
        stats = await subscription.presence_stats()
        assert (stats.num_clients, stats.num_users) == (2, 2)
        await bob.disconnect()
        assert (await heard.take("leave")).info.user == "bob"

    play(scene)


@pytest.mark.parametrize(
    ("namespace", "method", "code"),
    [("short", "history", 103), ("live", "history", 108), ("live", "presence", 108), ("short", "publish", 103)],
)
def test_what_a_namespace_does_not_allow_is_refused_with_its_code(
    play: Play, namespace: str, method: str, code: int
) -> None:
    async def scene(stage: Stage) -> None:
        client, _ = await stage.connected()
        subscription, heard = await stage.subscription(client, stage.channel(namespace))
        await heard.take("subscribed")
        arguments = {"history": {"limit": 1}, "presence": {}, "publish": {"data": stage.write({})}}
        with pytest.raises(ReplyError) as raised:
            await getattr(subscription, method)(**arguments[method])
        assert raised.value.code == code

    play(scene)
