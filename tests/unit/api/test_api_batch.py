"""Batches: order, errors of single commands, concurrency, and turns of the event loop."""

from __future__ import annotations

import asyncio
import gc
import json
import tracemalloc
from typing import Any

import pytest
from api_stage import Stage, answered, error
from structlog.testing import capture_logs

from centripetal.api.json_requests import SHORT_BATCH_BYTES
from centripetal.api.methods import MAX_BATCH_COMMANDS, Command, Methods
from centripetal.api.methods.concurrency import run_together
from centripetal.api.requests import PublishRequest
from centripetal.interfaces.request import HttpRequest
from centripetal.model import Publication


@pytest.fixture(params=["short", "long"])
def padding(request: pytest.FixtureRequest) -> bytes:
    """What makes the body of a batch one that is decoded in one go, or command by command."""
    return b" " * (SHORT_BATCH_BYTES if request.param == "long" else 0)


def _batch(stage: Stage, body: Any, padding: bytes) -> Any:
    response = stage.send("/api/batch", json.dumps(body).encode() + padding)
    assert response.status == 200
    return json.loads(response.body)


def _publish(channel: str, data: Any = 1) -> dict[str, Any]:
    return {"publish": {"channel": channel, "data": data}}


def test_commands_run_in_order_and_replies_stand_under_their_methods() -> None:
    stage = Stage()
    commands = [
        _publish("hist:a"), _publish("hist:a"), {"history": {"channel": "hist:a", "limit": 1}},
        {"history_remove": {"channel": "hist:a"}}, {"presence_stats": {"channel": "room:x"}},
        {"disconnect": {"user": "alice"}}, {"rpc": {"method": "none"}}, _publish("nowhere:x"),
    ]  # fmt: skip
    replies = stage.call("batch", {"commands": commands})["replies"]
    assert replies[:2] == [{"publish": {"offset": n, "epoch": "epoch"}} for n in (1, 2)]
    assert replies[2]["history"]["offset"] == 2
    assert replies[3:6] == [
        {"history_remove": {}}, {"presence_stats": {"num_clients": 2, "num_users": 1}}, {"disconnect": {}}
    ]  # fmt: skip
    assert replies[6:] == [error(104), error(102)]
    assert [call[0] for call in stage.node.calls] == [
        "publish", "publish", "history", "remove_history", "presence_stats", "disconnect_user",
    ]  # fmt: skip


def test_no_commands_no_replies(padding: bytes) -> None:
    for body in ({}, {"commands": []}, {"commands": None, "parallel": None}, None):
        assert _batch(Stage(), body, padding) == {}


def test_commands_that_are_none(padding: bytes) -> None:
    commands = [{}, {"nonsense": {}}, None, {"publish": None}, {"batch": {"commands": []}}]
    assert _batch(Stage(), {"commands": commands}, padding) == {
        "replies": [error(104), error(104), error(107), error(104), error(104)]
    }


def test_of_two_methods_one_runs(padding: bytes) -> None:
    stage = Stage()
    body = {"commands": [{"info": {}, **_publish("news")}]}
    assert _batch(stage, body, padding) == {"replies": [{"publish": {}}]}
    assert [call[0] for call in stage.node.calls] == ["publish"]


def test_a_mistake_in_any_command_refuses_the_batch_before_it_starts(padding: bytes) -> None:
    bad_commands: tuple[Any, ...] = (5, [], {"publish": {"channel": 5}}, {"publish": 1}, {"info": [], **_publish("x")})
    for bad in bad_commands:
        stage = Stage()
        response = stage.send("/api/batch", json.dumps({"commands": [_publish("news"), bad]}).encode() + padding)
        assert response.status == 400
        assert stage.node.calls == []


def test_too_many_commands() -> None:
    stage = Stage()
    body = b'{"commands":[' + b",".join([b"{}"] * (MAX_BATCH_COMMANDS + 1)) + b"]}"
    assert stage.send("/api/batch", body).status == 400


