"""A node's counters as Prometheus metrics, in the names and labels of Centrifugo v6 (`prometheus.*`)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple, Protocol

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector

from ..interfaces import MapSweep
from ..node.counters import Counters, Duration, Histogram, Traffic
from .exposition import Family, Labels, Sample, histogram_samples, render_families, summary_samples
from .settings import PrometheusSettings

NAMESPACE = "centrifugo"

_NO_NAMESPACE = ("channel_namespace", "")  # The label is empty in the open edition.


class _Shape(NamedTuple):
    """How one attribute of Counters is told.

    `labels` are the names for the parts of a key, in the key's order; `namespaced` adds the empty channel namespace.
    """

    attribute: str
    name: str
    help: str
    labels: tuple[str, ...] = ()
    namespaced: bool = False


_COUNTERS = (
    _Shape("actions", "node_action_count", "Operations of the node.", ("action",), True),
    _Shape("connection_limit_refusals", "node_client_connection_limit", "Connections refused by the connection limit."),
    _Shape("newcomers_turned_away", "node_client_connections_turned_away",
           "Connections refused because too many came at once."),
    _Shape("publish_suppressed", "broker_publish_suppressed_count", "Publishes that were skipped.", ("reason",), True),
    _Shape("map_publish_suppressed", "map_broker_publish_suppressed_count", "Writes of keys that were skipped.",
           ("reason",), True),
    _Shape("map_remove_suppressed", "map_broker_remove_suppressed_count", "Removals of keys that were skipped.",
           ("reason",), True),
    _Shape("reply_errors", "client_num_reply_errors", "Error replies to clients.", ("method", "code"), True),
    _Shape("server_unsubscribes", "client_num_server_unsubscribes", "Subscriptions ended by the server.",
           ("code",), True),
    _Shape("server_disconnects", "client_num_server_disconnects", "Connections ended by the server.", ("code",)),
    _Shape("recoveries", "client_recover", "Recoveries.", ("recovered", "has_recovered_publications"), True),
    _Shape("connections_accepted", "client_connections_accepted", "Connections accepted.",
           ("transport", "client_name", "client_version")),
    _Shape("subscriptions_accepted", "client_subscriptions_accepted", "Subscriptions accepted.",
           ("client_name",), True),
    _Shape("outgoing_closes", "transport_outgoing_close_count", "Close frames sent.", ("transport", "code")),
    _Shape("api_errors", "api_command_errors_total", "Errors of server API commands.", ("protocol", "method", "error")),
    _Shape("proxy_errors", "proxy_errors", "Calls of the backend that failed.", ("protocol", "type", "name")),
    _Shape("poll_errors", "shared_poll_handler_error_count", "Calls of shared polls that failed.", ("trigger",), True),
    _Shape("poll_items", "shared_poll_items_count", "Items of shared polls by what came of them.",
           ("trigger", "result"), True),
    _Shape("poll_publishes", "shared_poll_publish_count", "Values published directly.", ("result",), True),
)
_GAUGES = (
    _Shape("connections_inflight", "client_connections_inflight", "Open connections.",
           ("transport", "client_name", "client_version")),
    _Shape("subscriptions_inflight", "client_subscriptions_inflight", "Live subscriptions.", ("client_name",), True),
    _Shape("proxy_inflight", "proxy_inflight_requests", "Calls of the backend on their way.",
           ("protocol", "type", "name")),
)
_HTTP_REQUESTS = _Shape(
    "http_requests", "node_incoming_http_requests_total", "HTTP requests.", ("path", "method", "status")
)
_HISTOGRAMS = (
    _Shape("broadcast_duration", "node_broadcast_duration_seconds", "Time to hand a message to all its subscribers.",
           ("type",), True),
    _Shape("pub_sub_lag", "node_pub_sub_lag_seconds", "Time from publish to receipt.", (), True),
    _Shape("ping_pong_duration", "client_ping_pong_duration_seconds", "Time from ping to pong.", ("transport",)),
    _Shape("poll_cycle_duration", "shared_poll_cycle_duration_seconds", "Duration of polling cycles.", (), True),
    _Shape("poll_cycle_work", "shared_poll_cycle_work_duration_seconds",
           "Duration of polling cycles without the pauses between calls.", (), True),
    _Shape("poll_call_duration", "shared_poll_handler_duration_seconds", "Duration of calls of shared polls.",
           ("trigger",), True),
    _Shape("poll_slot_wait", "shared_poll_sem_wait_duration_seconds", "Time that such a call waits for its turn.",
           ("trigger",), True),
    _Shape("poll_request_items", "shared_poll_proxy_request_items", "Keys in a call of a shared poll.", ("name",)),
    _Shape("poll_response_items", "shared_poll_proxy_response_items", "Items in its answer.", ("name",)),
)
_RECOVERED = _Shape(
    "recovered_publications", "client_recovered_publications", "Publications in one recovery.", (), True
)
_DURATIONS = (
    _Shape("survey_duration", "node_survey_duration_seconds", "Duration of surveys.", ("op",)),
    _Shape("command_duration", "client_command_duration_seconds", "Duration of client commands.", ("method",), True),
    _Shape("api_duration", "api_command_duration_seconds", "Duration of server API commands.", ("protocol", "method")),
    _Shape("proxy_duration", "proxy_duration_seconds", "Duration of calls of the backend.",
           ("protocol", "type", "name")),
    _Shape("api_rpc_duration", "api_rpc_duration_seconds", "Duration of server API rpc calls.", ("protocol", "method")),
)
_TRAFFIC = (
    _Shape("messages_sent", "transport_messages_sent", "Messages sent to clients.", ("transport", "frame_type"), True),
    _Shape("messages_received", "transport_messages_received", "Messages received from clients.",
           ("transport", "frame_type"), True),
)
_MESSAGE_TYPES = (
    ("publication", "publications"), ("join", "joins"), ("leave", "leaves"), ("control", "controls"),
)
_MAP_MESSAGE_TYPES = (("map_publication", "map_publications_sent"), ("map_removal", "map_removals_sent"))
"""Given to the map broker; they come back as publications."""
_NODE_GAUGES = (
    ("num_clients", "num_clients", "Connections."),
    ("num_users", "num_users", "Distinct users."),
    ("num_subs", "num_subscriptions", "Subscriptions."),
    ("num_channels", "num_channels", "Channels with subscribers."),
)


class Described(Protocol):
    """What tells of a node (`NodeInfo`)."""

    def describe(self) -> Mapping[str, Any]:
        """Returns `num_clients`, `num_users`, `num_subs`, `num_channels` and `version`."""


class Filtering(Protocol):
    """What delivers publications (`Hub`)."""

    filtered: int


class Polling(Protocol):
    """What asks for keys (`Polls`)."""

    @property
    def channels(self) -> Mapping[str, object]:
        """Channels that are polled."""

    @property
    def num_keys(self) -> int:
        """Keys that are tracked."""


class Measured(Protocol):
    """A node, as far as metrics need it."""

    @property
    def counters(self) -> Counters:
        """What it counts."""

    @property
    def hub(self) -> Filtering:
        """Who delivers its publications."""

    @property
    def map_broker(self) -> object:
        """Where its maps are kept; a MapSweep tells of expired keys."""

    @property
    def polls(self) -> Polling:
        """Its shared polls."""

    @property
    def node_info(self) -> Described:
        """What it says of itself."""


class MetricsCollector:
    """Reads a node's counters whenever metrics are asked for; nothing is done in between."""

    def __init__(
        self,
        node: Measured,
        settings: PrometheusSettings | None = None,
        *,
        num_nodes: Callable[[], int] = lambda: 1,
    ) -> None:
        """Remembers where to read.

        Args:
            node: what to read.
            settings: `prometheus.*`.
            num_nodes: nodes alive in the cluster.
        """
        self._node = node
        self._settings = settings or PrometheusSettings()
        self._num_nodes = num_nodes
        self._process = CollectorRegistry(auto_describe=False)
        for collector in (ProcessCollector, PlatformCollector, GCCollector):
            collector(registry=self._process)

    def render(self) -> bytes:
        """Returns the text for a scrape: the node's metrics, then those of the process and of Python."""
        return render_families(self.all_families())

    def all_families(self) -> Iterator[Family]:
        """Yields the node's metrics, then those of the process and of Python."""
        yield from self.families()
        for metric in self._process.collect():
            name = metric.name + "_total" if metric.type == "counter" else metric.name
            samples = [
                Sample(sample.name.removeprefix(name), tuple(sample.labels.items()), sample.value)
                for sample in metric.samples
                if sample.name.startswith(name)
            ]
            kind: Any = metric.type if metric.type in ("counter", "histogram", "summary") else "gauge"
            yield Family(name, kind, metric.documentation, samples)

    def families(self) -> Iterator[Family]:
        """Yields the node's metrics as they are now."""
        counters, settings = self._node.counters, self._settings
        yield from self._node_families()
        counted = (*_COUNTERS, _HTTP_REQUESTS) if settings.instrument_http_handlers else _COUNTERS
        for shape in counted:
            yield Family(_name(shape), "counter", shape.help, list(_plain_samples(counters, shape)))
        for shape in _GAUGES:
            yield Family(_name(shape), "gauge", shape.help, list(_plain_samples(counters, shape)))
        observed = (*_HISTOGRAMS, _RECOVERED) if settings.recovered_publications_histogram else _HISTOGRAMS
        for shape in observed:
            yield _histogram_family(counters, shape, _name(shape))
        for shape in _DURATIONS:
            yield _histogram_family(counters, shape, f"{_name(shape)}_histogram")
            yield _summary_family(counters, shape)
        for shape in _TRAFFIC:
            yield from _traffic_families(counters, shape)

    def _node_families(self) -> Iterator[Family]:
        counters, description = self._node.counters, self._node.node_info.describe()
        for field, name, text in _NODE_GAUGES:
            yield Family(f"{NAMESPACE}_node_{name}", "gauge", text, [Sample("", (), description[field])])
        yield Family(f"{NAMESPACE}_node_num_nodes", "gauge", "Nodes alive.", [Sample("", (), self._num_nodes())])
        maps = getattr(self._node.map_broker, "current", self._node.map_broker)  # one that can be exchanged has a current one
        if isinstance(maps, MapSweep):
            yield from _map_sweep_families(maps)
        polls = self._node.polls
        for name, text, number in (
            ("channels", "Channels that are polled.", len(polls.channels)), ("keys", "Keys tracked.", polls.num_keys)
        ):  # fmt: skip
            yield Family(f"{NAMESPACE}_shared_poll_num_{name}", "gauge", text, [Sample("", (), number)])
        version: Labels = (("version", str(description["version"])),)
        filtered = Sample("", (_NO_NAMESPACE,), self._node.hub.filtered)
        name = f"{NAMESPACE}_node_tags_filter_dropped_publications"
        yield Family(name, "counter", "Deliveries left out by tag filters.", [filtered])
        yield Family(f"{NAMESPACE}_node_build", "gauge", "The node's version.", [Sample("", version, 1)])
        for direction, text in (("sent", "Messages given to the broker."), ("received", "Messages from the broker.")):
            samples = [
                Sample("", (_NO_NAMESPACE, ("type", name)), getattr(counters, f"{attribute}_{direction}"))
                for name, attribute in _MESSAGE_TYPES
            ]
            if direction == "sent":
                samples += [
                    Sample("", (_NO_NAMESPACE, ("type", name)), getattr(counters, attribute))
                    for name, attribute in _MAP_MESSAGE_TYPES
                ]
            yield Family(f"{NAMESPACE}_node_messages_{direction}_count", "counter", text, samples)


