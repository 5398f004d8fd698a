"""What a node says of itself (API method `info`)."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from .cluster import Cluster
    from .node import Node

ADDED = ("num_clients", "num_users", "num_subs", "num_channels")
"""Figures of a group: the sum of its nodes'."""

MOST_NAMES = 10_000
"""Users and channels that several nodes of a group have are counted once as long as a node has no more than so many."""

Names = tuple[list[str], list[str]] | None
"""Users and channels of a node; None if there are too many."""

Account = tuple[dict[str, Any], Names]
"""What a node says of itself, and its names."""

decode_account: Callable[[bytes], Account] = msgspec.msgpack.Decoder(Account).decode


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


def describe_group(uid: str, accounts: list[Account]) -> dict[str, Any]:
    """Returns the description of a group.

    Args:
        uid: of the group.
        accounts: of its nodes. A user or channel of several nodes counts once, if all of them could tell theirs.
    """
    total = _sum(uid, [description for description, _ in accounts])
    names = [names for _, names in accounts if names is not None]
    if len(names) == len(accounts):
        total["num_users"] = len({user for users, _ in names for user in users})
        total["num_channels"] = len({channel for _, channels in names for channel in channels})
    return total


def describe_others(cluster: Cluster) -> list[dict[str, Any]]:
    """Returns the descriptions of the nodes that are not of this one's group, as they told last; groups as one."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for name, member in cluster.members.items():
        if not member.group or member.group != cluster.group:
            groups.setdefault(member.group or name, []).append(member.description)
    return [_sum(uid, descriptions) for uid, descriptions in groups.items()]


def _sum(uid: str, descriptions: list[dict[str, Any]]) -> dict[str, Any]:
    total = {**descriptions[0], "uid": uid}
    for description in descriptions[1:]:
        for name in ADDED:
            total[name] += description[name]
        total["uptime"] = max(total["uptime"], description["uptime"])
        _add_metrics(total, description)
    return total


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


def names_of(users: Collection[str], channels: Collection[str]) -> Names:
    """Returns the names of a node's users and channels, if they are not too many."""
    if len(users) + len(channels) > MOST_NAMES:
        return None
    return list(users), list(channels)
