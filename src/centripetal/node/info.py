"""What a node says of itself (API method `info`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .cluster import Cluster
    from .node import Node

ADDED = ("num_clients", "num_users", "num_subs", "num_channels")
"""Figures of a group: the sum of its nodes' (a user or channel of several nodes counts in each)."""


class NodeInfo:
    """Describes a node, with figures that lag a little behind so that frequent calls are cheap.

    Attributes:
        metrics: the latest aggregate, `{"interval": seconds, "items": {name: value}}`; set by whoever counts.
    """

    def __init__(self, node: Node) -> None:
        self._node = node
        self._started_at = node.clock.monotonic()
        self.metrics: dict[str, object] | None = None

    def describe(self) -> dict[str, object]:
        """Returns the node's description in the wire names of `NodeResult`."""
        node = self._node
        description: dict[str, object] = {
            "uid": node.id,
            "name": node.name,
            "version": node.version,
            "num_clients": len(node.registry.clients),
            "num_users": len(node.registry.users),
            "num_subs": node.hub.num_live,
            "num_channels": len(node.hub.channels),
            "uptime": int(node.clock.monotonic() - self._started_at),
        }
        if self.metrics is not None:
            description["metrics"] = self.metrics
        return description


def merge_groups(cluster: Cluster, own: dict[str, object]) -> list[dict[str, object]]:
    """Returns the descriptions of all nodes of a cluster, those of one group as one.

    Args:
        cluster: the others.
        own: this node's description.
    """
    merged: dict[str, dict[str, Any]] = {}
    everybody = [(own["uid"], cluster.group, own)]
    everybody += [(uid, member.group, member.description) for uid, member in cluster.members.items()]
    for uid, group, description in everybody:
        found = merged.get(group or str(uid))
        if found is None:
            merged[group or str(uid)] = {**description, "uid": group or uid}
            continue
        for name in ADDED:
            found[name] += description[name]
        found["uptime"] = max(found["uptime"], description["uptime"])
        _add_metrics(found, description)
    return list(merged.values())


def _add_metrics(total: dict[str, Any], description: dict[str, Any]) -> None:
    metrics = description.get("metrics")
    if metrics is None:
        return
    if total.get("metrics") is None:
        total["metrics"] = metrics
        return
    items = dict(total["metrics"]["items"])
    for name, value in metrics["items"].items():
        items[name] = items.get(name, 0) + value
    total["metrics"] = {**total["metrics"], "items": items}
