"""WebTransport sessions, driven by a real QUIC client."""

from __future__ import annotations

import gc
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from quic import QuicClient, Session, make_certificate, quic_client, run, until

from centripetal.connection import Client
from centripetal.engines.memory import MemoryBroker, MemoryPresenceManager
from centripetal.interfaces import Clock, PublishOptions, SystemClock
from centripetal.model import Disconnect
from centripetal.model.certificates import Certificates
from centripetal.model.errors import DISCONNECT_SHUTDOWN
from centripetal.node.node import Node
from centripetal.node.settings import ChannelOptions, ChannelSettings, ClientSettings, NodeOptions
from centripetal.protocol.framing import varint
from centripetal.protocol.schema import client_pb2 as schema
from centripetal.testing import ManualClock
from centripetal.transports import webtransport_session
from centripetal.transports.admission import Admission
from centripetal.transports.endpoints import Routes
from centripetal.transports.http3 import Http3Connection
from centripetal.transports.http3_frames import BoundedHttp3
from centripetal.transports.listener import Listener
from centripetal.transports.origins import Origins
from centripetal.transports.quic_connection import STREAM_WINDOW_BYTES, BoundedQuicConnection
from centripetal.transports.quic_listener import QuicLimits, QuicListener
from centripetal.transports.reception import Reception
from centripetal.transports.settings import WebTransportSettings
from centripetal.transports.webtransport import WebTransportEndpoint
from centripetal.transports.webtransport_session import WebTransportSession

PATH = "/connection/webtransport"
PING_INTERVAL, PONG_TIMEOUT = 25.0, 8.0
CERTIFICATE = Certificates(*make_certificate())


@dataclass
class Server:
    node: Node
    listener: QuicListener
    endpoint: WebTransportEndpoint

    def client(self, **options: Any) -> Any:
        return quic_client(self.listener.port, **options)


@asynccontextmanager
async def serving(
    *,
    connection_limit: int = 0,
    clock: Clock | None = None,
    ping_interval: float = PING_INTERVAL,
    stream_seconds: float = 0.0,
    origins: tuple[str, ...] = (),
    limits: QuicLimits | None = None,
    **client: Any,
) -> AsyncIterator[Server]:
    """A node behind a QUIC listener."""
    clock = clock or SystemClock()
    options = ChannelOptions(
        allow_subscribe_for_client=True,
        allow_subscribe_for_anonymous=True,
        allow_publish_for_client=True,
        allow_publish_for_anonymous=True,
    )
    node = Node(
        broker=MemoryBroker(clock, history_meta_ttl_seconds=3600),
        presence=MemoryPresenceManager(clock),
        clock=clock,
        options=NodeOptions(
            client=ClientSettings(allow_anonymous_connect_without_token=True, **client),
            channel=ChannelSettings(without_namespace=options),
        ),
    )
    await node.start()
    reception = Reception(
        Origins(origins), Admission(clock, lambda: node.num_clients, connection_limit), ping_interval, PONG_TIMEOUT
    )
    endpoint = WebTransportEndpoint(
        WebTransportSettings(message_size_limit=1000),
        reception,
        lambda transport, request: Client(node, transport, request),
        stream_seconds,
    )
    front = Listener(Routes())
    await front.start("127.0.0.1", 0)
    listener = QuicListener(front, lambda: CERTIFICATE, {PATH: endpoint}, limits)
    await listener.start("127.0.0.1", 0)
    try:
        yield Server(node, listener, endpoint)
    finally:
        await listener.close(1.0)
        await front.close()
        await node.stop()


async def join(client: QuicClient, *channels: str) -> Session:
    """Opens a session, connects and subscribes."""
    session = await client.open_session(PATH)
    assert session.request.status == 200
    session.send(b'{"id":1,"connect":{}}\n')
    await session.wait_data(b'"connect"')
    for channel in channels:
        session.send(b'{"id":2,"subscribe":{"channel":"%s"}}\n' % channel.encode())
        await session.wait_data(b'"subscribe"')
    return session


