"""Rules among options: each broken one is found and named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from centripetal.config import ConfigError, load, validate

EC_KEY = (
    ec.derive_private_key(12345, ec.SECP256R1())
    .public_key()
    .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    .decode()
)


def mistake(folder: Path, content: Any) -> str:
    path = folder / "c.json"
    path.write_text(json.dumps(content))
    loaded = load(str(path), environ={})
    try:
        validate(loaded.config)
    except ConfigError as error:
        return str(error)
    return ""


def transforming(transform: dict[str, Any]) -> dict[str, Any]:
    return {"proxies": [{"name": "ab", **BACKEND, "http": {"status_to_code_transforms": [{"status_code": 404, **transform}]}}]}


def room(**options: Any) -> dict[str, Any]:
    return {"channel": {"namespaces": [{"name": "room", **options}]}}


def polled(**options: Any) -> dict[str, Any]:
    config = room(subscription_type="shared_poll", shared_poll={"proxy_name": "back", **options})
    return {**POLL, "proxies": [{"name": "back", **BACKEND}], **config}


def autocert(**options: Any) -> dict[str, Any]:
    return {"http_server": {"tls_autocert": {"enabled": True, **options}}}


HISTORY = {"history_size": 5, "history_ttl": "60s"}
POLL = {"shared_poll": {"hmac_secret_key": "k"}}
BACKEND = {"endpoint": "http://localhost:1"}
KAFKA = {"brokers": ["a"], "topics": ["t"], "consumer_group": "g"}


@pytest.mark.parametrize(
    ("content", "word"),
    [
        ({"http_server": {"port": 70000}}, "http_server.port"),
        ({"http_server": {"port": -1}}, "http_server.port"),
        ({"http_server": {"internal_port": "x"}}, "http_server.internal_port"),
        ({"http_server": {"internal_port": "99999"}}, "http_server.internal_port"),
        ({"http_server": {"h2c_external": True}}, "http_server.h2c_external"),
        ({"http_server": {"tls": {"enabled": True}}}, "http_server.tls.cert_pem"),
        ({"http_server": {"tls": {"enabled": True, "cert_pem": "/nowhere", "key_pem": "x"}}}, "cert_pem"),
        (autocert(host_whitelist=["a.test", "*.b.test"]), 'host_whitelist[1]: "*.b.test" is not the full name'),
        (autocert(server_name="localhost"), 'tls_autocert.server_name: "localhost" is not the full name'),
        (autocert(host_whitelist=["a.test"], server_name="b.test"), 'server_name: "b.test" is not in host_whitelist'),
        (autocert(http=True, http_addr="80"), 'tls_autocert.http_addr: "80" is not of the form'),
        (autocert(http=True, http_addr=":8000"), 'tls_autocert.http_addr: ":8000" is where the server itself listens'),
        ({"http_server": {**autocert()["http_server"], "h2c_external": True, "internal_port": "1"}}, "h2c_external"),
        ({"http_server": {"http3": {"enabled": True}}}, "http_server.http3.enabled"),
        ({"webtransport": {"enabled": True}}, "webtransport.enabled"),
        ({"grpc_api": {"enabled": True, "port": 99999}}, "grpc_api.port"),
        ({"websocket": {"compression_level": 10}}, "websocket.compression_level"),
        ({"websocket": {"handler_prefix": "ws"}}, "websocket.handler_prefix"),
        ({"health": {"enabled": True, "handler_prefix": "/api/"}}, "health.handler_prefix"),
        ({"init": {"enabled": True, "handler_prefix": "/connection/websocket"}}, "init.handler_prefix"),
        ({"uni_sse": {"connect_code_to_http_response": {"transforms": [{}]}}}, "transforms[0].code"),
        ({"shutdown": {"timeout": "-1s"}}, "shutdown.timeout"),
        ({"broker": {"type": "redisnats"}}, "broker.type"),
        ({"controller": {"enabled": True}}, "controller.type"),
        ({"client": {"ping_interval": "5s"}}, "client.ping_interval"),
        ({"client": {"ping_interval": "-1s", "pong_timeout": "-1s"}}, "client.ping_interval"),
        ({"client": {"allowed_origins": ["https://["]}}, "client.allowed_origins[0]"),
        ({"client": {"token": {"user_id_claim": "a.b"}}}, "client.token.user_id_claim"),
        ({"client": {"token": {"audience": "a", "audience_regex": "a"}}}, "client.token.audience_regex"),
        ({"client": {"token": {"issuer_regex": "("}}}, "client.token.issuer_regex"),
        ({"client": {"token": {"rsa_public_key": EC_KEY}}}, "client.token.rsa_public_key"),
        (
            {"client": {"subscription_token": {"enabled": True, "ecdsa_public_key": "x"}}},
            "client.subscription_token.ecdsa_public_key",
        ),
        (
            {"client": {"subscribe_to_user_personal_channel": {"enabled": True, "single_connection": True}}},
            "single_connection",
        ),
        (
            {"client": {"subscribe_to_user_personal_channel": {"enabled": True, "personal_channel_namespace": "x"}}},
            "personal_channel_namespace",
        ),
        ({"client": {"connect_code_to_unidirectional_disconnect": {"transforms": [{"code": 1}]}}}, "to.code"),
        ({"client": {"proxy": {"connect": {"enabled": True}}}}, "client.proxy.connect.endpoint"),
        ({"client": {"proxy": {"refresh": {"enabled": True, "endpoint": "a", "timeout": "-1s"}}}}, "timeout"),
        ({"proxies": [{"name": "a", **BACKEND}]}, "proxies[0].name"),
        ({"proxies": [{"name": "default", **BACKEND}]}, "reserved"),
        ({"proxies": [{"name": "ab", **BACKEND}, {"name": "ab", **BACKEND}]}, "proxies[1].name"),
        ({"proxies": [{"name": "ab", **BACKEND, "http": {"status_to_code_transforms": [{}]}}]}, "status_code"),
        (
            {"proxies": [{"name": "ab", **BACKEND, "http": {"status_to_code_transforms": [{"status_code": 404}]}}]},
            "exactly one",
        ),
        ({"proxies": [{"name": "ab", "endpoint": "http://:80/"}]}, "proxies[0].endpoint: is not"),
        ({"proxies": [{"name": "ab", "endpoint": "grpc://"}]}, "proxies[0].endpoint"),
        (
            {"proxies": [{"name": "ab", "endpoint": "a:1", "grpc": {"tls": {"enabled": True, "insecure_skip_verify": True}}}]},
            "proxies[0].grpc.tls.insecure_skip_verify",
        ),
        (transforming({"to_error": {"code": 5}}), "to_error.code"),
        (transforming({"to_disconnect": {"code": 1000}}), "to_disconnect.code"),
        (transforming({"to_error": {"code": 404}, "to_disconnect": {"code": 4000}}), "exactly one"),
        ({"channel": {"without_namespace": {"cache_empty_proxy_enabled": True}}}, "channel.proxy.cache_empty.endpoint"),
        ({"rpc": {"without_namespace": {"proxy_enabled": True}}}, "rpc.proxy.endpoint"),
        ({"rpc": {"namespaces": [{"name": "ab", "proxy_name": "no"}]}}, "rpc.namespaces[0].proxy_name"),
        ({"channel": {"history_meta_ttl": "1500ms"}}, "channel.history_meta_ttl"),
        ({"channel": {"without_namespace": {"history_size": 1}}}, "without_namespace.history_ttl"),
        ({"channel": {"namespaces": [{"name": "a b"}]}}, "channel.namespaces[0].name"),
        ({"channel": {"namespaces": [{"name": "ab"}, {"name": "ab"}]}}, "channel.namespaces[1].name"),
        (room(history_ttl="10s"), "history_size"),
        (room(history_size=-1, history_ttl="1s"), "history_size"),
        (room(history_size=5, history_ttl="1500ms"), "history_ttl"),
        (room(**HISTORY, history_meta_ttl="30s"), "history_ttl"),
        (room(force_recovery=True), "force_recovery"),
        (room(**HISTORY, force_recovery=True, auto_cache_recover=True), "auto_cache_recover"),
        (room(channel_regex="[a-z"), "channel_regex"),
        (room(channel_regex="(?=a)"), "channel_regex"),
        (room(allowed_delta_types=["rsync"]), "allowed_delta_types[0]"),
        (room(subscribe_proxy_enabled=True), "channel.proxy.subscribe.endpoint"),
        (room(publish_proxy_name="mine"), '"mine"'),
        (room(subscribe_stream_proxy_enabled=True, publish_proxy_enabled=True), "subscribe_stream_proxy_enabled"),
        (room(subscription_type="map"), "map.mode"),
        (room(map={"mode": "ephemeral"}), "map.key_ttl"),
        (room(map={"mode": "ephemeral", "key_ttl": "1m", "stream_size": 5}), "map.stream_size"),
        (room(map={"mode": "persistent", "key_ttl": "1m"}), "map.key_ttl"),
        (room(subscription_type="map_users", map={"mode": "persistent"}), "map.mode"),
        (room(map={"mode": "recoverable", "key_ttl": "1m", "meta_ttl": "10s"}), "map.meta_ttl"),
        (room(map={"mode": "recoverable", "key_ttl": "2h", "meta_ttl": "1h"}), "shorter than key_ttl"),
        (room(map={"mode": "persistent", "meta_ttl": "1h"}), "map.meta_ttl"),
        (room(map={"min_page_size": 5, "max_page_size": 4}), "map.min_page_size"),
        (room(map={"default_page_size": 5, "max_page_size": 4}), "map.default_page_size"),
        (room(map={"max_page_size": -4}), "map.max_page_size"),
        (room(map={"remove_client_on_unsubscribe": True}), "remove_client_on_unsubscribe"),
        (room(map={"client_key": "user_id", "publish_proxy_enabled": True}), "client_key"),
        (room(map_users_presence_channel_prefix="no:"), "map_users_presence_channel_prefix"),
        (room(map_clients_presence_channel_prefix="room:"), "subscription_type map_clients"),
        (room(subscription_type="shared_poll"), "shared_poll.hmac_secret_key"),
        ({**POLL, **room(subscription_type="shared_poll")}, "channel.proxy.shared_poll_refresh.endpoint"),
        (room(client_publish_debounce_interval="-1s"), "client_publish_debounce_interval"),
        (polled(publish_enabled=True), "shared_poll.publish_enabled"),
        (polled(proxy_name="nobody"), "shared_poll.proxy_name"),
        (polled(refresh_interval="-1s"), "shared_poll.refresh_interval"),
        (polled(refresh_batch_size=-1), "shared_poll.refresh_batch_size"),
        (polled(max_keys_per_connection=-1), "shared_poll.max_keys_per_connection"),
        (polled(track_expired_extra_delay="-1s"), "shared_poll.track_expired_extra_delay"),
        (polled(backpressure_max_interval="9s"), "shorter than refresh_interval (10s)"),
        ({**polled(), "shared_poll": {"hmac_secret_key": "k", "concurrency_limit": -1}}, "shared_poll.concurrency_limit"),
        ({"consumers": [{"name": "not-ok", "type": "kafka"}]}, "consumers[0].name"),
        ({"consumers": [{"name": "ok"}]}, "consumers[0].type"),
        ({"consumers": [{"name": "ok", "type": "kafka", "enabled": True}]}, "consumers[0].kafka.brokers"),
        (
            {
                "consumers": [
                    {"name": "ok", "type": "kafka", "enabled": True, "kafka": {**KAFKA, "assume_role_arn": "a"}}
                ]
            },
            "assume_role_arn",
        ),
        (
            {
                "consumers": [
                    {"name": "ok", "type": "azure_service_bus", "enabled": True, "azure_service_bus": {"queues": ["q"]}}
                ]
            },
            "connection_string",
        ),
    ],
)
def test_broken_rules_are_named(tmp_path: Path, content: Any, word: str) -> None:
    text = mistake(tmp_path, content)
    assert word in text and "\n" not in text


@pytest.mark.parametrize(
    "content",
    [
        polled(channel_shutdown_delay="-1s", mode="versioned", publish_enabled=True, backpressure_max_interval="10s"),
        {},
        {"http_server": {"internal_port": "8001"}, "health": {"enabled": True}},
        {"http_server": {"h2c_external": True, "internal_port": "8001"}},
        {"workers": "4", **autocert(http=True)},
        {
            "init": {"enabled": True, "handler_prefix": "/health"},
            "health": {"enabled": True},
            "http_server": {"internal_port": "8001"},
        },
        {"client": {"ping_interval": "10s", "pong_timeout": "-1s"}},
        {"client": {"allowed_origins": ["*", "https://*.example.com", "http://{a,b}.test:[0-9]*"]}},
        {"client": {"token": {"ecdsa_public_key": EC_KEY, "audience_regex": "^(?P<a>x|y)$"}}},
        {"client": {"subscription_token": {"ecdsa_public_key": "unused while it is not enabled"}}},
        {"client": {"token": {"jwks_public_endpoint": "https://keys.test"}}},
        {"client": {"token": {"jwks_public_endpoint": "https://keys.test/{{r}}", "issuer_regex": "/(?P<r>a|b)"}}},
        {
            "client": {
                "token": {
                    "jwks_public_endpoint": "https://keys.test/{{r}}",
                    "issuer_regex": "/(?P<r>.+)",
                    "insecure_skip_jwks_endpoint_safety_check": True,
                }
            }
        },
        {"client": {"proxy": {"connect": {"enabled": True, **BACKEND}}}},
        room(**HISTORY, force_recovery=True, force_recovery_mode="cache", auto_cache_recover=True),
        room(allow_recovery=True),
        room(**HISTORY, history_meta_ttl="60s", channel_regex="^[a-z]+$", allowed_delta_types=["fossil"]),
        room(subscription_type="map", map={"mode": "ephemeral", "key_ttl": "60s"}),
        room(subscription_type="map", map={"mode": "persistent"}),
        {
            "proxies": [{"name": "mine", "endpoint": "grpc://a:1"}],
            **room(subscribe_proxy_name="mine", subscribe_proxy_enabled=True),
        },
        {"consumers": [{"name": "ok_1", "enabled": True, "type": "kafka", "kafka": KAFKA}]},
    ],
)
def test_kept_rules_are_silent(tmp_path: Path, content: Any) -> None:
    assert mistake(tmp_path, content) == ""
