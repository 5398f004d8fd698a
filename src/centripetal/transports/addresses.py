"""Addresses of peers."""

from __future__ import annotations

import asyncio


def remote_address(transport: asyncio.BaseTransport) -> str:
    """Returns `host:port` of a connection's peer, IPv6 hosts in brackets; empty for Unix sockets."""
    peer = transport.get_extra_info("peername")
    if isinstance(peer, tuple) and len(peer) >= 2:
        host = str(peer[0])
        return f"[{host}]:{peer[1]}" if ":" in host else f"{host}:{peer[1]}"
    return ""
