"""Shared polls: what is asked for when, who gets what, and what is refused."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from centripetal.fanout import keyed
from centripetal.interfaces import HookError
from centripetal.model import ClientError
from centripetal.node.settings import SharedPollSettings
from centripetal.node.slices import CLIENTS_A_SLICE

from .poll_stage import CHANNEL, Line, PolledBackend, PollStage, sign, track, untrack

TEXT = "so long that a patch of it is shorter than the whole value, which is said twice " * 2


def play(scene: Coroutine[Any, Any, None]) -> None:
    asyncio.run(scene)


def test_a_key_is_asked_for_once_for_all_and_again_each_interval() -> None:
    async def scene() -> None:
        stage = PollStage()
        backend = stage.backend
        backend.set("a", 1, 5)
        views = [stage.subscriber() for _ in range(3)]
        assert backend.asked == []
        for view in views:
            view.track("a")
        await stage.settle()
        assert backend.asked == [{"a": 0}]
        assert [view.take() for view in views] == [[{"key": "a", "data": 1, "version": 5}]] * 3
        await stage.wait(9)
        assert len(backend.asked) == 1
        backend.set("a", 2, 6)
        await stage.wait(1.1)
        assert backend.asked[1:] == [{"a": 5}]
        assert [view.take() for view in views] == [[{"key": "a", "data": 2, "version": 6}]] * 3
        await stage.wait(10.1)
        assert backend.asked[2:] == [{"a": 6}]
        assert [view.take() for view in views] == [[], [], []]
        await stage.node.stop()

    play(scene())


def test_keys_of_one_turn_are_asked_for_together_and_calls_are_bounded() -> None:
    async def scene() -> None:
        stage = PollStage(refresh_batch_size=3)
        view, other = stage.subscriber(), stage.subscriber()
        view.track(*"abcd")
        other.track(*"cde")
        await stage.settle()
        assert [sorted(call) for call in stage.backend.asked] == [["a", "b", "c"], ["d", "e"]]
        await stage.node.stop()

    play(scene())


def test_calls_of_a_cycle_are_spread_over_the_interval() -> None:
    async def scene() -> None:
        stage = PollStage(refresh_batch_size=2)
        view = stage.subscriber()
        view.track(*"abcdef")
        await stage.settle()
        stage.backend.asked.clear()
        await stage.wait(10.1)
        counts = []
        for _ in range(12):
            counts.append(len(stage.backend.asked))
            await stage.wait(1)
        assert counts[:4] == [1, 1, 1, 1]
        assert (counts[4], counts[7], counts[9], counts[10]) == (2, 3, 3, 3)
        assert counts[11] == 4
        await stage.node.stop()

    play(scene())


def test_a_newcomer_gets_what_others_have_and_they_get_nothing() -> None:
    async def scene() -> None:
        stage = PollStage(PolledBackend(spare=True))
        stage.backend.set("a", 1, 5)
        first = stage.subscriber()
        first.track("a")
        await stage.settle()
        first.take()
        second, third = stage.subscriber(), stage.subscriber()
        second.track("a")
        third.versions["a"] = 5
        third.track("a")
        await stage.settle()
        assert stage.backend.asked == [{"a": 0}, {"a": 0}]
        assert second.take() == [{"key": "a", "data": 1, "version": 5}]
        assert first.take() == third.take() == []
        stage.backend.set("a", 2, 6)
        await stage.wait(10.1)
        assert [len(view.take()) for view in (first, second, third)] == [1, 1, 1]
        await stage.node.stop()

    play(scene())


def test_who_comes_while_a_call_is_on_its_way_is_asked_for_after_it() -> None:
    async def scene() -> None:
        backend = PolledBackend(spare=True)
        stage = PollStage(backend)
        backend.set("a", 1, 5)
        first = stage.subscriber()
        first.track("a")
        await stage.settle()
        backend.gates = []
        await stage.wait(10.1)
        assert len(backend.gates) == 1
        second = stage.subscriber()
        second.track("a")
        await stage.settle()
        assert len(backend.gates) == 1, "two calls for one key"
        backend.open_gate()
        await stage.settle()
        assert second.take() == []
        backend.open_gate()
        await stage.settle()
        assert second.take() == [{"key": "a", "data": 1, "version": 5}]
        assert backend.asked == [{"a": 0}, {"a": 5}, {"a": 0}]
        await stage.node.stop()

    play(scene())


def test_a_key_that_is_tracked_anew_is_not_asked_for_twice() -> None:
    async def scene() -> None:
        backend = PolledBackend()
        stage = PollStage(backend)
        backend.set("a", 1, 5)
        backend.gates = []
        view = stage.subscriber()
        view.track("a", "b")
        await stage.settle()
        view.untrack("a")
        await stage.settle()
        view.track("a")
        await stage.settle()
        assert len(backend.asked) == 1
        backend.open_gate()
        await stage.settle()
        assert view.take() == [{"key": "a", "data": 1, "version": 5}]
        view.untrack("a")
        await stage.wait(10.1)
        assert backend.asked[1:] == [{"b": 0}] and backend.overlaps == 0
        await stage.node.stop()

    play(scene())


def test_nobody_gets_the_rest_of_an_epoch_that_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scene() -> None:
        stage = PollStage(publish_enabled=True)
        views = [stage.subscriber() for _ in range(2 * CLIENTS_A_SLICE + 60)]  # who are told in slices, too
        for view in views:
            view.track("a")
        await stage.settle()
        monkeypatch.setattr(keyed, "MEMBERS_A_SLICE", 50)
        await stage.node.polls.publish(CHANNEL, "a", b"1", 1, "")
        await asyncio.sleep(0)
        await stage.node.polls.publish(CHANNEL, "b", b"1", 1, "new")
        await stage.settle()
        assert sum(len(view.take()) for view in views) == 50
        assert all(view.losses == [2500] for view in views)
        await stage.node.stop()

    play(scene())


def test_a_slow_backend_delays_its_own_channel_only_and_is_not_asked_twice() -> None:
    async def scene() -> None:
        backend = PolledBackend()
        stage = PollStage(backend, settings=SharedPollSettings(hmac_secret_key="secret", concurrency_limit=4))
        view = stage.subscriber()
        view.track("a", "b")
        await stage.settle()
        backend.gates = []
        for _ in range(5):
            await stage.wait(10.1)
        assert len(backend.asked) == 2
        other = stage.subscriber()
        other.peer.ask({"subscribe": {"channel": "poll:y", "type": 4}})
        other.peer.ask(track({"z": 0}, channel="poll:y"))
        view.track("c")
        await stage.settle()
        assert backend.channels[2:] == ["poll:y"], "the share of a channel was exceeded, or another one waits for it"
        backend.open_gate(0)
        await stage.settle()
        assert backend.asked[3:] == [{"c": 0}, {"a": 0, "b": 0}] or backend.asked[3:] == [{"c": 0}]
        await stage.node.stop()

    play(scene())


def test_failures_are_made_good_at_the_next_interval() -> None:
    async def scene() -> None:
        stage = PollStage()
        backend = stage.backend
        backend.set("a", 1, 1)
        for failure in (HookError("x"), ClientError(1000, "no"), TimeoutError()):
            backend.failure = failure
            view = stage.subscriber()
            view.track("a")
            await stage.settle()
            assert view.take() == []
            backend.failure = None
            await stage.wait(10.1)
            assert view.take() == [{"key": "a", "data": 1, "version": 1}]
            view.peer.client.transport_closed()
            await stage.wait(2)
        assert stage.node.counters.poll_errors == {"notification": 3}
        assert stage.node.polls.channels == {}
        await stage.node.stop()

    play(scene())


def test_without_versions_data_are_compared() -> None:
    async def scene() -> None:
        backend = PolledBackend(versioned=False)
        stage = PollStage(backend)
        backend.set("a", {"n": 1})
        view = stage.subscriber()
        assert view.epoch
        view.track("a")
        await stage.settle()
        for data, expected in (({"n": 1}, []), ({"n": 2}, [2]), ({"n": 2}, []), ({"n": 1}, [3])):
            view.take()
            backend.set("a", data)
            await stage.wait(10.1)
            assert [pub["version"] for pub in view.take()] == expected
        assert {call["a"] for call in backend.asked} == {0}
        again = stage.subscriber()
        assert again.epoch == view.epoch
        again.versions["a"] = 3
        again.track("a")
        await stage.settle()
        assert again.take() == []
        await stage.node.stop()

    play(scene())


def test_another_epoch_has_everybody_begin_anew() -> None:
    async def scene() -> None:
        stage = PollStage()
        backend = stage.backend
        backend.epoch = "one"
        backend.set("a", 1, 5)
        idle, view = stage.subscriber(), stage.subscriber()
        view.track("a")
        await stage.settle()
        view.take(), idle.take()
        assert (view.losses, idle.losses, view.pushes) == ([2500], [2500], [])
        view.subscribe()
        assert view.epoch == "one"
        view.track("a")
        await stage.settle()
        assert view.take() == [{"key": "a", "data": 1, "version": 5}]
        backend.gates = []
        await stage.wait(10.1)  # a call that began before the new epoch
        backend.epoch = "two"
        backend.set("a", 2, 1)
        await stage.node.polls.publish(CHANNEL, "b", b"1", 1, "two")
        polled = stage.node.polls.channels[CHANNEL]
        polled.begin_answer("two")
        view.take()
        assert view.losses == [2500, 2500]
        view.subscribe()
        assert view.epoch == "two"
        view.track("a")
        await stage.settle()
        while backend.gates:
            backend.open_gate()
            await stage.settle()
        assert view.take() == [{"key": "a", "data": 2, "version": 1}]
        assert view.losses == [2500, 2500], "an answer of the old epoch counted"
        await stage.node.stop()

    play(scene())


def test_a_node_learns_the_epoch_from_another_one_of_its_server() -> None:
    async def scene() -> None:
        lines: list[Line] = []
        backend = PolledBackend()
        backend.epoch = "one"
        backend.set("a", 1, 5)
        stages = [PollStage(backend, controller=Line(lines)) for _ in range(3)]
        for stage in stages:
            await stage.node.start()
        for stage in stages:
            await stage.settle()
        view = stages[0].subscriber()
        await stages[0].settle()
        view.take()
        assert view.epoch == ""
        view.track("a")
        await stages[0].settle()
        view.take()
        view.subscribe()
        assert view.epoch == "one"
        others = [stages[1].subscriber() for _ in range(2)]
        assert stages[1].node.polls.channels == {}
        await stages[1].settle()
        for other in others:
            other.take()
            assert other.epoch == "one"
            other.track("a")
        await stages[1].settle()
        for other in others:
            assert other.take() == [{"key": "a", "data": 1, "version": 5}]
            assert other.losses == []
        lines[2].broken = True
        late = stages[2].subscriber()
        await stages[2].settle()
        late.take()
        assert (late.epoch, late.errors) == ("", []), "it begins without knowing"
        lines[2].broken = False
        for stage in stages:
            await stage.node.stop()

    play(scene())


def test_a_removed_key_has_to_be_tracked_again() -> None:
    async def scene() -> None:
        stage = PollStage()
        backend = stage.backend
        backend.set("a", 1, 5)
        view = stage.subscriber()
        view.track("a", "b")
        await stage.settle()
        view.take()
        backend.state["a"] = None
        await stage.wait(10.1)
        assert view.take() == [{"key": "a", "removed": True}]
        backend.set("a", 2, 1)
        await stage.wait(10.1)
        assert view.take() == []
        assert backend.asked[-1] == {"b": 0}
        view.track("a")
        await stage.settle()
        assert view.take() == [{"key": "a", "data": 2, "version": 1}]
        await stage.node.stop()

    play(scene())


def test_patches_build_on_what_the_client_has() -> None:
    async def scene() -> None:
        stage = PollStage()
        backend = stage.backend
        values = [{"n": number, "text": TEXT} for number in range(5)]
        backend.set("a", values[0], 1)
        view, plain = stage.subscriber(delta=True), stage.subscriber()
        view.track("a"), plain.track("a")
        await stage.settle()
        backend.set("a", values[1], 2)
        backend.before["a"] = values[0]
        await stage.wait(10.1)
        pushes = view.take()
        assert [pub.get("delta", False) for pub in pushes] == [False, True]
        late = stage.subscriber(delta=True)
        late.versions["a"] = 2
        late.track("a")
        view.track("a")  # renewed with the version that it has
        backend.set("a", values[2], 3)
        backend.before["a"] = values[1]
        await stage.wait(10.1)
        assert [pub.get("delta", False) for pub in view.take()] == [True]
        assert [pub.get("delta", False) for pub in late.take()] == [False], "a patch without a base"
        backend.set("a", values[3], 4)
        backend.before["a"] = values[1]  # not what clients have
        await stage.wait(10.1)
        assert [pub.get("delta", False) for pub in view.take()] == [False]
        late.take(), plain.take()
        assert view.values["a"] == late.values["a"] == plain.values["a"] == values[3]
        await stage.node.stop()

    play(scene())


def test_kept_values_come_with_the_reply_and_make_patches() -> None:
    async def scene() -> None:
        stage = PollStage(keep_latest_data=True)
        backend = stage.backend
        backend.set("a", {"n": 1, "text": TEXT}, 1)
        first = stage.subscriber(delta=True)
        first.track("a")
        await stage.settle()
        first.take()
        second = stage.subscriber(delta=True)
        second.track("a", "b")
        assert [item["key"] for item in second.replies[-1]["items"]] == ["a"]
        assert second.values["a"] == {"n": 1, "text": TEXT}
        await stage.settle()
        assert backend.asked == [{"a": 0}, {"b": 0}]
        backend.set("a", {"n": 2, "text": TEXT}, 2)
        await stage.wait(10.1)
        assert [pub.get("delta", False) for pub in first.take()] == [True]
        assert [pub.get("delta", False) for pub in second.take()] == [False]
        backend.set("a", {"n": 3, "text": TEXT}, 3)
        await stage.wait(10.1)
        assert [pub.get("delta", False) for pub in second.take()] == [True]
        assert second.values["a"]["n"] == 3
        await stage.node.stop()

    play(scene())


def test_kept_values_without_versions_are_pushed() -> None:
    async def scene() -> None:
        stage = PollStage(PolledBackend(versioned=False), keep_latest_data=True)
        stage.backend.set("a", 1)
        first = stage.subscriber()
        first.track("a")
        await stage.settle()
        second = stage.subscriber()
        second.track("a")
        assert second.replies == [{}]
        assert [pub["data"] for pub in second.pushes + second.take()] == [1]
        await stage.settle()
        assert len(stage.backend.asked) == 1
        await stage.node.stop()

    play(scene())


def test_values_are_published_to_who_tracks_them() -> None:
    async def scene() -> None:
        stage = PollStage(publish_enabled=True)
        node, backend = stage.node, stage.backend
        view, other = stage.subscriber(), stage.subscriber()
        view.track("a"), other.track("b")
        await stage.settle()
        await node.polls.publish(CHANNEL, "a", b"5", 5, "")
        await node.polls.publish(CHANNEL, "a", b"4", 4, "")
        await node.polls.publish(CHANNEL, "c", b"4", 4, "")
        assert view.take() == [{"key": "a", "data": 5, "version": 5}]
        assert other.take() == []
        backend.asked.clear()
        await stage.wait(10.1)
        assert backend.asked == [{"b": 0}], "what was published need not be asked for in the next cycle"
        await stage.wait(10.1)
        assert backend.asked[1:] == [{"a": 5, "b": 0}]
        await node.polls.publish(CHANNEL, "a", b"1", 1, "new")
        view.take(), other.take()
        assert view.losses == other.losses == [2500]
        assert node.counters.poll_publishes == {"applied": 1, "skipped": 1}
        view.peer.client.transport_closed(), other.peer.client.transport_closed()
        await stage.wait(2)
        assert node.hub.channels == {} and node.polls.channels == {}
        await node.stop()

    play(scene())


def test_strangers_in_the_broker_are_left_alone() -> None:
    async def scene() -> None:
        stage = PollStage(publish_enabled=True)
        view = stage.subscriber()
        view.track("a")
        from centripetal.interfaces import PublishOptions

        for data in (b"", b"{}", b"\x94\xa1a", b"\xff" * 100):
            await stage.node.broker.publish("~poll:" + CHANNEL, data, PublishOptions())
        await stage.settle()
        assert view.take() == [] and view.live
        for kind in (0, 1, 4):
            view.peer.send({"subscribe": {"channel": "~poll:" + CHANNEL, "type": kind}})
        view.take()
        assert view.errors == [102, 102, 108]
        await stage.node.stop()

    play(scene())


def test_signatures_are_checked_and_expire() -> None:
    async def scene() -> None:
        stage = PollStage(track_expired_extra_delay=3.0)
        now = int(stage.clock.time())
        backend = stage.backend
        view = stage.subscriber()
        view.track("a", exp=now + 2)
        view.track("b", exp=now + 5)
        view.track("c")
        assert view.replies == [{"expires": True, "ttl": 2}, {"expires": True, "ttl": 5}, {}]
        view.track("d", exp=now - 5)
        assert view.replies[-1] == {"expires": True}
        view.track("e", exp=now - 6)
        view.track("f", secret="other")
        view.track("g", user="bob")
        view.track("h", channel="poll:y")
        assert view.errors == [109, 103, 103, 103]
        await stage.wait(5.1)
        polled = stage.node.polls.channels[CHANNEL]
        assert set(polled.keys) == {"b", "c"}
        view.track("b", exp=now + 100)
        await stage.wait(20)
        assert set(polled.keys) == {"b", "c"}
        assert set(backend.asked[-1]) == {"b", "c"}
        await stage.wait(90)
        assert set(polled.keys) == {"c"}
        await stage.node.stop()

    play(scene())


def test_secrets_are_replaced_in_time() -> None:
    async def scene() -> None:
        settings = SharedPollSettings(
            hmac_secret_key="new", hmac_previous_secret_key="secret", hmac_previous_secret_key_valid_until=100
        )
        stage = PollStage(settings=settings)
        view = stage.subscriber()
        view.track("a", iat=100)
        view.track("b", iat=101, secret="new")
        view.track("c", iat=101)
        assert (len(view.replies), view.errors) == (2, [103])
        await stage.node.stop()

    play(scene())


@pytest.mark.parametrize(
    "request_",
    [
        {"type": 1},
        {"type": 1, "track": [{"signature": sign([]), "items": []}]},
        {"type": 1, "track": [{"signature": sign([""]), "items": [{"key": ""}]}]},
        {"type": 1, "track": [{"signature": sign(["a\0b"]), "items": [{"key": "a\0b"}]}]},
        {"type": 2},
        {"type": 3},
    ],
)
def test_malformed_requests(request_: dict[str, Any]) -> None:
    async def scene() -> None:
        stage = PollStage()
        view = stage.subscriber()
        reply = view.peer.ask({"sub_refresh": {"channel": CHANNEL, **request_}})
        assert reply["error"]["code"] == 107
        assert stage.node.polls.channels[CHANNEL].keys == {}
        await stage.node.stop()

    play(scene())


@pytest.mark.parametrize(
    "signature",
    [
        "",
        "::",
        "0:0:",
        "0:0:" + "0" * 64,
        "x:0:" + sign(["a"])[4:],
        sign(["a"]).upper(),
        sign(["a"]) + "\n",
        "0:" * 9999,
    ],
)
def test_forged_signatures(signature: str) -> None:
    async def scene() -> None:
        stage = PollStage()
        view = stage.subscriber()
        batch = {"signature": signature, "items": [{"key": "a"}]}
        reply = view.peer.ask({"sub_refresh": {"channel": CHANNEL, "type": 1, "track": [batch]}})
        assert reply["error"]["code"] == 103
        await stage.node.stop()

    play(scene())


def test_the_number_of_keys_is_bounded() -> None:
    async def scene() -> None:
        stage = PollStage(max_keys_per_connection=3)
        view = stage.subscriber()
        ask = view.peer.ask
        assert "sub_refresh" in ask(track({"a": 0, "b": 0, "c": 0}))
        assert "sub_refresh" in ask(track({"a": 1, "b": 1}))
        assert ask(track({"d": 0}))["error"]["code"] == 106
        assert "sub_refresh" in ask(track({"d": 0, "e": 0}, untrack=["a", "b"]))
        assert set(stage.node.polls.channels[CHANNEL].keys) == {"c", "d", "e"}
        assert "sub_refresh" in ask(track({"f": 0}, untrack=["f"]))
        assert "sub_refresh" in ask(untrack("c", "zzz"))
        assert set(stage.node.polls.channels[CHANNEL].keys) == {"d", "e"}
        await stage.node.stop()

    play(scene())


def test_types_that_do_not_fit_are_refused() -> None:
    async def scene() -> None:
        stage = PollStage()
        ask = stage.subscriber().peer.ask
        for channel, kind, code in (
            ("poll:y", 0, 107), ("poll:y", 1, 107), ("plain", 4, 108), ("nowhere:x", 4, 108), (CHANNEL, 4, 105),
        ):  # fmt: skip
            assert ask({"subscribe": {"channel": channel, "type": kind}})["error"]["code"] == code
        assert ask(track({"a": 0}, channel="poll:y"))["error"]["code"] == 103
        stage.node.hooks = type(stage.node.hooks)()
        assert ask({"subscribe": {"channel": "poll:z", "type": 4}})["error"]["code"] == 108
        assert list(stage.node.polls.channels) == [CHANNEL]
        await stage.node.stop()

    play(scene())


def test_a_channel_is_forgotten_when_nobody_is_there() -> None:
    async def scene() -> None:
        backend = PolledBackend(versioned=False)
        stage = PollStage(backend, channel_shutdown_delay=5.0)
        polls, view = stage.node.polls, stage.subscriber()
        view.track("a")
        await stage.settle()
        view.untrack("a")
        backend.asked.clear()
        await stage.wait(30)
        assert backend.asked == [] and list(polls.channels) == [CHANNEL]
        view.peer.ask({"unsubscribe": {"channel": CHANNEL}})
        await stage.wait(4)
        view.subscribe()
        await stage.wait(30)
        again = stage.subscriber()
        assert again.epoch == view.epoch
        view.peer.client.transport_closed()
        again.track("b")
        again.peer.client.transport_closed()
        await stage.wait(5.1)
        assert polls.channels == {} and stage.node.ticker._wheel.__len__() == 0
        assert stage.subscriber().epoch != view.epoch
        await stage.node.stop()
        assert polls.channels == {}

    play(scene())


def test_calls_for_nobody_are_cancelled() -> None:
    async def scene() -> None:
        backend = PolledBackend()
        stage = PollStage(backend, channel_shutdown_delay=-1.0)
        backend.gates = []
        view = stage.subscriber()
        view.track("a")
        await stage.settle()
        assert len(backend.calling) == 1
        view.peer.client.transport_closed()
        await stage.settle()
        assert backend.calling == [] and stage.node.polls.channels == {}
        await stage.node.stop()

    play(scene())


def test_the_interval_grows_while_the_backend_is_slow() -> None:
    async def scene() -> None:
        backend = PolledBackend()
        stage = PollStage(backend, refresh_interval=1.0, backpressure_max_interval=3.0)
        view = stage.subscriber()
        view.track("a")
        await stage.settle()
        polled = stage.node.polls.channels[CHANNEL]
        backend.gates = []
        intervals = []
        for took in (2.0, 2.0, 3.5, 0.0, 0.0, 0.0, 0.0, 0.0):
            while not backend.gates:
                await stage.wait(0.1)
            await stage.wait(took)
            backend.open_gate()
            await stage.settle()
            intervals.append(round(polled._interval, 2))
        assert intervals[:3] == [2.0, 3.0, 3.0]
        assert intervals[3:] == [2.25, 1.69, 1.27, 1.0, 1.0]
        await stage.node.stop()

    play(scene())


def test_presence_is_kept_where_the_namespace_wants_it() -> None:
    async def scene() -> None:
        stage = PollStage(channel={"presence": True, "join_leave": True, "force_push_join_leave": True})
        view = stage.subscriber()
        assert len(await stage.node.presence(CHANNEL)) == 1
        view.peer.ask({"unsubscribe": {"channel": CHANNEL}})
        assert await stage.node.presence(CHANNEL) == {}
        await stage.node.stop()

    play(scene())


def test_values_that_an_encoding_cannot_carry_end_the_connection() -> None:
    async def scene() -> None:
        stage = PollStage(publish_enabled=True)
        view = stage.subscriber()
        view.track("a")
        await stage.node.polls.publish(CHANNEL, "a", b"\xff", 1, "")
        await stage.settle()
        assert view.peer.pipe.closed is not None and view.peer.pipe.closed.code == 3506
        await stage.wait(2)
        assert stage.node.polls.channels == {}
        await stage.node.stop()

    play(scene())
