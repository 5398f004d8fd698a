"""Settings of channels, clients, RPC and the node itself."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct, field

from centripetal.model.duration import Duration
from centripetal.model.option import Secret, Uint32


class MapOptions(Struct, frozen=True, kw_only=True):
    """Keyed state of a map channel (`map.*` of a namespace)."""

    mode: Annotated[
        Literal["", "ephemeral", "recoverable", "persistent"],
        Meta(description="How long state lives; required for map types."),
    ] = ""
    key_ttl: Annotated[
        Duration, Meta(description="Per-key lifetime; required unless persistent, forbidden for persistent.")
    ] = 0.0
    stream_size: Annotated[int, Meta(description="Change-log length (default 100 when a stream exists).")] = 0
    stream_ttl: Annotated[Duration, Meta(description="Change-log retention (default 1m).")] = 0.0
    meta_ttl: Annotated[Duration, Meta(description="Position retention (>= stream_ttl).")] = 0.0
    remove_client_on_unsubscribe: Annotated[bool, Meta(description="Drop key == client id when it unsubscribes.")] = (
        False
    )
    client_key: Annotated[
        Literal["", "client_id", "user_id"],
        Meta(description="Server-assigned key for client writes; empty = the client chooses."),
    ] = ""
    allow_publish_for_client: Annotated[bool, Meta(description="Authenticated clients may write keys.")] = False
    allow_publish_for_subscriber: Annotated[bool, Meta(description="Subscribers may write keys.")] = False
    allow_publish_for_anonymous: Annotated[bool, Meta(description='Extend the write rules to user "".')] = False
    allow_remove_for_client: Annotated[bool, Meta(description="Authenticated clients may delete keys.")] = False
    allow_remove_for_subscriber: Annotated[bool, Meta(description="Subscribers may delete keys.")] = False
    allow_remove_for_anonymous: Annotated[bool, Meta(description='Extend the delete rules to user "".')] = False
    publish_proxy_enabled: Annotated[bool, Meta(description="Ask backend on key write.")] = False
    publish_proxy_name: Annotated[str, Meta(description="Proxy to use; default = channel.proxy.map_publish.")] = (
        "default"
    )
    remove_proxy_enabled: Annotated[bool, Meta(description="Ask backend on key delete.")] = False
    remove_proxy_name: Annotated[str, Meta(description="Proxy to use; default = channel.proxy.map_remove.")] = "default"
    default_page_size: Annotated[int, Meta(description="State page size when limit absent (default 100).")] = 0
    min_page_size: Annotated[int, Meta(description="Lower clamp of limit (default 100).")] = 0
    max_page_size: Annotated[int, Meta(description="Upper clamp of limit (default 1000).")] = 0
    live_transition_max_publication_limit: Annotated[
        int, Meta(description="Max publications bridged when going live.")
    ] = 0
    subscribe_catch_up_timeout: Annotated[
        Duration, Meta(description="Max time in state/stream phases (default 5s) before disconnect 3008.")
    ] = 0.0


class SharedPollOptions(Struct, frozen=True, kw_only=True):
    """Polling of a shared-poll channel (`shared_poll.*` of a namespace)."""

    proxy_name: Annotated[
        str, Meta(description="Refresh proxy to use; empty/default = channel.proxy.shared_poll_refresh.")
    ] = ""
    refresh_interval: Annotated[Duration, Meta(description="Polling period (default 10s).")] = 0.0
    refresh_batch_size: Annotated[int, Meta(description="Keys per backend call (default 1000).")] = 0
    max_keys_per_connection: Annotated[
        int, Meta(description="Tracked keys cap (default 5000); error 106 beyond it.")
    ] = 0
    mode: Annotated[
        Literal["", "versionless", "versioned"],
        Meta(description="Whether the backend's items carry versions; empty = versionless."),
    ] = ""
    channel_shutdown_delay: Annotated[Duration, Meta(description="Idle time before polling stops (default 1s).")] = 0.0
    track_expired_extra_delay: Annotated[
        Duration, Meta(description="Grace after a track signature expiry (default 25s).")
    ] = 0.0
    publish_enabled: Annotated[bool, Meta(description="Allow shared_poll_publish (needs versioned).")] = False
    keep_latest_data: Annotated[
        bool, Meta(description="Keep the latest value of each key: newcomers get it at once, deltas need no prev_data.")
    ] = False
    backpressure_max_interval: Annotated[
        Duration, Meta(description="The polling period may grow up to this while the backend is slow; 0 = it does not.")
    ] = 0.0


class ChannelOptions(Struct, frozen=True, kw_only=True):
    """What channels of one namespace may do (`channel.without_namespace.*`)."""

    presence: Annotated[bool, Meta(description="Track who is subscribed.")] = False
    join_leave: Annotated[bool, Meta(description="Emit join/leave events.")] = False
    force_push_join_leave: Annotated[
        bool, Meta(description="Deliver join/leave even when the subscriber did not ask.")
    ] = False
    map_clients_presence_channel_prefix: Annotated[
        str, Meta(description="Mirror connections into map channel prefix+channel (key = client id).")
    ] = ""
    map_users_presence_channel_prefix: Annotated[
        str, Meta(description="Mirror users into map channel prefix+channel (key = user id).")
    ] = ""
    history_size: Annotated[int, Meta(description="Publications kept; 0 = no history.")] = 0
    history_ttl: Annotated[Duration, Meta(description="Retention of the stream (whole seconds).")] = 0.0
    history_meta_ttl: Annotated[Duration, Meta(description="Retention of offset/epoch; 0 = global value.")] = 0.0
    force_positioning: Annotated[bool, Meta(description="Every subscription positioned.")] = False
    allow_positioning: Annotated[bool, Meta(description="Client may ask for positioned.")] = False
    force_recovery: Annotated[bool, Meta(description="Every subscription recoverable.")] = False
    allow_recovery: Annotated[bool, Meta(description="Client may ask for recoverable.")] = False
    force_recovery_mode: Annotated[Literal["", "stream", "cache"], Meta(description="Stream (default) or cache.")] = ""
    auto_cache_recover: Annotated[
        bool, Meta(description="Send latest publication on every subscribe (needs force_recovery + cache mode).")
    ] = False
    allowed_delta_types: Annotated[
        tuple[str, ...], Meta(description="Delta types a subscriber may negotiate (only fossil).")
    ] = ()
    allow_tags_filter: Annotated[bool, Meta(description="Client may pass tf on subscribe.")] = False
    delta_publish: Annotated[bool, Meta(description="Treat every publish as delta-enabled.")] = False
    client_publish_debounce_interval: Annotated[
        Duration, Meta(description="Clients send only the latest of what they publish within this time; 0 = everything.")
    ] = 0.0
    allow_subscribe_for_anonymous: Annotated[
        bool, Meta(description='Extend allow_subscribe_for_client to user "".')
    ] = False
    allow_subscribe_for_client: Annotated[bool, Meta(description="Any authenticated client may subscribe.")] = False
    allow_publish_for_anonymous: Annotated[bool, Meta(description='Extend the client/subscriber rule to user "".')] = (
        False
    )
    allow_publish_for_subscriber: Annotated[bool, Meta(description="Current subscribers may publish.")] = False
    allow_publish_for_client: Annotated[bool, Meta(description="Any authenticated client may publish.")] = False
    allow_presence_for_anonymous: Annotated[bool, Meta(description='Extend the client/subscriber rule to user "".')] = (
        False
    )
    allow_presence_for_subscriber: Annotated[bool, Meta(description="Current subscribers may read presence.")] = False
    allow_presence_for_client: Annotated[bool, Meta(description="Any authenticated client may read presence.")] = False
    allow_history_for_anonymous: Annotated[bool, Meta(description='Extend the client/subscriber rule to user "".')] = (
        False
    )
    allow_history_for_subscriber: Annotated[bool, Meta(description="Current subscribers may read history.")] = False
    allow_history_for_client: Annotated[bool, Meta(description="Any authenticated client may read history.")] = False
    allow_user_limited_channels: Annotated[
        bool, Meta(description="Let names with the user boundary admit listed users.")
    ] = False
    channel_regex: Annotated[
        str, Meta(description="Pattern for the part after the namespace (replaces the ASCII check).")
    ] = ""
    publication_data_format: Annotated[
        Literal["", "json", "json_object", "binary"], Meta(description='"" (no empty data)|json|json_object|binary.')
    ] = ""
    subscribe_proxy_enabled: Annotated[bool, Meta(description="Ask backend on subscribe.")] = False
    subscribe_proxy_name: Annotated[str, Meta(description="Proxy to use; default = channel.proxy.subscribe.")] = (
        "default"
    )
    publish_proxy_enabled: Annotated[bool, Meta(description="Ask backend on client publish.")] = False
    publish_proxy_name: Annotated[str, Meta(description="Proxy to use; default = channel.proxy.publish.")] = "default"
    sub_refresh_proxy_enabled: Annotated[bool, Meta(description="Ask backend when a subscription expires.")] = False
    sub_refresh_proxy_name: Annotated[str, Meta(description="Proxy to use; default = channel.proxy.sub_refresh.")] = (
        "default"
    )
    cache_empty_proxy_enabled: Annotated[
        bool, Meta(description="Ask backend to fill an empty channel in cache mode.")
    ] = False
    cache_empty_proxy_name: Annotated[str, Meta(description="Proxy to use; default = channel.proxy.cache_empty.")] = (
        "default"
    )
    subscribe_stream_proxy_enabled: Annotated[
        bool, Meta(description="Feed the subscription from a backend gRPC stream.")
    ] = False
    subscribe_stream_proxy_name: Annotated[
        str, Meta(description="Proxy to use; default = channel.proxy.subscribe_stream.")
    ] = "default"
    subscribe_stream_proxy_bidirectional: Annotated[bool, Meta(description="Client publishes go up the stream.")] = (
        False
    )
    subscription_type: Annotated[
        Literal["", "stream", "map", "map_clients", "map_users", "shared_poll"],
        Meta(description='""|stream|map|map_clients|map_users|shared_poll.'),
    ] = ""
    map: MapOptions = field(default_factory=MapOptions)
    shared_poll: SharedPollOptions = field(default_factory=SharedPollOptions)


class NamespaceOptions(ChannelOptions, frozen=True, kw_only=True):
    """One entry of `channel.namespaces`."""

    name: Annotated[str, Meta(description="Namespace name (regex ^[-a-zA-Z0-9_.]{2,}$, unique).")] = ""


class ChannelSettings(Struct, frozen=True, kw_only=True):
    """Channel names and namespaces (`channel.*`)."""

    without_namespace: ChannelOptions = field(default_factory=ChannelOptions)
    namespaces: Annotated[tuple[NamespaceOptions, ...], Meta(description="List of channel namespaces.")] = ()
    history_meta_ttl: Annotated[Duration, Meta(description="Global default retention of offset/epoch.")] = 2592000.0
    publication_data_format: Annotated[
        Literal["", "json", "json_object", "binary"], Meta(description="Global default of the per-namespace option.")
    ] = ""
    max_length: Annotated[int, Meta(description="Max channel length in bytes.")] = 255
    private_prefix: Annotated[str, Meta(description="Channels starting with it need a subscription token.")] = "$"
    namespace_boundary: Annotated[str, Meta(description="Separates namespace from the rest.")] = ":"
    user_boundary: Annotated[str, Meta(description="Starts the user-limited tail.")] = "#"
    user_separator: Annotated[str, Meta(description="Splits user ids in the tail; empty = a single id.")] = ","


class PersonalChannelSettings(Struct, frozen=True, kw_only=True):
    """Automatic subscription to a user's own channel (`client.subscribe_to_user_personal_channel.*`)."""

    enabled: Annotated[bool, Meta(description="Auto server-side subscribe each non-anonymous user to its channel.")] = (
        False
    )
    personal_channel_namespace: Annotated[str, Meta(description="Namespace of that channel; name is [ns:]#user.")] = ""
    single_connection: Annotated[
        bool, Meta(description="Keep one connection per user (needs presence in that namespace).")
    ] = False


