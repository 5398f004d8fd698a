"""Runs the server until a signal ends it."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import signal
import socket
from collections.abc import Callable, Sequence

try:
    import resource
except ImportError:  # not on Windows
    resource = None  # type: ignore[assignment]

import structlog
from starlette.routing import BaseRoute

from .. import __version__
from ..auth import KeySets, TokenSettings, TokenSettingsError, unsafe_endpoints, weak_keys
from ..config import ConfigError, LoadedConfig, validate
from ..config.unbuilt import refuse_unbuilt
from ..interfaces import SystemClock
from ..node.node import Node
from ..observability.logs import configure_logging, reconfigure_logging
from ..outbound import HttpClient
from ..proxies.table import ProxyTable
from .build import build_node, node_options, token_verifier
from .doors import Door, Shared, build_doors, served, share
from .engine import Engine, SwitchedEngine, WorkerEngine, memory_engine
from .event_loop import run_loop
from .farewell import disconnect_clients, let_callers_go
from .grpc_doors import GrpcDoor, build_grpc_doors
from .hooks import build_hooks
from .pid_file import remove_pid_file, write_pid_file
from .ports import Place, Ports, places_of
from .quic_doors import QuicDoor, build_quic_doors
from .quic_ports import QuicPorts, QuicShare, quic_place_of
from .reloading import read_again
from .takeover import Predecessor, Successor
from .tls import ServerTls
from .transports import gate_of
from .workers import Supervisor, Worker, number_of_workers, tell_workers

GRPC_GRACE_SECONDS = 5.0
"""Calls over gRPC may take so long to end at shutdown."""

YOUNG_OBJECTS = 50_000
"""Garbage collection looks at young objects after so many allocations; connections are freed by reference count."""

logger = structlog.get_logger("centripetal.server")


ExtraRoutes = Callable[[Node], Sequence[BaseRoute]]
"""Makes further pages of the external listener from the node that runs."""


def serve(loaded: LoadedConfig, reload: Callable[[], LoadedConfig], *, extra_routes: ExtraRoutes | None = None) -> int:
    """Runs a server with a configuration.

    Args:
        loaded: the configuration and where it came from.
        reload: reads it again, at SIGHUP.
        extra_routes: makes further pages of the external listener.

    Returns:
        The process's exit code: 0 after SIGTERM or SIGINT, 1 when it cannot start or had to be cut off.
    """
    config = loaded.config
    try:
        close_log = configure_logging(config.log)
    except OSError as error:
        structlog.get_logger("centripetal.server").critical("log_file_not_opened", option="log.file", error=str(error))
        return 1
    try:
        validate(config)
        refuse_unbuilt(config)
        raise_file_limit()
        tell_workers(config)
        _spare_garbage_collection()
        if number_of_workers(config) == 1:
            return run_loop(Server(loaded, reload, extra_routes).run())

        def run_worker(loaded: LoadedConfig, worker: Worker) -> int:
            return run_loop(Server(loaded, reload, extra_routes, worker).run())

        return Supervisor(loaded, reload, run_worker).run()
    except (ConfigError, TokenSettingsError) as error:
        logger.critical("config_refused", error=str(error))
        return 1
    except OSError as error:
        logger.critical("start_failed", error=str(error))
        return 1
    finally:
        close_log()


class Server:
    """A node behind its listeners, from start to the end by a signal.

    Attributes:
        node: once it runs.
        doors: its listeners.
        grpc_doors: those that speak gRPC.
        quic_doors: those that speak HTTP/3.
        tls: certificates of the doors.
    """

    node: Node
    doors: list[Door]
    grpc_doors: list[GrpcDoor]
    quic_doors: list[QuicDoor]
    tls: ServerTls

    def __init__(
        self,
        loaded: LoadedConfig,
        reload: Callable[[], LoadedConfig],
        extra_routes: ExtraRoutes | None = None,
        worker: Worker | None = None,
    ) -> None:
        self._worker = worker
        self._num_workers = 1 if worker is None else number_of_workers(loaded.config)
        self._engine: Engine | None = None
        self._loaded = loaded
        self._reload = reload
        self._extra_routes = extra_routes
        self._shared: Shared
        self._http = HttpClient(f"centripetal/{__version__}")
        self._key_sets: KeySets
        self._hooks: ProxyTable
        self._closing: set[asyncio.Task[None]] = set()
        self._ports: Ports | None = None
        self._quic: QuicPorts | None = worker.quic if worker is not None else None
        self._predecessor: Predecessor | None = None
        self._successor: Successor | None = None
        self._stop = asyncio.Event()

    async def run(self) -> int:
        """Starts, waits for the signal, and stops; returns the exit code."""
        self._tell_sources()
        engine = self._engine = await self._choose_engine()
        predecessor = self._predecessor
        self._build(engine)
        if predecessor is not None and isinstance(engine, SwitchedEngine):
            await engine.inherit(predecessor)
        await self.node.start()
        if isinstance(engine, WorkerEngine):
            await engine.report()
            self.node.meet_others()
        self._heed_signals()  # before anybody is told that the server is there
        await self._open()
        if predecessor is not None:
            predecessor.accepted()
            logger.info("taken_over")
        if isinstance(engine, SwitchedEngine):
            path = self._loaded.config.http_server.takeover_socket
            self._successor = Successor(path, self._filenos, engine, self._stop.set, quic=self._quic)
            self._successor.wait()
        gc.freeze()
        await self._stop.wait()
        return await self._shut_down()

    def _build(self, engine: Engine | None) -> None:
        """Makes the node and what serves it."""
        config = self._loaded.config
        directory = engine.keys if isinstance(engine, WorkerEngine) else None
        self._key_sets = KeySets(self._http, SystemClock(), directory=directory)
        self.node = build_node(config, self._key_sets, engine, self._num_workers)
        self.node.hooks = self._hooks = build_hooks(config, self._http, self.node.counters, self.node.clock)
        if isinstance(engine, WorkerEngine) and self._worker is not None:
            engine.interrupted = self.node.recover_from_interruption
            self.node.ticker.every_second += (engine.check, self._worker.beat)
            self.node.registry.changed = self._worker.set_clients
        self._shared = share(
            config,
            self.node,
            self._extra_routes(self.node) if self._extra_routes else (),
            self._worker.counts if self._worker is not None else None,
        )
        self.doors = build_doors(config, self._shared)
        self.grpc_doors = build_grpc_doors(config, self._shared)
        self.tls = ServerTls(config, self.node.clock, group=self._worker.certificates if self._worker is not None else "")
        self.quic_doors = build_quic_doors(config, self._shared, self.doors[0], self.tls, self._quic_share())

    async def _open(self) -> None:
        """Lets clients come in."""
        config = self._loaded.config
        gate = gate_of(self.node)
        for door in self.doors:
            sockets, tls = self._sockets_at((door.address, door.port)), self.tls.context_of(door.name)
            await door.listener.start(door.address, door.port, sockets=sockets, tls=tls, gate=gate)
            logger.info("listening", listener=door.name, address=door.address or "*", port=door.port)
        await self.tls.start(self._sockets_at)
        self.node.ticker.every_second.append(self.tls.every_second)
        for quic_door in self.quic_doors:
            await quic_door.start()
        for grpc_door in self.grpc_doors:
            await grpc_door.listener.start(grpc_door.address, grpc_door.port)
            logger.info("listening", listener=grpc_door.name, address=grpc_door.address or "*", port=grpc_door.port)
        if config.pid_file and self._worker is None:
            write_pid_file(config.pid_file)

    def _heed_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        loop.add_signal_handler(signal.SIGHUP, self.reload)
        if self._worker is not None:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})

    async def _choose_engine(self) -> Engine | None:
        """Returns the engine, if it is not the node's alone."""
        config = self._loaded.config
        if self._worker is not None:
            engine = WorkerEngine(self._worker.socket, self._worker.group, self._worker.number)
            await engine.start()
            return engine
        if config.http_server.takeover_socket:
            place = quic_place_of(config)
            predecessor = await asyncio.to_thread(Predecessor.meet, config.http_server.takeover_socket, place)
            self._predecessor = predecessor
            self._ports = Ports(places_of(config), 1, predecessor.take_sockets() if predecessor is not None else None)
            if place is not None:
                self._quic = QuicPorts(place, 1, predecessor.quic if predecessor is not None else None)
            return SwitchedEngine(memory_engine(config, SystemClock()))
        return None

    def _sockets_at(self, place: Place) -> Sequence[socket.socket]:
        """Returns listening sockets that are there already."""
        if self._worker is not None:
            return self._worker.sockets[place]
        return self._ports.sockets[place] if self._ports is not None else ()

    def _quic_share(self) -> QuicShare | None:
        """Returns what this process has of the UDP port, if there are or may be others."""
        if self._quic is None:
            return None
        return self._quic.keep_share_of(self._worker.number if self._worker is not None else 0)

    def _filenos(self) -> dict[Place, list[int]]:
        return {(door.address, door.port): door.listener.filenos() for door in self.doors} | self.tls.filenos()

    def _tell_sources(self) -> None:
        loaded = self._loaded
        logger.info("starting", version=__version__, pid=os.getpid(), config=loaded.path or "", found=loaded.file_found)
        if loaded.path and not loaded.file_found:
            logger.warning("config_file_not_found", path=loaded.path)
        for key in loaded.unknown_keys:
            logger.warning("unknown key in configuration file", key=key)
        for variable in loaded.unknown_environment:
            logger.warning("unknown var in environment", var=variable)
        self._tell_weaknesses()

    def _tell_weaknesses(self) -> None:
        loaded = self._loaded
        client = loaded.config.client
        sections: list[tuple[TokenSettings, str]] = [(client.token, "client.token")]
        if client.subscription_token.enabled:
            sections.append((client.subscription_token, "client.subscription_token"))
        for settings, option in sections:
            for warning in weak_keys(settings, option):
                logger.warning("weak_key", reason=warning)
            for warning in unsafe_endpoints(settings, option):
                logger.warning("unsafe_key_endpoint", reason=warning)

    def reload(self) -> None:
        """Applies what can change without a restart; a configuration with a mistake is not applied at all.

        Connections stay. Those that exist keep what their transport agreed on with them.
        """
        try:
            loaded, applied, waiting = read_again(self._loaded.config, self._reload)
            config = loaded.config
            tokens = token_verifier(config, self.node.clock, self._key_sets)
            services = served(config, self._shared)
            hooks = build_hooks(config, self._http, self.node.counters, self.node.clock, self._hooks)
            reconfigure_logging(config.log)
        except (ConfigError, TokenSettingsError, OSError) as error:
            logger.error("reload_refused", error=str(error))
            return
        self.node.reconfigure(node_options(config, self._num_workers), tokens)
        self._swap_hooks(hooks)
        self._shared.admission.reconfigure(config.client.connection_limit, config.client.connection_rate_limit)
        for door, (routes, app) in zip(self.doors, services, strict=True):
            door.listener.serve(routes, app)
        for grpc_door in self.grpc_doors:
            grpc_door.reconfigure(config)
        for quic_door in self.quic_doors:
            quic_door.reconfigure(config)
        self.tls.reload(config)
        self._loaded = loaded
        self._tell_weaknesses()
        if waiting:
            logger.warning("reload_incomplete", reason="these options change at a restart only", options=waiting)
        logger.info("reloaded", options=applied)

    def _swap_hooks(self, hooks: ProxyTable) -> None:
        """New calls go to the proxies of the new configuration; those on their way end where they began."""
        self.node.hooks = self._hooks = hooks
        task = asyncio.get_running_loop().create_task(hooks.close_unused())
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    async def _shut_down(self) -> int:
        """Stops accepting, says goodbye to the clients, and ends; all within `shutdown.timeout`."""
        settings = self._loaded.config.shutdown
        logger.info("stopping", clients=self.node.num_clients)
        self.node.stopping = True
        if self._successor is not None:
            self._successor.close()
        drain = settings.drain_time
        calls: list[asyncio.Task[None]] = []
        try:
            async with asyncio.timeout(settings.timeout):
                self.tls.stop_accepting()
                for door in self.doors:
                    door.listener.stop_accepting()
                for quic_door in self.quic_doors:
                    if self._quic is not None and self._quic.is_given:
                        quic_door.listener.stop_reading()
                    quic_door.listener.stop_accepting()
                for grpc_door in self.grpc_doors:
                    calls.append(asyncio.ensure_future(grpc_door.listener.stop(drain + GRPC_GRACE_SECONDS)))
                drained_at = asyncio.get_running_loop().time() + drain
                await disconnect_clients(self.node, drain, settings.timeout / 2)
                await let_callers_go([door.listener for door in self.doors], drained_at)
                for quic_door in self.quic_doors:
                    await quic_door.listener.close()
                for door in self.doors:
                    await door.listener.close()
                await asyncio.gather(*calls)
                await self.tls.stop()
                await self.node.stop()
                if isinstance(self._engine, WorkerEngine):
                    await self._engine.stop()
                await self._hooks.close()
                await self._http.close()
        except TimeoutError:
            logger.critical("shutdown timeout reached")
            return 1
        finally:
            if self._loaded.config.pid_file and self._worker is None:
                remove_pid_file(self._loaded.config.pid_file)
        logger.info("stopped")
        return 0


def _spare_garbage_collection() -> None:
    """Has garbage collection leave alone what is there for as long as the process.

    It would write to every object that it visits: each process that is forked from this one would get its own copy of most of the
    memory, and a new worker would spend more time on that than on all the rest before it can serve.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS, 50, 100)


def raise_file_limit() -> None:
    """Lets the process open as many files as it may: each connection is one."""
    if resource is None:
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        soft = hard
    logger.info("open_files", limit=soft)
