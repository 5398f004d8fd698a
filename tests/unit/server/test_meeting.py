"""Two processes meet: sockets pass in portions, and what makes no sense is refused."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import pytest

from centripetal.engines.local import VERSION
from centripetal.server.meeting import SOCKETS_AT_ONCE, TakeoverError, greet, meet
from centripetal.server.ports import Sockets
from centripetal.server.quic_ports import inherit

T = TypeVar("T")
PLACES = [("", 8000), ("127.0.0.1", 9000)]


def play(path: Path, answer: Callable[[socket.socket], T]) -> tuple[Sockets, T]:
    """Has the other side answer to who meets it; returns what each got."""
    with socket.socket(socket.AF_UNIX) as meeting, ThreadPoolExecutor(1) as pool:
        meeting.bind(str(path))
        meeting.listen()

        def other() -> T:
            with meeting.accept()[0] as connection:
                return answer(connection)

        outcome = pool.submit(other)
        connection, sockets, _ = meet(str(path), ("", 443))
        connection.close()
        return sockets, outcome.result(10)


@pytest.mark.parametrize("counts", [(1, 0), (2, 3), (SOCKETS_AT_ONCE, 1), (SOCKETS_AT_ONCE + 5, 2 * SOCKETS_AT_ONCE)])
def test_sockets_pass(tmp_path: Path, counts: tuple[int, int]) -> None:
    with socket.socket() as first, socket.socket() as second:
        for sock in (first, second):
            sock.bind(("127.0.0.1", 0))
        numbers = {
            place: [sock.fileno()] * count for place, sock, count in zip(PLACES, (first, second), counts, strict=True)
        }
        sockets, _ = play(tmp_path / "socket", lambda connection: greet(connection, numbers))
        for place, sock, count in zip(PLACES, (first, second), counts, strict=True):
            assert [each.getsockname() for each in sockets[place]] == [sock.getsockname()] * count
            for each in sockets[place]:
                each.close()


@pytest.mark.parametrize(
    ("secret", "tags", "count"),
    [("00" * 32, ["00000000"], 1), ("00" * 31, [], 1), ("x", [], 1), ("00" * 32, ["0000"], 2), ("00" * 32, ["x"], 2)],
)
def test_senseless_words_about_quic(secret: str, tags: list[str], count: int) -> None:
    with socket.socket() as sock, pytest.raises(ValueError):
        inherit(("", 443), [sock] * count, secret, tags)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"", "refused"),
        (b'{"listeners":[{"address":"","port":1,"count":1}]}', "broke off"),
        (b'{"error":"no"}\n', "no"),
        (b"[]\n", "answered"),
        (b'{"listeners":[{"count":"x"}]}\n', "answered"),
        (b'{"listeners":[{"count":0}]}\n', "answered"),
        (b'{"listeners":[],"quic":[]}\n', "answered"),
        (b'{"listeners":[],"quic":{"count":0,"secret":"%064d","tags":[]}}\n' % 0, "answered"),
        (b"\xff\n", "answered"),
        (b" " * 70000, "without end"),
    ],
)
def test_an_answer_without_sense(tmp_path: Path, answer: bytes, reason: str) -> None:
    def say(connection: socket.socket) -> None:
        connection.recv(1000)
        connection.sendall(answer)

    with pytest.raises(TakeoverError, match=reason):
        play(tmp_path / "socket", say)


@pytest.mark.parametrize("greeting", [b'{"version":1}\n', b"[]\n", b"{\n", b"x" * 70000 + b"\n", b"", b"{}"])
def test_a_greeting_without_sense(greeting: bytes) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.settimeout(0)
        theirs.sendall(greeting)
        theirs.shutdown(socket.SHUT_WR)
        with pytest.raises((TakeoverError, ValueError)):
            greet(ours, {})


def test_whoever_is_of_another_version_is_told(tmp_path: Path) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(json.dumps({"version": VERSION + 1}).encode() + b"\n")
        with pytest.raises(TakeoverError):
            greet(ours, {})
        assert f"was asked for {VERSION + 1}" in json.loads(theirs.recv(1000))["error"]
