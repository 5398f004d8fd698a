"""What the server API needs of a node: `node.Node` has it, tests have a small one."""

from __future__ import annotations

from collections.abc import Coroutine, Sequence
from typing import Any, Protocol

from ..interfaces import HistoryFilter, PresenceStats, PublishOptions, PublishResult, SubscriptionOverrides
from ..model import ClientInfo, Disconnect, Publication, StreamPosition
from ..node.counters import Counters
from ..node.maps import Maps
from ..node.namespaces import Rules
from ..node.polls import Polls
from ..node.settings import ChannelOptions


class ChannelNamespaces(Protocol):
    """Finds options of channels."""

    def rules_of(self, channel: str) -> Rules:
        """Returns what holds for a channel; raises ClientError 102 for an unknown namespace."""

    def options_of(self, channel: str) -> ChannelOptions:
        """Returns the options of a channel's namespace; raises as rules_of()."""


class ApiNode(Protocol):
    """The operations behind the API. Failures of a plug-in are BrokerError and PresenceError."""

    @property
    def namespaces(self) -> ChannelNamespaces:
        """Options of channels."""

    @property
    def counters(self) -> Counters:
        """Where calls are counted."""

    @property
    def maps(self) -> Maps:
        """Keyed state of channels."""

    @property
    def polls(self) -> Polls:
        """Keys that the application is asked for."""

    def history_meta_ttl_seconds(self, options: ChannelOptions) -> float:
        """Returns how long offset and epoch of such a channel are kept."""

    def begin_publish(
        self, channel: str, data: bytes, options: PublishOptions
    ) -> PublishResult | Coroutine[Any, Any, PublishResult]:
        """Publishes, or returns a coroutine that does."""

    async def history(
        self, channel: str, wanted: HistoryFilter, history_meta_ttl_seconds: float = 0.0
    ) -> tuple[list[Publication], StreamPosition]:
        """Reads a stream."""

    async def remove_history(self, channel: str) -> None:
        """Removes a stream's publications."""

    async def presence(self, channel: str) -> dict[str, ClientInfo]:
        """Returns who is in a channel."""

    async def presence_stats(self, channel: str) -> PresenceStats:
        """Returns how many are in a channel."""

    async def subscribe_user(
        self,
        user: str,
        channel: str,
        *,
        client: str = "",
        session: str = "",
        expire_at: int = 0,
        info: bytes = b"",
        data: bytes = b"",
        recover_since: StreamPosition | None = None,
        overrides: SubscriptionOverrides | None = None,
    ) -> None:
        """Subscribes connections of a user."""

    async def unsubscribe_user(self, user: str, channel: str, *, client: str = "", session: str = "") -> None:
        """Ends subscriptions of a user; an empty channel stands for all."""

    async def disconnect_user(
        self,
        user: str,
        disconnect: Disconnect,
        *,
        client: str = "",
        session: str = "",
        whitelist: Sequence[str] = (),
    ) -> None:
        """Ends connections of a user."""

    async def refresh_user(
        self,
        user: str,
        *,
        client: str = "",
        session: str = "",
        expired: bool = False,
        expire_at: int = 0,
        info: bytes | None = None,
    ) -> None:
        """Gives connections of a user a new expiry or ends them."""

    async def channels(self, pattern: str) -> dict[str, int]:
        """Returns channels whose name matches the glob, with their numbers of subscribers."""

    async def info(self) -> list[dict[str, object]]:
        """Returns the nodes alive, with the names of `NodeResult`."""