class UnidirectionalDisconnect(Struct, frozen=True, kw_only=True):
    """Disconnect that replaces a connect error."""

    code: Annotated[Uint32, Meta(description="Disconnect code to use.")] = 0
    reason: Annotated[str, Meta(description="Disconnect reason text.")] = ""


class UnidirectionalDisconnectTransform(Struct, frozen=True, kw_only=True):
    """One pair of connect error and disconnect."""

    code: Annotated[Uint32, Meta(description="Connect error code.")] = 0
    to: UnidirectionalDisconnect = field(default_factory=UnidirectionalDisconnect)


class UnidirectionalDisconnectSettings(Struct, frozen=True, kw_only=True):
    """Disconnects for connect errors of unidirectional transports."""

    enabled: Annotated[bool, Meta(description="Use the list below.")] = False
    transforms: Annotated[
        tuple[UnidirectionalDisconnectTransform, ...],
        Meta(description="Connect error code -> disconnect pairs for uni transports."),
    ] = ()


class ClientSettings(Struct, frozen=True, kw_only=True):
    """Connections of clients (`client.*`)."""

    allowed_origins: Annotated[
        tuple[str, ...], Meta(description="Glob patterns for the Origin header; empty = only requests lacking Origin.")
    ] = ()
    allow_anonymous_connect_without_token: Annotated[
        bool, Meta(description='Accept token-less connects as user "".')
    ] = False
    disallow_anonymous_connection_tokens: Annotated[
        bool, Meta(description="Refuse tokens with empty user (disconnect 3507).")
    ] = False
    ping_interval: Annotated[Duration, Meta(description="Server app-level ping period, -1 off.")] = 25.0
    pong_timeout: Annotated[
        Duration, Meta(description="Wait for pong before disconnect 3012, -1 off; must be < ping_interval.")
    ] = 8.0
    expired_close_delay: Annotated[
        Duration, Meta(description="Grace after connection expiry (client-side refresh).")
    ] = 25.0
    expired_sub_close_delay: Annotated[Duration, Meta(description="Grace after subscription expiry.")] = 25.0
    stale_close_delay: Annotated[Duration, Meta(description="Time to complete connect before disconnect 3502.")] = 10.0
    channel_limit: Annotated[int, Meta(description="Max client-side subscriptions per connection.")] = 128
    queue_max_size: Annotated[int, Meta(description="Outgoing queue bytes before disconnect 3008.")] = 1048576
    presence_update_interval: Annotated[
        Duration, Meta(description="Period of presence refresh and per-subscription checks.")
    ] = 27.0
    concurrency: Annotated[int, Meta(description="Commands handled in parallel per connection; <=1 sequential.")] = 0
    channel_position_check_delay: Annotated[
        Duration, Meta(description="Min age before a stream position is rechecked.")
    ] = 40.0
    channel_position_max_time_lag: Annotated[
        Duration, Meta(description="Max PUB/SUB lag tolerated for positioned subscribers; 0 off.")
    ] = 0.0
    connection_limit: Annotated[int, Meta(description="Node-wide cap on connections (HTTP 503 before upgrade).")] = 0
    user_connection_limit: Annotated[
        int, Meta(description="Per-user cap on this node (disconnect 3504); anonymous exempt.")
    ] = 0
    connection_rate_limit: Annotated[
        int, Meta(description="New connections let through at once; one more is allowed every second; 0 = no limit.")
    ] = 0
    connect_include_server_time: Annotated[bool, Meta(description="Put Unix ms `time` in connect reply.")] = False
    history_max_publication_limit: Annotated[int, Meta(description="Cap of one client history call.")] = 300
    recovery_max_publication_limit: Annotated[int, Meta(description="Cap of publications sent in recovery.")] = 300
    insecure_skip_token_signature_verify: Annotated[bool, Meta(description="Do not check token signature.")] = False
    user_id_http_header: Annotated[str, Meta(description="Trusted request header holding the user id.")] = ""
    insecure: Annotated[bool, Meta(description="Accept everybody and allow all channel operations.")] = False
    subscribe_to_user_personal_channel: PersonalChannelSettings = field(default_factory=PersonalChannelSettings)
    connect_code_to_unidirectional_disconnect: UnidirectionalDisconnectSettings = field(
        default_factory=UnidirectionalDisconnectSettings
    )


