"""Ports for servers that tests start as processes."""

from __future__ import annotations

import random
import socket

# Below those that systems take for outgoing connections: none of these gets in the way until the server has started.
_FIRST_PORT, _LAST_PORT = 12_000, 19_999

_handed_out: set[int] = set()


def free_port() -> int:
    """Returns a port, for TCP and UDP, that nobody has on 127.0.0.1 and that this process was not given before."""
    while True:
        port = random.randint(_FIRST_PORT, _LAST_PORT)
        if port not in _handed_out and _is_free(port):
            _handed_out.add(port)
            return port


def _is_free(port: int) -> bool:
    with socket.socket() as tcp, socket.socket(type=socket.SOCK_DGRAM) as udp:
        try:
            tcp.bind(("127.0.0.1", port))
            udp.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
