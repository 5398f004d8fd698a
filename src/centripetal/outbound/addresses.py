"""Which addresses belong to the public internet: names that others choose must not lead inside."""

from __future__ import annotations

import ipaddress

IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address

_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


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
