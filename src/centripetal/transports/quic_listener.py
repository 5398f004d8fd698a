"""A UDP port that speaks QUIC: it finds the connection of each datagram, and makes new ones within bounds."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import structlog
from aioquic._buffer import Buffer
from aioquic.h3.connection import H3_ALPN
from aioquic.quic.configuration import SMALLEST_MAX_DATAGRAM_SIZE, QuicConfiguration
from aioquic.quic.packet import (
    QuicHeader,
    QuicPacketType,
    encode_quic_retry,
    encode_quic_version_negotiation,
    pull_quic_header,
)
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509 import load_pem_x509_certificates

from ..model.certificates import Certificates
from .binding import bind
from .datagrams import DatagramPort
from .deadlines import Deadlines
from .http3 import Http3Connection
from .listener import Listener
from .quic_connection import CONNECTION_WINDOW_BYTES, STREAM_WINDOW_BYTES, BoundedQuicConnection
from .quic_identity import CONNECTION_ID_BYTES, QuicIdentity
from .quic_relay import Relay
from .webtransport import WebTransportEndpoint

_MAX_DATAGRAM_FRAME_BYTES = 1200
_SLICE_SECONDS = 0.004
_CONNECTIONS_A_LOOK = 4

_log = structlog.get_logger("centripetal.transports")


@dataclass(frozen=True, slots=True)
class QuicLimits:
    """Bounds of a QUIC port and its connections.

    Attributes:
        head_bytes: largest head of a request.
        headers: largest number of fields in it.
        connections: at once; further ones are not answered.
        handshakes: unfinished ones at once; further ones are not answered.
        handshakes_trusted: from so many unfinished ones on, newcomers have to prove their address first (Retry).
        handshake_seconds: for a handshake.
        idle_seconds: without a request or a session.
        silence_seconds: without a packet of the peer, after which it is gone.
    """

    head_bytes: int = 32768
    headers: int = 200
    connections: int = 50_000
    handshakes: int = 2000
    handshakes_trusted: int = 100
    handshake_seconds: float = 10.0
    idle_seconds: float = 60.0
    silence_seconds: float = 60.0


class QuicListener(asyncio.DatagramProtocol):
    """Serves HTTP/3.

    Args:
        front: the listener on TCP, whose routes, limits and deadlines of requests hold here, too.
        certificates: gives certificate and key that new connections use; another object when they have changed.
        sessions: endpoints of WebTransport by path.
        limits: see QuicLimits.
        identity: names connections; None for one of its own.
        relay: ways to other processes at the port; None if there are none.

    Attributes:
        front: the same.
        sessions: the same; they may change.
        deadlines: of handshakes, sessions and idle connections.
        connections: all that are open.
        handshakes: how many of them are not established.
        draining: newcomers are not answered.
    """

    def __init__(
        self,
        front: Listener,
        certificates: Callable[[], Certificates],
        sessions: Mapping[str, WebTransportEndpoint] | None = None,
        limits: QuicLimits | None = None,
        identity: QuicIdentity | None = None,
        relay: Relay | None = None,
    ) -> None:
        self.front = front
        self.sessions = sessions or {}
        self.limits = limits or QuicLimits()
        self.connections: set[Http3Connection] = set()
        self.handshakes = 0
        self.draining = False
        self.loop: asyncio.AbstractEventLoop
        self.deadlines = Deadlines()
        self._certificates = certificates
        self._used = certificates()
        self._configuration = self._configure(self._used)
        self._by_id: dict[bytes, Http3Connection] = {}
        self._dirty: list[Http3Connection] = []
        self._is_transmitting = False
        self._identity = identity or QuicIdentity()
        self._relay = relay or Relay()
        self._port = DatagramPort()

    async def start(self, host: str | None = None, port: int = 0, *, sockets: Sequence[socket.socket] = ()) -> None:
        """Begins to take datagrams.

        Args:
            host: address to bind; empty or None for all.
            port: UDP port, 0 for a free one.
            sockets: that are bound already; they are the listener's from now on.

        Raises:
            OSError: the address cannot be bound.
        """
        self.loop = asyncio.get_running_loop()
        for name in ("quic", "http3"):  # what peers do, at the rate they do it, with words of theirs
            logging.getLogger(name).setLevel(logging.CRITICAL)
        await self._port.open(self, sockets or bind(host, port, kind=socket.SOCK_DGRAM))
        self._relay.start(self.take_passed_on)

    @property
    def port(self) -> int:
        """The UDP port; 0 while it is not started."""
        return self._port.number

    def stop_accepting(self) -> None:
        """Does not answer newcomers any more, and closes connections that nothing is in work on."""
        self.draining = True
        for connection in list(self.connections):
            connection.drain()

    def stop_reading(self) -> None:
        """Leaves what comes to a successor, which passes on what is for the connections here."""
        self._port.stop_reading()

    async def close(self, grace_seconds: float = 5.0) -> None:
        """Ends sessions and connections and frees the port.

        Args:
            grace_seconds: for peers to take the last of what was sent.
        """
        self.stop_accepting()
        for connection in list(self.connections):
            connection.finish_sessions()
        until = self.loop.time() + grace_seconds
        while self.connections and self.loop.time() < until:
            await asyncio.sleep(0.02)
        for connection in list(self.connections):
            connection.close()
        self.deadlines.close()
        self._relay.close()
        self._port.close()

    # Datagrams

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self._receive(data, addr, is_passed_on=False)

    def take_passed_on(self, data: bytes, addr: Any) -> None:
        """Takes a datagram that another process got."""
        self._receive(data, addr, is_passed_on=True)

    def _receive(self, data: bytes, address: Any, *, is_passed_on: bool) -> None:
        try:
            header = pull_quic_header(Buffer(data=data), host_cid_length=CONNECTION_ID_BYTES)
        except ValueError:
            return
        connection = self._by_id.get(header.destination_cid)
        if connection is None:
            if not is_passed_on and self._relay.pass_on(header.destination_cid, data, address):
                return
            connection = self._find_newcomer(header, data, address)
            if connection is None:
                return
        try:
            connection.receive(data, address)
        except Exception:  # noqa: BLE001  a mistake, here or in aioquic, must not reach others
            _log.exception("quic_connection_failed")
            connection.lose()

    def _find_newcomer(self, header: QuicHeader, data: bytes, address: Any) -> Http3Connection | None:
        """Returns a new connection for a datagram of none that is known, if it may begin one."""
        if header.packet_type == QuicPacketType.ONE_RTT:
            self._reset(header.destination_cid, data, address)
            return None
        if self.draining or header.packet_type == QuicPacketType.VERSION_NEGOTIATION:
            return None
        if header.version is not None and header.version not in self._configuration.supported_versions:
            self._negotiate(header, address)
            return None
        if header.packet_type != QuicPacketType.INITIAL or len(data) < SMALLEST_MAX_DATAGRAM_SIZE:
            return None
        return self._accept(header, address)

    def _reset(self, connection_id: bytes, data: bytes, address: Any) -> None:
        """Tells a client that its connection is gone, with the process that had it, if there ever was one."""
        if connection_id.startswith(self._identity.tag) or self._relay.knows(connection_id):
            answer = self._identity.reset(connection_id, len(data))
            if answer is not None:
                self.send(answer, address)

    def error_received(self, exc: Exception) -> None:
        """Peers that are gone are found by their silence."""

    def send(self, data: bytes, address: Any) -> None:
        """Sends a datagram."""
        self._port.send(data, address)

    def _negotiate(self, header: QuicHeader, address: Any) -> None:
        self.send(
            encode_quic_version_negotiation(
                source_cid=header.destination_cid,
                destination_cid=header.source_cid,
                supported_versions=cast("list[Any]", self._configuration.supported_versions),
            ),
            address,
        )

    def _accept(self, header: QuicHeader, address: Any) -> Http3Connection | None:
        """Returns a new connection, if there is room and the newcomer has proved its address where it must."""
        limits = self.limits
        if len(self.connections) >= limits.connections or self.handshakes >= limits.handshakes:
            return None
        if not self.front.gate.has_room:
            return None  # it sends again after a while
        original, retried = header.destination_cid, None
        proved = False
        if header.token:
            try:
                original = self._identity.retry_tokens.validate_token(
                    address=address, destination_cid=header.destination_cid, token=header.token, now=self.loop.time()
                )
                retried = header.destination_cid
                proved = True
            except ValueError:
                original = header.destination_cid
        if not proved and self.handshakes >= limits.handshakes_trusted:
            self._ask_for_proof(header, address)
            return None
        self._renew()
        quic = BoundedQuicConnection(self._configuration, original, retried, self._identity)
        connection = Http3Connection(self, quic)
        self.connections.add(connection)
        self.handshakes += 1
        self.add(header.destination_cid, connection)
        self.add(quic.host_cid, connection)
        return connection

    def _ask_for_proof(self, header: QuicHeader, address: Any) -> None:
        """Answers a newcomer without keeping anything; who has forged its address cannot go on."""
        source = os.urandom(CONNECTION_ID_BYTES)  # no process's: all can read the token
        token = self._identity.retry_tokens.create_token(
            address=address,
            original_destination_connection_id=header.destination_cid,
            retry_source_connection_id=source,
            now=self.loop.time(),
        )
        self.send(
            encode_quic_retry(
                version=cast(int, header.version),
                source_cid=source,
                destination_cid=header.source_cid,
                original_destination_cid=header.destination_cid,
                retry_token=token,
            ),
            address,
        )

    # What connections tell

    def add(self, connection_id: bytes, connection: Http3Connection) -> None:
        """A connection has another id."""
        self._by_id[connection_id] = connection
        connection.connection_ids.add(connection_id)

    def remove(self, connection_id: bytes, connection: Http3Connection) -> None:
        """A connection has an id no more."""
        if self._by_id.get(connection_id) is connection:
            del self._by_id[connection_id]
        connection.connection_ids.discard(connection_id)

    def established(self, connection: Http3Connection) -> None:
        """A handshake is complete."""
        connection.is_established = True
        self.handshakes -= 1
        self.deadlines.watch(connection, self.limits.idle_seconds)

    def forget(self, connection: Http3Connection) -> None:
        """A connection is over."""
        self.connections.discard(connection)
        self.deadlines.forget(connection)
        if not connection.is_established:
            self.handshakes -= 1
        for connection_id in connection.connection_ids:
            self._by_id.pop(connection_id, None)
        connection.connection_ids.clear()

    def wake(self, connection: Http3Connection) -> None:
        """A connection has something to send."""
        self._dirty.append(connection)
        if not self._is_transmitting:
            self._is_transmitting = True
            self.loop.call_soon(self._transmit)

    def _transmit(self) -> None:
        """Lets connections send, for a slice of time; the others follow in the next turn."""
        dirty, self._dirty = self._dirty, []
        started = time.perf_counter()
        for number, connection in enumerate(dirty, 1):
            try:
                connection.transmit()
            except Exception:  # noqa: BLE001  the same
                _log.exception("quic_connection_failed")
                connection.lose()
            if number % _CONNECTIONS_A_LOOK == 0 and time.perf_counter() - started > _SLICE_SECONDS:
                self._dirty = dirty[number:] + self._dirty
                break
        self._is_transmitting = bool(self._dirty)
        if self._dirty:
            self.loop.call_soon(self._transmit)

    def _renew(self) -> None:
        """Takes the certificate that is to be used now; one that cannot be used leaves the one before."""
        found = self._certificates()
        if found is not self._used:
            self._used = found
            try:
                self._configuration = self._configure(found)
            except ValueError as error:
                _log.error("certificate_refused", option="http_server.tls", error=str(error))

    def _configure(self, certificates: Certificates) -> QuicConfiguration:
        """Returns what new connections use.

        Raises:
            ValueError: the certificate cannot be used; the text begins with the option's name.
        """
        configuration = QuicConfiguration(
            is_client=False,
            alpn_protocols=H3_ALPN,
            connection_id_length=CONNECTION_ID_BYTES,
            idle_timeout=self.limits.silence_seconds,
            max_data=CONNECTION_WINDOW_BYTES,
            max_stream_data=STREAM_WINDOW_BYTES,
            max_datagram_frame_size=_MAX_DATAGRAM_FRAME_BYTES,
        )
        try:
            chain = load_pem_x509_certificates(certificates.certificate)
            configuration.private_key = load_pem_private_key(certificates.key, None)
        except (ValueError, TypeError, UnsupportedAlgorithm) as error:
            raise ValueError(f"cert_pem, key_pem: cannot be used with QUIC ({error})") from None
        configuration.certificate, *configuration.certificate_chain = chain
        return configuration