def test_json_commands_and_publications() -> None:
    async def scene() -> None:
        async with serving() as server, server.client() as one, server.client() as two:
            sessions = [await join(one, "news"), await join(one, "news"), await join(two, "news")]
            assert server.node.num_clients == 3
            sessions[0].send(b'{"id":3,"publish":{"channel":"news","data":{"a":1}}}\n')
            for session in sessions:
                assert b'{"push":{"channel":"news","pub":{"data":{"a":1}' in await session.wait_data(b'"pub"')

    run(scene)


def test_commands_split_anywhere_and_several_at_once() -> None:
    async def scene() -> None:
        async with serving() as server, server.client() as client:
            session = await client.open_session(PATH)
            text = b'{"id":1,"connect":{}}\n{"id":2,"subscribe":{"channel":"a"}}\n{"id":3,"presence_stats":{"channel":"a"}}\n'
            for byte in text:
                session.send(bytes((byte,)))
            lines = (await session.wait_data(b'"id":3')).splitlines()
            assert [json.loads(line)["id"] for line in lines] == [1, 2, 3]

    run(scene)


def test_protobuf() -> None:
    async def scene() -> None:
        async with serving() as server, server.client() as client:
            session = await client.open_session(PATH + "?cf_protocol=protobuf")
            for command in (
                schema.Command(id=1, connect=schema.ConnectRequest()),
                schema.Command(id=2, subscribe=schema.SubscribeRequest(channel="news")),
            ):
                message = command.SerializeToString()
                session.send(varint(len(message)) + message)
                await session.wait_data(bytes((0x08, command.id)))
            await server.node.publish("news", b"\x00\xff", PublishOptions())
            data = await session.wait_data(b"\x00\xff")
            assert data[0] == len(data) - 1
            assert schema.Reply.FromString(data[1:]).push.pub.data == b"\x00\xff"

    run(scene)


def test_pings_are_answered_or_the_session_ends() -> None:
    async def scene() -> None:
        clock = ManualClock()
        async with serving(clock=clock) as server, server.client() as client:
            session = await join(client)
            (connected,) = server.node.registry.clients.values()
            for _ in range(3):
                clock.advance(PING_INTERVAL + 1)
                await session.wait_data(b"{}\n")
                session.send(b"{}\n")
                await until(lambda: not connected.ping_sent_at)
            clock.advance(PING_INTERVAL + 1)
            await session.wait_data(b"{}\n")
            clock.advance(PONG_TIMEOUT + 1)
            assert await session.wait_closed() == (3012, "no pong")
            assert b'{"push":{"disconnect":{"code":3012,"reason":"no pong"}}}\n' in session.stream.data
            assert session.stream.ended

    run(scene)


def test_the_client_gets_a_disconnect_push_then_the_end_of_the_session() -> None:
    async def scene() -> None:
        async with serving() as server, server.client() as client:
            session = await join(client)
            await server.node.disconnect_user("", Disconnect(4500, "enough"))
            assert b'"disconnect":{"code":4500,"reason":"enough"}' in await session.wait_data(b"enough")
            session.send(b"", end=True)  # as the official client does when it has read the push
            assert await session.wait_closed() == (4500, "enough")
            session.close()
            await until(lambda: all(connection.is_idle for connection in server.listener.connections))
            assert server.node.num_clients == 0

    run(scene)


def test_a_client_that_never_connects_is_stale() -> None:
    async def scene() -> None:
        async with serving(stale_close_delay=0.1) as server, server.client() as client:
            session = await client.open_session(PATH)
            session.send(b'{"id"')
            assert await session.wait_closed() == (3502, "stale")

    run(scene)


def test_a_session_without_a_stream_is_stale() -> None:
    async def scene() -> None:
        async with serving(stream_seconds=0.1) as server, server.client() as client:
            session = await client.open_session(PATH)
            assert await session.wait_closed() == (3502, "stale")

    run(scene)


