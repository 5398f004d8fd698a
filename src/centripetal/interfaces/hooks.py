"""Hooks: what the application decides or learns while its clients act.

The events are a table. Whoever embeds the library registers functions for them, the proxies ask a backend over HTTP or
gRPC, tests play the backend: all fill the same kind of table, and nothing else decides. Which namespaces ask, and whom, is
said by their options (`subscribe_proxy_enabled`, `subscribe_proxy_name`, …).

==================  =====================  ====================  ==============================  ==================
event               request                answer                None means                      a failure means
==================  =====================  ====================  ==============================  ==================
connect             ConnectEvent           ConnectAnswer         nobody known: see `client.*`    error 100
refresh             RefreshEvent           RefreshAnswer         expired, 3005                   60 seconds more
rpc                 RpcEvent               RpcAnswer             an empty result                 error 100
subscribe           SubscribeEvent         SubscribeAnswer       allowed                         error 100
subscribe_stream    SubscribeStreamEvent   Stream                never                           error 100
publish             PublishEvent           PublishAnswer         published as it is              error 100
map_publish         MapPublishEvent        MapPublishAnswer      written as it is                error 100
map_remove          MapRemoveEvent         MapRemoveAnswer       removed as it is                error 100
sub_refresh         SubRefreshEvent        SubRefreshAnswer      expired, 2501 or 3006           60 seconds more
cache_empty         CacheEmptyEvent        CacheEmptyAnswer      not populated                   not populated
shared_poll_refresh SharedPollRefreshEvent SharedPollRefresh…    nothing has changed             asked again later
==================  =====================  ====================  ==============================  ==================

A hook may raise ClientError or Disconnect: the client gets just that, except at refresh and sub_refresh, where both mean
that the backend does not want to go on (expired). HookError says that the hook could not do its work.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Generic, Protocol, TypeVar

from msgspec import Struct

from .shared_poll import SharedPollRefreshAnswer, SharedPollRefreshEvent
from .tokens import SubscriptionOverrides

DEFAULT_HOOK = "default"
"""The name under which a namespace finds the hook of its event unless it names another one."""

PROLONGED_SECONDS = 60
"""So much longer a connection or subscription lives when its refresh hook fails."""


class HookError(Exception):
    """A hook could not do its work. The text is for the operator, without payloads."""


class Forwarded(Struct, frozen=True):
    """What came with a connection and is meant for its hooks; names in lower case.

    Attributes:
        headers: of the HTTP request (`http_headers`).
        metadata: of the gRPC request (`grpc_metadata`).
        emulated: from the connect command (`emulated_headers`).
    """

    headers: dict[str, str] = {}
    metadata: dict[str, str] = {}
    emulated: dict[str, str] = {}


NOTHING_FORWARDED = Forwarded()


class Forwarding(Struct, frozen=True):
    """Names that hooks want of each of Forwarded's kinds, in lower case; a connection keeps nothing else."""

    headers: frozenset[str] = frozenset()
    metadata: frozenset[str] = frozenset()
    emulated: frozenset[str] = frozenset()


class Caller(Struct, frozen=True, kw_only=True):
    """The connection that an event is about.

    Attributes:
        client: connection id.
        transport: `websocket`, `uni_sse`, …
        protocol: `json` or `protobuf`.
        user: user id, empty for anonymous and before it is known.
        meta: hidden connection meta, JSON text; empty for none.
        forwarded: what came with it.
    """

    client: str = ""
    transport: str = ""
    protocol: str = ""
    user: str = ""
    meta: bytes = b""
    forwarded: Forwarded = NOTHING_FORWARDED


class ConnectEvent(Struct, frozen=True, kw_only=True):
    """A client without a token wants to connect.

    Attributes:
        data: from the connect command; JSON text or bytes.
        name, version: of the client's software, as it says.
        channels: server-side subscriptions that it asks for.
    """

    caller: Caller
    data: bytes = b""
    name: str = ""
    version: str = ""
    channels: tuple[str, ...] = ()


