"""The transport of connections in clear text, over real sockets."""

from __future__ import annotations

import asyncio
import gc
import socket
import weakref
from collections.abc import Awaitable, Callable
from typing import Any, cast

import pytest
import uvloop
from hypothesis import given, settings
from hypothesis import strategies as st

from centripetal.transports import tcp
from centripetal.transports.poller import READABLE, Poller
from centripetal.transports.tcp import HIGH_WATER_BYTES, LOW_WATER_BYTES, TcpTransport, write_last


class Recorder(asyncio.Protocol):
    """Writes down what it is told."""

    def __init__(self, *, half_open: bool = False) -> None:
        self.told: list[str] = []
        self.received = b""
        self.lost: Exception | None = None
        self.half_open = half_open
        self.on_data: Callable[[bytes], None] = lambda data: None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.told.append("made")

    def data_received(self, data: bytes) -> None:
        self.received += data
        self.on_data(data)

    def eof_received(self) -> bool:
        self.told.append("eof")
        return self.half_open

    def pause_writing(self) -> None:
        self.told.append("pause")

    def resume_writing(self) -> None:
        self.told.append("resume")

    def connection_lost(self, exc: Exception | None) -> None:
        self.told.append("lost")
        self.lost = exc


class Line:
    """A transport and the socket at its other end."""

    def __init__(self, *, half_open: bool = False) -> None:
        self.loop = asyncio.get_running_loop()
        self.poller = Poller(self.loop)
        ours, self.peer = socket.socketpair()
        ours.setblocking(False)
        self.peer.setblocking(False)
        self.protocol = Recorder(half_open=half_open)
        self.connection = ours
        self.transport = TcpTransport(self.poller, ours, "", self.protocol)
        self.transport.start()

    async def read(self, size: int) -> bytes:
        """Reads so many bytes at the other end."""
        data = b""
        while len(data) < size:
            more = await self.loop.sock_recv(self.peer, size - len(data))
            assert more, "the connection ended too early"
            data += more
        return data

    async def until(self, condition: Callable[[], bool]) -> None:
        """Waits for something that has to happen."""
        async with asyncio.timeout(20):
            while not condition():
                await asyncio.sleep(0)

    async def end(self) -> None:
        """Closes both ends."""
        self.transport.abort()
        self.peer.close()
        await self.until(lambda: self.protocol.told[-1] == "lost")
        self.poller.close()


def on_line(test: Callable[[Line], Awaitable[None]], *, half_open: bool = False) -> None:
    async def scene() -> None:
        line = Line(half_open=half_open)
        await test(line)
        await line.end()

    for new_loop in (uvloop.new_event_loop, asyncio.SelectorEventLoop):
        with asyncio.Runner(loop_factory=new_loop) as runner:
            runner.run(scene())


async def turns(number: int = 5) -> None:
    for _ in range(number):
        await asyncio.sleep(0)


def test_what_comes_is_told_and_what_is_written_goes_out_at_once() -> None:
    async def test(line: Line) -> None:
        line.peer.send(b"question")
        await line.until(lambda: line.protocol.received == b"question")
        line.transport.write(b"answer")
        assert line.peer.recv(100) == b"answer"
        assert line.protocol.told == ["made"]

    on_line(test)


def test_what_the_kernel_does_not_take_waits_in_order() -> None:
    async def test(line: Line) -> None:
        transport, data = line.transport, b""
        while transport.get_write_buffer_size() == 0:
            transport.write(b"x" * 10_000)
            data += b"x" * 10_000
        for number in range(200):  # more pieces than one call to the kernel takes
            piece = str(number).encode() * 5
            transport.write(piece)
            data += piece
        assert line.protocol.told == ["made"]
        transport.write(b"y" * HIGH_WATER_BYTES)
        data += b"y" * HIGH_WATER_BYTES
        assert line.protocol.told == ["made", "pause"]
        assert await line.read(len(data)) == data
        await line.until(lambda: line.protocol.told == ["made", "pause", "resume"])
        assert transport.get_write_buffer_size() == 0
        transport.write(b"z")
        assert line.peer.recv(100) == b"z"

    on_line(test)


def test_reading_pauses() -> None:
    async def test(line: Line) -> None:
        line.transport.pause_reading()
        line.transport.pause_reading()
        line.peer.send(b"early")
        await turns()
        assert line.protocol.received == b""
        line.transport.resume_reading()
        line.transport.resume_reading()
        await line.until(lambda: line.protocol.received == b"early")

    on_line(test)


def test_a_protocol_that_pauses_reading_gets_no_more_of_what_is_there() -> None:
    async def test(line: Line) -> None:
        size = 3 * tcp.READ_BYTES
        line.peer.setblocking(True)
        line.peer.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 * size)
        line.peer.sendall(b"a" * size)
        line.protocol.on_data = lambda data: line.transport.pause_reading()
        await line.until(lambda: line.protocol.received != b"")
        await turns()
        assert len(line.protocol.received) <= tcp.READ_BYTES
        line.protocol.on_data = lambda data: None
        line.transport.resume_reading()
        await line.until(lambda: len(line.protocol.received) == size)

    on_line(test)


