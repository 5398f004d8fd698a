"""Addresses of peers."""

from __future__ import annotations

import asyncio


def remote_address(transport: asyncio.BaseTransport) -> str:
    """Returns `host:port` of a connection's peer, IPv6 hosts in brackets; empty for Unix sockets."""
    return address_text(transport.get_extra_info("peername"))


def address_text(peer: object) -> str:
    """Returns a socket address as `host:port`; empty for one that has no port."""
    if isinstance(peer, tuple) and len(peer) >= 2:
        host = str(peer[0])
        return f"[{host}]:{peer[1]}" if ":" in host else f"{host}:{peer[1]}"
    return ""


def split_address(text: str) -> tuple[str, int]:
    """Returns host and port of `host:port`; the host is empty in `:port`, and may be an IPv6 address in brackets.

    Raises:
        ValueError: it has another form.
    """
    host, colon, port = text.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        colon = ""
    if not colon or not (port.isascii() and port.isdigit() and len(port) <= 5 and 0 < int(port) <= 65535):
        raise ValueError("is not of the form host:port or :port")
    return host, int(port)
