"""Resolves names to public addresses only.

The addresses that were looked at are those that are connected to, so a name that resolves to something else a moment
later (DNS rebinding) gains nothing.
"""

from __future__ import annotations

import ipaddress
import socket

from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver

from .addresses import is_public


class PrivateAddress(OSError):
    """A name resolves to private addresses only."""


class PublicResolver(AbstractResolver):
    """Resolves names to their public addresses."""

    def __init__(self, inner: AbstractResolver | None = None) -> None:
        """Takes what resolves names; the system's way if left out."""
        self._inner = inner or ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Returns the public addresses of a name.

        Raises:
            PrivateAddress: it has none.
            OSError: it cannot be resolved.
        """
        found = await self._inner.resolve(host, port, family)
        public = [one for one in found if is_public(ipaddress.ip_address(one["host"].partition("%")[0]))]
        if not public:
            raise PrivateAddress("the name has private addresses only")
        return public

    async def close(self) -> None:
        """Closes what resolves names."""
        await self._inner.close()