def test_closing_waits_for_what_is_written() -> None:
    async def test(line: Line) -> None:
        line.transport.write(b"x" * 5_000_000)
        line.transport.close()
        line.transport.write(b"too late")
        assert line.transport.is_closing() and line.protocol.told == ["made", "pause"]
        assert await line.read(5_000_000) == b"x" * 5_000_000
        await line.until(lambda: line.protocol.told[-1] == "lost")
        assert line.protocol.lost is None
        assert line.peer.recv(100) == b""

    on_line(test)


def test_closing_is_told_in_a_later_turn() -> None:
    async def test(line: Line) -> None:
        line.transport.close()
        line.transport.close()
        assert line.protocol.told == ["made"]
        await turns()
        assert line.protocol.told == ["made", "lost"]
        line.transport.write(b"nothing")
        line.transport.abort()
        line.transport.write_eof()
        await turns()
        assert line.protocol.told == ["made", "lost"] and line.peer.recv(100) == b""

    on_line(test)


def test_an_abort_does_not_wait() -> None:
    async def test(line: Line) -> None:
        line.transport.write(b"x" * 5_000_000)
        line.transport.abort()
        await turns()
        assert line.protocol.told == ["made", "pause", "lost"] and line.transport.get_write_buffer_size() == 0

    on_line(test)


def test_the_end_of_the_peers_side_closes() -> None:
    async def test(line: Line) -> None:
        line.peer.shutdown(socket.SHUT_WR)
        await line.until(lambda: line.protocol.told == ["made", "eof", "lost"])

    on_line(test)


def test_the_end_of_the_peers_side_leaves_ours_open_if_wanted() -> None:
    async def test(line: Line) -> None:
        line.peer.shutdown(socket.SHUT_WR)
        await line.until(lambda: line.protocol.told == ["made", "eof"])
        await turns()
        line.transport.write(b"answer")
        line.transport.close()
        assert line.peer.recv(100) == b"answer"
        await line.until(lambda: line.protocol.told == ["made", "eof", "lost"])

    on_line(test, half_open=True)


def test_our_side_ends_after_what_waits() -> None:
    async def test(line: Line) -> None:
        line.transport.write(b"x" * 5_000_000)
        line.transport.write_eof()
        line.transport.write(b"too late")
        assert await line.read(5_000_000) == b"x" * 5_000_000
        assert await line.loop.sock_recv(line.peer, 100) == b""
        line.peer.send(b"still heard")
        await line.until(lambda: line.protocol.received == b"still heard")

    on_line(test)


def test_our_side_ends_at_once_if_nothing_waits() -> None:
    async def test(line: Line) -> None:
        assert line.transport.can_write_eof()
        line.transport.write_eof()
        assert line.peer.recv(100) == b""

    on_line(test)


@pytest.mark.parametrize("waits", [False, True])
def test_a_peer_that_is_gone_is_noticed_when_writing(waits: bool) -> None:
    async def test(line: Line) -> None:
        line.transport.pause_reading()
        if waits:
            line.transport.write(b"x" * 5_000_000)
        line.peer.close()
        line.transport.write(b"x")
        await line.until(lambda: line.protocol.told[-1] == "lost")
        assert isinstance(line.protocol.lost, ConnectionError)

    on_line(test)


def test_a_peer_that_is_gone_is_noticed_when_reading() -> None:
    async def test(line: Line) -> None:
        line.transport.write(b"never read")
        line.peer.close()  # with something unread, so the kernel answers with a reset
        await line.until(lambda: line.protocol.told[-1] == "lost")
        assert isinstance(line.protocol.lost, ConnectionResetError)

    on_line(test)


def test_last_words_end_the_connection() -> None:
    async def test(line: Line) -> None:
        assert write_last(cast("asyncio.Transport", line.transport), b"bye")
        await line.until(lambda: line.protocol.told == ["made", "lost"])
        assert line.peer.recv(100) == b"bye" and line.peer.recv(100) == b""

    on_line(test)


def test_last_words_wait_behind_what_waits() -> None:
    async def test(line: Line) -> None:
        line.transport.write(b"x" * 5_000_000)
        assert not write_last(cast("asyncio.Transport", line.transport), b"bye")
        assert (await line.read(5_000_003)).endswith(b"xbye")
        await line.until(lambda: line.protocol.told[-1] == "lost")

    on_line(test)


def test_last_words_to_a_peer_that_is_gone() -> None:
    async def test(line: Line) -> None:
        line.transport.pause_reading()
        line.peer.close()
        write_last(cast("asyncio.Transport", line.transport), b"bye")
        await line.until(lambda: line.protocol.told[-1] == "lost")

    on_line(test)


