"""What a broker provides: channels' streams and their distribution."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, Protocol

import msgspec

from ..model import ClientInfo, Publication, StreamPosition


class PublishOptions(msgspec.Struct, frozen=True, array_like=True, kw_only=True):
    """How one publication is stored and sent.

    Attributes:
        history_size: publications kept, 0 for no history.
        history_ttl_seconds: how long they are kept.
        history_meta_ttl_seconds: how long offset and epoch are kept; 0 for the broker's default.
        info: the publishing client.
        tags: string pairs.
        idempotency_key: a second publish with the same key in the same channel gives the first one's result.
        idempotent_result_ttl_seconds: for how long (the reference's 300 s).
        version: a publish with a version not above the stored one is suppressed; 0 for none.
        version_epoch: versions are compared only within one epoch.
        use_delta: subscribers may get a patch.
    """

    history_size: int = 0
    history_ttl_seconds: float = 0.0
    history_meta_ttl_seconds: float = 0.0
    info: ClientInfo | None = None
    tags: dict[str, str] | None = None
    idempotency_key: str = ""
    idempotent_result_ttl_seconds: float = 300.0
    version: int = 0
    version_epoch: str = ""
    use_delta: bool = False


class PublishResult(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What became of a publish.

    Attributes:
        position: of the publication; empty without history.
        suppressed: it was not stored or sent again.
        reason: `idempotency` or `version` when suppressed.
    """

    position: StreamPosition
    suppressed: bool = False
    reason: str = ""


class HistoryFilter(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Which part of a stream to read.

    Attributes:
        limit: at most so many publications; 0 for the position only, negative for all.
        since: read after this position (before it, when reversed); None for the whole stream.
        reverse: newest first.
    """

    limit: int = 0
    since: StreamPosition | None = None
    reverse: bool = False


class BrokerEvents(Protocol):
    """What the node does with what a broker distributes. Called on the event loop, in the channel's order."""

    def on_publication(
        self,
        channel: str,
        publication: Publication,
        position: StreamPosition,
        use_delta: bool,
        previous: Publication | None,
    ) -> None:
        """A publication arrived.

        Args:
            channel: where.
            publication: what; its offset is 0 without history.
            position: its stream position; empty without history.
            use_delta: subscribers may get a patch against `previous`.
            previous: the publication before it in the stream, None when unknown. Given only with `use_delta`.
        """

    def on_join(self, channel: str, info: ClientInfo) -> None:
        """A client joined."""

    def on_leave(self, channel: str, info: ClientInfo) -> None:
        """A client left."""


class Broker(Protocol):
    """Publishes to channels, keeps their streams and distributes to nodes.

    A method raises BrokerError when the broker cannot do its work. Coroutines of an in-memory broker never suspend.
    """

    def bind(self, events: BrokerEvents) -> None:
        """Tells where publications go. Called once, before start()."""

    async def start(self) -> None:
        """Connects and starts its background work."""

    async def stop(self) -> None:
        """Ends background work and closes connections."""

    async def subscribe(self, channel: str) -> None:
        """This node has a first subscriber in the channel."""

    async def unsubscribe(self, channel: str) -> None:
        """This node has no subscriber in the channel any more."""

    async def publish(self, channel: str, data: bytes, options: PublishOptions) -> PublishResult:
        """Stores as the options say and distributes to all nodes with subscribers."""

    async def publish_join(self, channel: str, info: ClientInfo) -> None:
        """Distributes a join."""

    async def publish_leave(self, channel: str, info: ClientInfo) -> None:
        """Distributes a leave."""

    async def history(
        self, channel: str, wanted: HistoryFilter, history_meta_ttl_seconds: float = 0.0
    ) -> tuple[list[Publication], StreamPosition]:
        """Returns publications and the stream's top; makes an epoch where there is none yet."""

    async def remove_history(self, channel: str) -> None:
        """Removes the publications; offset and epoch go on."""


class ImmediateBroker(Broker, Protocol):
    """A broker in the process, that mostly need not wait. Its callers are spared what a coroutine costs."""

    def begin_publish(
        self, channel: str, data: bytes, options: PublishOptions
    ) -> PublishResult | Coroutine[Any, Any, PublishResult]:
        """Does what publish() does, before it returns; or returns a coroutine that does, which has to be awaited at once."""


class BrokerError(Exception):
    """A broker could not do its work; the cause is kept."""
