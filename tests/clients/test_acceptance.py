"""The main job: connect with a token, subscribe, receive what the backend publishes, and miss nothing when the
connection drops.
"""

from __future__ import annotations

from .conftest import Play
from .stage import Stage


def test_a_client_receives_publications_and_recovers_those_that_it_missed(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        channel = stage.channel("chat")
        cable = await stage.cable()
        client, events = await stage.connected(port=cable.port, token=stage.token("alice"))
        _, heard = await stage.subscription(client, channel)
        subscribed = await heard.take("subscribed")
        assert subscribed.recoverable
        assert not subscribed.was_recovering

        await stage.publish(channel, {"n": 1})
        assert await stage.publications(heard, 1) == [{"n": 1}]

        cable.cut()
        await events.take("connecting")
        for n in range(2, 22):
            await stage.publish(channel, {"n": n})
        cable.mend()

        again = await heard.take("subscribed")
        assert again.was_recovering
        assert again.recovered
        await stage.publish(channel, {"n": 22})
        taken = await heard.take_many("publication", 21)
        assert [stage.read(context.pub.data)["n"] for context in taken] == list(range(2, 23))
        assert [int(context.pub.offset) for context in taken] == list(range(2, 23))
        assert not heard.rest("publication")

    play(scene)


def test_a_client_that_missed_more_than_the_history_holds_is_told_so(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        channel = stage.channel("short")
        cable = await stage.cable()
        client, events = await stage.connected(port=cable.port)
        _, heard = await stage.subscription(client, channel)
        await heard.take("subscribed")
        await stage.publish(channel, {"n": 1})
        await stage.publications(heard, 1)

        cable.cut()
        await events.take("connecting")
        for n in range(2, 7):
            await stage.publish(channel, {"n": n})
        cable.mend()

        again = await heard.take("subscribed")
        assert again.was_recovering
        assert not again.recovered
        await stage.publish(channel, {"n": 7})
        assert await stage.publications(heard, 1) == [{"n": 7}]

    play(scene)


def test_a_returning_client_of_a_cache_channel_gets_the_newest_publication(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        channel = stage.channel("cache")
        cable = await stage.cable()
        client, events = await stage.connected(port=cable.port)
        _, heard = await stage.subscription(client, channel, recoverable=True)
        await heard.take("subscribed")
        cable.cut()
        await events.take("connecting")
        for n in range(1, 6):
            await stage.publish(channel, {"n": n})
        cable.mend()
        assert (await heard.take("subscribed")).recovered
        assert await stage.publications(heard, 1) == [{"n": 5}]

    play(scene)