def test_a_protocol_that_fails_ends_its_connection_only() -> None:
    async def test(line: Line) -> None:
        reported: list[dict[str, Any]] = []
        line.loop.set_exception_handler(lambda loop, context: reported.append(context))

        def fail(data: bytes) -> None:
            raise RuntimeError("a mistake of ours")

        other, theirs = socket.socketpair()
        other.setblocking(False)
        neighbour = Recorder()
        TcpTransport(line.poller, other, "", neighbour).start()
        line.protocol.on_data = fail
        line.peer.send(b"1")
        theirs.send(b"2")
        await line.until(lambda: line.protocol.told == ["made", "lost"] and neighbour.received == b"2")
        assert [str(context["exception"]) for context in reported] == ["a mistake of ours"]
        theirs.close()
        await line.until(lambda: neighbour.told == ["made", "eof", "lost"])

    on_line(test)


def test_a_connection_that_cannot_be_watched_any_more_ends() -> None:
    async def test(line: Line) -> None:
        descriptor = line.connection.fileno()
        line.transport.pause_reading()
        line.poller.change(descriptor, 0, READABLE)  # so that the kernel refuses to watch it: it does already
        line.transport.resume_reading()
        await line.until(lambda: line.protocol.told == ["made", "lost"])
        assert isinstance(line.protocol.lost, FileExistsError)

    on_line(test)


def test_another_protocol_takes_over() -> None:
    async def test(line: Line) -> None:
        second = Recorder()
        line.transport.set_protocol(second)
        assert line.transport.get_protocol() is second
        line.peer.send(b"for the second")
        await line.until(lambda: second.received == b"for the second")
        assert line.protocol.received == b""
        line.transport.set_protocol(line.protocol)

    on_line(test)


def test_addresses() -> None:
    async def scene() -> None:
        listening = socket.create_server(("127.0.0.1", 0))
        peer = socket.create_connection(listening.getsockname())
        ours, address = listening.accept()
        poller = Poller(asyncio.get_running_loop())
        transport = TcpTransport(poller, ours, address, Recorder())
        transport.start()
        assert transport.get_extra_info("peername") == peer.getsockname()
        assert transport.get_extra_info("sockname") == listening.getsockname()
        assert transport.get_extra_info("ssl_object") is None and transport.get_extra_info("no", 5) == 5
        transport.abort()
        await turns()
        assert transport.get_extra_info("sockname") is None
        poller.close()
        peer.close()
        listening.close()

    asyncio.run(scene())


def test_a_poller_ends_with_its_last_connection() -> None:
    async def test(line: Line) -> None:
        line.poller.close()
        line.peer.send(b"still there")
        await line.until(lambda: line.protocol.received == b"still there")

    on_line(test)


def test_an_ended_connection_leaves_nothing() -> None:
    async def test(line: Line) -> None:
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        protocol: Recorder | None = Recorder()
        told, gone = protocol.told, weakref.ref(protocol)
        TcpTransport(line.poller, ours, "", protocol).start()
        protocol = None
        theirs.close()
        await line.until(lambda: told == ["made", "eof", "lost"])
        await turns()
        assert gone() is None

    gc.disable()
    try:
        on_line(test)
    finally:
        gc.enable()


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("write"), st.integers(1, 300_000)),
        st.tuples(st.just("read"), st.integers(1, 400_000)),
        st.tuples(st.just("send"), st.integers(1, 100_000)),
        st.tuples(st.sampled_from(["pause", "resume", "turn"]), st.just(0)),
    ),
    max_size=40,
)


@settings(max_examples=60, deadline=None)
@given(steps=STEPS, end=st.sampled_from(["close", "last", "eof"]))
def test_nothing_is_lost_or_mixed_up_whatever_comes_in_between(steps: list[tuple[str, int]], end: str) -> None:
    async def scene() -> None:
        line = Line()
        transport, told = line.transport, line.protocol.told
        written = bytearray()
        read = bytearray()
        sent = bytearray()
        for number, (step, size) in enumerate(steps):
            data = bytes([number % 251]) * size
            if step == "write":
                transport.write(data)
                written += data
            elif step == "read":
                try:
                    read += line.peer.recv(size)
                except BlockingIOError:
                    assert transport.get_write_buffer_size() == 0 or len(read) == 0 or len(read) < len(written)
            elif step == "send":
                try:
                    sent += data[: line.peer.send(data)]
                except BlockingIOError:
                    continue
            elif step == "turn":
                await asyncio.sleep(0)
            else:
                (transport.pause_reading if step == "pause" else transport.resume_reading)()
            signals = [word for word in told if word in ("pause", "resume")]
            assert signals == ["pause", "resume"] * (len(signals) // 2) + ["pause"] * (len(signals) % 2)
            size = transport.get_write_buffer_size()
            assert size <= HIGH_WATER_BYTES if len(signals) % 2 == 0 else size > LOW_WATER_BYTES
        transport.resume_reading()
        await line.until(lambda: len(line.protocol.received) == len(sent))
        assert line.protocol.received == sent
        if end == "last":
            transport.write_last(b"end")
        else:
            transport.write(b"end")
            (transport.close if end == "close" else transport.write_eof)()
        while more := await line.loop.sock_recv(line.peer, 1_000_000):
            read += more
        assert read == written + b"end"
        await line.end()

    uvloop.run(scene()) if len(steps) % 2 else asyncio.run(scene())