@pytest.mark.parametrize(
    "data",
    [
        b'{"id":1,"connect":{"data":"' + b"x" * 2000 + b'"}}\n',
        b"x" * 2000,
        b"\n",
        b'{"id":1,"connect":{}}\n\n',
        b"nonsense\n",
        b"{}\n{}\n",
    ],
)
def test_malformed_and_oversize_messages(data: bytes) -> None:
    async def scene() -> None:
        async with serving() as server, server.client() as client:
            session = await client.open_session(PATH)
            session.send(data)
            assert b'{"push":{"disconnect":{"code":3501,"reason":"bad request"}}}\n' in await session.wait_data(b"3501")
            assert server.node.num_clients == 0

    run(scene)


@pytest.mark.parametrize("data", [b"\xff" * 11, varint(1001) + b"x", b"\x01\xff"])
def test_malformed_protobuf(data: bytes) -> None:
    async def scene() -> None:
        async with serving() as server, server.client() as client:
            session = await client.open_session(PATH + "?cf_protocol=protobuf")
            session.send(data)
            reply = await session.wait_data(b"bad request")
            assert schema.Reply.FromString(reply[1:]).push.disconnect.code == 3501
            session.send(b"", end=True)
            assert await session.wait_closed() == (3501, "bad request")

    run(scene)


def test_who_is_refused() -> None:
    async def scene() -> None:
        async with serving(connection_limit=1, origins=("https://good.example",)) as server, server.client() as client:
            assert (await client.open_session(PATH, {"origin": "https://bad.example"})).request.status == 403
            assert (await client.open_session("/elsewhere")).request.status == 404
            assert (await client.open_session(PATH, {":protocol": "websocket"})).request.status == 400
            assert (await client.request("GET", PATH)).status == 400
            session = await client.open_session(PATH, {"origin": "https://good.example"})
            assert session.request.status == 200
            session.send(b'{"id":1,"connect":{}}\n')
            await session.wait_data(b"connect")
            assert (await client.open_session(PATH)).request.status == 503
            assert client.terminated is None

    run(scene)


def test_further_streams_of_a_session_and_streams_of_none_are_refused() -> None:
    async def scene() -> None:
        async with serving() as server, server.client() as client:
            session = await join(client)
            for session_id in (session.id, 400, 2**40):
                stream_id = client.http.create_webtransport_stream(session_id)
                client._quic.send_stream_data(stream_id, b"x")
                client.transmit()
                await until(lambda stream_id=stream_id: client.stream(stream_id).reset is not None)
            one_way = client.http.create_webtransport_stream(session.id, is_unidirectional=True)
            client._quic.send_stream_data(one_way, b"x")
            client.transmit()
            await until(lambda: client.stream(one_way).stopped is not None)
            session.send(b'{"id":9,"subscribe":{"channel":"a"}}\n')
            await session.wait_data(b'"id":9')

    run(scene)


@pytest.mark.parametrize("how", ["stream", "session", "reset", "stop", "connection"])
def test_a_client_that_leaves_leaves_nothing_behind(how: str) -> None:
    kinds: list[type] = [WebTransportSession, Client]

    async def leave(client: QuicClient) -> None:
        session = await join(client, "news")
        if how == "stream":
            session.send(b"", end=True)
            await until(lambda: session.request.ended)
            session.close()
        elif how == "session":
            session.close()
        elif how == "reset":
            client._quic.reset_stream(session.id, 0)
            client.transmit()
        elif how == "stop":
            client._quic.stop_stream(session.stream_id, 0)
            client.transmit()
            await until(lambda: session.request.ended)
            session.close()
        else:
            kinds.extend([Http3Connection, BoundedQuicConnection, BoundedHttp3])
            client.close()

    async def scene() -> None:
        before = {id(part) for part in gc.get_objects() if isinstance(part, (Client, Http3Connection))}  # of other tests
        async with serving() as server, server.client() as client:
            gc.collect()
            gc.disable()
            try:
                await leave(client)
                await until(
                    lambda: not [
                        part for part in gc.get_objects() if isinstance(part, tuple(kinds)) and id(part) not in before
                    ]
                )
            finally:
                gc.enable()
            assert server.node.num_clients == 0 and not server.node.hub.channels
            if how == "connection":
                assert not server.listener.connections and not server.listener._by_id

    run(scene)


