"""The process that keeps the engine for the workers of a server, and the keys that endpoints have given away."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal

import structlog

from .. import __version__
from ..auth import KeptKeys
from ..config import Config
from ..engines.local import Host, Link, Post
from ..interfaces import SystemClock
from ..outbound import HttpClient
from .engine import memory_engine

SOCKET = "engine"
"""Name of the Unix socket in the server's folder."""

STOP_ENGINE = signal.SIGUSR1

GRACE_SECONDS = 5.0
"""Processes that have not ended so long after `shutdown.timeout` are not waited for."""

logger = structlog.get_logger("centripetal.server")


def run_engine(config: Config, path: str, supervisor: int) -> int:
    """Keeps the engine until SIGUSR1; returns the exit code.

    Args:
        config: the configuration.
        path: of the Unix socket by which workers come.
        supervisor: process id. If SIGUSR1 says that this process is gone, the engine stays until the workers have left.
    """

    async def serve() -> None:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        engine, post = memory_engine(config, SystemClock()), Post()
        http = HttpClient(f"centripetal/{__version__}")
        keys = KeptKeys(http, SystemClock())
        if any(token.jwks_public_endpoint for token in (config.client.token, config.client.subscription_token)):
            keys.prepare()
        host = Host(
            {
                "broker": engine.broker,
                "presence": engine.presence,
                "map_broker": engine.map_broker,
                "controller": post,
                "keys": keys,
            }
        )
        engine.broker.bind(host.events["broker"])
        engine.map_broker.bind(host.events["map_broker"])
        post.bind(host.events["controller"])
        parts = (engine.broker, engine.presence, engine.map_broker)
        for part in parts:
            await part.start()
        stop, left = asyncio.Event(), asyncio.Event()
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(STOP_ENGINE, stop.set)
        # Those that go to all processes at once are for the workers, which need the engine until they have ended.
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)

        def welcome() -> Link:
            return host.welcome(left.set)

        await loop.create_unix_server(welcome, path)
        os.chmod(path, 0o600)
        logger.info("engine_started", pid=os.getpid())
        await stop.wait()
        if os.getppid() != supervisor:
            await _all_gone(host, left, config.shutdown.timeout + GRACE_SECONDS)
        await http.close()
        for part in parts:
            await part.stop()

    try:
        import uvloop
    except ImportError:
        asyncio.run(serve())
    else:
        uvloop.run(serve())
    return 0


async def _all_gone(host: Host, left: asyncio.Event, seconds: float) -> None:
    """Waits until the workers have left, which nobody else does when the supervisor is gone."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            while host.guests:
                left.clear()
                await left.wait()
