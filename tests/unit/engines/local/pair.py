"""A host and a process that is linked to it, in one loop, over a real socket pair."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Mapping
from typing import Any

from centripetal.engines.local import Host, Remote


async def link(host: Host, remote: Remote) -> None:
    """Connects the two."""
    loop = asyncio.get_running_loop()
    ours, theirs = socket.socketpair()
    await loop.create_connection(host.welcome, sock=ours)
    await loop.create_connection(lambda: remote.link, sock=theirs)


class Linked:
    """What a local engine's parts are in these tests: they bring their host with them.

    Attributes:
        kept: what the host keeps, by target.
    """

    kept: Mapping[str, Any]
    host: Host
    remote: Remote

    async def start(self) -> None:
        for target in self.kept.values():
            await target.start()
        await link(self.host, self.remote)

    async def stop(self) -> None:
        self.remote.link.abort()
        while self.host.guests:
            await asyncio.sleep(0)
        for target in self.kept.values():
            await target.stop()

    def keep(self, **targets: Any) -> None:
        """Makes the host. Called within a running loop."""
        self.kept = targets
        self.host = Host(targets)
        for name, events in self.host.events.items():
            targets[name].bind(events)
