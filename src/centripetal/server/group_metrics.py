"""The metrics of a server whose workers are several nodes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from ..node.node import Node
from ..observability.exposition import render_families
from ..observability.merging import decode_families, encode_families, merge_families
from ..observability.metrics import MetricsCollector

TOPIC = "metrics"


def collect_metrics(node: Node, metrics: MetricsCollector) -> Callable[[], Awaitable[bytes]]:
    """Returns what renders the metrics of a node, or those of all workers together, for a scrape of any of them."""
    cluster = node.cluster

    async def answer(body: bytes) -> bytes:
        return encode_families(list(metrics.all_families()))

    async def render() -> bytes:
        if cluster is None or not cluster.group:
            return metrics.render()
        workers = [name for name, member in cluster.members.items() if member.group == cluster.group]
        answers = await cluster.ask(TOPIC, nodes=workers)
        return render_families(merge_families([metrics.all_families(), *map(decode_families, answers.values())]))

    if cluster is not None:
        cluster.handlers[TOPIC] = answer
    return render
