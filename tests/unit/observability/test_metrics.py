"""Counters, their exposition, and their aggregate by interval."""

from __future__ import annotations

from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from centripetal.node.counters import (
    RECENT_OBSERVATIONS,
    Counters,
    Duration,
    Histogram,
    Tally,
    client_labels,
)
from centripetal.observability import IntervalMetrics, MetricsCollector
from centripetal.observability.settings import PrometheusSettings
from centripetal.transports.encodings import WEBSOCKET_JSON, WEBSOCKET_PROTOBUF

NODE = {"num_clients": 3, "num_users": 2, "num_subs": 5, "num_channels": 4, "version": '1.0 "x"\\'}


class Described:
    """Stands for a node and its NodeInfo."""

    def __init__(self, counters: Counters) -> None:
        self.counters = counters
        self.node_info = self.hub = self
        self.filtered = 9
        self.map_broker: object = None
        self.polls: Any = self
        self.channels = {"poll:x": None}
        self.num_keys = 7
        self.metrics: dict[str, object] | None = None
        self.now = 100.0

    def describe(self) -> dict[str, Any]:
        return NODE

    def monotonic(self) -> float:
        return self.now

    def time(self) -> float:
        return self.now


def metrics_of(counters: Counters, **settings: Any) -> MetricsCollector:
    return MetricsCollector(Described(counters), PrometheusSettings(**settings))


def lines_of(metrics: MetricsCollector) -> list[str]:
    return metrics.render().decode().splitlines()


def test_a_tally_counts_from_zero_without_keeping_what_was_only_read() -> None:
    tally: Tally[str] = Tally()
    assert tally["a"] == 0
    assert not tally
    tally["a"] += 2
    assert dict(tally) == {"a": 2}


def test_a_histogram_puts_a_value_under_its_upper_bound() -> None:
    histogram = Histogram((1.0, 2.0))
    for value in (0.5, 1.0, 1.5, 2.0, 2.1):
        histogram.observe(value)
    assert (histogram.buckets, histogram.count, histogram.total) == ([2, 2, 1], 5, pytest.approx(7.1))


def test_quantiles_are_of_the_latest_observations() -> None:
    duration = Duration((1.0,))
    assert duration.quantiles((0.5,)) == []
    for number in range(3 * RECENT_OBSERVATIONS):
        duration.observe(float(number))
    assert len(duration.recent) == RECENT_OBSERVATIONS
    middle, last = duration.quantiles((0.5, 0.999))
    assert middle == 2.5 * RECENT_OBSERVATIONS
    assert last == 3 * RECENT_OBSERVATIONS - 1


def test_clients_words_are_no_labels() -> None:
    assert client_labels("", "") == ("unnamed", "unversioned")
    assert client_labels("js", "1.0") == ("unregistered", "unregistered")


def test_pushes_are_counted_under_their_transport_whatever_the_encoding() -> None:
    counters = Counters()
    for encoding in (WEBSOCKET_JSON, WEBSOCKET_PROTOBUF, WEBSOCKET_JSON):
        counters.add_pushes(encoding, "push_publication", 10, 3)
    ((key, traffic),) = counters.messages_sent.items()
    assert (key, traffic.count, traffic.size) == (("websocket", "push_publication"), 9, 90)


def test_names_labels_and_values_are_those_of_the_reference() -> None:
    counters = Counters()
    counters.publications_sent = 7
    counters.actions["add_client"] += 2
    counters.connections_accepted["websocket", "unnamed", "unversioned"] += 1
    counters.connections_inflight["websocket", "unnamed", "unversioned"] += 1
    counters.recoveries[True, False] += 1
    counters.messages_sent["websocket", "push_publication"].add(100, 3)
    counters.api_errors["http", "broadcast_publish", 102] += 1
    counters.server_disconnects[3008] += 1
    counters.proxy_errors["http", "connect", "default"] += 1
    counters.proxy_inflight["grpc", "rpc", "mine"] += 2
    got = lines_of(metrics_of(counters))
    for line in (
        'centrifugo_node_messages_sent_count{channel_namespace="",type="publication"} 7',
        "# TYPE centrifugo_node_messages_sent_count counter",
        'centrifugo_node_action_count{action="add_client",channel_namespace=""} 2',
        "centrifugo_node_num_clients 3",
        "centrifugo_node_num_users 2",
        "centrifugo_node_num_subscriptions 5",
        "centrifugo_node_num_channels 4",
        "centrifugo_node_num_nodes 1",
        'centrifugo_node_build{version="1.0 \\"x\\"\\\\"} 1',
        (
            'centrifugo_client_connections_accepted{accept_protocol="",client_name="unnamed",'
            'client_version="unversioned",transport="websocket"} 1'
        ),
        "# TYPE centrifugo_client_connections_inflight gauge",
        'centrifugo_client_recover{channel_namespace="",has_recovered_publications="no",recovered="yes"} 1',
        (
            'centrifugo_transport_messages_sent{channel_namespace="",frame_type="push_publication",'
            'transport="websocket"} 3'
        ),
        (
            'centrifugo_transport_messages_sent_size{channel_namespace="",frame_type="push_publication",'
            'transport="websocket"} 300'
        ),
        'centrifugo_api_command_errors_total{error="102",method="broadcast_publish",protocol="http"} 1',
        'centrifugo_client_num_server_disconnects{code="3008"} 1',
        'centrifugo_proxy_errors{name="default",protocol="http",type="connect"} 1',
        'centrifugo_proxy_inflight_requests{name="mine",protocol="grpc",type="rpc"} 2',
        "# TYPE centrifugo_proxy_inflight_requests gauge",
        "centrifugo_node_client_connection_limit 0",
        'centrifugo_node_tags_filter_dropped_publications{channel_namespace=""} 9',
    ):
        assert line in got


