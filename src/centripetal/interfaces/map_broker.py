"""What a map broker provides: keyed state of channels, the stream of its changes, and their distribution."""

from __future__ import annotations

from typing import Literal, NamedTuple, Protocol, runtime_checkable

import msgspec

from ..model import ClientInfo, Publication, StreamPosition
from .broker import BrokerEvents, HistoryFilter

KeyMode = Literal["", "if_new", "if_exists"]
"""Empty: write the key whatever there is; else only if it is not there, or only if it is."""


class MapRetention(msgspec.Struct, frozen=True, array_like=True, kw_only=True, gc=False):
    """How long the parts of a map live (`map.*` of a namespace). It comes with every call: a broker has no namespaces.

    Attributes:
        key_ttl_seconds: a key is removed so long after it was last written; 0 for never.
        stream_size: changes kept; 0 for a map without a stream (`ephemeral`).
        stream_ttl_seconds: the stream goes so long after the last change.
        meta_ttl_seconds: offset and epoch go so long after the last access; 0 for never.
        ordered: pages go by score, highest first, and not by key.
    """

    key_ttl_seconds: float = 0.0
    stream_size: int = 0
    stream_ttl_seconds: float = 0.0
    meta_ttl_seconds: float = 0.0
    ordered: bool = False


class MapPublishOptions(msgspec.Struct, frozen=True, array_like=True, kw_only=True):
    """How a key is written.

    Attributes:
        retention: of the map.
        info: the writing client.
        tags: string pairs that tag filters look at.
        idempotency_key: a second publish or remove with it in the channel gives the first one's result.
        idempotent_result_ttl_seconds: for how long.
        use_delta: subscribers may get a patch against the key's previous value.
        version: the write is suppressed unless it is above the key's; 0 for none. Needs a stream.
        version_epoch: versions are compared only within one epoch; empty compares with any.
        score: place in an ordered map.
        key_mode: see KeyMode.
        refresh_ttl_on_suppress: a write suppressed by `if_new` renews the key's lifetime.
        expected_position: the write is suppressed unless the key was last written there. Needs a stream.
    """

    retention: MapRetention
    info: ClientInfo | None = None
    tags: dict[str, str] | None = None
    idempotency_key: str = ""
    idempotent_result_ttl_seconds: float = 300.0
    use_delta: bool = False
    version: int = 0
    version_epoch: str = ""
    score: int = 0
    key_mode: KeyMode = ""
    refresh_ttl_on_suppress: bool = False
    expected_position: StreamPosition | None = None


class MapRemoveOptions(msgspec.Struct, frozen=True, array_like=True, kw_only=True):
    """How a key is removed.

    Attributes:
        retention: of the map.
        tags: of the removal; None for those of the key.
        idempotency_key, idempotent_result_ttl_seconds, expected_position: as for a write.
    """

    retention: MapRetention
    tags: dict[str, str] | None = None
    idempotency_key: str = ""
    idempotent_result_ttl_seconds: float = 300.0
    expected_position: StreamPosition | None = None


class MapResult(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What became of a write or removal.

    Attributes:
        position: of the change; where the map stands if it was suppressed. The offset is 0 without a stream.
        suppressed: nothing changed and nobody was told.
        reason: `idempotency`, `version`, `key_exists`, `key_not_found` or `position_mismatch` when suppressed. They are
            looked at in this order.
        current: the key's value, if `position_mismatch` is due to it.
    """

    position: StreamPosition
    suppressed: bool = False
    reason: str = ""
    current: Publication | None = None


class StateFilter(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Which part of a state to read.

    Attributes:
        cursor: where the page before ended; empty for the first.
        limit: at most so many keys; 0 for the position only, negative for all.
        key: this key only; the others do not count then.
        asc: lowest score first, in an ordered map.
    """

    cursor: str = ""
    limit: int = 0
    key: str = ""
    asc: bool = False


class StatePage(NamedTuple):
    """A page of a state.

    Attributes:
        entries: values with their keys, by key (or score), each with the offset at which it was written.
        position: where the map stood at the same moment.
        cursor: asks for the next page; empty when this one is the last. Keys written or removed meanwhile do not make
            later pages skip or repeat others.
    """

    entries: list[Publication]
    position: StreamPosition
    cursor: str


class MapBrokerEvents(BrokerEvents, Protocol):
    """What the node does with what a map broker distributes.

    `on_publication` brings changes of keys: `previous` is the value of the same key before. A removal has `removed` and
    the tags that the key had.
    """

    def on_state_lost(self, channel: str) -> None:
        """All keys of a map went at once, without a removal of each: whoever has a view of it must read it anew."""


class MapBroker(Protocol):
    """Keeps maps and distributes their changes to nodes.

    A method raises BrokerError when the broker cannot do its work. Coroutines of an in-memory broker never suspend.
    Every incarnation of a map has a fresh random epoch: never one that was there before, or that can be foretold.
    """

    def bind(self, events: MapBrokerEvents) -> None:
        """Tells where changes go. Called once, before start()."""

    async def start(self) -> None:
        """Connects and starts its background work."""

    async def stop(self) -> None:
        """Ends background work and closes connections."""

    async def subscribe(self, channel: str) -> None:
        """This node has a first subscriber in the channel."""

    async def unsubscribe(self, channel: str) -> None:
        """This node has no subscriber in the channel any more."""

    async def publish(self, channel: str, key: str, data: bytes, options: MapPublishOptions) -> MapResult:
        """Writes a key and distributes the change to all nodes with subscribers.

        Args:
            channel: which map.
            key: not empty.
            data: its value.
            options: how.
        """

    async def remove(self, channel: str, key: str, options: MapRemoveOptions) -> MapResult:
        """Removes a key and distributes that; one that is not there is suppressed."""

    async def read_state(self, channel: str, wanted: StateFilter, retention: MapRetention) -> StatePage:
        """Returns a page of the state; makes an epoch where there is none yet."""

    async def read_stream(
        self, channel: str, wanted: HistoryFilter, retention: MapRetention
    ) -> tuple[list[Publication], StreamPosition]:
        """Returns changes and the stream's top; makes an epoch where there is none yet.

        The epoch in `wanted.since` is not compared: the caller has the map's epoch then and can do so.
        """

    async def count_keys(self, channel: str) -> int:
        """Returns how many keys there are."""

    async def clear(self, channel: str) -> None:
        """Drops state and stream; what comes next has another epoch."""


@runtime_checkable
class MapSweep(Protocol):
    """What a map broker that removes expired keys itself tells of that, for metrics.

    Attributes:
        keys_expired: keys removed because their lifetime was over.
        sweep_errors: sweeps that failed.
    """

    keys_expired: int
    sweep_errors: int

    def expiry_lag_seconds(self) -> float:
        """Returns for how long the oldest key that should be gone has been there."""
