"""Proxies over HTTP against a real server: what is sent, what of an answer is accepted, what failures become."""

from __future__ import annotations

import asyncio
import base64
import gzip
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from centripetal.interfaces import Caller, HookError, SubscriptionOverrides
from centripetal.interfaces.hooks import (
    CACHE_EMPTY,
    CONNECT,
    PUBLISH,
    REFRESH,
    RPC,
    SHARED_POLL_REFRESH,
    SUB_REFRESH,
    SUBSCRIBE,
    CacheEmptyEvent,
    ConnectEvent,
    Forwarded,
    PublishEvent,
    RefreshEvent,
    RpcEvent,
    SubRefreshEvent,
    SubscribeEvent,
)
from centripetal.interfaces.shared_poll import PolledItem, PollItem, SharedPollRefreshAnswer, SharedPollRefreshEvent
from centripetal.model import ClientError, Disconnect
from centripetal.outbound.target import MAX_BODY_BYTES, MAX_CONCURRENT
from centripetal.proxies.settings import (
    HttpProxySettings,
    StatusTransform,
    TransformError,
)

from .backend import ANN, Asking, asking

RPC_EVENT = RpcEvent(caller=ANN, method="sum", data=b"[1,2]")


def play(scene: Callable[[Asking], Awaitable[None]]) -> None:
    async def run() -> None:
        async with asyncio.timeout(60), asking() as context:
            await scene(context)
            # Whatever happened, nothing is on its way any more.
            assert not any(context.counters.proxy_inflight.values())

    asyncio.run(run())


BASE = {"client": "c1", "transport": "websocket", "protocol": "json", "encoding": "json"}
REQUESTS = [
    (
        CONNECT,
        ConnectEvent(caller=ANN, data=b'{"a":1}', name="js", version="5", channels=("news",)),
        {**BASE, "data": {"a": 1}, "name": "js", "version": "5", "channels": ["news"]},
    ),
    (CONNECT, ConnectEvent(caller=ANN), BASE),
    (REFRESH, RefreshEvent(caller=ANN), {**BASE, "user": "ann"}),
    (RPC, RPC_EVENT, {**BASE, "user": "ann", "method": "sum", "data": [1, 2]}),
    (RPC, RpcEvent(caller=Caller(client="c1", transport="sse", protocol="json")),
     {**BASE, "transport": "sse", "user": ""}),
    (
        SUBSCRIBE,
        SubscribeEvent(caller=ANN, channel="news", data=b"null"),
        {**BASE, "user": "ann", "channel": "news", "data": None},
    ),
    (PUBLISH, PublishEvent(caller=ANN, channel="news", data=b'"x"'), {**BASE, "user": "ann", "channel": "news", "data": "x"}),
    (SUB_REFRESH, SubRefreshEvent(caller=ANN, channel="news"), {**BASE, "user": "ann", "channel": "news"}),
    (CACHE_EMPTY, CacheEmptyEvent(channel="news"), {"channel": "news"}),
    (
        SHARED_POLL_REFRESH,
        SharedPollRefreshEvent(channel="poll:x", items=(PollItem("a", 5), PollItem("b"))),
        {"channel": "poll:x", "items": [{"key": "a", "version": 5}, {"key": "b"}]},
    ),
]  # fmt: skip


@pytest.mark.parametrize(("event", "request_", "body"), REQUESTS)
def test_what_a_backend_is_sent(event: Any, request_: Any, body: dict[str, Any]) -> None:
    async def scene(context: Asking) -> None:
        await context.hook(event)(request_)
        assert context.backend.calls == [body]
        assert context.backend.seen["content-type"] == "application/json"

    play(scene)


