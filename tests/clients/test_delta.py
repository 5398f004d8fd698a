"""Fossil deltas and tag filters, decoded and applied by the Python client."""

from __future__ import annotations

from typing import Any

from centrifuge import DeltaType, Filter

from .conftest import Play
from .stage import Stage


def documents(count: int) -> list[dict[str, Any]]:
    """Documents that differ a little from one to the next, with characters of one to four bytes."""
    return [
        {"n": n, "lines": [f"line {i} of the document: é € 😀 {n if i % 7 == n % 7 else ''}" for i in range(40)]}
        for n in range(count)
    ]


def test_patches_give_the_same_documents_as_full_publications(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        channel = stage.channel("delta")
        client, _ = await stage.connected()
        _, heard = await stage.subscription(client, channel, delta=DeltaType.FOSSIL)
        await heard.take("subscribed")
        wanted = documents(12)
        for document in wanted:
            await stage.publish(channel, document)
        taken = await heard.take_many("publication", len(wanted))
        assert [stage.read(context.pub.data) for context in taken] == wanted
        assert [bool(context.pub.delta) for context in taken] == [False] + [True] * 11

    play(scene)


def test_a_returning_client_recovers_with_patches(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        channel = stage.channel("delta")
        cable = await stage.cable()
        client, events = await stage.connected(port=cable.port)
        _, heard = await stage.subscription(client, channel, delta=DeltaType.FOSSIL)
        await heard.take("subscribed")
        wanted = documents(10)
        for document in wanted[:2]:
            await stage.publish(channel, document)
        assert await stage.publications(heard, 2) == wanted[:2]
        cable.cut()
        await events.take("connecting")
        for document in wanted[2:8]:
            await stage.publish(channel, document)
        cable.mend()
        assert (await heard.take("subscribed")).recovered
        for document in wanted[8:]:
            await stage.publish(channel, document)
        assert await stage.publications(heard, 8) == wanted[2:]

    play(scene)


def test_a_tag_filter_lets_through_only_what_matches(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        channel = stage.channel("tags")
        client, _ = await stage.connected()
        wanted = Filter.all(Filter.is_in("city", ["Bonn", "Köln"]), Filter.negate(Filter.lt("level", "3")))
        _, heard = await stage.subscription(client, channel, tags_filter=wanted)
        await heard.take("subscribed")
        tags = [
            {"city": "Bonn", "level": "3"},
            {"city": "Köln", "level": "2"},
            {"city": "Paris", "level": "9"},
            {"level": "9"},
            {"city": "Köln", "level": "10"},
        ]
        for n, each in enumerate(tags):
            await stage.publish(channel, {"n": n}, tags=each)
        assert await stage.publications(heard, 2) == [{"n": 0}, {"n": 4}]
        assert not heard.rest("publication")

    play(scene)
