"""What a node counts. Plain integers, because the hot path touches them; metrics read them when they are scraped.

Nothing here knows Prometheus: names and labels are given in `observability.metrics`. Keys are never a client's text:
label values come from tables, so that the number of series is bounded.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Callable
from typing import TypeVar

from ..interfaces import Encoding

K = TypeVar("K")
V = TypeVar("V")

COMMAND_BUCKETS_SECONDS = (
    0.0001, 0.00025, 0.0005, 0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
)
"""Upper bounds of client commands' and ping-pong durations."""

API_BUCKETS_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper bounds of the durations of calls of the API and of backends."""

SURVEY_BUCKETS_SECONDS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper bounds of surveys' durations."""

LAG_BUCKETS_SECONDS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
"""Upper bounds of the time from publish to receipt."""

POLL_CYCLE_BUCKETS_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
"""Upper bounds of the durations of shared polls' cycles."""

POLL_CALL_BUCKETS_SECONDS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Upper bounds of the durations of shared polls' calls."""

POLL_WAIT_BUCKETS_SECONDS = (0.0001, 0.0005, *POLL_CALL_BUCKETS_SECONDS)
"""Upper bounds of the time that shared polls' calls wait for their turn."""

POLL_ITEMS_BUCKETS = (1.0, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1000.0, 2500.0, 5000.0)
"""Upper bounds of the keys in one call of a shared poll, and in its answer."""

BROADCAST_BUCKETS_SECONDS = (
    1e-06, 5e-06, 1e-05, 5e-05, 0.0001, 0.00025, 0.0005, 0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5,
    5.0, 10.0,
)
"""Upper bounds of the time to hand one message to all its local subscribers."""

RECOVERED_BUCKETS = (
    0.0, 1.0, 2.0, 3.0, 5.0, 10.0, 20.0, 50.0, 100.0, 250.0, 500.0, 1000.0, 2000.0, 5000.0, 10000.0,
)
"""Upper bounds of the publications in one recovery."""

COMMANDS = (
    "connect", "subscribe", "unsubscribe", "publish", "presence", "presence_stats", "history", "send", "rpc", "refresh",
    "sub_refresh", "unknown",
)
"""Client commands with a duration from the start, so that their series exist before the first one."""

RECENT_OBSERVATIONS = 512
"""How many of the last durations the quantiles are taken from."""


class Tally(dict[K, int]):
    """Counts by key; a key that was never counted is 0: `tally[key] += 1`."""

    __slots__ = ()

    def __missing__(self, key: K) -> int:
        return 0


class Traffic:
    """Messages and their bytes. Keep the object and add to its attributes.

    Attributes:
        count: messages.
        size: bytes of them, without framing and before compression.
    """

    __slots__ = ("count", "size")

    def __init__(self) -> None:
        self.count = 0
        self.size = 0

    def add(self, size: int, count: int = 1) -> None:
        """Counts `count` messages of `size` bytes each."""
        self.count += count
        self.size += size * count