def test_binary_encoding_meta_and_headers() -> None:
    async def scene(context: Asking) -> None:
        context.backend.answer({"result": {"data": {}, "b64data": base64.b64encode(b"\x00\xff").decode()}})
        hook = context.hook(
            RPC,
            binary_encoding=True,
            include_connection_meta=True,
            http_headers=("X-Tenant",),
            emulated_headers=("X-Emulated", "X-Tenant"),
            http=HttpProxySettings(static_headers={"X-Tenant": "static", "X-Static": "fixed", "X-Emulated": "static"}),
        )
        answer = await hook(RpcEvent(caller=ANN, method="m", data=b"\x00\x01"))
        assert answer.data == b"\x00\xff"
        [body] = context.backend.calls
        assert body["encoding"] == "binary" and body["b64data"] == "AAE=" and "data" not in body
        assert body["meta"] == {"org": 7}
        seen = context.backend.seen
        assert (seen["x-tenant"], seen["x-static"], seen["x-emulated"]) == ("acme", "fixed", "e")

    play(scene)


def test_headers_about_the_clients_own_connection_are_not_forwarded() -> None:
    async def scene(context: Asking) -> None:
        names = ("Host", "Content-Length", "Transfer-Encoding", "Connection", "Accept-Encoding", "Content-Type", "Cookie")
        forwarded = Forwarded({name.lower(): "1" for name in names}, {}, {"content-length": "7", "x-a": "ü"})
        hook = context.hook(RPC, http_headers=names, emulated_headers=("Content-Length", "X-A"))
        await hook(RpcEvent(caller=Caller(client="c1", forwarded=forwarded), data=b"1"))
        seen = context.backend.seen
        assert (seen["cookie"], seen["content-type"], seen["x-a"]) == ("1", "application/json", "ü")
        assert seen["host"].startswith("127.0.0.1:") and seen["accept-encoding"] == "gzip"
        assert context.backend.calls[0]["data"] == 1

    play(scene)


def test_what_a_shared_poll_takes() -> None:
    event = SharedPollRefreshEvent(channel="poll:x", items=(PollItem("a"),))

    async def scene(context: Asking) -> None:
        hook = context.hook(SHARED_POLL_REFRESH, http_headers=("X-Tenant",))
        context.backend.body = (
            b'{"result":{"epoch":"one","items":[{"key":"a","data":{"n": 1},"version":18446744073709551615,'
            b'"prev_data":{"n": 0}},{"key":"b","removed":true,"more":1},{"key":"c","data":null}]}}'
        )
        answer = await hook(event)
        assert answer == SharedPollRefreshAnswer(
            epoch="one",
            items=(
                PolledItem(key="a", data=b'{"n": 1}', version=2**64 - 1, prev_data=b'{"n": 0}'),
                PolledItem(key="b", removed=True),
                PolledItem(key="c", data=b"null"),
            ),
        )
        for nothing in ({}, {"result": None}):
            context.backend.answer(nothing)
            assert await hook(event) is None
        context.backend.answer({"error": {"code": 1000, "message": "no"}})
        with pytest.raises(ClientError):
            await hook(event)
        for body in (b'{"result":{"items":[{"key":"a","version":18446744073709551616}]}}', b'{"result":{"items":{}}}',
                     b'{"result":{"items":[{"key":7}]}}', b"[]"):  # fmt: skip
            context.backend.body = body
            with pytest.raises(HookError):
                await hook(event)
        assert context.hook(SUBSCRIBE) and context.backend.seen.get("x-tenant") is None

    play(scene)


@pytest.mark.parametrize("value", ["a\r\nX-Evil: 1", "a\nb", "a\x00b"])
def test_values_that_would_break_out_of_a_header_fail_the_call(value: str) -> None:
    async def scene(context: Asking) -> None:
        hook = context.hook(RPC, emulated_headers=("X-A",))
        with pytest.raises(HookError):
            await hook(RpcEvent(caller=Caller(client="c1", forwarded=Forwarded({}, {}, {"x-a": value}))))
        assert context.backend.calls == []

    play(scene)


def test_bytes_of_a_protobuf_client_need_binary_encoding() -> None:
    async def scene(context: Asking) -> None:
        with pytest.raises(HookError, match="not JSON"):
            await context.hook(RPC)(RpcEvent(caller=ANN, data=b"\x00"))
        assert context.backend.calls == []

    play(scene)