class RpcNamespaceSettings(Struct, frozen=True, kw_only=True):
    """One entry of `rpc.namespaces`."""

    name: Annotated[str, Meta(description="RPC namespace name (same regex).")] = ""
    proxy_enabled: Annotated[bool, Meta(description="Send RPC to backend.")] = False
    proxy_name: Annotated[str, Meta(description="Proxy to use; default = rpc.proxy.")] = "default"


class RpcOptions(Struct, frozen=True, kw_only=True):
    """RPC calls without a namespace (`rpc.without_namespace.*`)."""

    proxy_enabled: Annotated[bool, Meta(description="Send RPC to backend.")] = False
    proxy_name: Annotated[str, Meta(description="Proxy to use; default = rpc.proxy.")] = "default"


class RpcPingSettings(Struct, frozen=True, kw_only=True):
    """The built-in RPC method that measures round trips (`rpc.ping.*`)."""

    enabled: Annotated[bool, Meta(description="Answer a built-in ping RPC.")] = False
    method: Annotated[str, Meta(description="Its method name.")] = "ping"


class RpcSettings(Struct, frozen=True, kw_only=True):
    """RPC calls of clients (`rpc.*`)."""

    without_namespace: RpcOptions = field(default_factory=RpcOptions)
    namespaces: Annotated[tuple[RpcNamespaceSettings, ...], Meta(description="List of RPC namespaces.")] = ()
    ping: RpcPingSettings = field(default_factory=RpcPingSettings)
    namespace_boundary: Annotated[str, Meta(description="Separates RPC namespace from method.")] = ":"