def _map_sweep_families(sweep: MapSweep) -> Iterator[Family]:
    label: Labels = (("broker_name", ""),)
    name = f"{NAMESPACE}_map_broker_cleanup"
    lag, removed, errors = sweep.expiry_lag_seconds(), sweep.keys_expired, sweep.sweep_errors
    yield Family(f"{name}_lag_seconds", "gauge", "Age of the oldest expired key.", [Sample("", label, lag)])
    yield Family(f"{name}_removed_count", "counter", "Expired keys removed.", [Sample("", label, removed)])
    yield Family(f"{name}_errors_count", "counter", "Sweeps of keys that failed.", [Sample("", label, errors)])


def _name(shape: _Shape) -> str:
    return f"{NAMESPACE}_{shape.name}"


def _labels(shape: _Shape, key: Any) -> Labels:
    values = key if isinstance(key, tuple) else (key,)
    labels = [(name, _text(value)) for name, value in zip(shape.labels, values, strict=False)]
    if shape.namespaced:
        labels.append(_NO_NAMESPACE)
    if "client_version" in shape.labels:
        labels.append(("accept_protocol", ""))
    return tuple(sorted(labels))


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)


def _by_key(counters: Counters, shape: _Shape) -> list[tuple[Labels, Any]]:
    value = getattr(counters, shape.attribute)
    if isinstance(value, dict):
        return [(_labels(shape, key), inner) for key, inner in value.items()]
    return [(_labels(shape, ()), value)]


