"""The whole configuration: the settings of all rooms in one typed tree."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct, field

from centripetal.admin.settings import AdminSettings
from centripetal.api.settings import GrpcApiSettings, HttpApiSettings, SwaggerSettings
from centripetal.auth.settings import SubscriptionTokenSettings, TokenSettings
from centripetal.consumers.settings import ConsumerSettings
from centripetal.engines.settings import (
    BrokerSettings,
    ControllerSettings,
    EngineSettings,
    MapBrokerSettings,
    PresenceManagerSettings,
)
from centripetal.node.settings import (
    ChannelSettings,
    ClientSettings,
    NodeSettings,
    RpcSettings,
    SharedPollSettings,
    ShutdownSettings,
)
from centripetal.observability.settings import (
    DebugSettings,
    GraphiteSettings,
    HealthSettings,
    LogSettings,
    OpenTelemetrySettings,
    PrometheusSettings,
    UsageStatsSettings,
)
from centripetal.proxies.settings import ChannelProxySettings, ClientProxySettings, NamedProxySettings, ProxySettings
from centripetal.transports.settings import (
    EmulationSettings,
    HttpServerSettings,
    HttpStreamSettings,
    InitSettings,
    SseSettings,
    UniGrpcSettings,
    UniHttpStreamSettings,
    UniSseSettings,
    UniWebSocketSettings,
    WebSocketSettings,
    WebTransportSettings,
)


class ClientSection(ClientSettings, frozen=True, kw_only=True):
    """Connections of clients, with tokens and proxies (`client.*`)."""

    proxy: ClientProxySettings = field(default_factory=ClientProxySettings)
    token: TokenSettings = field(default_factory=TokenSettings)
    subscription_token: SubscriptionTokenSettings = field(default_factory=SubscriptionTokenSettings)


class ChannelSection(ChannelSettings, frozen=True, kw_only=True):
    """Channels, with their proxies (`channel.*`)."""

    proxy: ChannelProxySettings = field(default_factory=ChannelProxySettings)


class RpcSection(RpcSettings, frozen=True, kw_only=True):
    """RPC calls, with their proxy (`rpc.*`)."""

    proxy: ProxySettings = field(default_factory=ProxySettings)


class Config(Struct, frozen=True, kw_only=True):
    """The whole configuration."""

    http_server: HttpServerSettings = field(default_factory=HttpServerSettings)
    log: LogSettings = field(default_factory=LogSettings)
    engine: EngineSettings = field(default_factory=EngineSettings)
    broker: BrokerSettings = field(default_factory=BrokerSettings)
    presence_manager: PresenceManagerSettings = field(default_factory=PresenceManagerSettings)
    map_broker: MapBrokerSettings = field(default_factory=MapBrokerSettings)
    controller: ControllerSettings = field(default_factory=ControllerSettings)
    shared_poll: SharedPollSettings = field(default_factory=SharedPollSettings)
    client: ClientSection = field(default_factory=ClientSection)
    channel: ChannelSection = field(default_factory=ChannelSection)
    rpc: RpcSection = field(default_factory=RpcSection)
    proxies: Annotated[tuple[NamedProxySettings, ...], Meta(description="List of named proxies.")] = ()
    http_api: HttpApiSettings = field(default_factory=HttpApiSettings)
    grpc_api: GrpcApiSettings = field(default_factory=GrpcApiSettings)
    consumers: Annotated[tuple[ConsumerSettings, ...], Meta(description="List of async consumers.")] = ()
    websocket: WebSocketSettings = field(default_factory=WebSocketSettings)
    sse: SseSettings = field(default_factory=SseSettings)
    http_stream: HttpStreamSettings = field(default_factory=HttpStreamSettings)
    webtransport: WebTransportSettings = field(default_factory=WebTransportSettings)
    uni_sse: UniSseSettings = field(default_factory=UniSseSettings)
    uni_http_stream: UniHttpStreamSettings = field(default_factory=UniHttpStreamSettings)
    uni_websocket: UniWebSocketSettings = field(default_factory=UniWebSocketSettings)
    uni_grpc: UniGrpcSettings = field(default_factory=UniGrpcSettings)
    emulation: EmulationSettings = field(default_factory=EmulationSettings)
    admin: AdminSettings = field(default_factory=AdminSettings)
    prometheus: PrometheusSettings = field(default_factory=PrometheusSettings)
    health: HealthSettings = field(default_factory=HealthSettings)
    swagger: SwaggerSettings = field(default_factory=SwaggerSettings)
    debug: DebugSettings = field(default_factory=DebugSettings)
    init: InitSettings = field(default_factory=InitSettings)
    opentelemetry: OpenTelemetrySettings = field(default_factory=OpenTelemetrySettings)
    graphite: GraphiteSettings = field(default_factory=GraphiteSettings)
    usage_stats: UsageStatsSettings = field(default_factory=UsageStatsSettings)
    node: NodeSettings = field(default_factory=NodeSettings)
    shutdown: ShutdownSettings = field(default_factory=ShutdownSettings)
    workers: Annotated[
        str, Meta(description="Processes that share ports and engine, as a text; auto = one for each CPU that may be used.")
    ] = "1"
    pid_file: Annotated[str, Meta(description="Write process id here.")] = ""
    enable_unreleased_features: Annotated[
        bool, Meta(description="Allow features that are not finished (the redisnats broker).")
    ] = False
