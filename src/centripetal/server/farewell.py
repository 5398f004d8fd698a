"""How a server says goodbye to its clients: not to all at once, for they will all come back somewhere."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Sequence

from ..model.errors import DISCONNECT_SHUTDOWN
from ..node.node import Node
from ..transports.listener import Listener

CLIENTS_A_SLICE = 100
"""So many clients are disconnected in one go at most."""

LONGEST_HURRY_SECONDS = 10.0
"""Without `shutdown.drain_time`, clients are disconnected over at most so long."""

PAUSE_SECONDS = 0.02


async def disconnect_clients(node: Node, drain_seconds: float, hurry_seconds: float) -> None:
    """Disconnects all clients with 3001 (shutdown).

    Those with a session go first, for the commands of SSE and HTTP streaming come in requests of their own, which
    another process may have begun to accept.

    Args:
        node: whose clients.
        drain_seconds: spreads them evenly over this time, unless all leave sooner; 0 for as fast as is good for the process.
        hurry_seconds: then over no more than this.
    """
    clients = deque(sorted(node.registry.clients.values(), key=lambda client: not client.session))
    if not drain_seconds:
        slices = -(-len(clients) // CLIENTS_A_SLICE)
        drain_seconds = min(slices * PAUSE_SECONDS, hurry_seconds, LONGEST_HURRY_SECONDS)
    started = time.monotonic()
    total, done = len(clients), 0
    while clients and node.registry.clients:
        passed = (time.monotonic() - started) / drain_seconds if drain_seconds else 1.0
        due = min(int(total * passed) + 1, total) - done
        for _ in range(min(due, CLIENTS_A_SLICE)):
            clients.popleft().disconnect(DISCONNECT_SHUTDOWN)
            done += 1
        await asyncio.sleep(0 if due > CLIENTS_A_SLICE else PAUSE_SECONDS)
    for client in list(node.registry.clients.values()):  # who was on the way when it began
        client.disconnect(DISCONNECT_SHUTDOWN)


async def let_callers_go(listeners: Sequence[Listener], until: float) -> None:
    """Waits for the next requests on connections of the HTTP API, whose responses tell them to go elsewhere.

    One that is closed while it is idle may have a request on its way already, which would be lost.

    Args:
        listeners: accept no more.
        until: who has not asked anything by then, is closed after all; seconds of the event loop's clock.
    """
    loop = asyncio.get_running_loop()
    while loop.time() < until and any(listener.connections for listener in listeners):
        await asyncio.sleep(PAUSE_SECONDS)