def test_every_field_of_a_connect_answer() -> None:
    async def scene(context: Asking) -> None:
        context.backend.answer(
            {
                "result": {
                    "user": "ann", "expire_at": 5, "info": {"n": 1}, "b64data": "e30=", "channels": ["a"], "meta": {"m": 1},
                    "subs": {"b": {"expire_at": 9, "data": [1], "b64info": "MQ==", "cache_recover": True,
                                   "override": {"presence": {"value": True}, "join_leave": {}, "force_recovery": None}}},
                    "caps": [{"channels": ["x"]}],
                },
                "other": 1,
            }
        )  # fmt: skip
        answer = await context.hook(CONNECT)(ConnectEvent(caller=ANN))
        assert (answer.user, answer.expire_at, answer.info, answer.data) == ("ann", 5, b'{"n": 1}', b"{}")
        assert (answer.channels, answer.meta) == (("a",), b'{"m": 1}')
        sub = answer.subs["b"]
        assert (sub.expire_at, sub.data, sub.info, sub.cache_recover) == (9, b"[1]", b"1", True)
        assert sub.overrides == SubscriptionOverrides(presence=True, join_leave=False)

    play(scene)


def test_null_is_absent_except_as_payload() -> None:
    async def scene(context: Asking) -> None:
        context.backend.answer(
            {"result": {"user": None, "expire_at": None, "data": None, "subs": None}, "error": None, "disconnect": None}
        )
        answer = await context.hook(CONNECT)(ConnectEvent(caller=ANN))
        assert (answer.user, answer.expire_at, answer.data, answer.subs) == ("", 0, b"null", {})
        context.backend.answer({"result": None})
        assert await context.hook(CONNECT)(ConnectEvent(caller=ANN)) is None

    play(scene)


def test_what_a_publish_answer_says() -> None:
    async def scene(context: Asking) -> None:
        hook = context.hook(PUBLISH)
        event = PublishEvent(caller=ANN, channel="news", data=b"1")
        context.backend.answer({"result": {}})
        assert (await hook(event)).data is None
        context.backend.answer(
            {"result": {"b64data": "Mg==", "skip_history": True, "tags": {"t": "1"}, "idempotency_key": "k", "delta": True,
                        "version": 2**64 - 1, "version_epoch": "e"}}
        )  # fmt: skip
        answer = await hook(event)
        assert (answer.data, answer.skip_history, answer.tags, answer.idempotency_key) == (b"2", True, {"t": "1"}, "k")
        assert (answer.delta, answer.version, answer.version_epoch) == (True, 2**64 - 1, "e")
        context.backend.answer({"result": {"data": 3, "b64data": "Mg=="}})
        assert (await hook(event)).data == b"3"

    play(scene)


def test_errors_and_disconnects() -> None:
    async def scene(context: Asking) -> None:
        hook = context.hook(RPC)
        context.backend.answer({"error": {"code": 1000, "message": "no", "temporary": True}, "result": {"data": 1}})
        with pytest.raises(ClientError) as error:
            await hook(RPC_EVENT)
        assert (error.value.code, error.value.message, error.value.temporary) == (1000, "no", True)
        context.backend.answer({"error": {"code": 1000}, "disconnect": {"code": 4000, "reason": "ü" * 100}})
        with pytest.raises(Disconnect) as disconnect:
            await hook(RPC_EVENT)
        assert (disconnect.value.code, disconnect.value.reason) == (4000, "ü" * 61)
        assert not context.counters.proxy_errors

    play(scene)


