"""Random ids of connections."""

from __future__ import annotations

import os

from ..node.node import Node


def random_id() -> str:
    """Returns a random UUID (version 4, RFC 9562) as text."""
    digits = os.urandom(16).hex()
    variant = "89ab"[int(digits[16], 16) & 3]
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:]}"


def make_session(node: Node) -> str:
    """Returns a random secret id, which begins with what tells the node among those of its group."""
    return node.session_prefix + random_id()[len(node.session_prefix) :]
