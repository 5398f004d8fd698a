"""Keys that are asked for over a link."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from centripetal.engines.local import Host, LocalKeyDirectory, Remote
from centripetal.interfaces import KeyAnswer, KeyDirectoryError

from .pair import link


class Directory:
    def __init__(self) -> None:
        self.asked: list[Any] = []
        self.gate = asyncio.Event()

    async def find(self, url: str, public_only: bool, kid: str) -> KeyAnswer:
        self.asked.append((url, public_only, kid))
        if kid == "slow":
            await self.gate.wait()
        if kid == "broken":
            raise RuntimeError("secret")
        return KeyAnswer(b"{}", 1.5) if kid == "known" else KeyAnswer(missing_seconds=2.5)


def test_answers_and_failures_come_over_the_link() -> None:
    async def main() -> None:
        directory = Directory()
        host, remote = Host({"keys": directory}), Remote()
        keys = LocalKeyDirectory(lambda: remote)
        with pytest.raises(KeyDirectoryError, match="gone"):
            await keys.find("u", False, "known")
        await link(host, remote)
        assert await keys.find("u", False, "known") == KeyAnswer(b"{}", 1.5)
        assert await keys.find("u", True, "other") == KeyAnswer(missing_seconds=2.5)
        assert directory.asked == [("u", False, "known"), ("u", True, "other")]
        with pytest.raises(KeyDirectoryError, match="internal error"):
            await keys.find("u", True, "broken")
        waiting = asyncio.ensure_future(keys.find("u", True, "slow"))
        while len(directory.asked) < 4:
            await asyncio.sleep(0)
        assert await keys.find("u", False, "known") == KeyAnswer(b"{}", 1.5), "nobody waits for a slow endpoint of others"
        remote.link.abort()
        with pytest.raises(KeyDirectoryError, match="gone"):
            await waiting
        with pytest.raises(KeyDirectoryError, match="gone"):
            await keys.find("u", False, "known")

    asyncio.run(main())
