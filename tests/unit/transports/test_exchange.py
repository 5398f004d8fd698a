"""Exchanges over a carrier that sends what it is told to: what HTTP/2 and HTTP/3 have in common."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from sockets import Echo

from centripetal.interfaces.request import HttpRequest, HttpResponse
from centripetal.transports.deadlines import Deadlines
from centripetal.transports.endpoints import AnswerWriter, Routes
from centripetal.transports.exchange import HIGH_WATER_BYTES, Cause, Exchange
from centripetal.transports.gate import Gate
from centripetal.transports.header_sections import BadSection, header_section, read_section
from centripetal.transports.listener import HttpLimits, Listener


class Tape(asyncio.Protocol):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self.told: list[Any] = []

    def data_received(self, data: bytes) -> None:
        self.told.append(data)

    def eof_received(self) -> bool:
        self.told.append("eof")
        return True

    def pause_writing(self) -> None:
        self.told.append("pause")

    def resume_writing(self) -> None:
        self.told.append("resume")

    def connection_lost(self, exc: Exception | None) -> None:
        self.told.append("lost")
        self.transport = None


class Tunnels:
    """Upgrades to a Tape."""

    def __init__(self) -> None:
        self.tape = Tape()

    def upgrade(self, request: HttpRequest, transport: asyncio.Transport, writer: AnswerWriter) -> Any:
        if request.protocol != "websocket":
            return HttpResponse(400)
        writer.accept(transport, request, "centrifuge-json", "")
        self.tape.transport = transport
        return self.tape


class Wire:
    """A carrier with a window."""

    def __init__(self, listener: Listener) -> None:
        self.listener = listener
        self.window = 1 << 30
        self.sent: list[Any] = []
        self.woken: list[Exchange] = []
        self.credit = 0

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return ("127.0.0.1", 1) if name == "peername" else default

    def send_head(self, exchange: Exchange, fields: list[tuple[bytes, bytes]]) -> None:
        self.sent.append(dict(fields))

    def wake(self, exchange: Exchange) -> None:
        self.woken.append(exchange)

    def send_now(self) -> None:
        for exchange in self.woken:
            while exchange.get_write_buffer_size() and self.window:
                piece = bytes(exchange.take(self.window))
                self.window -= len(piece)
                self.sent.append(piece)
            if exchange.is_closing() and not exchange.get_write_buffer_size():
                self.sent.append("end")
                exchange.sent_end()
        self.woken = [exchange for exchange in self.woken if exchange.get_write_buffer_size()]

    def consumed(self, exchange: Exchange, size: int) -> None:
        self.credit += size

    def reset(self, exchange: Exchange, cause: Cause) -> None:
        self.sent.append(cause)

    def discard(self, exchange: Exchange) -> None:
        self.sent.append("discarded")

    def exchange(self, method: str, path: str, *, ended: bool = True, protocol: str = "", length: str = "") -> Exchange:
        request = HttpRequest(method, path, headers={"content-length": length} if length else {}, http_version="2")
        request.protocol = protocol
        exchange = Exchange(self, 1)
        exchange.begin(request, ended=ended)
        return exchange


class Stage:
    def __init__(self, app: Any = None) -> None:
        self.echo = Echo(1000)
        self.tunnels = Tunnels()
        self.listener = Listener(Routes({"/ws": self.tunnels}, [("/api/", self.echo)]), app, HttpLimits())
        self.listener.loop = asyncio.get_running_loop()
        self.listener.deadlines = Deadlines(self.listener.loop)
        self.listener.gate = Gate(self.listener.loop)
        self.wire = Wire(self.listener)


def on_stage(test: Callable[[Stage], Awaitable[None]], app: Any = None) -> None:
    async def run() -> None:
        stage = Stage(app)
        await test(stage)
        stage.listener.deadlines.close()

    asyncio.run(run())


def test_a_whole_answer_ends_the_exchange() -> None:
    async def check(stage: Stage) -> None:
        exchange = stage.wire.exchange("POST", "/api/x", ended=False)
        exchange.receive(b"bo", 2)
        exchange.receive(b"dy", 7)
        exchange.receive_end()
        stage.wire.send_now()
        head, *rest = stage.wire.sent
        assert head[b":status"] == b"200" and head[b"content-length"] == b"9" and b"date" in head
        assert rest == [b"POST body", "end", "discarded"]
        assert stage.wire.credit == 9
        assert exchange.bucket is None

    on_stage(check)


@pytest.mark.parametrize(
    ("method", "path", "status", "body"),
    [
        ("GET", "/nowhere", b"404", [b"Not Found\n"]),
        ("HEAD", "/nowhere", b"404", []),
        ("GET", "/ws", b"400", []),
        ("GET", "/api/secret", b"401", []),
        ("GET", "/api/none", b"204", []),
        ("GET", "/api/broken", b"500", [b"Internal Server Error\n"]),
        ("GET", "/api/split", b"500", [b"Internal Server Error\n"]),
        ("GET", "/api/soon", b"200", [b"soon "]),
    ],
)
def test_answers(method: str, path: str, status: bytes, body: list[bytes]) -> None:
    async def check(stage: Stage) -> None:
        stage.wire.exchange(method, path)
        stage.wire.send_now()
        head, *rest = stage.wire.sent
        assert head[b":status"] == status
        assert rest == [*body, "end", "discarded"]

    on_stage(check)


def test_a_body_that_is_too_large_is_refused_at_once() -> None:
    async def check(stage: Stage) -> None:
        stage.wire.exchange("POST", "/api/x", ended=False, length="1001")
        exchange = stage.wire.exchange("POST", "/api/x", ended=False)
        for _ in range(11):
            exchange.receive(b"x" * 100, 100)
        stage.wire.send_now()
        heads = [item for item in stage.wire.sent if isinstance(item, dict)]
        assert [head[b":status"] for head in heads] == [b"413", b"413"]
        assert stage.wire.sent.count(Cause.DONE) == 2
        exchange.receive(b"x", 1)  # on its way; counts for nobody

    on_stage(check)


def test_a_slow_body_is_408_and_a_reader_that_stops_is_cut_off() -> None:
    async def check(stage: Stage) -> None:
        stage.wire.window = 3
        exchange = stage.wire.exchange("POST", "/api/x", ended=False)
        exchange.expire()
        stage.wire.send_now()
        assert stage.wire.sent[0][b":status"] == b"408" and stage.wire.sent[1:] == [b"Req"]
        exchange.expire()
        assert stage.wire.sent[2:] == [Cause.CANCELLED, "discarded"]

    on_stage(check)


def test_a_tunnel_carries_both_ways_and_ends_with_both() -> None:
    async def check(stage: Stage) -> None:
        exchange = stage.wire.exchange("CONNECT", "/ws", ended=False, protocol="websocket")
        exchange.receive(b"up", 2)
        exchange.write(b"down")
        exchange.close()
        exchange.write(b"too late")
        stage.wire.send_now()
        assert stage.wire.sent[0] == {
            b":status": b"200", b"date": stage.wire.sent[0][b"date"], b"sec-websocket-protocol": b"centrifuge-json",
        }  # fmt: skip
        assert stage.wire.sent[1:] == [b"down", "end"]
        exchange.receive_end()
        assert stage.wire.sent[3:] == ["discarded"] and stage.tunnels.tape.told == [b"up"]
        await asyncio.sleep(0)
        assert stage.tunnels.tape.told == [b"up", "lost"]

    on_stage(check)


def test_an_end_that_was_told_with_the_head_is_not_told_again() -> None:
    async def check(stage: Stage) -> None:
        exchange = stage.wire.exchange("CONNECT", "/ws", protocol="websocket")
        exchange.receive_end()
        await asyncio.sleep(0)
        assert stage.tunnels.tape.told == ["eof"]

    on_stage(check)


def test_a_mistake_in_a_protocol_ends_its_exchange_only() -> None:
    async def check(stage: Stage) -> None:
        exchange = stage.wire.exchange("CONNECT", "/ws", ended=False, protocol="websocket")
        stage.tunnels.tape.told = None  # type: ignore[assignment]
        exchange.receive(b"x", 1)
        assert stage.wire.sent[1:] == [Cause.CANCELLED, "discarded"]
        stage.tunnels.tape.told = []
        await asyncio.sleep(0)
        assert stage.tunnels.tape.told == ["lost"]

    on_stage(check)


def test_a_protocol_that_is_lost_while_it_begins_is_told() -> None:
    async def check(stage: Stage) -> None:
        upgrade = stage.tunnels.upgrade

        def abort(request: HttpRequest, transport: asyncio.Transport, writer: AnswerWriter) -> Any:
            tape = upgrade(request, transport, writer)
            transport.abort()
            return tape

        stage.tunnels.upgrade = abort  # type: ignore[method-assign]
        stage.wire.exchange("CONNECT", "/ws", ended=False, protocol="websocket")
        await asyncio.sleep(0)
        assert stage.tunnels.tape.told == ["lost"]

    on_stage(check)


def test_what_waits_is_counted_and_water_marks_are_told() -> None:
    async def check(stage: Stage) -> None:
        wire, tape = stage.wire, stage.tunnels.tape
        exchange = wire.exchange("CONNECT", "/ws", ended=False, protocol="websocket")
        wire.window = 10
        exchange.write(b"x" * HIGH_WATER_BYTES)
        assert exchange.get_write_buffer_size() == HIGH_WATER_BYTES and tape.told == []
        exchange.write(b"y" * 11)
        assert exchange.get_write_buffer_size() == HIGH_WATER_BYTES + 1 and tape.told == ["pause"]
        wire.window = 1 << 20
        wire.send_now()
        await asyncio.sleep(0)
        assert exchange.get_write_buffer_size() == 0 and tape.told == ["pause", "resume"]
        assert b"".join(wire.sent[1:]) == b"x" * HIGH_WATER_BYTES + b"y" * 11

    on_stage(check)


def test_what_comes_while_nobody_reads_is_kept_without_credit() -> None:
    async def check(stage: Stage) -> None:
        exchange = stage.wire.exchange("CONNECT", "/ws", ended=False, protocol="websocket")
        exchange.pause_reading()
        exchange.receive(b"a", 1)
        exchange.receive(b"b", 1)
        exchange.receive_end()
        assert stage.wire.credit == 0 and stage.tunnels.tape.told == []
        exchange.resume_reading()
        await asyncio.sleep(0)
        assert stage.wire.credit == 2 and stage.tunnels.tape.told == [b"ab", "eof"]

    on_stage(check)


@pytest.mark.parametrize("end", ["abort", "lose"])
def test_an_exchange_that_has_ended_leaves_nothing(end: str) -> None:
    async def check(stage: Stage) -> None:
        exchange = stage.wire.exchange("CONNECT", "/ws", ended=False, protocol="websocket")
        exchange.write(b"x")
        getattr(exchange, end)()
        getattr(exchange, end)()
        await asyncio.sleep(0)
        assert stage.tunnels.tape.told == ["lost"]
        stage.wire.woken.clear()
        assert sys.getrefcount(exchange) == 2  # ours and the call's

    on_stage(check)


def test_newcomers_wait_at_the_gate_with_what_they_sent() -> None:
    async def check(stage: Stage) -> None:
        wire = stage.wire
        while stage.listener.gate.has_room:
            assert stage.listener.gate.enter(wire.exchange("GET", "/api/none"))
        waiting = wire.exchange("CONNECT", "/ws", ended=False, protocol="websocket")
        waiting.receive(b"early", 5)
        waiting.receive_end()
        gone = wire.exchange("CONNECT", "/ws", ended=False, protocol="websocket")
        gone.lose()
        wire.exchange("CONNECT", "/ws", ended=False, protocol="websocket").turn_away()
        wire.send_now()
        assert [item[b":status"] for item in wire.sent if isinstance(item, dict)][-1] == b"503"
        assert stage.tunnels.tape.told == []
        await turns()
        assert stage.tunnels.tape.told == [b"early", "eof"]

    on_stage(check)


def test_the_application_gets_bodies_in_pieces_and_waits_for_slow_readers() -> None:
    seen: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append((scope["method"], scope["path"], scope["http_version"], scope["client"]))
        while (message := await receive())["more_body"]:
            seen.append(message["body"])
        await send({"type": "http.response.start", "status": 201, "headers": [(b"x-a", b"1")]})
        for _ in range(3):
            await send({"type": "http.response.body", "body": b"z" * 50000, "more_body": True})
            seen.append("sent")
        await send({"type": "http.response.body", "body": b"."})
        seen.append((await receive())["type"])

    async def check(stage: Stage) -> None:
        wire = stage.wire
        wire.window = 1
        exchange = wire.exchange("POST", "/page", ended=False)
        exchange.receive(b"one", 3)
        await turns()
        exchange.receive_end()
        await turns()
        assert seen == [("POST", "/page", "2", ("127.0.0.1", 1)), b"one", "sent"]
        wire.window = 1 << 20
        wire.send_now()
        await turns()
        wire.send_now()
        assert seen[3:] == ["sent", "sent", "http.disconnect"]
        assert wire.sent[0][b":status"] == b"201" and wire.sent[0][b"x-a"] == b"1"
        assert sum(len(item) for item in wire.sent if isinstance(item, bytes)) == 150001
        assert wire.sent[-2:] == ["end", "discarded"]
        assert not stage.listener.fallback.runs  # type: ignore[union-attr]

    on_stage(check, app)


def test_a_broken_application_is_500() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        raise RuntimeError("a mistake")

    async def check(stage: Stage) -> None:
        stage.wire.exchange("GET", "/page")
        await turns()
        stage.wire.send_now()
        assert stage.wire.sent[0][b":status"] == b"500" and stage.wire.sent[-1] == "discarded"

    on_stage(check, app)


async def turns() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


GET = [(b":method", b"GET"), (b":scheme", b"https"), (b":path", b"/a%20b?c=d"), (b":authority", b"h:1")]


def test_fields_become_a_request() -> None:
    request = read_section([*GET, (b"cookie", b"a=1"), (b"cookie", b"b=2"), (b"x", b"1"), (b"x", b"2")], "2")
    assert (request.method, request.path, request.query) == ("GET", "/a b", "c=d")
    assert request.headers == {"host": "h:1", "cookie": "a=1; b=2", "x": "1, 2"}


@pytest.mark.parametrize(
    "fields",
    [
        GET[1:],
        GET[:1] + GET[2:],
        [*GET, GET[0]],
        [(b"x", b"1"), *GET],
        [*GET, (b"connection", b"close")],
        [*GET, (b"x", b"a\nb")],
        [*GET, (b"content-length", b"1"), (b"content-length", b"1")],
        [*GET, (b":protocol", b"websocket")],
        [(b":method", b"CONNECT"), (b":authority", b"h:1")],
    ],
)
def test_fields_that_are_no_request(fields: list[tuple[bytes, bytes]]) -> None:
    with pytest.raises(BadSection):
        read_section(fields, "2")


def test_an_answer_becomes_fields() -> None:
    assert header_section(200, "now", [("Content-Type", "a"), ("Connection", "close")]) == [
        (b":status", b"200"), (b"date", b"now"), (b"content-type", b"a"),
    ]  # fmt: skip
    with pytest.raises(ValueError, match="line break"):
        header_section(200, "now", [("X", "a\r\nb: c")])