def _plain_samples(counters: Counters, shape: _Shape) -> Iterator[Sample]:
    for labels, value in _by_key(counters, shape):
        yield Sample("", labels, value)


def _histogram_family(counters: Counters, shape: _Shape, name: str) -> Family:
    samples: list[Sample] = []
    for labels, histogram in _by_key(counters, shape):
        assert isinstance(histogram, Histogram)
        samples.extend(histogram_samples(labels, histogram))
    return Family(name, "histogram", shape.help, samples)


def _summary_family(counters: Counters, shape: _Shape) -> Family:
    samples: list[Sample] = []
    for labels, duration in _by_key(counters, shape):
        assert isinstance(duration, Duration)
        samples.extend(summary_samples(labels, duration))
    return Family(_name(shape), "summary", shape.help, samples)


def _traffic_families(counters: Counters, shape: _Shape) -> Iterator[Family]:
    counts: list[Sample] = []
    sizes: list[Sample] = []
    for labels, traffic in _by_key(counters, shape):
        assert isinstance(traffic, Traffic)
        counts.append(Sample("", labels, traffic.count))
        sizes.append(Sample("", labels, traffic.size))
    yield Family(_name(shape), "counter", shape.help, counts)
    yield Family(f"{_name(shape)}_size", "counter", f"{shape.help[:-1]}, in bytes without framing.", sizes)