def test_errors_of_a_refresh_mean_expired() -> None:
    async def scene(context: Asking) -> None:
        context.backend.answer({"error": {"code": 1000}, "disconnect": {"code": 4000}})
        assert await context.hook(REFRESH)(RefreshEvent(caller=ANN)) is None
        context.backend.status = 404
        transforms = (StatusTransform(status_code=404, to_error=TransformError(code=404)),)
        hook = context.hook(SUB_REFRESH, http=HttpProxySettings(status_to_code_transforms=transforms))
        assert await hook(SubRefreshEvent(caller=ANN, channel="x")) is None

    play(scene)


NONSENSE = {
    "code 0": b'{"error":{"code":0,"message":"?"}}',
    "code 99": b'{"error":{"code":99}}',
    "code 5000": b'{"error":{"code":5000}}',
    "negative code": b'{"error":{"code":-1}}',
    "code beyond 32 bits": b'{"error":{"code":4294967296}}',
    "disconnect code 1005": b'{"disconnect":{"code":1005}}',
    "disconnect code 5000": b'{"disconnect":{"code":5000}}',
    "no JSON": b"<html>",
    "nothing": b"",
    "two values": b"{} {}",
    "an array": b"[]",
    "a text": b'"ok"',
    "result of a wrong type": b'{"result":5}',
    "data missing its end": b'{"result":{"data":{"a":1}}',
    "Base64": b'{"result":{"b64data":"%%%"}}',
    "Base64 without padding": b'{"result":{"b64data":"e30"}}',
    "Base64 of a wrong type": b'{"result":{"b64data":5}}',
    "not UTF-8": b'{"result":{"data":"\xff"}}',
    "depth": b'{"result":{"data":' + b"[" * 600 + b"]" * 600 + b"}}",
    "depth beyond the stack": b'{"result":{"data":' + b"[" * 200_000 + b"]" * 200_000 + b"}}",
    "open depth": b"[" * 100_000,
    "huge number": b'{"error":{"code":' + b"9" * 100_000 + b"}}",
    "too long": b'{"result":{"data":"' + b"x" * MAX_BODY_BYTES + b'"}}',
}


@pytest.mark.parametrize("name", NONSENSE)
def test_nonsense_is_a_failure(name: str) -> None:
    async def scene(context: Asking) -> None:
        context.backend.body = NONSENSE[name]
        with pytest.raises(HookError) as failure:
            await context.hook(RPC)(RPC_EVENT)
        assert len(str(failure.value)) < 200 and "xxxx" not in str(failure.value)
        assert context.counters.proxy_errors == {("http", "rpc", "default"): 1}
        assert context.counters.proxy_duration["http", "rpc", "default"].count == 1

    play(scene)


@pytest.mark.parametrize(
    "body",
    [b'{"result":{"tags":[]}}', b'{"result":{"tags":{"a":1}}}', b'{"result":{"version":-1}}',
     b'{"result":{"version":18446744073709551616}}', b'{"result":{"skip_history":"yes"}}'],
)  # fmt: skip
def test_nonsense_for_a_publish(body: bytes) -> None:
    async def scene(context: Asking) -> None:
        context.backend.body = body
        with pytest.raises(HookError):
            await context.hook(PUBLISH)(PublishEvent(caller=ANN, channel="x", data=b"1"))

    play(scene)


def test_a_connect_answer_with_too_many_subscriptions() -> None:
    async def scene(context: Asking) -> None:
        context.backend.answer({"result": {"channels": [str(number) for number in range(4000)], "subs": {"a": {}}}})
        assert len((await context.hook(CONNECT)(ConnectEvent(caller=ANN))).channels) == 4000
        context.backend.answer({"result": {"channels": [str(number) for number in range(4096)], "subs": {"a": {}}}})
        with pytest.raises(HookError, match="4096"):
            await context.hook(CONNECT)(ConnectEvent(caller=ANN))

    play(scene)


def test_texts_with_half_a_surrogate_pair_are_mended() -> None:
    async def scene(context: Asking) -> None:
        context.backend.body = b'{"result":{"data":"\\ud83d"}}'
        assert (await context.hook(RPC)(RPC_EVENT)).data == b'"\\ufffd"'

    play(scene)