def test_a_result_that_is_no_json_is_an_error_of_its_command() -> None:
    stage = Stage()
    stage.node.streams["hist:a"] = [Publication(b"\xff", 1)]
    with capture_logs():
        answer = stage.call("batch", {"commands": [{"history": {"channel": "hist:a", "limit": 1}}, _publish("news")]})
    assert answer == {"replies": [error(100), {"publish": {}}]}


def test_parallel_commands_overlap_and_replies_stay_in_order() -> None:
    stage = Stage()
    stage.node.turns = 50
    commands = [_publish(f"hist:{number}") for number in range(3000)] + [_publish("nowhere:x")]
    replies = stage.call("batch", {"commands": commands, "parallel": True})["replies"]
    assert replies == [{"publish": {"offset": 1, "epoch": "epoch"}}] * 3000 + [error(102)]
    assert stage.node.most_waiting == 1024


def test_sequential_commands_do_not_overlap() -> None:
    stage = Stage()
    stage.node.turns = 2
    stage.call("batch", {"commands": [_publish("news")] * 10})
    assert stage.node.most_waiting == 1


def test_parallel_commands_in_memory_run_in_order() -> None:
    stage = Stage()
    stage.call("batch", {"commands": [_publish("news", number) for number in range(100)], "parallel": True})
    assert [call[2] for call in stage.node.calls] == [b"%d" % number for number in range(100)]


def _turns_of_others(stage: Stage, path: str, body: bytes) -> int:
    """Runs a request and counts how often something else got its turn meanwhile."""

    async def run() -> int:
        turns = 0

        async def others() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        watcher = asyncio.create_task(others())
        response = await answered(stage.api.respond(HttpRequest("POST", path, "", {}), body))
        watcher.cancel()
        assert response.status == 200
        return turns

    return asyncio.run(run())


def test_long_calls_let_others_have_their_turn() -> None:
    commands = json.dumps({"commands": [_publish(f"c{number}") for number in range(10_000)]}).encode()
    channels = json.dumps({"channels": [f"c{number}" for number in range(10_000)], "data": 1}).encode()
    many = b"\n".join([b'{"params":{"channel":"a","data":1}}'] * 5_000)
    for path, body in (("/api/batch", commands), ("/api/broadcast", channels), ("/api", many)):
        assert _turns_of_others(Stage(), path, body) >= 3


def test_a_cancelled_call_leaves_nothing_running() -> None:
    async def run() -> None:
        never = asyncio.Event()
        ended = []

        async def wait(number: int) -> None:
            try:
                await never.wait()
            except asyncio.CancelledError:
                ended.append(number)
                raise

        task = asyncio.create_task(run_together([1, 2, 3], wait))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert sorted(ended) == [1, 2, 3]

    asyncio.run(run())


def test_at_most_so_many_wait() -> None:
    async def run(max_concurrent: int) -> int:
        waiting = most = 0

        async def work(number: int) -> int:
            nonlocal waiting, most
            waiting += 1
            most = max(most, waiting)
            await asyncio.sleep(0)
            waiting -= 1
            return number

        assert await run_together(range(20), work, max_concurrent) == list(range(20))
        return most

    for max_concurrent in (1, 2, 7):
        assert asyncio.run(run(max_concurrent)) == max_concurrent


def test_other_bindings_call_the_same_methods() -> None:
    stage = Stage()
    methods = Methods(stage.node, "grpc")
    replies = asyncio.run(methods.batch([Command("publish", PublishRequest(channel="nowhere:x"))], False))
    assert [(reply.method, reply.outcome.code) for reply in replies] == [("publish", 102)]  # type: ignore[union-attr]
    assert stage.node.counters.api_errors == {("grpc", "publish", 102): 1}


def test_memory_comes_back_after_a_large_batch() -> None:
    stage = Stage()
    body = json.dumps({"commands": [_publish("nowhere:x", "x" * 1000)] * 2000}).encode()
    stage.send("/api/batch", body)
    gc.collect()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        stage.send("/api/batch", body)
        gc.collect()
        assert tracemalloc.get_traced_memory()[0] - before < 200_000
    finally:
        tracemalloc.stop()
