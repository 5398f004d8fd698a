from __future__ import annotations

import asyncio
import ipaddress
import socket

import pytest
from aiohttp.abc import AbstractResolver, ResolveResult

from centripetal.outbound.addresses import is_private_literal, is_public
from centripetal.outbound.resolver import PrivateAddress, PublicResolver

PRIVATE = [
    "127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1",
    "255.255.255.255", "240.0.0.1", "::1", "::", "fe80::1", "fc00::1", "fd00::1", "fec0::1", "ff02::1",
    "::ffff:10.0.0.1", "::ffff:127.0.0.1", "::127.0.0.1", "64:ff9b::10.0.0.1", "2002:7f00:1::", "2002:a00:1::",
]  # fmt: skip
PUBLIC = ["1.1.1.1", "8.8.8.8", "2606:4700:4700::1111", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8"]


@pytest.mark.parametrize("text", PRIVATE)
def test_private(text: str) -> None:
    assert not is_public(ipaddress.ip_address(text))
    assert is_private_literal(text) and is_private_literal(f"[{text}]")


@pytest.mark.parametrize("text", PUBLIC)
def test_public(text: str) -> None:
    assert is_public(ipaddress.ip_address(text)) and not is_private_literal(text)


def test_names_are_no_literals() -> None:
    assert not is_private_literal("localhost") and not is_private_literal("10.example.com")


class Fixed(AbstractResolver):
    def __init__(self, *hosts: str) -> None:
        self.hosts = hosts

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        return [
            ResolveResult(hostname=host, host=one, port=port, family=family, proto=0, flags=0) for one in self.hosts
        ]

    async def close(self) -> None:
        pass


def test_only_public_addresses_of_a_name_are_used() -> None:
    found = asyncio.run(PublicResolver(Fixed("10.0.0.1", "8.8.8.8", "fe80::1%eth0")).resolve("name", 443))
    assert [one["host"] for one in found] == ["8.8.8.8"]
    with pytest.raises(PrivateAddress):
        asyncio.run(PublicResolver(Fixed("10.0.0.1", "::1")).resolve("name", 443))
