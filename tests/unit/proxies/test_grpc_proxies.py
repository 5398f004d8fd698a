"""Proxies over gRPC against a real server of the service."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest
from free_ports import free_port

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
    SUBSCRIBE_STREAM,
    CacheEmptyEvent,
    ConnectEvent,
    Event,
    Forwarded,
    PublishEvent,
    RefreshEvent,
    RpcEvent,
    StreamPublication,
    SubRefreshEvent,
    SubscribeEvent,
    SubscribeStreamEvent,
)
from centripetal.interfaces.shared_poll import PolledItem, PollItem, SharedPollRefreshAnswer, SharedPollRefreshEvent
from centripetal.model import ClientError, Disconnect
from centripetal.node.counters import Counters
from centripetal.outbound import HttpClient
from centripetal.outbound.target import MAX_BODY_BYTES, MAX_CONCURRENT
from centripetal.proxies.grpc_backend import is_metadata
from centripetal.proxies.schema import proxy_pb2 as schema
from centripetal.proxies.settings import GrpcProxySettings, ProxySettings
from centripetal.proxies.table import ProxyTable
from centripetal.testing import ManualClock

from .backend import ANN

SERVICE = "centrifugal.centrifugo.proxy.CentrifugoProxy"
EVENTS = {"Connect": "Connect", "Refresh": "Refresh", "Subscribe": "Subscribe", "Publish": "Publish", "RPC": "RPC",
          "SubRefresh": "SubRefresh", "NotifyCacheEmpty": "NotifyCacheEmpty",
          "SharedPollRefresh": "SharedPollRefresh"}  # fmt: skip


class GrpcBackend:
    """Answers each method with what the test says.

    Attributes:
        answer: a message, bytes to send as they are, or an exception.
        gate: when set, answers wait for it.
        requests: what came.
        metadata: of the last call.
        ended: streams that the caller has ended.
    """

    def __init__(self) -> None:
        self.answer: Any = b""
        self.script: list[Any] = []
        self.gate: asyncio.Event | None = None
        self.requests: list[Any] = []
        self.metadata: dict[str, str] = {}
        self.compressed = False
        self.ended = asyncio.Event()
        self.target = ""
        self.counters = Counters()
        self.table = ProxyTable(HttpClient(), self.counters, ManualClock())

    def hook(self, event: Event[Any, Any], **settings: Any) -> Callable[[Any], Any]:
        self.table.add_proxy(event, ProxySettings(**{"endpoint": self.target, "timeout": 5.0, **settings}))
        found = self.table.find(event)
        assert found is not None
        return found

    def handler(self, name: str) -> grpc.RpcMethodHandler[Any, Any]:
        async def unary(request: Any, context: Any) -> Any:
            self.note(request, context)
            if self.gate is not None:
                try:
                    await self.gate.wait()
                except asyncio.CancelledError:
                    self.ended.set()
                    raise
            if isinstance(self.answer, grpc.StatusCode):
                await context.abort(self.answer, "details that nobody is told")
            return self.answer

        return grpc.unary_unary_rpc_method_handler(
            unary, request_deserializer=getattr(schema, f"{name}Request").FromString, response_serializer=to_bytes
        )

    def note(self, request: Any, context: Any) -> None:
        self.requests.append(request)
        self.metadata = {key: str(value) for key, value in context.invocation_metadata()}

    async def play_script(self, context: Any) -> AsyncIterator[Any]:
        try:
            for step in self.script:
                if isinstance(step, grpc.StatusCode):
                    await context.abort(step, "")
                if step is ...:
                    await asyncio.Event().wait()
                yield step
        except (asyncio.CancelledError, GeneratorExit):  # while it waits; while a step is sent
            self.ended.set()
            raise

    async def one_way(self, request: Any, context: Any) -> AsyncIterator[Any]:
        self.note(request, context)
        async for step in self.play_script(context):
            yield step

    async def both_ways(self, requests: AsyncIterator[Any], context: Any) -> AsyncIterator[Any]:
        self.note(await anext(requests), context)
        if self.script and self.script[0] == "echo":
            yield accepted()
            async for request in requests:
                self.requests.append(request)
                yield schema.StreamSubscribeResponse(publication=request.publication)
        else:
            async for step in self.play_script(context):
                yield step


def to_bytes(message: Any) -> bytes:
    return message if isinstance(message, bytes) else message.SerializeToString()


def accepted(**result: Any) -> Any:
    return schema.StreamSubscribeResponse(
        subscribe_response=schema.SubscribeResponse(result=schema.SubscribeResult(**result))
    )


def publication(data: bytes, **tags: str) -> Any:
    return schema.StreamSubscribeResponse(publication=schema.Publication(data=data, tags=tags))


@asynccontextmanager
async def asking() -> AsyncIterator[GrpcBackend]:
    backend = GrpcBackend()
    server = grpc.aio.server()
    handlers: dict[str, grpc.RpcMethodHandler[Any, Any]] = {name: backend.handler(name) for name in EVENTS}
    handlers["SubscribeUnidirectional"] = grpc.unary_stream_rpc_method_handler(
        backend.one_way, request_deserializer=schema.SubscribeRequest.FromString, response_serializer=to_bytes
    )
    handlers["SubscribeBidirectional"] = grpc.stream_stream_rpc_method_handler(
        backend.both_ways, request_deserializer=schema.StreamSubscribeRequest.FromString, response_serializer=to_bytes
    )
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    backend.target = f"grpc://127.0.0.1:{port}"
    try:
        yield backend
        assert not any(backend.counters.proxy_inflight.values())
    finally:
        await backend.table.close()
        await server.stop(0)


def play(scene: Callable[[GrpcBackend], Awaitable[None]]) -> None:
    async def run() -> None:
        async with asyncio.timeout(60), asking() as backend:
            await scene(backend)

    asyncio.run(run())


BASE = {"client": "c1", "transport": "websocket", "protocol": "json", "encoding": "json"}
REQUESTS = [
    (CONNECT, ConnectEvent(caller=ANN, data=b"\x00", name="js", version="5", channels=("news",)),
     schema.ConnectRequest(**BASE, data=b"\x00", name="js", version="5", channels=["news"])),
    (REFRESH, RefreshEvent(caller=ANN), schema.RefreshRequest(**BASE, user="ann")),
    (RPC, RpcEvent(caller=ANN, method="m", data=b"1"), schema.RPCRequest(**BASE, user="ann", method="m", data=b"1")),
    (SUBSCRIBE, SubscribeEvent(caller=ANN, channel="x", data=b"1"),
     schema.SubscribeRequest(**BASE, user="ann", channel="x", data=b"1")),
    (PUBLISH, PublishEvent(caller=ANN, channel="x", data=b"1"),
     schema.PublishRequest(**BASE, user="ann", channel="x", data=b"1")),
    (SUB_REFRESH, SubRefreshEvent(caller=ANN, channel="x"), schema.SubRefreshRequest(**BASE, user="ann", channel="x")),
    (CACHE_EMPTY, CacheEmptyEvent(channel="x"), schema.NotifyCacheEmptyRequest(channel="x")),
    (SHARED_POLL_REFRESH, SharedPollRefreshEvent(channel="x", items=(PollItem("a", 2**64 - 1), PollItem("b"))),
     schema.SharedPollRefreshRequest(channel="x", items=[{"key": "a", "version": 2**64 - 1}, {"key": "b"}])),
]  # fmt: skip


@pytest.mark.parametrize(("event", "request_", "message"), REQUESTS)
def test_what_a_backend_is_sent(event: Any, request_: Any, message: Any) -> None:
    async def scene(backend: GrpcBackend) -> None:
        assert await backend.hook(event)(request_) is None
        assert backend.requests == [message]

    play(scene)


def test_what_a_shared_poll_takes() -> None:
    async def scene(backend: GrpcBackend) -> None:
        item = schema.SharedPollRefreshResultItem
        items = [item(key="a", data=b"\x00", version=2**64 - 1, prev_data=b"1"), item(key="b", removed=True)]
        result = schema.SharedPollRefreshResult(items=items, epoch="one")
        backend.answer = schema.SharedPollRefreshResponse(result=result)
        answer = await backend.hook(SHARED_POLL_REFRESH)(SharedPollRefreshEvent(channel="x"))
        assert answer == SharedPollRefreshAnswer(
            epoch="one",
            items=(
                PolledItem(key="a", data=b"\x00", version=2**64 - 1, prev_data=b"1"),
                PolledItem(key="b", removed=True),
            ),
        )

    play(scene)


def test_metadata_meta_and_binary_encoding() -> None:
    async def scene(backend: GrpcBackend) -> None:
        backend.answer = schema.RPCResponse(result=schema.RPCResult(b64data="AP8=", data=b"1"))
        hook = backend.hook(
            RPC,
            http_headers=("X-Tenant",),
            grpc_metadata=("x-region",),
            emulated_headers=("X-Emulated", "X-Broken"),
            include_connection_meta=True,
            binary_encoding=True,
            grpc=GrpcProxySettings(
                static_metadata={"X-Static": "fixed", "X-Tenant": "static"},
                credentials_key="X-Key",
                credentials_value="sesame",
                compression=True,
            ),
        )
        forwarded = Forwarded({"x-tenant": "acme"}, {"x-region": "eu"}, {"x-emulated": "e", "x-broken": "ü\n"})
        caller = Caller(client="c1", user="ann", meta=b"{}", forwarded=forwarded)
        assert (await hook(RpcEvent(caller=caller, data=b"\x00"))).data == b"\x00\xff"
        [request] = backend.requests
        assert (request.encoding, request.b64data, request.data, request.meta) == ("binary", "AA==", b"", b"{}")
        seen = backend.metadata
        wanted = {"x-tenant": "acme", "x-region": "eu", "x-emulated": "e", "x-static": "fixed", "x-key": "sesame"}
        assert wanted.items() <= seen.items() and "x-broken" not in seen

    play(scene)


@pytest.mark.parametrize(
    ("name", "value", "good"),
    [("x-a", "b", True), ("x_a.b", "", True), ("grpc-timeout", "1", False), (":path", "/", False), ("x-bin", "", False),
     ("", "", False), ("x a", "", False), ("x-a", "ü", False), ("x-a", "\x7f", False), ("x-a", "a\r\nb", False)],
)  # fmt: skip
def test_what_can_be_metadata(name: str, value: str, good: bool) -> None:
    assert is_metadata(name, value) is good


def test_every_field_of_answers() -> None:
    async def scene(backend: GrpcBackend) -> None:
        override = schema.SubscribeOptionOverride(
            presence=schema.BoolValue(value=True), join_leave=schema.BoolValue(value=False)
        )
        backend.answer = schema.ConnectResponse(
            result=schema.ConnectResult(
                user="ann", expire_at=5, info=b"1", b64data="Mg==", channels=["a"], meta=b"{}",
                subs={"b": schema.SubscribeOptions(expire_at=9, data=b"3", override=override, cache_recover=True)},
            )
        )  # fmt: skip
        answer = await backend.hook(CONNECT)(ConnectEvent(caller=ANN))
        assert (answer.user, answer.expire_at, answer.info, answer.data, answer.channels) == ("ann", 5, b"1", b"2", ("a",))
        sub = answer.subs["b"]
        assert (answer.meta, sub.expire_at, sub.data, sub.cache_recover) == (b"{}", 9, b"3", True)
        assert sub.overrides == SubscriptionOverrides(presence=True, join_leave=False)
        backend.answer = schema.PublishResponse(
            result=schema.PublishResult(data=b"1", tags={"a": "b"}, version=2**64 - 1, skip_history=True)
        )
        answer = await backend.hook(PUBLISH)(PublishEvent(caller=ANN, channel="x", data=b"0"))
        assert (answer.data, answer.tags, answer.version, answer.skip_history) == (b"1", {"a": "b"}, 2**64 - 1, True)

    play(scene)


def test_errors_disconnects_and_failures() -> None:
    async def scene(backend: GrpcBackend) -> None:
        hook, event = backend.hook(RPC), RpcEvent(caller=ANN)
        backend.answer = schema.RPCResponse(error=schema.Error(code=1000, message="no", temporary=True))
        with pytest.raises(ClientError) as error:
            await hook(event)
        assert (error.value.code, error.value.message, error.value.temporary) == (1000, "no", True)
        backend.answer = schema.RPCResponse(disconnect=schema.Disconnect(code=4000, reason="out"))
        with pytest.raises(Disconnect) as disconnect:
            await hook(event)
        assert (disconnect.value.code, disconnect.value.reason) == (4000, "out")
        nonsense = [
            schema.RPCResponse(error=schema.Error(code=7)),
            schema.RPCResponse(disconnect=schema.Disconnect(code=1000)),
            schema.RPCResponse(result=schema.RPCResult(b64data="%")),
            schema.RPCResponse(result=schema.RPCResult(data=b"x" * MAX_BODY_BYTES)),
            b"\xff\xff\xff",
            b"\x12\x04\x12\x02\xff\xfe",  # an error whose message is not UTF-8
            grpc.StatusCode.UNAVAILABLE,
        ]
        for answer in nonsense:
            backend.answer = answer
            with pytest.raises(HookError) as failure:
                await hook(event)
            assert "details" not in str(failure.value)
        assert backend.counters.proxy_errors["grpc", "rpc", "default"] == len(nonsense)

    play(scene)


def test_a_late_answer_and_a_caller_that_leaves() -> None:
    async def scene(backend: GrpcBackend) -> None:
        backend.gate = asyncio.Event()
        with pytest.raises(HookError, match="timeout"):
            await backend.hook(RPC, timeout=0.5)(RpcEvent(caller=ANN))
        await backend.ended.wait()
        backend.ended.clear()
        call = asyncio.ensure_future(backend.hook(REFRESH)(RefreshEvent(caller=ANN)))
        while not isinstance(backend.requests[-1], schema.RefreshRequest):
            await asyncio.sleep(0)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        await backend.ended.wait()

    play(scene)


def test_a_backend_that_is_gone() -> None:
    async def scene(backend: GrpcBackend) -> None:
        with pytest.raises(HookError, match="UNAVAILABLE|timeout"):
            await backend.hook(RPC, endpoint="127.0.0.1:1", timeout=1.0)(RpcEvent(caller=ANN))

    play(scene)


def test_a_slow_backend_makes_its_own_callers_wait_and_nobody_else() -> None:
    async def scene(backend: GrpcBackend) -> None:
        backend.gate = asyncio.Event()
        slow, other = backend.hook(RPC), backend.hook(REFRESH)
        calls = [asyncio.ensure_future(slow(RpcEvent(caller=ANN))) for _ in range(MAX_CONCURRENT + 20)]
        while len(backend.requests) < MAX_CONCURRENT:
            await asyncio.sleep(0)
        backend.script = [accepted()]
        assert await backend.hook(SUBSCRIBE_STREAM)(STREAM) is not None
        refreshing = asyncio.ensure_future(other(RefreshEvent(caller=ANN)))
        while not isinstance(backend.requests[-1], schema.RefreshRequest):
            await asyncio.sleep(0)
        assert len(backend.requests) == MAX_CONCURRENT + 2
        backend.gate.set()
        assert await asyncio.gather(*calls, refreshing) == [None] * (len(calls) + 1)

    play(scene)


def test_a_backend_that_comes_back_is_asked_again() -> None:
    async def run() -> None:
        async with asyncio.timeout(60), asking() as backend:
            port = free_port()
            hook = backend.hook(RPC, endpoint=f"127.0.0.1:{port}")
            with pytest.raises(HookError):
                await hook(RpcEvent(caller=ANN))
            server = grpc.aio.server()
            handlers = {"RPC": backend.handler("RPC")}
            server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
            server.add_insecure_port(f"127.0.0.1:{port}")
            await server.start()
            while True:
                try:
                    await hook(RpcEvent(caller=ANN))
                    break
                except HookError:
                    await asyncio.sleep(0.01)  # it is looked for after a while, not at each call
            await server.stop(0)

    asyncio.run(run())


STREAM = SubscribeStreamEvent(caller=ANN, channel="feed:x", data=b"1")
TALK = SubscribeStreamEvent(caller=ANN, channel="talk:x", bidirectional=True)


def test_a_stream_of_publications() -> None:
    async def scene(backend: GrpcBackend) -> None:
        backend.script = [accepted(data=b"2", info=b"3"), publication(b"4", t="1"), accepted(), publication(b"\xff")]
        stream = await backend.hook(SUBSCRIBE_STREAM)(STREAM)
        assert backend.requests == [schema.SubscribeRequest(**BASE, user="ann", channel="feed:x", data=b"1")]
        assert (stream.answer.data, stream.answer.info) == (b"2", b"3")
        assert await stream.receive() == StreamPublication(b"4", {"t": "1"})
        assert await stream.receive() == StreamPublication(b"\xff")
        assert await stream.receive() is None

    play(scene)


def test_a_stream_that_breaks_and_one_that_is_left() -> None:
    async def scene(backend: GrpcBackend) -> None:
        hook = backend.hook(SUBSCRIBE_STREAM)
        backend.script = [accepted(), ...]
        stream = await hook(STREAM)
        stream.cancel()
        await backend.ended.wait()
        backend.script = [accepted(), grpc.StatusCode.INTERNAL]
        stream = await hook(STREAM)
        with pytest.raises(HookError, match="INTERNAL"):
            await stream.receive()
        backend.script = [accepted(), b"\xff"]
        stream = await hook(STREAM)
        with pytest.raises(HookError, match="not a message"):
            await stream.receive()

    play(scene)


@pytest.mark.parametrize(
    ("script", "error"),
    [
        ([], HookError),
        ([grpc.StatusCode.UNAVAILABLE], HookError),
        ([publication(b"1")], HookError),
        ([b"\xff"], HookError),
        ([schema.StreamSubscribeResponse(subscribe_response=schema.SubscribeResponse(error=schema.Error(code=1000)))],
         ClientError),
        ([schema.StreamSubscribeResponse(
            subscribe_response=schema.SubscribeResponse(disconnect=schema.Disconnect(code=4000)))], Disconnect),
        ([accepted(b64data="%")], HookError),
    ],
)  # fmt: skip
@pytest.mark.parametrize("event", [STREAM, TALK])
def test_a_stream_that_is_not_accepted_is_ended(event: Any, script: list[Any], error: type[Exception]) -> None:
    async def scene(backend: GrpcBackend) -> None:
        waits = bool(script) and not isinstance(script[-1], grpc.StatusCode)
        backend.script = [*script, ...] if waits else script
        with pytest.raises(error):
            await backend.hook(SUBSCRIBE_STREAM)(event)
        if waits:
            await backend.ended.wait()

    play(scene)


def test_a_stream_that_says_nothing_in_time_and_one_whose_subscriber_leaves() -> None:
    async def scene(backend: GrpcBackend) -> None:
        backend.script = [...]
        with pytest.raises(HookError, match="timeout"):
            await backend.hook(SUBSCRIBE_STREAM, timeout=0.5)(STREAM)
        await backend.ended.wait()
        backend.ended.clear()
        table = ProxyTable(HttpClient(), backend.counters, ManualClock(), backend.table)
        table.add_proxy(SUBSCRIBE_STREAM, ProxySettings(endpoint=backend.target, timeout=5.0))
        hook = table.find(SUBSCRIBE_STREAM)
        assert hook is not None
        call = asyncio.ensure_future(hook(STREAM))
        while len(backend.requests) < 2:
            await asyncio.sleep(0)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        await backend.ended.wait()

    play(scene)


def test_publishing_up_the_stream() -> None:
    async def scene(backend: GrpcBackend) -> None:
        backend.script = ["echo"]
        stream = await backend.hook(SUBSCRIBE_STREAM)(TALK)
        assert backend.requests[0].subscribe_request.channel == "talk:x"
        await asyncio.gather(*(stream.send(b"%d" % number) for number in range(5)))
        received = [(await stream.receive()).data for _ in range(5)]
        assert received == [b"0", b"1", b"2", b"3", b"4"]
        stream.cancel()
        with pytest.raises(HookError):
            await stream.send(b"late")

    play(scene)


def test_a_reload_keeps_what_has_not_changed_and_closes_what_nobody_needs() -> None:
    async def scene(backend: GrpcBackend) -> None:
        backend.script = [accepted(), publication(b"1"), ...]
        stream = await backend.hook(SUBSCRIBE_STREAM)(STREAM)
        backend.hook(RPC, endpoint="127.0.0.1:1")
        old = backend.table
        new = ProxyTable(HttpClient(), backend.counters, ManualClock(), old)
        new.add_proxy(SUBSCRIBE_STREAM, ProxySettings(endpoint=backend.target, timeout=5.0))
        new.add_proxy(RPC, ProxySettings(endpoint=backend.target, timeout=4.0))
        assert new.find(SUBSCRIBE_STREAM) is old.find(SUBSCRIBE_STREAM)
        assert new.find(RPC) is not old.find(RPC)
        await new.close_unused()
        assert (await stream.receive()).data == b"1"
        assert new._channels is not None and len(new._channels._channels) == 1
        stream.cancel()
        backend.table = new

    play(scene)
