"""What a node says of itself (API method `info`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .node import Node


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
