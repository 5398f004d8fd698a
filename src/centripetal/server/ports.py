"""The listening sockets of a server's ports: where they are, who has them, and what of a predecessor's is used again.

Workers share a port by a socket each (SO_REUSEPORT), so that the kernel spreads connections over them. The supervisor has
all of these sockets, too: what waits in the queue of one whose worker died is for the next worker.
"""

from __future__ import annotations

import socket
from collections import defaultdict
from collections.abc import Iterable

from ..config import Config
from ..transports.addresses import split_address
from ..transports.binding import bind

Place = tuple[str, int]
"""Address (empty for all) and port."""

Sockets = dict[Place, list[socket.socket]]
"""Listening sockets by where they listen."""

MAX_SOCKETS = 4096
"""More than 256 workers need for four ports and two families of addresses, and to reach each other."""


def places_of(config: Config) -> list[Place]:
    """Returns where a configuration's HTTP listeners are, with that for ACME's challenges."""
    server = config.http_server
    return list(dict.fromkeys([(server.address, server.port), server.internal_place, *challenge_places(config)]))


def challenge_places(config: Config) -> list[Place]:
    """Returns where ACME's http-01 challenges are answered, empty without."""
    settings = config.http_server.tls_autocert
    return [split_address(settings.http_addr)] if settings.enabled and settings.http else []


def shares_ports(config: Config) -> bool:
    """Whether other processes of this server listen on the same ports."""
    return bool(config.http_server.takeover_socket) or config.workers != "1"


def check_free(places: Iterable[Place], kind: socket.SocketKind = socket.SOCK_STREAM) -> None:
    """Finds out whether another server has a port, which who shares ports would not notice.

    Args:
        places: where.
        kind: of TCP or UDP.

    Raises:
        OSError: it has.
    """
    for address, port in places:
        for sock in bind(address, port, kind=kind):
            sock.close()


def check_shared(config: Config) -> None:
    """Finds out whether the gRPC ports can be shared with a predecessor.

    Raises:
        OSError: they cannot.
    """
    for settings in (config.grpc_api, config.uni_grpc):
        if settings.enabled:
            for sock in bind(settings.address, settings.port, reuse_port=True):
                sock.close()


class Ports:
    """The sockets that a server with several workers is bound to.

    Args:
        places: where.
        count: how many workers there are.
        inherited: a predecessor's sockets, which are used again; those at other places are closed.
        kind: TCP, which listens, or UDP.

    Attributes:
        count: how many workers there are.
        sockets: all of them.

    Raises:
        OSError: a port cannot be had.
    """

    def __init__(
        self,
        places: Iterable[Place],
        count: int,
        inherited: Sockets | None = None,
        *,
        kind: socket.SocketKind = socket.SOCK_STREAM,
    ) -> None:
        rest = dict(inherited or {})
        self.count = count
        self._kind = kind
        self.sockets: Sockets = {}
        try:
            for place in places:
                had = rest.pop(place, [])
                if not had:
                    check_free([place], kind)
                self.sockets[place] = had + _missing(place, count, had, kind)
        except BaseException:
            self.close()
            raise
        finally:
            for unused in rest.values():
                for sock in unused:
                    sock.close()

    def share_of(self, worker: int) -> Sockets:
        """Returns a worker's sockets: one of each family at each place.

        If the predecessor had more workers, all share those that are left over, for nothing that waits in their queues
        may be lost. Those of UDP are not shared: all that comes from one address is for one worker.

        Args:
            worker: from 0.
        """
        shares: Sockets = {}
        for place, sockets in self.sockets.items():
            families = _by_family(sockets).values()
            if self._kind == socket.SOCK_DGRAM:
                shares[place] = [sock for family in families for sock in family[worker :: self.count]]
            else:
                shares[place] = [
                    sock for family in families for sock in (family[worker % len(family)], *family[self.count :])
                ]
        return shares

    def keep_share_of(self, worker: int) -> Sockets:
        """Returns a worker's sockets, and closes all others in this process."""
        shares = self.share_of(worker)
        for place, sockets in self.sockets.items():
            for sock in sockets:
                if sock not in shares[place]:
                    sock.close()
        return shares

    def filenos(self) -> dict[Place, list[int]]:
        """Returns the descriptors of the sockets, for another process to go on with."""
        return {place: [sock.fileno() for sock in sockets] for place, sockets in self.sockets.items()}

    def close(self) -> None:
        """Closes the sockets in this process."""
        for sockets in self.sockets.values():
            for sock in sockets:
                sock.close()


def _missing(place: Place, count: int, had: list[socket.socket], kind: socket.SocketKind) -> list[socket.socket]:
    """Returns new sockets, so that there are as many as workers in each family."""
    address, port = place
    new: list[socket.socket] = []
    try:
        for _ in range(count):
            if had + new and min(map(len, _by_family(had + new).values())) >= count:
                break
            new += bind(address, port, kind=kind, reuse_port=True)
    except BaseException:
        for sock in new:
            sock.close()
        raise
    return new


def _by_family(sockets: Iterable[socket.socket]) -> dict[int, list[socket.socket]]:
    families: defaultdict[int, list[socket.socket]] = defaultdict(list)
    for sock in sockets:
        families[sock.family].append(sock)
    return families
