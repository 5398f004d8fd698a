"""Several processes behind one port: workers that share an engine, and the supervisor that starts them anew."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import NoReturn

import structlog

from ..config import Config, ConfigError, LoadedConfig
from .cpus import usable_cpus
from .engine_process import GRACE_SECONDS, STOP_ENGINE, TAKEN_OVER, run_engine
from .folder import Folder, sweep
from .pid_file import remove_pid_file, write_pid_file
from .ports import Ports, Sockets, check_shared, places_of
from .pulses import CHECK_SECONDS, MISSED_CHECKS, Pulses
from .quic_ports import QuicPorts, quic_place_of
from .reloading import read_again
from .shared_counts import SharedCounts
from .takeover import Predecessor

YOUNG_SECONDS = 1.0
"""A process that ends so soon after its start is started anew at once, but only once: then such starts are as far apart."""

_SIGNALS = {signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP, TAKEN_OVER}

logger = structlog.get_logger("centripetal.server")


@dataclass(frozen=True, slots=True)
class Worker:
    """What a worker knows of the whole.

    Attributes:
        number: from 0.
        group: id of the server that the workers are together.
        socket: path of the engine's Unix socket.
        counts: clients of all workers.
        sockets: to accept connections from, by place.
        certificates: directory of what workers tell each other about certificates.
        quic: the UDP port, if there is HTTP/3.
        beat: to be called every second, as a sign of life.
    """

    number: int
    group: str
    socket: str
    counts: SharedCounts
    sockets: Sockets
    certificates: str
    quic: QuicPorts | None
    beat: Callable[[], None]

    def set_clients(self, count: int) -> None:
        """Tells how many clients this worker has."""
        self.counts.set(self.number, count)


@dataclass(slots=True)
class Child:
    """A process of the supervisor's.

    Attributes:
        place: among the processes.
        name: for the log.
        run: what it does; its result is the exit code.
        pid: 0 while it does not run.
        started_at: monotonic seconds.
        starts: how often it was started.
        young_ends: how often, the last times, it ended soon after its start.
    """

    place: int
    name: str
    run: Callable[[], int]
    pid: int = 0
    started_at: float = 0.0
    starts: int = 0
    young_ends: int = 0

    def begin(self, now: float) -> None:
        """Notes a start."""
        self.started_at = now
        self.starts += 1

    def end(self, now: float) -> None:
        """Notes that it has ended, or could not be started."""
        self.pid = 0
        self.young_ends = self.young_ends + 1 if now - self.started_at < YOUNG_SECONDS else 0

    def pause(self, now: float) -> float:
        """Returns the seconds until it may be started: who waits at its sockets waits as long."""
        return max(self.started_at + YOUNG_SECONDS - now, 0.0) if self.young_ends > 1 else 0.0


def number_of_workers(config: Config) -> int:
    """Returns how many workers the option `workers` asks for."""
    return usable_cpus() if config.workers == "auto" else int(config.workers)


def tell_workers(config: Config) -> None:
    """Says how many workers there will be, if that is an option."""
    count, cpus = number_of_workers(config), usable_cpus()
    if config.workers != "1":
        logger.info("workers", count=count, cpus=cpus)
    if count > cpus:
        logger.warning("more_workers_than_cpus", count=count, cpus=cpus)


class Supervisor:
    """Starts the processes of a server, replaces those that die, and passes signals on.

    Args:
        loaded: the configuration.
        reload: reads it again, at SIGHUP.
        run_worker: runs a worker with a configuration until a signal ends it; returns the exit code.
    """

    def __init__(
        self,
        loaded: LoadedConfig,
        reload: Callable[[], LoadedConfig],
        run_worker: Callable[[LoadedConfig, Worker], int],
    ) -> None:
        self._loaded = loaded
        self._reload = reload
        self._run_worker = run_worker
        count = number_of_workers(loaded.config)
        sweep()
        self._folder = Folder()
        self._counts = SharedCounts(count)
        self._pulses = Pulses(count + 1)
        self._group = str(uuid.uuid4())
        self._pid = os.getpid()
        self._engine = Child(0, "engine", self._run_engine)
        self._workers = [self._make(number) for number in range(count)]
        self._predecessor: Predecessor | None = None  # until its state is there
        self._ports: Ports
        self._quic: QuicPorts | None = None
        self._stopping = False
        self._stop_until = 0.0  # then workers that are still there are killed
        self._failed = 0

    def _make(self, number: int) -> Child:
        return Child(1 + number, f"worker {number}", lambda: self._run_as(number))

    def _run_engine(self) -> int:
        config, path, beat = self._loaded.config, self._folder.socket, partial(self._pulses.beat, self._engine.place)
        return run_engine(config, path, self._pid, self._ports, beat, self._predecessor, self._quic)

    def _run_as(self, number: int) -> int:
        """Runs a worker; the result is the exit code."""
        if self._predecessor is not None:
            self._predecessor.leave()
        sockets = self._ports.keep_share_of(number)
        worker = Worker(
            number=number,
            group=self._group,
            socket=self._folder.socket,
            counts=self._counts,
            sockets=sockets,
            certificates=self._folder.certificates,
            quic=self._quic,
            beat=partial(self._pulses.beat, self._workers[number].place),
        )
        return self._run_worker(self._loaded, worker)

    def run(self) -> int:
        """Runs until a signal ends it; returns the exit code."""
        config = self._loaded.config
        try:
            self._open_ports()
            signal.pthread_sigmask(signal.SIG_BLOCK, {*_SIGNALS, STOP_ENGINE})  # the engine heeds it when it runs
            if config.pid_file and self._predecessor is None:
                write_pid_file(config.pid_file)
            for child in (self._engine, *self._workers):
                self._start(child)
            if self._predecessor is not None:
                self._predecessor.leave()
            while any(child.pid for child in self._workers):
                self._wait()
            self._end(self._engine)
        finally:
            if config.pid_file:
                remove_pid_file(config.pid_file)
            self._folder.remove()
        return self._failed

    def _open_ports(self) -> None:
        """Gets the listening sockets, from a predecessor if there is one.

        Raises:
            OSError: another server has a port, or the predecessor does not answer as it should.
        """
        config, count = self._loaded.config, len(self._workers)
        inherited, place = None, quic_place_of(config)
        if config.http_server.takeover_socket:
            self._predecessor = Predecessor.meet(config.http_server.takeover_socket, place)
        if self._predecessor is not None:
            inherited = self._predecessor.take_sockets()
            check_shared(config)
        self._ports = Ports(places_of(config), count, inherited)
        if place is not None:
            self._quic = QuicPorts(place, count, self._predecessor.quic if self._predecessor is not None else None)

    def _wait(self) -> None:
        """Handles one signal, or what it is time for."""
        now = time.monotonic()
        pauses = [child.pause(now) for child in self._all() if not child.pid]
        info = signal.sigtimedwait(_SIGNALS, min([self._pulses.pause(now), *pauses]) if not self._stopping else 0.2)
        number = info.si_signo if info is not None else 0
        if number in (signal.SIGTERM, signal.SIGINT):
            self._stop()
        elif number == signal.SIGHUP:
            self._read_again()
            self._signal(self._workers, signal.SIGHUP)
        elif number == TAKEN_OVER:
            self._predecessor = None
            if self._loaded.config.pid_file:
                write_pid_file(self._loaded.config.pid_file)
        self._reap()
        if self._stopping:
            if time.monotonic() > self._stop_until:
                self._signal(self._workers, signal.SIGKILL)
            return
        for place in self._pulses.check(time.monotonic()):
            self._give_up(self._all()[place])
        for child in self._all():
            if not child.pid and child.pause(time.monotonic()) <= 0:
                self._start(child)

    def _give_up(self, child: Child) -> None:
        """Ends a process that does nothing any more, for the next one to be started."""
        if child.pid:
            logger.error("process_silent", process=child.name, seconds=MISSED_CHECKS * CHECK_SECONDS)
            self._signal([child], signal.SIGKILL)
        self._pulses.begin(child.place)

    def _read_again(self) -> None:
        """Has processes that are started from now on begin with what the others are about to apply."""
        try:
            loaded, _, _ = read_again(self._loaded.config, self._reload)
        except (ConfigError, OSError):
            return  # each worker says why
        self._loaded = loaded

    def _all(self) -> list[Child]:
        return [self._engine, *self._workers]

    def _start(self, child: Child) -> None:
        child.begin(time.monotonic())
        self._pulses.begin(child.place)
        sys.stdout.flush()
        sys.stderr.flush()
        try:
            child.pid = os.fork()
        except OSError as error:
            if child.starts == 1:
                raise
            logger.error("process_not_started", process=child.name, error=error.strerror or str(error))
            child.end(time.monotonic())
        else:
            if not child.pid:
                self._become(child)

    def _become(self, child: Child) -> NoReturn:
        """Does what a new process is for, and ends it."""
        code = 1
        try:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS - {signal.SIGHUP})  # a worker heeds it when it runs
            _die_with_parent(self._pid, STOP_ENGINE if child is self._engine else signal.SIGTERM)
            code = child.run()
        except BaseException:
            logger.exception("process_failed", process=child.name)
        finally:
            self._clean_up_after_supervisor(child)
            with contextlib.suppress(OSError, ValueError):
                sys.stdout.flush()
                sys.stderr.flush()
            os._exit(code)

    def _clean_up_after_supervisor(self, child: Child) -> None:
        """Removes the folder, if this process is the last that needs it and the supervisor cannot do it any more."""
        if os.getppid() != self._pid and (child is self._engine or not self._folder.is_served):
            self._folder.remove()

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if not pid:
                return
            for child in self._all():
                if child.pid == pid:
                    self._take_end(child, os.waitstatus_to_exitcode(status))

    def _take_end(self, child: Child, code: int) -> None:
        child.end(time.monotonic())
        if child in self._workers:
            self._counts.set(self._workers.index(child), 0)
        if self._stopping:
            self._failed = self._failed or int(code != 0)
            return
        logger.error("process_ended", process=child.name, code=code)
        is_heir = child is self._engine and self._predecessor is not None
        if is_heir or (code > 0 and child.starts == 1 and time.monotonic() - child.started_at < 10.0):
            # It could not start, and said why; or has lost what it was to take over.
            self._failed = 1
            self._stop()

    def _stop(self) -> None:
        if not self._stopping:
            self._stopping = True
            self._stop_until = time.monotonic() + self._loaded.config.shutdown.timeout + GRACE_SECONDS
            self._signal(self._all(), signal.SIGTERM)
            self._ports.close()

    def _signal(self, children: list[Child], number: int) -> None:
        for child in children:
            if child.pid:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(child.pid, number)

    def _end(self, child: Child) -> None:
        """Stops the engine, after the workers."""
        self._signal([child], STOP_ENGINE)
        until = time.monotonic() + GRACE_SECONDS
        while child.pid and time.monotonic() < until:
            signal.sigtimedwait({signal.SIGCHLD}, 0.1)
            self._reap()
        self._signal([child], signal.SIGKILL)


def _die_with_parent(parent: int, number: int) -> None:
    """Has the kernel end this process when the supervisor is gone (Linux)."""
    if sys.platform == "linux":
        import ctypes

        pr_set_pdeathsig = 1
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, number)
        if os.getppid() != parent:  # it went before the kernel knew
            os.kill(os.getpid(), number)