class SubscribeAnswer(Struct, frozen=True, kw_only=True):
    """A subscription is allowed.

    Attributes:
        expire_at: Unix seconds, 0 for never.
        info: channel info of the client.
        data: for the client.
        overrides: replaced namespace options.
        cache_recover: gives the latest publication unasked; for `subs` of ConnectAnswer.
    """

    expire_at: int = 0
    info: bytes = b""
    data: bytes = b""
    overrides: SubscriptionOverrides | None = None
    cache_recover: bool = False


class ConnectAnswer(Struct, frozen=True, kw_only=True):
    """Who the client is.

    Attributes:
        user: user id, empty for anonymous.
        expire_at: Unix seconds, 0 for never.
        info: connection info.
        data: for the client.
        channels: server-side subscriptions with the options of their namespaces.
        subs: server-side subscriptions with options; they win over `channels`.
        meta: hidden connection meta, JSON text.
    """

    user: str = ""
    expire_at: int = 0
    info: bytes = b""
    data: bytes = b""
    channels: tuple[str, ...] = ()
    subs: dict[str, SubscribeAnswer] = {}
    meta: bytes = b""


class RefreshEvent(Struct, frozen=True, kw_only=True):
    """A connection has expired."""

    caller: Caller


class RefreshAnswer(Struct, frozen=True, kw_only=True):
    """Whether it goes on.

    Attributes:
        expired: it does not.
        expire_at: the new expiry, Unix seconds; one that is not in the future ends it too.
        info, meta: replace the connection's; empty ones do not.
    """

    expired: bool = False
    expire_at: int = 0
    info: bytes = b""
    meta: bytes = b""


class RpcEvent(Struct, frozen=True, kw_only=True):
    """A client calls a method of the application."""

    caller: Caller
    method: str = ""
    data: bytes = b""


class RpcAnswer(Struct, frozen=True, kw_only=True):
    """What the method returns: JSON text or bytes."""

    data: bytes = b""


class SubscribeEvent(Struct, frozen=True, kw_only=True):
    """A client wants to subscribe."""

    caller: Caller
    channel: str = ""
    token: str = ""
    data: bytes = b""


class SubscribeStreamEvent(SubscribeEvent, frozen=True, kw_only=True):
    """A client wants to subscribe to a stream of the application's own.

    Attributes:
        bidirectional: what the client publishes goes to the application.
    """

    bidirectional: bool = False


class StreamPublication(Struct, frozen=True):
    """A publication of a stream, for its subscriber only."""

    data: bytes = b""
    tags: dict[str, str] = {}


class Stream(Protocol):
    """A subscription's own stream of publications, accepted by the application."""

    @property
    def answer(self) -> SubscribeAnswer:
        """How it was accepted; overrides of recovery and positioning do not count."""

    async def receive(self) -> StreamPublication | None:
        """Waits for the next publication; None is the end.

        Raises:
            HookError: the stream broke.
        """

    async def send(self, data: bytes) -> None:
        """Takes what the subscriber publishes (bidirectional streams only).

        Raises:
            HookError: the stream broke.
        """

    def cancel(self) -> None:
        """Ends the stream; nobody receives any more."""


class PublishEvent(Struct, frozen=True, kw_only=True):
    """A client wants to publish."""

    caller: Caller
    channel: str = ""
    data: bytes = b""


class PublishAnswer(Struct, frozen=True, kw_only=True):
    """What is published.

    Attributes:
        data: in place of the client's; None for the client's.
        skip_history: it is not kept.
        tags, idempotency_key, delta, version, version_epoch: as in the API method `publish`.
    """

    data: bytes | None = None
    skip_history: bool = False
    tags: dict[str, str] = {}
    idempotency_key: str = ""
    delta: bool = False
    version: int = 0
    version_epoch: str = ""


class SubRefreshEvent(Struct, frozen=True, kw_only=True):
    """A subscription has expired."""

    caller: Caller
    channel: str = ""


