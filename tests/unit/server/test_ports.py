"""Listening sockets of workers: each has its own, those of a predecessor are used again, none is forgotten."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from centripetal.config import load
from centripetal.server.ports import Place, Ports, check_free, places_of
from centripetal.transports.binding import bind


@pytest.fixture
def place() -> Iterator[Place]:
    (holder,) = bind("127.0.0.1", 0, reuse_port=True)
    yield "127.0.0.1", holder.getsockname()[1]
    holder.close()


def own(place: Place, count: int) -> list[socket.socket]:
    return [sock for _ in range(count) for sock in bind(*place, reuse_port=True)]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, []),
        ({"enabled": "true"}, []),
        ({"http": "true"}, []),
        ({"enabled": "true", "http": "true"}, [("", 80)]),
        ({"enabled": "true", "http": "true", "http_addr": "[::1]:8080"}, [("::1", 8080)]),
    ],
)
def test_challenges_have_a_place(options: dict[str, str], expected: list[Place]) -> None:
    flags = {f"http_server.tls_autocert.{name}": value for name, value in options.items()}
    config = load(None, environ={}, flags=flags | {"http_server.internal_port": "9000"}).config
    assert places_of(config) == [("", 8000), ("", 9000), *expected]


@pytest.mark.parametrize(("had", "count"), [(1, 1), (1, 3), (2, 2), (3, 2), (5, 1)])
def test_every_inherited_socket_has_a_worker(place: Place, had: int, count: int) -> None:
    inherited = own(place, had)
    ports = Ports([place], count, {place: inherited})
    shares = [ports.share_of(worker)[place] for worker in range(count)]
    assert set(inherited) <= {sock for share in shares for sock in share}
    for share in shares:
        assert len(share) == 1 + max(had - count, 0)
        assert {sock.getsockname() for sock in share} == {place}
    assert len({share[0] for share in shares}) == count, "each has one of its own"
    assert len(ports.filenos()[place]) == max(had, count)
    ports.close()
    assert all(sock.fileno() < 0 for sock in ports.sockets[place])


@pytest.mark.parametrize(("had", "count"), [(0, 2), (1, 3), (3, 2), (5, 1)])
def test_a_udp_socket_has_one_worker(had: int, count: int) -> None:
    (holder,) = bind("127.0.0.1", 0, kind=socket.SOCK_DGRAM, reuse_port=had > 0)
    place = "127.0.0.1", holder.getsockname()[1]
    inherited = [sock for _ in range(had) for sock in bind(*place, kind=socket.SOCK_DGRAM, reuse_port=True)]
    if not had:
        with pytest.raises(OSError, match="cannot listen"):
            Ports([place], count, kind=socket.SOCK_DGRAM)
    holder.close()
    ports = Ports([place], count, {place: inherited}, kind=socket.SOCK_DGRAM)
    shares = [ports.share_of(worker)[place] for worker in range(count)]
    assert all(shares), "each has one"
    shared = [sock for share in shares for sock in share]
    assert set(inherited) <= set(shared) and len(shared) == len(set(shared)) == max(had, count)
    assert {(sock.type, sock.getsockname()) for sock in shared} == {(socket.SOCK_DGRAM, place)}
    ports.close()


def test_a_worker_closes_what_is_for_others(place: Place) -> None:
    ports = Ports([place], 3, {place: own(place, 4)})
    mine = ports.keep_share_of(1)[place]
    assert sorted(sock for sock in ports.filenos()[place] if sock >= 0) == sorted(sock.fileno() for sock in mine)
    assert len(mine) == 2
    ports.close()


def test_sockets_at_other_places_are_closed(place: Place) -> None:
    elsewhere = bind("127.0.0.1", 0)
    ports = Ports([place], 1, {place: own(place, 1), ("127.0.0.1", 1): elsewhere})
    assert elsewhere[0].fileno() == -1
    ports.close()


def test_a_port_in_use_is_noticed_where_nothing_is_inherited(place: Place) -> None:
    inherited = own(place, 1)
    other = bind("127.0.0.1", 0, reuse_port=True)
    other[0].listen()
    taken = "127.0.0.1", other[0].getsockname()[1]
    with pytest.raises(OSError, match="cannot listen"):
        Ports([place, taken], 2, {place: inherited})
    assert inherited[0].fileno() == -1
    other[0].close()
    check_free([taken])
