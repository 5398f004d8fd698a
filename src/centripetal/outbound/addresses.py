"""Protection of the inside: names that others choose must not lead to private addresses.

The addresses that were looked at are those that are connected to, so a name that resolves to something else a moment
later (DNS rebinding) gains nothing.
"""

from __future__ import annotations

import ipaddress
import socket
from typing import TYPE_CHECKING

from aiohttp.abc import AbstractResolver
from aiohttp.resolver import ThreadedResolver

if TYPE_CHECKING:
    from aiohttp.abc import ResolveResult

IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address

_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


class PrivateAddress(OSError):
    """A name resolves to private addresses only."""


def is_public(address: IpAddress) -> bool:
    """Whether an address belongs to the public internet; where it embeds others of version 4, they decide."""
    if isinstance(address, ipaddress.IPv6Address):
        embedded = _embedded(address)
        if embedded:
            return all(is_public(one) for one in embedded)
        if address.is_site_local:
            return False
    return address.is_global and not address.is_multicast and not address.is_reserved


def _embedded(address: ipaddress.IPv6Address) -> list[ipaddress.IPv4Address]:
    embedded = [address.ipv4_mapped, address.sixtofour, *(address.teredo or ())]
    if address in _NAT64 or int(address) >> 32 == 0:  # the second: the old "IPv4-compatible" form
        embedded.append(ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF))
    return [one for one in embedded if one is not None]


def is_private_literal(host: str) -> bool:
    """Whether a host of a URL is an address, and not a public one; names are looked at when they are resolved."""
    try:
        address = ipaddress.ip_address(host.strip("[]").partition("%")[0])
    except ValueError:
        return False
    return not is_public(address)


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
