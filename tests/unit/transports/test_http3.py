"""HTTP/3: requests over QUIC, and what peers cannot do to the server."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aioquic.buffer import encode_uint_var
from aioquic.h3.connection import FrameType, encode_frame
from quic import make_certificate, quic_client, run, until
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from centripetal.interfaces.request import HttpRequest, HttpResponse
from centripetal.model.certificates import Certificates
from centripetal.transports.endpoints import Routes
from centripetal.transports.listener import HttpLimits, Listener
from centripetal.transports.quic_connection import CONNECTION_WINDOW_BYTES, STREAM_WINDOW_BYTES
from centripetal.transports.quic_listener import QuicLimits, QuicListener

CERTIFICATES = Certificates(*make_certificate())


class Echo:
    """Answers with what it got."""

    max_body_bytes = 3_000_000

    def begin(self, request: HttpRequest) -> HttpResponse | None:
        return HttpResponse(403) if request.query == "no" else None

    def respond(self, request: HttpRequest, body: bytes) -> HttpResponse | Coroutine[Any, Any, HttpResponse]:
        assert request.http_version == "3" and request.is_tls and request.remote_address.startswith("127.0.0.1:")
        headers = [("X-Path", request.path), ("X-Cookie", request.headers.get("cookie", ""))]
        if request.query == "later":

            async def answer() -> HttpResponse:
                await asyncio.sleep(0)
                return HttpResponse(200, headers, body)

            return answer()
        if request.query == "fail":
            raise RuntimeError
        return HttpResponse(200, headers, body)


async def page(request: Request) -> PlainTextResponse:
    return PlainTextResponse(f"page {len(await request.body())}")


@asynccontextmanager
async def serving(limits: QuicLimits | None = None, **http: Any) -> AsyncIterator[QuicListener]:
    app = Starlette(routes=[Route("/page", page, methods=["GET", "POST"])])
    front = Listener(Routes({"/echo": Echo()}), app, HttpLimits(**http))
    await front.start("127.0.0.1", 0)
    listener = QuicListener(front, lambda: CERTIFICATES, {}, limits)
    await listener.start("127.0.0.1", 0)
    try:
        yield listener
    finally:
        await listener.close(0.1)
        await front.close(0.1)


def test_requests() -> None:
    async def scene() -> None:
        async with serving() as listener, quic_client(listener.port) as client:
            answer = await client.request("POST", "/echo?x", b"abc", {"cookie": "a=1"})
            assert (answer.status, answer.data, answer.headers["x-path"]) == (200, b"abc", "/echo")
            assert answer.headers["content-length"] == "3" and answer.headers["x-cookie"] == "a=1"
            assert (await client.request("GET", "/echo?no")).status == 403
            assert (await client.request("POST", "/echo?later", b"x")).data == b"x"
            assert (await client.request("POST", "/echo?fail", b"x")).status == 500
            assert (await client.request("GET", "/page")).data == b"page 0"
            assert (await client.request("POST", "/page", b"x" * 100_000)).data == b"page 100000"
            assert (await client.request("GET", "/none")).status == 404
            assert (await client.request("POST", "/echo", b"x" * 3_000_001)).status == 413
            (connection,) = listener.connections
            await until(lambda: connection.is_idle)
            assert not connection.quic._unread and client.terminated is None

    run(scene)


def test_large_bodies_both_ways_and_many_requests_at_once() -> None:
    async def scene() -> None:
        async with serving() as listener, quic_client(listener.port) as client:
            body = os.urandom(1_200_000)  # more than a window of flow control
            answers = await asyncio.gather(
                client.request("POST", "/echo", body),
                *(client.request("POST", f"/echo?{number}", b"%d" % number) for number in range(100)),
            )
            assert answers[0].data == body
            assert [answer.data for answer in answers[1:]] == [b"%d" % number for number in range(100)]
            for number in range(300):  # more than may be open at once
                assert (await client.request("POST", "/echo", b"%d" % number)).data == b"%d" % number

    run(scene)


def test_a_body_that_does_not_come() -> None:
    async def scene() -> None:
        async with serving(body_seconds=0.1) as listener, quic_client(listener.port) as client:
            stream = client.stream(client.begin("POST", "/echo", end=False))
            await until(lambda: stream.ended)
            assert stream.status == 408

    run(scene)


def test_an_answer_that_nobody_wants_any_more() -> None:
    async def scene() -> None:
        async with serving() as listener, quic_client(listener.port) as client:
            stream_id = client.begin("POST", "/echo", end=False)
            client.http.send_data(stream_id, b"x" * 1000, end_stream=False)
            client.transmit()
            (connection,) = listener.connections
            await until(lambda: not connection.is_idle)
            client._quic.reset_stream(stream_id, 0x10C)
            client._quic.stop_stream(stream_id, 0x10C)
            client.transmit()
            await until(lambda: connection.is_idle)
            assert (await client.request("POST", "/echo", b"abc")).data == b"abc"

    run(scene)


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({f"x-{number}": "" for number in range(300)}, 0x107),
        ({"x": "a" * 40_000}, 0x107),
        ({"connection": "close"}, 0x10E),
    ],
)
def test_heads_that_are_too_large_end_the_connection(headers: dict[str, str], code: int) -> None:
    async def scene() -> None:
        async with serving() as listener, quic_client(listener.port) as client:
            await client.request("GET", "/page", headers=headers)
            await until(lambda: client.terminated)
            assert client.terminated is not None and client.terminated.error_code == code
            assert not listener.connections

    run(scene)


def test_a_request_without_scheme_is_refused_alone() -> None:
    async def scene() -> None:
        async with serving() as listener, quic_client(listener.port) as client:
            stream_id = client._quic.get_next_available_stream_id()
            client.http.send_headers(stream_id, [(b":method", b"GET"), (b":authority", b"x")], end_stream=True)
            client.transmit()
            await until(lambda: client.stream(stream_id).reset == 0x10E)
            assert (await client.request("GET", "/page")).status == 200

    run(scene)


@pytest.mark.parametrize("frame", [encode_frame(FrameType.SETTINGS, b""), encode_frame(0xD, b"\x00" * 5000)])
def test_nonsense_on_the_control_stream_ends_the_connection(frame: bytes) -> None:
    async def scene() -> None:
        async with serving() as listener, quic_client(listener.port) as client:
            await client.request("GET", "/page")
            assert client.http._local_control_stream_id is not None
            client._quic.send_stream_data(client.http._local_control_stream_id, frame)
            client.transmit()
            await until(lambda: client.terminated)
            assert not listener.connections

    run(scene)


def test_an_unfinished_head_is_not_kept_for_long() -> None:
    async def scene() -> None:
        limits = QuicLimits(idle_seconds=0.1)
        async with serving(limits) as listener, quic_client(listener.port) as client:
            stream_id = client._quic.get_next_available_stream_id()
            client._quic.send_stream_data(stream_id, encode_uint_var(FrameType.HEADERS) + encode_uint_var(1000) + b"x")
            client.transmit()
            await until(lambda: client.terminated)
            assert not listener.connections

    run(scene)


def test_what_a_peer_sends_beyond_what_is_read_is_bounded() -> None:
    async def scene() -> None:
        async with serving() as listener, quic_client(listener.port) as client:
            await client.request("POST", "/echo", b"x" * 2_000_000)  # windows have moved, not grown
            (connection,) = listener.connections
            quic = connection.quic
            assert quic._local_max_data.value - quic._local_max_data.used <= CONNECTION_WINDOW_BYTES
            stream_id = client.begin("POST", "/page", end=False)
            await until(lambda: stream_id in quic._streams)
            assert quic._streams[stream_id].max_stream_data_local == STREAM_WINDOW_BYTES
            stream = client._quic._streams[stream_id]
            stream.max_stream_data_remote = 10**9
            client._quic._remote_max_data = 10**9
            stream.sender._buffer_start = stream.sender._buffer_stop = STREAM_WINDOW_BYTES + 1
            stream.sender.write(b"x")
            client.transmit()
            await until(lambda: client.terminated)
            assert client.terminated is not None and client.terminated.error_code == 3  # FLOW_CONTROL_ERROR
            assert not listener.connections

    run(scene)


def test_newcomers_prove_their_address_under_load() -> None:
    async def scene() -> None:
        async with serving(QuicLimits(handshakes_trusted=0)) as listener, quic_client(listener.port) as client:
            assert client._quic._retry_count == 1
            assert (await client.request("GET", "/page")).status == 200
            assert listener.handshakes == 0

    run(scene)


@pytest.mark.parametrize("limits", [QuicLimits(handshakes=0), QuicLimits(connections=0)])
def test_newcomers_without_room_are_not_answered(limits: QuicLimits) -> None:
    async def scene() -> None:
        async with serving(limits) as listener:
            with pytest.raises(ConnectionError):
                async with quic_client(listener.port, idle_timeout=0.3):
                    pass
            assert not listener.connections and not listener._by_id

    run(scene)


def test_datagrams_that_are_no_quic_are_dropped_and_half_handshakes_end() -> None:
    async def scene() -> None:
        limits = QuicLimits(handshake_seconds=0.1)
        async with serving(limits) as listener:
            loop = asyncio.get_running_loop()
            transport, _ = await loop.create_datagram_endpoint(
                asyncio.DatagramProtocol, remote_addr=("127.0.0.1", listener.port)
            )
            initial = b"\xc0\x00\x00\x00\x01\x08" + b"i" * 8 + b"\x08" + b"s" * 8 + b"\x00\x44\x96"
            for data in (b"", b"x", b"\xff" * 1200, b"\x40" + b"x" * 1200, initial, initial.ljust(1200, b"\0")):
                transport.sendto(data)
            await until(lambda: listener.connections)
            await until(lambda: not listener.connections)
            assert not listener._by_id and listener.handshakes == 0
            listener.limits = QuicLimits()
            async with quic_client(listener.port) as client:
                assert (await client.request("GET", "/page")).status == 200
            transport.close()

    run(scene)


def test_another_certificate_is_for_new_connections() -> None:
    async def scene() -> None:
        used = [CERTIFICATES]
        front = Listener(Routes())
        await front.start("127.0.0.1", 0)
        listener = QuicListener(front, lambda: used[0])
        await listener.start("127.0.0.1", 0)

        async def serial() -> int:
            async with quic_client(listener.port) as client:
                return int(client._quic.tls._peer_certificate.serial_number)

        first = await serial()
        used[0] = Certificates(*make_certificate())
        second = await serial()
        assert first != second
        used[0] = Certificates(b"broken", b"broken")
        assert await serial() == second
        await listener.close(0.1)
        await front.close(0.1)

    run(scene)
    with pytest.raises(ValueError, match="cert_pem, key_pem"):
        QuicListener(Listener(Routes()), lambda: Certificates(b"broken", b"broken"))
