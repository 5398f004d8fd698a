"""A transport that keeps what is written, and connections over it."""

from __future__ import annotations

import json
from typing import Any

from centripetal.connection import Client
from centripetal.engines.memory import MemoryBroker, MemoryMapBroker, MemoryPresenceManager
from centripetal.interfaces import Broker, MapBroker, PresenceManager
from centripetal.model import Disconnect
from centripetal.node.node import Node
from centripetal.node.settings import ChannelOptions, ChannelSettings, ClientSettings, NamespaceOptions, NodeOptions
from centripetal.protocol.json_codec import JSON
from centripetal.testing import ManualClock


class PipeEncoding:
    """JSON without frames."""

    name = "pipe-json"
    codec: object = JSON
    unidirectional = False

    @staticmethod
    def frame(message: bytes) -> bytes:
        return message + b"\n"


ENCODING = PipeEncoding()


class Pipe:
    """The transport: what the server wrote is in `written`, how it closed in `closed`."""

    name = "pipe"
    encoding: Any = ENCODING
    emulated = False
    frame_ping_pong = False
    ping_interval_seconds = 25.0
    pong_timeout_seconds = 8.0
    write_timeout_seconds = 1.0

    def __init__(self) -> None:
        self.written = b""
        self.buffered = 0
        self.closed: Disconnect | None = None
        self.aborted = False
        self.reading = True
        self.native_pings = 0

    def write(self, data: bytes) -> None:
        self.written += data

    def buffered_bytes(self) -> int:
        return self.buffered

    def send_native_ping(self) -> None:
        self.native_pings += 1

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def close(self, disconnect: Disconnect | None) -> None:
        self.closed = disconnect

    def abort(self) -> None:
        self.aborted = True


class Peer:
    """A client of the tests."""

    def __init__(self, node: Node) -> None:
        self.pipe = Pipe()
        self.client = Client(node, self.pipe)
        self._node = node
        self._last_id = 0

    def send(self, *commands: dict[str, Any]) -> None:
        """Sends commands in one message; ids are given where there is none."""
        lines = []
        for command in commands:
            if "id" not in command and command:
                self._last_id += 1
                command = {"id": self._last_id, **command}
            lines.append(json.dumps(command))
        self.client.receive("\n".join(lines).encode())

    def received(self) -> list[dict[str, Any]]:
        """Returns the messages that came since the last call."""
        while self._node.flusher.prompt or self._node.flusher.bulk:
            self._node.flusher.flush()
        text, self.pipe.written = self.pipe.written, b""
        return [json.loads(line) for line in text.splitlines()]

    def ask(self, command: dict[str, Any]) -> dict[str, Any]:
        """Sends a command that is answered at once; returns the reply, and drops what came before it."""
        self.send(command)
        replies = [message for message in self.received() if message.get("id") == self._last_id]
        assert replies, f"no reply to {command}; closed: {self.pipe.closed}"
        return replies[0]


OPEN = ChannelOptions(
    allow_subscribe_for_client=True,
    allow_subscribe_for_anonymous=True,
    allow_publish_for_client=True,
    allow_publish_for_anonymous=True,
    allow_history_for_client=True,
    allow_history_for_anonymous=True,
    allow_presence_for_client=True,
    allow_presence_for_anonymous=True,
    allowed_delta_types=("fossil",),
    allow_tags_filter=True,
)


def namespace(name: str, **options: Any) -> NamespaceOptions:
    """Returns an open namespace with these options besides."""
    values = {field: getattr(OPEN, field) for field in ChannelOptions.__struct_fields__}
    return NamespaceOptions(**{**values, "name": name, **options})


RECOVERABLE = {"history_size": 10, "history_ttl": 60.0, "force_recovery": True}


def make_node(
    *namespaces: NamespaceOptions,
    clock: ManualClock | None = None,
    broker: Broker | None = None,
    presence: PresenceManager | None = None,
    map_broker: MapBroker | None = None,
    **client: Any,
) -> Node:
    """Returns a node that lets everybody in; call it inside an event loop."""
    clock = clock or ManualClock()
    return Node(
        broker=broker or MemoryBroker(clock, history_meta_ttl_seconds=3600),
        presence=presence or MemoryPresenceManager(clock),
        map_broker=map_broker or MemoryMapBroker(clock),
        options=NodeOptions(
            client=ClientSettings(allow_anonymous_connect_without_token=True, **client),
            channel=ChannelSettings(without_namespace=OPEN, namespaces=namespaces),
        ),
        clock=clock,
    )


def connected(node: Node, **request: Any) -> Peer:
    """Returns a peer that has connected."""
    peer = Peer(node)
    peer.connected = peer.ask({"connect": request})  # type: ignore[attr-defined]
    return peer
