"""Ports for servers that tests start as processes."""

from __future__ import annotations

import random
import socket

# Below those that systems take for outgoing connections: none of these gets in the way until the server has started.
_FIRST_PORT, _LAST_PORT = 12_000, 19_999

# A port is free until its server has started. For that time nobody else may be given it, so every process that runs tests
# has blocks of its own: those whose first port it has bound.
_BLOCK = 50

_claims: list[socket.socket] = []
_ours: list[int] = []


def free_port() -> int:
    """Returns a port, for TCP and UDP, that nobody has on 127.0.0.1 and that nobody was or is given by this function.

    Raises:
        RuntimeError: other processes of tests have all ports.
    """
    while True:
        if not _ours:
            _ours.extend(_claim())
        port = _ours.pop()
        if _is_free(port):
            return port


def _claim() -> range:
    blocks = range(_FIRST_PORT, _LAST_PORT, _BLOCK)
    for first in random.sample(blocks, len(blocks)):
        claim = socket.socket()
        try:
            claim.bind(("127.0.0.1", first))
        except OSError:
            claim.close()
            continue
        _claims.append(claim)
        return range(first + 1, first + _BLOCK)
    raise RuntimeError(f"no block of ports is left between {_FIRST_PORT} and {_LAST_PORT}")


def _is_free(port: int) -> bool:
    with socket.socket() as tcp, socket.socket(type=socket.SOCK_DGRAM) as udp:
        try:
            tcp.bind(("127.0.0.1", port))
            udp.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