def test_a_redirect_is_not_followed() -> None:
    async def scene(context: Asking) -> None:
        context.backend.status = 307
        context.backend.headers = {"Location": context.backend.url}
        with pytest.raises(HookError, match="307"):
            await context.hook(RPC)(RPC_EVENT)
        assert len(context.backend.calls) == 1

    play(scene)


def test_a_compressed_answer_is_bounded_too() -> None:
    async def scene(context: Asking) -> None:
        context.backend.headers = {"Content-Encoding": "gzip"}
        context.backend.body = gzip.compress(b'{"result":{"data":"y"}}')
        assert (await context.hook(RPC)(RPC_EVENT)).data == b'"y"'
        context.backend.body = gzip.compress(b'{"result":{"data":"' + b"x" * MAX_BODY_BYTES + b'"}}')
        with pytest.raises(HookError, match="too_large"):
            await context.hook(RPC)(RPC_EVENT)

    play(scene)


def test_a_backend_that_is_gone() -> None:
    async def scene(context: Asking) -> None:
        with pytest.raises(HookError, match="unreachable"):
            await context.hook(RPC, endpoint="http://127.0.0.1:1/")(RPC_EVENT)

    play(scene)


def test_a_late_answer_and_a_caller_that_leaves() -> None:
    async def scene(context: Asking) -> None:
        context.backend.gate = asyncio.Event()
        with pytest.raises(HookError, match="timeout"):
            await context.hook(RPC, timeout=0.5)(RPC_EVENT)
        call = asyncio.ensure_future(context.hook(RPC)(RPC_EVENT))
        while len(context.backend.calls) < 2:
            await asyncio.sleep(0)
        assert context.counters.proxy_inflight["http", "rpc", "default"] == 1
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        while context.backend.running:  # the backend notices
            await asyncio.sleep(0)
        assert context.counters.proxy_duration["http", "rpc", "default"].count == 1

    play(scene)


def test_a_slow_backend_makes_its_own_callers_wait_and_nobody_else() -> None:
    async def scene(context: Asking) -> None:
        async with asking() as quick:
            context.backend.gate = asyncio.Event()
            slow = context.hook(RPC)
            calls = [asyncio.ensure_future(slow(RPC_EVENT)) for _ in range(MAX_CONCURRENT + 20)]
            while context.backend.running < MAX_CONCURRENT:
                await asyncio.sleep(0)
            for _ in range(20):
                assert await quick.hook(RPC)(RPC_EVENT) is None
            assert context.backend.running == MAX_CONCURRENT  # the others have not been sent
            calls[-1].cancel()
            context.backend.gate.set()
            answers = await asyncio.gather(*calls, return_exceptions=True)
            assert answers[:-1] == [None] * (len(calls) - 1)
            assert len(context.backend.calls) == len(calls) - 1

    play(scene)


def test_the_first_matching_transform_counts() -> None:
    async def scene(context: Asking) -> None:
        context.backend.status, context.backend.body = 404, b"no JSON"
        transforms = (
            StatusTransform(status_code=404, to_error=TransformError(code=404, message="none", temporary=True)),
            StatusTransform(status_code=404, to_error=TransformError(code=405)),
        )
        with pytest.raises(ClientError) as error:
            await context.hook(RPC, http=HttpProxySettings(status_to_code_transforms=transforms))(RPC_EVENT)
        assert (error.value.code, error.value.message, error.value.temporary) == (404, "none", True)

    play(scene)


def test_failures_are_logged_at_a_bounded_rate(capsys: pytest.CaptureFixture[str]) -> None:
    async def scene(context: Asking) -> None:
        context.backend.body = b"secret nonsense"
        hook = context.hook(RPC)
        for _ in range(40):
            with pytest.raises(HookError):
                await hook(RPC_EVENT)

    play(scene)
    logged = capsys.readouterr()
    text = logged.out + logged.err
    assert text.count("proxy_failed") == 10
    assert "secret" not in text