def test_a_peer_that_does_not_read_is_disconnected() -> None:
    async def scene() -> None:
        async with (
            serving(queue_max_size=300_000) as server,
            server.client(max_stream_data=10_000) as slow,
            server.client() as quick,
        ):
            lame, well = await join(slow, "news"), await join(quick, "news")
            slow._quic._write_stream_limits = lambda **_: None  # its window stays as it is
            for number in range(100):
                await server.node.publish("news", b'"%d%s"' % (number, b"x" * 10_000), PublishOptions())
                await well.wait_data(b'"%dx' % number)
            await until(lambda: server.node.num_clients == 1)
            assert server.node.counters.server_disconnects[3008] == 1
            assert not lame.request.ended  # the end of the session waits for its farewell

    run(scene)


def test_a_peer_whose_client_does_not_read_is_held_by_flow_control() -> None:
    async def scene() -> None:
        async with serving() as server, server.client() as client:
            session = await join(client)
            (connection,) = server.listener.connections
            carried = connection._sessions[session.id]
            carried.pause_reading()
            session.send(
                b'{"id":7,"subscribe":{"channel":"a"}}\n' + b'{"id":8,"rpc":{"data":"%s"}}\n' % (b"x" * 900) * 500
            )
            stream = client._quic._streams[session.stream_id]
            await until(lambda: stream.sender.highest_offset >= stream.max_stream_data_remote)
            assert len(carried._backlog) <= STREAM_WINDOW_BYTES
            carried.resume_reading()
            await until(lambda: session.stream.data.count(b'"id":8') == 500)
            assert not connection.quic._unread

    run(scene)


def test_many_sessions_of_a_connection() -> None:
    async def scene() -> None:
        async with serving() as server, server.client() as client:
            for _ in range(3):  # more streams than may be open at once
                sessions = [await join(client) for _ in range(50)]
                assert server.node.num_clients == 50
                for session in sessions:
                    session.send(b"", end=True)
                for session in sessions:
                    await until(lambda session=session: session.request.ended)
                    session.close()
                await until(lambda: server.node.num_clients == 0)
                (connection,) = server.listener.connections
                await until(lambda connection=connection: connection.is_idle and len(connection._http._stream) <= 6)

    run(scene)


def test_a_server_that_stops_says_goodbye() -> None:
    async def scene() -> None:
        async with serving() as server, server.client() as client, server.client() as idle:
            await idle.open_session("/elsewhere")
            session = await join(client)
            waiting = await client.open_session(PATH)
            server.listener.stop_accepting()
            await until(lambda: idle.terminated)
            assert (await client.open_session(PATH)).request.reset == 0x10B
            for carried in list(server.node.registry.clients.values()):
                carried.disconnect(DISCONNECT_SHUTDOWN)
            await server.listener.close(0.5)
            assert await session.wait_closed() == (3001, "shutdown")
            assert await waiting.wait_closed() == (3001, "shutdown")
            await until(lambda: client.terminated)
            assert client.terminated is not None and client.terminated.error_code == 0x100
            assert not server.listener.connections

    run(scene)


def test_sessions_stay_awake_without_pings(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scene() -> None:
        monkeypatch.setattr(webtransport_session, "KEEP_ALIVE_SECONDS", 0.1)
        async with (
            serving(ping_interval=0, limits=QuicLimits(silence_seconds=2.5)) as server,
            server.client() as client,
        ):
            await join(client)
            (connection,) = server.listener.connections
            seen = connection.quic._packet_number
            await until(lambda: connection.quic._packet_number > seen + 1)
            assert client.terminated is None

    run(scene)