def test_durations_come_as_histogram_and_summary() -> None:
    counters = Counters()
    counters.api_duration["http", "publish"].observe(0.02)
    counters.proxy_duration["http", "rpc", "default"].observe(0.02)
    got = lines_of(metrics_of(counters))
    labels = 'method="publish",protocol="http"'
    for line in (
        f'centrifugo_api_command_duration_seconds{{{labels},quantile="0.999"}} 0.02',
        f"centrifugo_api_command_duration_seconds_count{{{labels}}} 1",
        f'centrifugo_api_command_duration_seconds_histogram_bucket{{{labels},le="0.01"}} 0',
        f'centrifugo_api_command_duration_seconds_histogram_bucket{{{labels},le="0.025"}} 1',
        f'centrifugo_api_command_duration_seconds_histogram_bucket{{{labels},le="10"}} 1',
        f'centrifugo_api_command_duration_seconds_histogram_bucket{{{labels},le="+Inf"}} 1',
        f"centrifugo_api_command_duration_seconds_histogram_sum{{{labels}}} 0.02",
        'centrifugo_proxy_duration_seconds_count{name="default",protocol="http",type="rpc"} 1',
        'centrifugo_proxy_duration_seconds_histogram_bucket{name="default",protocol="http",type="rpc",le="0.025"} 1',
        'centrifugo_client_command_duration_seconds_count{channel_namespace="",method="connect"} 0',
    ):
        assert line in got


def test_the_whole_text_parses_and_holds_the_process() -> None:
    text = metrics_of(Counters(), recovered_publications_histogram=True).render().decode()
    names = {family.name for family in text_string_to_metric_families(text)}
    assert {"centrifugo_node_num_clients", "process_resident_memory_bytes", "python_info"} <= names
    types = [line for line in text.splitlines() if line.startswith("# TYPE")]
    assert len(types) == len(set(types))


def test_optional_metrics_need_their_option() -> None:
    counters = Counters()
    counters.http_requests["/api", "POST", 200] += 1
    counters.recovered_publications.observe(3)
    requests = 'centrifugo_node_incoming_http_requests_total{method="POST",path="/api",status="200"} 1'
    recovered = 'centrifugo_client_recovered_publications_count{channel_namespace=""} 1'
    assert not {requests, recovered} & set(lines_of(metrics_of(counters)))
    options = {"instrument_http_handlers": True, "recovered_publications_histogram": True}
    assert {requests, recovered} <= set(lines_of(metrics_of(counters, **options)))


def test_an_interval_holds_what_counters_grew_by_and_gauges_as_they_are() -> None:
    counters = Counters()
    node = Described(counters)
    counters.publications_sent += 3
    counters.api_duration["http", "publish"].observe(0.25)
    interval = IntervalMetrics(MetricsCollector(node), node, node, 60.0)
    first = node.metrics
    counters.publications_sent += 2
    node.now += 59
    interval.check()
    assert node.metrics is first
    node.now += 1
    interval.check()
    second = node.metrics
    assert first is not None
    assert second is not None
    assert first["interval"] == second["interval"] == 60
    before, after = first["items"], second["items"]
    assert isinstance(before, dict)
    assert isinstance(after, dict)
    sent = "centrifugo.node.messages_sent_count.type.publication"
    duration, publish = "centrifugo.api.command_duration_seconds", "method.publish.protocol.http"
    assert (before[sent], after[sent]) == (3, 2)
    assert (before["centrifugo.node.num_clients"], after["centrifugo.node.num_clients"]) == (3, 3)
    assert (before[f"{duration}.count.{publish}"], after[f"{duration}.count.{publish}"]) == (1, 0)
    assert after[f"{duration}.sum.{publish}"] == 0
    for quantile in ("50", "99", "999"):
        assert after[f"{duration}.quantile.{quantile}.{publish}"] == 0.25
    assert not any("bucket" in name or "histogram" in name for name in before)


def test_what_a_map_broker_expired_is_told() -> None:
    class Swept:
        keys_expired = 3
        sweep_errors = 0

        def expiry_lag_seconds(self) -> float:
            return 1.5

    described = Described(Counters())
    described.counters.map_publish_suppressed["key_exists"] += 2
    described.counters.map_removals_sent += 4
    without = lines_of(MetricsCollector(described))
    assert not [line for line in without if "map_broker_cleanup" in line]
    assert 'centrifugo_map_broker_publish_suppressed_count{channel_namespace="",reason="key_exists"} 2' in without
    assert 'centrifugo_node_messages_sent_count{channel_namespace="",type="map_removal"} 4' in without
    described.map_broker = Swept()
    lines = lines_of(MetricsCollector(described))
    assert 'centrifugo_map_broker_cleanup_lag_seconds{broker_name=""} 1.5' in lines
    assert 'centrifugo_map_broker_cleanup_removed_count{broker_name=""} 3' in lines
    assert 'centrifugo_map_broker_cleanup_errors_count{broker_name=""} 0' in lines