class SubRefreshAnswer(Struct, frozen=True, kw_only=True):
    """Whether it goes on.

    Attributes:
        expired: it does not.
        expire_at: the new expiry, Unix seconds; 0 for never.
        info: replaces the channel info; empty does not.
    """

    expired: bool = False
    expire_at: int = 0
    info: bytes = b""


class CacheEmptyEvent(Struct, frozen=True, kw_only=True):
    """A subscriber of a channel in cache mode found no publication."""

    channel: str = ""


class CacheEmptyAnswer(Struct, frozen=True, kw_only=True):
    """Whether the application has published one meanwhile."""

    populated: bool = False


Q = TypeVar("Q")
A = TypeVar("A")
Hook = Callable[[Q], Awaitable[A | None]]


class Event(Struct, Generic[Q, A], frozen=True):
    """One row of the table.

    Attributes:
        name: on the wire of configuration and metrics.
        request: type.
        answer: type, a protocol for streams.
        obeys_errors: the application's ClientError or Disconnect is what the client gets.
    """

    name: str
    request: type[Q]
    answer: Any
    obeys_errors: bool = True


CONNECT: Event[ConnectEvent, ConnectAnswer] = Event("connect", ConnectEvent, ConnectAnswer)
REFRESH: Event[RefreshEvent, RefreshAnswer] = Event("refresh", RefreshEvent, RefreshAnswer, False)
RPC: Event[RpcEvent, RpcAnswer] = Event("rpc", RpcEvent, RpcAnswer)
SUBSCRIBE: Event[SubscribeEvent, SubscribeAnswer] = Event("subscribe", SubscribeEvent, SubscribeAnswer)
SUBSCRIBE_STREAM: Event[SubscribeStreamEvent, Stream] = Event("subscribe_stream", SubscribeStreamEvent, Stream)
PUBLISH: Event[PublishEvent, PublishAnswer] = Event("publish", PublishEvent, PublishAnswer)
SUB_REFRESH: Event[SubRefreshEvent, SubRefreshAnswer] = Event("sub_refresh", SubRefreshEvent, SubRefreshAnswer, False)
CACHE_EMPTY: Event[CacheEmptyEvent, CacheEmptyAnswer] = Event("cache_empty", CacheEmptyEvent, CacheEmptyAnswer, False)

SHARED_POLL_REFRESH: Event[SharedPollRefreshEvent, SharedPollRefreshAnswer] = Event(
    "shared_poll_refresh", SharedPollRefreshEvent, SharedPollRefreshAnswer
)


class Hooks(Protocol):
    """What a node asks for its hooks."""

    @property
    def forwarding(self) -> Forwarding:
        """What connections keep for them."""

    def find(self, event: Event[Q, A], name: str = DEFAULT_HOOK) -> Hook[Q, A] | None:
        """Returns the hook of an event; None if nobody wants it.

        Args:
            event: one of the table.
            name: the one that a namespace names (`…_proxy_name`).
        """

    def has_any(self, event: Event[Q, A]) -> bool:
        """Whether there is a hook of this event under any name."""


class HookTable:
    """Hooks by event and name: what an application, the proxies and tests fill."""

    def __init__(self, forwarding: Forwarding | None = None) -> None:
        self.forwarding = forwarding or Forwarding()
        self._hooks: dict[str, dict[str, Any]] = {}

    def add(self, event: Event[Q, A], hook: Hook[Q, A], name: str = DEFAULT_HOOK) -> None:
        """Has a function called for an event; see Hooks.find()."""
        self._hooks.setdefault(event.name, {})[name] = hook

    def find(self, event: Event[Q, A], name: str = DEFAULT_HOOK) -> Hook[Q, A] | None:
        """Returns the hook of an event; see Hooks.find()."""
        hooks = self._hooks.get(event.name)
        return hooks.get(name or DEFAULT_HOOK) if hooks else None

    def has_any(self, event: Event[Q, A]) -> bool:
        """Whether there is a hook of this event under any name."""
        return event.name in self._hooks