class Histogram:
    """Observations by upper bound.

    Attributes:
        bounds: upper bounds, ascending, without infinity.
        buckets: observations in each bucket (not cumulative), the last one above all bounds.
        total: sum of the observed values.
    """

    __slots__ = ("bounds", "buckets", "total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.buckets = [0] * (len(bounds) + 1)
        self.total = 0.0

    @property
    def count(self) -> int:
        """How many values were observed."""
        return sum(self.buckets)

    def observe(self, value: float) -> None:
        """Adds one value, of the unit of the bounds."""
        self.buckets[bisect_left(self.bounds, value)] += 1
        self.total += value


class Duration(Histogram):
    """A histogram of seconds that also keeps the latest observations, for quantiles.

    Attributes:
        recent: the last observations, oldest first.
    """

    __slots__ = ("recent",)

    def __init__(self, bounds: tuple[float, ...]) -> None:
        super().__init__(bounds)
        self.recent: deque[float] = deque(maxlen=RECENT_OBSERVATIONS)

    def observe(self, value: float) -> None:
        """Adds one duration in seconds."""
        self.buckets[bisect_left(self.bounds, value)] += 1
        self.total += value
        self.recent.append(value)

    def quantiles(self, wanted: tuple[float, ...]) -> list[float]:
        """Returns the quantiles (each in 0–1) of the latest observations; nothing without observations."""
        ordered = sorted(self.recent)
        if not ordered:
            return []
        return [ordered[min(len(ordered) - 1, int(quantile * len(ordered)))] for quantile in wanted]


class Family(dict[K, V]):
    """Objects by key, made when first asked for: `family[key].observe(seconds)`."""

    __slots__ = ("_make",)

    def __init__(self, make: Callable[[], V]) -> None:
        super().__init__()
        self._make = make

    def __missing__(self, key: K) -> V:
        value = self[key] = self._make()
        return value


def client_labels(name: str, version: str) -> tuple[str, str]:
    """Returns the labels `client_name` and `client_version` of a client: what it says itself is never a label."""
    return "unregistered" if name else "unnamed", "unregistered" if version else "unversioned"


class Counters:
    """Everything that one node counts.

    Attributes:
        publications_sent, joins_sent, leaves_sent, controls_sent: messages given to the broker.
        publications_received, joins_received, leaves_received, controls_received: messages that came from it.
        connection_limit_refusals: connections refused by `client.connection_limit`.
        newcomers_turned_away: connections refused because too many came at once.
        actions: node operations by action (`add_client`, `history`, …).
        publish_suppressed: publishes that the broker skipped, by reason (`idempotency`, `version`).
        map_publications_sent, map_removals_sent: writes and removals given to the map broker.
        map_publish_suppressed, map_remove_suppressed: those that it skipped, by reason (see MapResult).
        broadcast_duration: time to hand a message to all local subscribers, by type (`publication`, `join`, `leave`).
        pub_sub_lag: seconds from publish to receipt.
        survey_duration: by operation.
        command_duration: by client command.
        reply_errors: error replies by (command, code).
        server_unsubscribes: subscriptions ended by the server, by code.
        server_disconnects: connections ended by the server, by code.
        recoveries: by (recovered, with publications).
        recovered_publications: publications in each recovery.
        ping_pong_duration: time from ping to pong, by transport.
        connections_accepted, connections_inflight: by (transport, *client_labels()).
        subscriptions_accepted, subscriptions_inflight: by the first of client_labels().
        messages_sent, messages_received: by (transport, frame type); keep the Traffic object on the hot path.
        outgoing_closes: close frames by (transport, code).
        api_duration: by (protocol, method); protocol is `http` or `grpc`.
        api_rpc_duration: by (protocol, rpc method).
        api_errors: by (protocol, method, code); errors inside a broadcast under `broadcast_publish`.
        proxy_duration, proxy_errors, proxy_inflight: calls of the application's backend, by (protocol, event, name).
        poll_cycle_duration, poll_cycle_work: cycles of shared polls, with and without the pauses between calls.
        poll_call_duration, poll_slot_wait, poll_errors: calls of shared polls by trigger (`timer`, `notification`).
        poll_items: what came of their items, by (trigger, `changed`, `unchanged` or `removed`).
        poll_request_items, poll_response_items: keys in a call, and in its answer, by name of the proxy.
        poll_publishes: values published directly, by `applied` or `skipped`.
        http_requests: by (path of the endpoint, method, status), for `prometheus.instrument_http_handlers`.
    """

    __slots__ = (
        "_pushes", "actions", "api_duration", "api_errors", "api_rpc_duration", "broadcast_duration",
        "command_duration", "connection_limit_refusals", "connections_accepted", "connections_inflight",
        "controls_received", "controls_sent", "http_requests", "joins_received", "joins_sent",
        "leaves_received", "leaves_sent", "map_publications_sent", "map_publish_suppressed", "map_removals_sent",
        "map_remove_suppressed", "messages_received", "messages_sent", "newcomers_turned_away",
        "outgoing_closes", "ping_pong_duration", "poll_call_duration", "poll_cycle_duration", "poll_cycle_work",
        "poll_errors", "poll_items", "poll_publishes", "poll_request_items", "poll_response_items", "poll_slot_wait", "proxy_duration", "proxy_errors", "proxy_inflight", "pub_sub_lag",
        "publications_received", "publications_sent",
        "publish_suppressed", "recovered_publications", "recoveries", "reply_errors", "server_disconnects",
        "server_unsubscribes", "subscriptions_accepted", "subscriptions_inflight", "survey_duration",
    )

    def __init__(self) -> None:
        self.publications_sent = self.joins_sent = self.leaves_sent = self.controls_sent = 0
        self.publications_received = self.joins_received = self.leaves_received = self.controls_received = 0
        self.connection_limit_refusals = 0
        self.newcomers_turned_away = 0
        self.actions: Tally[str] = Tally()
        self.publish_suppressed: Tally[str] = Tally()
        self.map_publications_sent = self.map_removals_sent = 0
        self.map_publish_suppressed: Tally[str] = Tally()
        self.map_remove_suppressed: Tally[str] = Tally()
        self.broadcast_duration: Family[str, Histogram] = Family(lambda: Histogram(BROADCAST_BUCKETS_SECONDS))
        self.pub_sub_lag = Histogram(LAG_BUCKETS_SECONDS)
        self.survey_duration: Family[str, Duration] = Family(lambda: Duration(SURVEY_BUCKETS_SECONDS))
        self.command_duration: Family[str, Duration] = Family(lambda: Duration(COMMAND_BUCKETS_SECONDS))
        for command in COMMANDS:
            self.command_duration[command] = Duration(COMMAND_BUCKETS_SECONDS)
        self.reply_errors: Tally[tuple[str, int]] = Tally()
        self.server_unsubscribes: Tally[int] = Tally()
        self.server_disconnects: Tally[int] = Tally()
        self.recoveries: Tally[tuple[bool, bool]] = Tally()
        self.recovered_publications = Histogram(RECOVERED_BUCKETS)
        self.ping_pong_duration: Family[str, Histogram] = Family(lambda: Histogram(COMMAND_BUCKETS_SECONDS))
        self.connections_accepted: Tally[tuple[str, str, str]] = Tally()
        self.connections_inflight: Tally[tuple[str, str, str]] = Tally()
        self.subscriptions_accepted: Tally[str] = Tally()
        self.subscriptions_inflight: Tally[str] = Tally()
        self.messages_sent: Family[tuple[str, str], Traffic] = Family(Traffic)
        self.messages_received: Family[tuple[str, str], Traffic] = Family(Traffic)
        self.outgoing_closes: Tally[tuple[str, int]] = Tally()
        self.api_duration: Family[tuple[str, str], Duration] = Family(lambda: Duration(API_BUCKETS_SECONDS))
        self.api_rpc_duration: Family[tuple[str, str], Duration] = Family(lambda: Duration(API_BUCKETS_SECONDS))
        self.api_errors: Tally[tuple[str, str, int]] = Tally()
        self.proxy_duration: Family[tuple[str, str, str], Duration] = Family(lambda: Duration(API_BUCKETS_SECONDS))
        self.proxy_errors: Tally[tuple[str, str, str]] = Tally()
        self.proxy_inflight: Tally[tuple[str, str, str]] = Tally()
        self.poll_cycle_duration = Histogram(POLL_CYCLE_BUCKETS_SECONDS)
        self.poll_cycle_work = Histogram(POLL_CYCLE_BUCKETS_SECONDS)
        self.poll_call_duration: Family[str, Histogram] = Family(lambda: Histogram(POLL_CALL_BUCKETS_SECONDS))
        self.poll_slot_wait: Family[str, Histogram] = Family(lambda: Histogram(POLL_WAIT_BUCKETS_SECONDS))
        self.poll_request_items: Family[str, Histogram] = Family(lambda: Histogram(POLL_ITEMS_BUCKETS))
        self.poll_response_items: Family[str, Histogram] = Family(lambda: Histogram(POLL_ITEMS_BUCKETS))
        self.poll_errors: Tally[str] = Tally()
        self.poll_items: Tally[tuple[str, str]] = Tally()
        self.poll_publishes: Tally[str] = Tally()
        self.http_requests: Tally[tuple[str, str, int]] = Tally()
        self._pushes: dict[tuple[Encoding, str], Traffic] = {}

    def add_pushes(self, encoding: Encoding, frame_type: str, size: int, count: int) -> None:
        """Counts a push that went to several connections alike; once for all of them, so that fan-out stays cheap.

        Args:
            encoding: how it was sent; its name begins with the transport's.
            frame_type: `push_publication`, `push_join`, …
            size: bytes of one, without framing.
            count: connections that got it.
        """
        traffic = self._pushes.get((encoding, frame_type))
        if traffic is None:
            traffic = self.messages_sent[encoding.name.partition("-")[0], frame_type]
            self._pushes[encoding, frame_type] = traffic
        traffic.count += count
        traffic.size += size * count
