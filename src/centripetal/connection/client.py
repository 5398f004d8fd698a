"""One connection from connect to disconnect: its state, its queue of commands, what it sends."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Coroutine, Iterator
from typing import Any

from ..fanout.outbox import Outbox
from ..interfaces import Transport
from ..interfaces.hooks import NOTHING_FORWARDED
from ..interfaces.request import HttpRequest
from ..model import ClientError, ClientInfo, Disconnect
from ..model.errors import (
    DISCONNECT_BAD_REQUEST,
    DISCONNECT_INAPPROPRIATE_PROTOCOL,
    DISCONNECT_SHUTDOWN,
    DISCONNECT_SLOW,
)
from ..node.control import SubscribeUser
from ..node.counters import client_labels
from ..node.eager import run_eagerly
from ..node.node import Node
from ..node.polls import PolledChannel, PolledKey
from ..protocol.commands import Command, ConnectRequest
from ..protocol.errors import ProtocolError, UnencodableData
from . import duties, server_side, tracking, unidirectional
from .dispatch import dispatch
from .ids import make_session, random_id
from .state import ACCEPTED, CLOSED, CONNECTED, NEW
from .subscription import Subscription
from .unsubscribe import end_subscriptions, run_in_background

QUEUED_BYTES = 1 << 20
"""Reading pauses while more than this waits behind a command."""

COMMANDS_A_LOOK = 16
SLICE_SECONDS = 0.004
"""Commands of one message are handled in slices of this length; the clock is looked at every so many commands."""


_LENGTH_ZERO = b"\0"
"""An empty message as a Protobuf client sends it."""


def _discard(data: bytes) -> None:
    """Takes what is written to a connection that has ended."""


class Client(Outbox):
    """One connection.

    Attributes:
        node: where it is.
        transport: what carries it; `encoding` is the transport's.
        id: connection id.
        session: secret id of emulated and unidirectional connections, empty for others.
        user: user id, empty for anonymous.
        info: connection info.
        meta: hidden connection meta, JSON text.
        expire_at: Unix seconds, 0 for never.
        client_side_refresh: the client renews an expiring connection.
        subscriptions: by channel, those on their way included.
        state: NEW, CONNECTING, …
        request: the HTTP request that it came with.
        forwarded: what of it is kept for hooks.
        due: monotonic times of what has to happen later, see duties.
        ping_sent_at: monotonic seconds of the ping that is not answered yet; 0 for none.
    """

    __slots__ = (
        "_in_flight", "_paused_at", "_paused_bytes", "_queue", "_queued_bytes", "_reading_paused", "_tasks",
        "client_side_refresh", "due", "encoding", "expire_at", "forwarded", "id", "info", "labels", "meta", "node", "ping_sent_at",
        "request", "session", "state", "subscriptions", "transport", "user", "wheel_slot",
    )  # fmt: skip

    def __init__(self, node: Node, transport: Transport, request: HttpRequest | None = None) -> None:
        super().__init__(transport.write)
        self.node = node
        self.transport = transport
        self.encoding: Any = transport.encoding
        self.id = random_id()
        self.session = make_session(node) if transport.emulated or transport.encoding.unidirectional else ""
        self.user = ""
        self.info = b""
        self.meta = b""
        self.expire_at = 0
        self.client_side_refresh = True
        self.subscriptions: dict[str, Subscription] = {}
        self.state = NEW
        self.request = request
        self.forwarded = NOTHING_FORWARDED
        self.labels = client_labels("", "")
        self.due = duties.Due()
        self.ping_sent_at = 0.0
        self.wheel_slot: Any = None
        self._queue: deque[bytes | Iterator[Command]] | None = None
        self._queued_bytes = 0
        self._reading_paused = False
        self._in_flight = 0
        self._tasks: set[asyncio.Task[Any]] | None = None
        self._paused_at = 0
        self._paused_bytes = 0
        duties.await_connect(self)

    # What the transport tells

    def receive(self, message: bytes) -> None:
        """Takes one whole message with any number of commands."""
        if self.state == CLOSED:
            return
        if self.ping_sent_at and len(message) <= 2 and message == (self.encoding.codec.ping or _LENGTH_ZERO):
            # Nearly all that an idle client sends, so it is not decoded; and in time, whatever other commands wait for.
            self.node.counters.messages_received[(self.transport.name, "client_pong")].add(len(message))
            duties.take_pong(self)
            return
        queue = self._queue
        if queue is not None:
            queue.append(message)
            self._queued_bytes += len(message)
            if self._queued_bytes > QUEUED_BYTES and not self._reading_paused:
                self._reading_paused = True
                self.transport.pause_reading()
            return
        self._handle_message(message)

    def connect(self, request: ConnectRequest) -> None:
        """Takes the request with which a unidirectional connection starts."""
        unidirectional.connect(self, request)

    @property
    def is_overfull(self) -> bool:
        """So much waits behind a command that no more should be received."""
        return self._reading_paused

    def native_pong(self) -> None:
        """The transport's own pong frame came; one that nobody asked for means nothing (RFC 6455, 5.5.3)."""
        if self.transport.frame_ping_pong and self.ping_sent_at:
            duties.take_pong(self)

    def writing_paused(self) -> None:
        """The transport's buffer is above its high-water mark: from now on each write is checked."""
        if self.state == CLOSED:
            return
        self.write = self._write_bounded
        self.keeps_up = False
        self._paused_at = self.transport.buffered_bytes()
        self._paused_bytes = 0
        duties.watch_writing(self)

    def writing_resumed(self) -> None:
        """The transport's buffer is low again."""
        if self.state == CLOSED:
            return
        self.write = self.transport.write
        self.keeps_up = True
        duties.unwatch_writing(self)

    def transport_closed(self) -> None:
        """The transport is gone."""
        if self.state != CLOSED:
            self._end()

    # Commands

    def _handle_message(self, message: bytes) -> bool:
        try:
            commands = self.encoding.codec.decode_commands(message)
        except ProtocolError:
            self.disconnect(DISCONNECT_BAD_REQUEST)
            return True
        return self._handle(iter(commands), len(message))

    def _handle(self, commands: Iterator[Command], size: int = 0) -> bool:
        """Handles commands until one has to wait, or the slice is over; returns whether all were handled."""
        handled = 0
        started = 0.0
        try:
            for command in commands:
                if self.state == CLOSED:
                    return True
                if not dispatch(self, command, size):
                    self._queue_first(commands)
                    return False
                size = 0
                handled += 1
                if handled % COMMANDS_A_LOOK == 0:
                    now = time.perf_counter()
                    if not started:
                        started = now
                    elif now - started > SLICE_SECONDS:
                        self._queue_first(commands)
                        asyncio.get_running_loop().call_soon(self._go_on)
                        return False
        except ProtocolError:
            self.disconnect(DISCONNECT_BAD_REQUEST)
        return True

    def _queue_first(self, commands: Iterator[Command]) -> None:
        if self._queue is None:
            self._queue = deque()
        self._queue.appendleft(commands)

    def _go_on(self) -> None:
        """Handles what waited."""
        queue = self._queue
        while queue:
            if self.state == CLOSED or self._in_flight >= max(self.node.client.concurrency, 1):
                return
            item = queue.popleft()
            if isinstance(item, bytes):
                self._queued_bytes -= len(item)
                if not self._handle_message(item):
                    return
            elif not self._handle(item):
                return
        self._queue = None
        if self._reading_paused and self.state != CLOSED:
            self._reading_paused = False
            self.transport.resume_reading()

    def run(self, task: asyncio.Task[Any], *, alone: bool) -> bool:
        """Follows a command that has to wait.

        Args:
            task: what it does.
            alone: nothing may run beside it.

        Returns:
            Whether further commands may be handled meanwhile (`client.concurrency`).
        """
        if self._tasks is None:
            self._tasks = set()
        self._tasks.add(task)
        self._in_flight += 1
        task.add_done_callback(self._finished)
        return not alone and self._in_flight < self.node.client.concurrency

    def _finished(self, task: asyncio.Task[Any]) -> None:
        assert self._tasks is not None
        self._tasks.discard(task)
        self._in_flight -= 1
        if self._queue is not None and self.state != CLOSED:
            self._go_on()

    def accompany(self, coroutine: Coroutine[Any, Any, None]) -> None:
        """Runs something beside the commands, and no longer than the connection lives; it handles its own failures."""
        _, task = run_eagerly(coroutine)
        if task is not None:
            assert isinstance(task, asyncio.Task)
            if self._tasks is None:
                self._tasks = set()
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    # What it sends

    def send(self, message: bytes, kind: str) -> None:
        """Sends an encoded message.

        Args:
            message: without framing.
            kind: frame type, for metrics.
        """
        if self.state == CLOSED:
            return
        self.node.counters.messages_sent[(self.transport.name, kind)].add(len(message))
        self.node.flusher.put(self, self.encoding.frame(message))

    def reply(self, command_id: int, method: str, result: Any) -> None:
        """Sends the result of a command; a result that the encoding cannot carry ends the connection (3506)."""
        try:
            message = self.encoding.codec.encode_reply(command_id, method, result)
        except UnencodableData:
            self.disconnect(DISCONNECT_INAPPROPRIATE_PROTOCOL)
        else:
            self.send(message, method)

    def reply_error(self, command_id: int, method: str, error: ClientError) -> None:
        """Sends an error reply; to a client that only listens, it is the end."""
        self.node.counters.reply_errors[(method, error.code)] += 1
        if self.encoding.unidirectional:
            settings = self.node.client.connect_code_to_unidirectional_disconnect
            self.disconnect(unidirectional.disconnect_of(error, settings))
            return
        self.send(self.encoding.codec.encode_error(command_id, error), method)

    def push(self, kind: str, channel: str, body: Any) -> None:
        """Sends a push that is for this connection only."""
        try:
            message = self.encoding.codec.encode_push(kind, channel, body, unidirectional=self.encoding.unidirectional)
        except UnencodableData:
            self.disconnect(DISCONNECT_INAPPROPRIATE_PROTOCOL)
        else:
            self.send(message, f"push_{kind}")

    def _write_bounded(self, data: bytes) -> None:
        """Writes while the peer does not keep up, within `client.queue_max_size`."""
        if self.transport.buffered_bytes() + len(data) > self.node.client.queue_max_size:
            self.disconnect(DISCONNECT_SLOW)
            return
        self._paused_bytes += len(data)
        self.transport.write(data)

    def writing_progress(self) -> int:
        """Returns how many bytes the peer took since the last call or since writing paused."""
        buffered = self.transport.buffered_bytes()
        taken = self._paused_at + self._paused_bytes - buffered
        self._paused_at, self._paused_bytes = buffered, 0
        return taken

    def info_in(self, channel: str) -> ClientInfo:
        """Returns who this is, as others in a channel see it."""
        subscription = self.subscriptions.get(channel)
        return ClientInfo(self.user, self.id, self.info, subscription.info if subscription is not None else b"")

    # The end

    def disconnect(self, disconnect: Disconnect) -> None:
        """Ends the connection after what was sent so far."""
        if self.state == CLOSED:
            return
        self.node.counters.server_disconnects[disconnect.code] += 1
        if disconnect is not DISCONNECT_SHUTDOWN:
            self.node.client_log.info(
                "client_disconnected", code=disconnect.code, reason=disconnect.reason, client=self.id, user=self.user
            )
        self.node.flusher.flush_one(self)
        if self.state != CLOSED:
            self._end()
            self.transport.close(disconnect)

    def _end(self) -> None:
        """Leaves the node and all channels."""
        connected = self.state in (ACCEPTED, CONNECTED)
        self.state = CLOSED
        self.pending = None
        self.write = _discard
        self._queue = None
        self.node.ticker.cancel(self)
        for task in tuple(self._tasks or ()):
            task.cancel()
        if connected:
            self.node.registry.remove(self)
            self.node.counters.connections_inflight[(self.transport.name, *self.labels)] -= 1
            self.node.counters.actions["remove_client"] += 1
        if self.subscriptions:
            run_in_background(end_subscriptions(self))
        self.request = None

    async def wait_answered(self) -> None:
        """Waits until connect is answered, for what the client must not learn before."""
        while self.state == ACCEPTED and self._tasks:
            await asyncio.wait(tuple(self._tasks))

    # What the server API does with it (see node.registry.Session)

    async def subscribe_by_server(self, order: SubscribeUser) -> None:
        """Adds a server-side subscription and tells the client; whose connections are meant has been found out."""
        await server_side.subscribe(self, order)

    async def unsubscribe_by_server(self, channel: str) -> None:
        """Ends a subscription, all with an empty channel, and tells the client."""
        await server_side.unsubscribe(self, channel)

    def refresh_by_server(self, *, expired: bool, expire_at: int, info: bytes | None) -> None:
        """Changes the connection's expiry and tells the client."""
        server_side.refresh(self, expired, expire_at, info)

    def renew_presence_soon(self) -> None:
        """Renews its presence within seconds, since it may have been lost."""
        duties.renew_presence_soon(self)

    def lose_position(self, channel: str) -> None:
        """Ends a positioned subscription whose continuity is lost (2500, or 3010 for a server-side one)."""
        server_side.lose_position(self, channel)

    def lose_poll(self, channel: PolledChannel) -> None:
        """Ends a subscription to a shared poll of which nothing holds any more."""
        server_side.lose_poll(self, channel)

    def lose_key(self, channel: PolledChannel, key: PolledKey) -> bool:
        """A key of a shared poll is gone; returns whether it was tracked."""
        return tracking.lose_key(self, channel, key)

    def on_due(self, now: float) -> None:
        """The ticker's call: something has to happen by now."""
        duties.perform(self, now)
