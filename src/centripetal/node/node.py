"""One server in the cluster: channels, connections and what the server API does with them."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import Any, cast

import structlog

from ..interfaces import (
    Broker,
    Clock,
    HistoryFilter,
    Hooks,
    HookTable,
    MapBroker,
    PresenceManager,
    PresenceStats,
    PublishOptions,
    PublishResult,
    SubscriptionOverrides,
    SystemClock,
    TokenVerifier,
)
from ..model import ClientInfo, Disconnect, Publication, StreamPosition
from . import control
from .census import Census
from .cluster import Cluster, Membership
from .counters import Counters
from .delivery import Delivery
from .info import NodeInfo
from .interest import Interest
from .limited_log import LimitedLogger
from .maps import Maps
from .namespaces import Namespaces
from .polls import Polls
from .positions import Positions
from .registry import Registry
from .settings import ChannelOptions, NodeOptions
from .shared_entries import SharedEntries
from .slices import call_in_slices
from .sources import Sources
from .steering import carry_out
from .subscribers import Subscribers
from .ticker import Ticker

_BeginPublish = Callable[[str, bytes, PublishOptions], PublishResult | Coroutine[Any, Any, PublishResult]]


class Node:
    """Everything that the connections of one process share. Make it inside a running event loop.

    Attributes:
        id: random id of this node.
        public_id: by which clients know it: that of its group, if it has one.
        session_prefix: how sessions of its clients begin.
        name, version: as clients and the API see them.
        client, namespaces, rpc, shared_poll: the options `client.*`, `channel.*`, `rpc.*`, `shared_poll.*`.
        tokens: verifies JSON Web Tokens, None when nothing does.
        hooks: what the application decides.
        registry: authenticated connections.
        shared_entries: publications encoded for several who read the same.
        interest, positions: of channels with subscribers here.
        sources: brokers, asked for each channel the right one.
        maps: keyed state of channels.
        polls: channels whose keys the application is asked for.
        subscribers: with flusher, hub and keyed, which see.
        ticker: the timing wheel of the connections.
        counters: for metrics.
        cluster: the other nodes, None for a node alone.
        census: what all nodes together have.
        client_log: for what clients cause, at a bounded rate.
        stopping: new connections are refused.
    """

    def __init__(
        self,
        *,
        broker: Broker,
        presence: PresenceManager,
        map_broker: MapBroker | None = None,
        options: NodeOptions | None = None,
        tokens: TokenVerifier | None = None,
        hooks: Hooks | None = None,
        clock: Clock | None = None,
        membership: Membership | None = None,
        name: str = "",
        version: str = "0.0.0",
    ) -> None:
        loop = self._loop = asyncio.get_running_loop()
        self.id = str(uuid.uuid4())
        self.public_id = membership.group if membership is not None and membership.group else self.id
        self.session_prefix = membership.session_prefix if membership is not None else ""
        self.name = name or self.id
        self.version = version
        self.broker, self.presence_manager, self.map_broker = broker, presence, map_broker
        self.clock: Clock = clock or SystemClock()
        self.hooks: Hooks = hooks or HookTable()
        self._begin_publish: _BeginPublish = getattr(broker, "begin_publish", broker.publish)
        self.counters = Counters()
        self.client_log = LimitedLogger(structlog.get_logger("centripetal.connection"), self.clock)
        self.registry = Registry()
        self._take_options(options or NodeOptions(), tokens)
        self.subscribers = Subscribers(self.counters, loop)
        self.flusher, self.hub, self.keyed = self.subscribers.flusher, self.subscribers.hub, self.subscribers.keyed
        self.delivery = Delivery(self.hub, self.counters)
        self.maps = Maps(map_broker, self.namespaces, self.counters)
        self.sources = Sources(broker, map_broker, self.namespaces)
        self.interest = Interest(self.hub, self.sources)
        self.positions = self.delivery.positions = self._new_positions()
        self.shared_entries = SharedEntries()
        self.ticker = Ticker(self.clock, loop)
        self.ticker.every_second += [self.positions.check_due, self.shared_entries.every_second]
        self.polls = Polls(self)
        self.node_info = NodeInfo(self)
        self.stopping = False
        broker.bind(self.delivery)
        if map_broker is not None:
            map_broker.bind(self.delivery)
        self.cluster = self._join(membership) if membership is not None else None
        self.census = Census(self.registry, self.hub, self.node_info.describe, self.cluster, self.clock)

    def _take_options(self, options: NodeOptions, tokens: TokenVerifier | None) -> None:
        self.client = options.client
        self.namespaces = Namespaces(options.channel)
        self.rpc = options.rpc
        self.shared_poll = options.shared_poll
        self.tokens = tokens

    def _new_positions(self) -> Positions:
        return Positions(
            self.sources,
            self.clock,
            self.delivery.deliver,
            self.hub.deliver_late,
            self.subscribers.lose_position,
            check_delay_seconds=self.client.channel_position_check_delay,
            max_time_lag_seconds=self.client.channel_position_max_time_lag,
        )

    def _join(self, membership: Membership) -> Cluster:
        describe, told = self.node_info.describe, partial(carry_out, self.registry)
        cluster = Cluster(self.id, membership, self.clock, self.counters, describe, told)
        self.ticker.every_second.append(cluster.every_second)
        self.polls.meet(cluster)
        return cluster

    def reconfigure(self, options: NodeOptions, tokens: TokenVerifier | None) -> None:
        """Goes on with other options; connections and subscriptions that exist stay as they are."""
        self._take_options(options, tokens)
        self.maps.namespaces = self.sources.namespaces = self.namespaces
        self.positions.check_delay_seconds = self.client.channel_position_check_delay
        self.positions.max_time_lag_seconds = self.client.channel_position_max_time_lag

    async def start(self) -> None:
        """Starts the engine and the clockwork.

        Raises:
            BrokerError, PresenceError: the engine cannot be reached.
        """
        await self.broker.start()
        await self.presence_manager.start()
        if self.map_broker is not None:
            await self.map_broker.start()
        if self.cluster is not None:
            await self.cluster.start()
        self.ticker.start()

    async def stop(self) -> None:
        """Stops both; connections must be gone by now."""
        await self.polls.stop()
        self.ticker.stop()
        if self.cluster is not None:
            await self.cluster.stop()
        if self.map_broker is not None:
            await self.map_broker.stop()
        await self.presence_manager.stop()
        await self.broker.stop()

    # Publishing and streams

    def history_meta_ttl_seconds(self, options: ChannelOptions) -> float:
        """Returns how long offset and epoch of channels with these options are kept."""
        return options.history_meta_ttl or self.namespaces.settings.history_meta_ttl

    def begin_publish(
        self, channel: str, data: bytes, options: PublishOptions
    ) -> PublishResult | Coroutine[Any, Any, PublishResult]:
        """Publishes to a channel at once if the broker can; for whom a coroutine costs too much.

        Returns:
            What publish() returns, or, if the broker has to wait, the coroutine that does.

        Raises:
            BrokerError: as publish().
        """
        self.counters.publications_sent += 1
        result = self._begin_publish(channel, data, options)
        if type(result) is not PublishResult:
            return self._finish_publish(cast("Coroutine[Any, Any, PublishResult]", result))
        if result.suppressed:
            self.counters.publish_suppressed[result.reason] += 1
        return result

    async def _finish_publish(self, publishing: Coroutine[Any, Any, PublishResult]) -> PublishResult:
        result = await publishing
        if result.suppressed:
            self.counters.publish_suppressed[result.reason] += 1
        return result

    async def publish(self, channel: str, data: bytes, options: PublishOptions) -> PublishResult:
        """Publishes to a channel.

        Args:
            channel: any name.
            data: JSON text or bytes.
            options: how it is stored and sent.

        Raises:
            BrokerError: the broker cannot take it.
        """
        outcome = self.begin_publish(channel, data, options)
        return outcome if isinstance(outcome, PublishResult) else await outcome

    async def history(
        self, channel: str, wanted: HistoryFilter, history_meta_ttl_seconds: float = 0.0
    ) -> tuple[list[Publication], StreamPosition]:
        """Reads a channel's stream; see Broker.history()."""
        self.counters.actions["history"] += 1
        return await self.broker.history(channel, wanted, history_meta_ttl_seconds)

    async def remove_history(self, channel: str) -> None:
        """Removes a channel's publications; offset and epoch go on."""
        self.counters.actions["history_remove"] += 1
        await self.broker.remove_history(channel)

    async def presence(self, channel: str) -> dict[str, ClientInfo]:
        """Returns who is in a channel, by connection id."""
        self.counters.actions["presence"] += 1
        return await self.presence_manager.presence(channel)

    async def presence_stats(self, channel: str) -> PresenceStats:
        """Returns how many are in a channel."""
        self.counters.actions["presence_stats"] += 1
        return await self.presence_manager.stats(channel)

    async def add_presence(self, channel: str, client: str, info: ClientInfo) -> None:
        """Adds or renews a connection's entry in a channel."""
        self.counters.actions["add_presence"] += 1
        await self.presence_manager.add(channel, client, info)

    async def remove_presence(self, channel: str, client: str) -> None:
        """Removes it."""
        self.counters.actions["remove_presence"] += 1
        await self.presence_manager.remove(channel, client)

    async def publish_join(self, channel: str, info: ClientInfo) -> None:
        """Tells the channel that a client came."""
        self.counters.joins_sent += 1
        await self.broker.publish_join(channel, info)

    async def publish_leave(self, channel: str, info: ClientInfo) -> None:
        """Tells the channel that a client left."""
        self.counters.leaves_sent += 1
        await self.broker.publish_leave(channel, info)

    # Connections, as the server API steers them

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
        """Adds a server-side subscription to a user's connections (API method `subscribe`).

        Args:
            user: user id, empty for anonymous connections.
            channel: any name; permissions are not asked.
            client, session: narrow it to one connection.
            expire_at: Unix seconds, 0 for never.
            info: channel info.
            data: goes to the client.
            recover_since: sends what was published after this position.
            overrides: replaced namespace options.

        Raises:
            ClientError: 102, unknown namespace; 105, already subscribed; 110, expired already.
        """
        await self._steer(
            control.SubscribeUser(
                sender=self.id, user=user, channel=channel, client=client, session=session, expire_at=expire_at,
                info=info, data=data, recover_since=recover_since, overrides=overrides,
            )
        )  # fmt: skip

    async def unsubscribe_user(self, user: str, channel: str, *, client: str = "", session: str = "") -> None:
        """Ends a subscription of a user's connections, all of them with an empty channel (API method `unsubscribe`)."""
        await self._steer(
            control.UnsubscribeUser(sender=self.id, user=user, channel=channel, client=client, session=session)
        )

    async def disconnect_user(
        self, user: str, disconnect: Disconnect, *, client: str = "", session: str = "", whitelist: Sequence[str] = ()
    ) -> None:
        """Ends a user's connections, but for the ids in the whitelist (API method `disconnect`)."""
        await self._steer(
            control.DisconnectUser(
                sender=self.id, user=user, code=disconnect.code, reason=disconnect.reason, client=client,
                session=session, whitelist=list(whitelist),
            )
        )  # fmt: skip

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
        """Changes the expiry of a user's connections (API method `refresh`).

        Args:
            user, client, session: whose.
            expired: ends them with 3005.
            expire_at: Unix seconds of the new expiry, 0 for none.
            info: replaces the connection info.
        """
        await self._steer(
            control.RefreshUser(
                sender=self.id, user=user, client=client, session=session, expired=expired, expire_at=expire_at,
                info=info,
            )
        )  # fmt: skip

    async def _steer(self, message: control.AnyMessage) -> None:
        await carry_out(self.registry, message)
        if self.cluster is not None:
            await self.cluster.steer(message)

    async def channels(self, pattern: str = "") -> dict[str, int]:
        """Returns the channels with subscribers and how many each has; see Census.channels()."""
        return await self.census.channels(pattern)

    async def info(self) -> list[dict[str, object]]:
        """Returns a description of each node, in the wire names of `NodeResult`."""
        return await self.census.info()

    def num_nodes(self) -> int:
        """Returns how many nodes the cluster has, with those of a group as one."""
        return 1 if self.cluster is None else self.cluster.num_nodes()

    def recover_from_interruption(self) -> None:
        """The engine was out of reach, or is another one: publications may be missed, presence gone, nodes unknown."""
        self.positions.suspect(self.hub.channels.values())
        clients = list(self.registry.clients.values())
        call_in_slices(self._loop.call_soon, clients, lambda client: client.renew_presence_soon())
        self.meet_others()

    def meet_others(self) -> None:
        """Nodes that were there before can be heard from now on."""
        if self.cluster is not None:
            self.cluster.greet()

    @property
    def num_clients(self) -> int:
        """Authenticated connections."""
        return len(self.registry.clients)