class SharedPollSettings(Struct, frozen=True, kw_only=True):
    """Signatures and load of shared polls (`shared_poll.*`)."""

    hmac_secret_key: Annotated[
        Secret, Meta(description="Key verifying track signatures; required for shared_poll namespaces.")
    ] = ""
    hmac_previous_secret_key: Annotated[Secret, Meta(description="Older signature key still accepted.")] = ""
    hmac_previous_secret_key_valid_until: Annotated[
        int, Meta(description="Unix seconds: signatures issued (iat) after this are not accepted with the older key.")
    ] = 0
    concurrency_limit: Annotated[int, Meta(description="Parallel backend refresh calls on a node; 0 = 64.")] = 0


class NodeSettings(Struct, frozen=True, kw_only=True):
    """This node in its cluster (`node.*`)."""

    name: Annotated[str, Meta(description="Display name; default <hostname>_<port>.")] = ""
    info_metrics_aggregate_interval: Annotated[Duration, Meta(description="Window for metrics in info.")] = 60.0


class ShutdownSettings(Struct, frozen=True, kw_only=True):
    """The graceful stop (`shutdown.*`)."""

    timeout: Annotated[Duration, Meta(description="Graceful stop limit.")] = 30.0
    drain_time: Annotated[
        Duration,
        Meta(description="Spread the disconnects of clients over this time; less than shutdown.timeout. 0 = briefly."),
    ] = 0.0


class NodeOptions(Struct, frozen=True, kw_only=True):
    """What a node goes by, which can be exchanged while it runs."""

    client: ClientSettings = field(default_factory=ClientSettings)
    channel: ChannelSettings = field(default_factory=ChannelSettings)
    rpc: RpcSettings = field(default_factory=RpcSettings)
    shared_poll: SharedPollSettings = field(default_factory=SharedPollSettings)
