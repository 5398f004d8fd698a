"""The process that keeps the engine for the workers of a server, and the keys that endpoints have given away.

It takes the engine over from a predecessor, and hands it over to a successor.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import signal
from collections.abc import Callable

import structlog

from .. import __version__
from ..auth import KeptKeys
from ..config import Config
from ..engines.local import Host, Link, Muster, Post
from ..interfaces import SystemClock
from ..outbound import HttpClient
from .engine import HostedEngine, memory_engine
from .event_loop import run_loop
from .ports import Ports
from .quic_ports import QuicPorts
from .takeover import READY_SECONDS, Predecessor, Successor

STOP_ENGINE = signal.SIGUSR1
TAKEN_OVER = signal.SIGUSR2
"""What the engine sends the supervisor when the predecessor's state is there."""

GRACE_SECONDS = 5.0
"""Processes that have not ended so long after `shutdown.timeout` are not waited for."""

logger = structlog.get_logger("centripetal.server")


def run_engine(
    config: Config,
    path: str,
    supervisor: int,
    ports: Ports,
    beat: Callable[[], None],
    predecessor: Predecessor | None = None,
    quic: QuicPorts | None = None,
) -> int:
    """Keeps the engine until SIGUSR1; returns the exit code.

    Args:
        config: the configuration.
        path: of the Unix socket by which workers come.
        supervisor: process id. If SIGUSR1 says that this process is gone, the engine stays until the workers have left.
        ports: what a successor gets.
        beat: to be called every second, as a sign of life.
        predecessor: whose state is taken up first.
        quic: what a successor gets of the UDP port, if there is HTTP/3.
    """

    async def serve() -> int:
        _beat_every_second(beat)
        return await EngineProcess(config, supervisor, ports, quic).run(path, predecessor)

    return run_loop(serve())


class EngineProcess:
    """The engine, its links to the workers, and its way from a predecessor and to a successor.

    Args:
        config, supervisor, ports: see run_engine.
    """

    def __init__(self, config: Config, supervisor: int, ports: Ports, quic: QuicPorts | None = None) -> None:
        self._config = config
        self._supervisor = supervisor
        self._ports = ports
        self._quic = quic
        self._memory, post = memory_engine(config, SystemClock()), Post()
        self._muster = Muster(ports.count)
        self._http = HttpClient(f"centripetal/{__version__}")
        keys = KeptKeys(self._http, SystemClock())
        if any(token.jwks_public_endpoint for token in (config.client.token, config.client.subscription_token)):
            keys.prepare()
        self._host = Host(
            {
                "broker": self._memory.broker,
                "presence": self._memory.presence,
                "map_broker": self._memory.map_broker,
                "controller": post,
                "keys": keys,
                "muster": self._muster,
            }
        )
        self._memory.broker.bind(self._host.events["broker"])
        self._memory.map_broker.bind(self._host.events["map_broker"])
        post.bind(self._host.events["controller"])
        self._parts = (self._memory.broker, self._memory.presence, self._memory.map_broker)
        self._stop, self._left = asyncio.Event(), asyncio.Event()
        self._successor: Successor | None = None

    async def run(self, path: str, predecessor: Predecessor | None) -> int:
        """Keeps the engine until SIGUSR1; returns the exit code."""
        self._watch_signals()
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        await asyncio.get_running_loop().create_unix_server(self._welcome, path)
        os.chmod(path, 0o600)
        logger.info("engine_started", pid=os.getpid())
        if predecessor is not None and not await self._take_over(predecessor):
            return 1
        if not self._await_successor():
            return 1
        if predecessor is None:
            for part in self._parts:
                await part.start()
            self._muster.dismissed.set()
        gc.freeze()
        await self._stop.wait()
        self._close_doors()
        if self._successor is not None:
            await self._successor.finish()
        if os.getppid() != self._supervisor:
            await _all_gone(self._host, self._left, self._config.shutdown.timeout + GRACE_SECONDS)
        await self._http.close()
        for part in self._parts:
            await part.stop()
        return 0

    def _watch_signals(self) -> None:
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(STOP_ENGINE, self._stop.set)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {STOP_ENGINE})
        # Those that go to all processes at once are for the workers, which need the engine until they have ended.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        loop.add_signal_handler(signal.SIGTERM, self._close_doors)

    def _welcome(self) -> Link:
        return self._host.welcome(self._left.set)

    async def _take_over(self, predecessor: Predecessor) -> bool:
        """Takes up the state when all workers are ready; returns whether it is there."""
        task = asyncio.ensure_future(self._inherit(predecessor))
        stop = asyncio.ensure_future(self._stop.wait())
        await asyncio.wait({task, stop}, return_when=asyncio.FIRST_COMPLETED)
        stop.cancel()
        if not task.done():
            task.cancel()
        try:
            await task
        except asyncio.CancelledError:
            return False
        except (OSError, TimeoutError) as error:
            logger.critical("takeover_failed", error=str(error) or "the workers did not become ready")
            return False
        logger.info("taken_over")
        os.kill(self._supervisor, TAKEN_OVER)
        return True

    async def _inherit(self, predecessor: Predecessor) -> None:
        async with asyncio.timeout(READY_SECONDS):
            await self._muster.complete.wait()
        await predecessor.inherit(self._host, self._memory)
        for part in self._parts:
            await part.start()
        predecessor.accepted()
        self._muster.dismissed.set()

    def _await_successor(self) -> bool:
        """Begins to wait for a successor, if one may come; returns whether that was possible."""
        path = self._config.http_server.takeover_socket
        if not path or self._stop.is_set():
            return True
        estate = HostedEngine(self._memory, self._host)
        self._successor = Successor(path, self._ports.filenos, estate, self._make_way, quic=self._quic)
        try:
            self._successor.wait()
        except OSError as error:
            logger.critical("start_failed", error=str(error))
            return False
        return True

    def _make_way(self) -> None:
        """Has the workers say goodbye: another server has taken over."""
        self._close_doors()
        if os.getppid() == self._supervisor:
            os.kill(self._supervisor, signal.SIGTERM)

    def _close_doors(self) -> None:
        """The server stops: nobody may take over from it any more, and nobody waits at its ports."""
        if self._successor is not None:
            self._successor.close()
        self._ports.close()


def _beat_every_second(beat: Callable[[], None]) -> None:
    beat()
    asyncio.get_running_loop().call_later(1.0, _beat_every_second, beat)


async def _all_gone(host: Host, left: asyncio.Event, seconds: float) -> None:
    """Waits until the workers have left, which nobody else does when the supervisor is gone."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            while host.guests:
                left.clear()
                await left.wait()
