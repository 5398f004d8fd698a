"""Datagrams that reached the wrong process, and what processes at one port have in common."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Iterator

import pytest
from aioquic.buffer import Buffer
from aioquic.quic.packet import QuicPacketType, pull_quic_header
from quic import make_certificate, quic_client, run, until

from centripetal.model.certificates import Certificates
from centripetal.transports.binding import bind
from centripetal.transports.endpoints import Routes
from centripetal.transports.listener import Listener
from centripetal.transports.quic_identity import CONNECTION_ID_BYTES, QuicIdentity
from centripetal.transports.quic_listener import QuicLimits, QuicListener
from centripetal.transports.quic_relay import SECRET_BYTES, TAG_BYTES, Relay

CERTIFICATES = Certificates(*make_certificate())
SECRET = bytes(SECRET_BYTES)
ADDRESS = ("127.0.0.1", 4433)

Pair = tuple[socket.socket, socket.socket]


@pytest.fixture
def pair() -> Iterator[Pair]:
    inbox, outbox = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    for end in (inbox, outbox):
        end.setblocking(False)
    yield inbox, outbox
    inbox.close()
    outbox.close()


def test_a_successor_passes_on_and_tells_who_is_lost(pair: Pair) -> None:
    inbox, outbox = pair

    async def scene() -> None:
        front = Listener(Routes())
        await front.start("127.0.0.1", 0)
        (sock,) = bind("127.0.0.1", 0, kind=socket.SOCK_DGRAM)
        again = sock.dup()
        first, second = QuicIdentity(secret=SECRET), QuicIdentity(secret=SECRET)
        old = QuicListener(front, lambda: CERTIFICATES, identity=first, relay=Relay(inbox))
        await old.start(sockets=[sock])
        new = QuicListener(front, lambda: CERTIFICATES, identity=second, relay=Relay(None, {first.tag: outbox}))
        async with quic_client(old.port) as client:
            old.stop_reading()
            await new.start(sockets=[again])
            assert (await client.request("GET", "/none")).status == 404
            assert len(old.connections) == 1 and not new.connections
            async with quic_client(new.port) as newcomer:
                assert (await newcomer.request("GET", "/none")).status == 404
                assert len(old.connections) == len(new.connections) == 1
            token = client._quic._peer_cid.stateless_reset_token
            for connection in list(old.connections):
                connection.lose()  # without a word
            await old.close(0)
            inbox.close()
            got: list[bytes] = []
            client.datagram_received = lambda data, addr: got.append(bytes(data))  # type: ignore[method-assign,assignment]
            client._quic.send_ping(1)
            client.transmit()
            await until(lambda: any(data.endswith(token) for data in got))
        await new.close(0)
        await front.close(0)

    run(scene)


def test_addresses_are_proved_to_any_process_at_the_port() -> None:
    """A newcomer is asked for proof by one listener and comes back to another."""

    async def scene() -> None:
        front = Listener(Routes())
        await front.start("127.0.0.1", 0)
        (sock,) = bind("127.0.0.1", 0, kind=socket.SOCK_DGRAM)
        again = sock.dup()
        limits = QuicLimits(handshakes_trusted=0)
        asks = QuicListener(front, lambda: CERTIFICATES, limits=limits, identity=QuicIdentity(secret=SECRET))
        lets_in = QuicListener(front, lambda: CERTIFICATES, limits=limits, identity=QuicIdentity(secret=SECRET))
        await asks.start(sockets=[sock])
        ask_for_proof = asks._ask_for_proof
        waits: list[asyncio.Task[None]] = []

        def ask_and_leave(*args: object) -> None:
            ask_for_proof(*args)  # type: ignore[arg-type]
            asks.stop_reading()
            waits.append(asyncio.ensure_future(lets_in.start(sockets=[again])))

        asks._ask_for_proof = ask_and_leave  # type: ignore[method-assign]
        async with quic_client(asks.port) as client:
            assert client._quic._retry_count == 1
            assert len(lets_in.connections) == 1 and not asks.connections
        await waits[0]
        await lets_in.close(0)
        await asks.close(0)
        await front.close(0)

    run(scene)


def test_what_is_full_or_has_ended(pair: Pair) -> None:
    inbox, outbox = pair
    tag = b"abcd"
    connection_id = tag + b"12345678"
    relay = Relay(None, {tag: outbox})
    assert not relay.pass_on(b"xxxx12345678", b"data", ADDRESS) and not relay.knows(b"xxxx12345678")
    for _ in range(10_000):
        assert relay.pass_on(connection_id, bytes(1200), ADDRESS), "it is lost, but nobody else's"
    inbox.close()
    assert not relay.pass_on(connection_id, b"data", ADDRESS)
    assert relay.knows(connection_id), "whose connections are gone"
    assert not relay.pass_on(connection_id, b"data", ADDRESS)


@pytest.mark.parametrize("address", [ADDRESS, ("fe80::1%lo", 4433, 0, 1)])
def test_a_datagram_comes_as_it_was(pair: Pair, address: tuple[str | int, ...]) -> None:
    inbox, outbox = pair
    data = os.urandom(65507)
    got: list[tuple[bytes, tuple[str | int, ...]]] = []

    async def scene() -> None:
        relay = Relay(inbox)
        relay.start(lambda data, address: got.append((data, address)))
        outbox.send(b"")  # somebody looks whether there is still anybody
        assert Relay(None, {b"abcd": outbox}).pass_on(b"abcd", data, address)
        await until(lambda: got)
        relay.close()
        relay.close()

    run(scene)
    assert got == [(data, address)]


def test_resets_are_shorter_than_what_they_answer() -> None:
    one, other = QuicIdentity(secret=SECRET), QuicIdentity(secret=SECRET)
    connection_id = one.new_connection_id()
    assert len(connection_id) == CONNECTION_ID_BYTES and connection_id.startswith(one.tag) and len(one.tag) == TAG_BYTES
    assert one.reset(connection_id, 21) is None
    for size, length in ((22, 21), (43, 42), (1200, 42)):
        datagram = other.reset(connection_id, size)
        assert datagram is not None and len(datagram) == length
        assert datagram.endswith(one.reset_token(connection_id))
        header = pull_quic_header(Buffer(data=datagram), host_cid_length=8)
        assert header.packet_type == QuicPacketType.ONE_RTT
    assert one.reset_token(connection_id) != one.reset_token(one.new_connection_id())
    assert QuicIdentity().reset_token(connection_id) != one.reset_token(connection_id)
