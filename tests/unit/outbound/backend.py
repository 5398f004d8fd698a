"""A server that answers with the bytes that a test says."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

Answer = Callable[[bytes, asyncio.StreamWriter], Awaitable[None]]


class Backend:
    """Records what arrives: whole requests, head and body.

    Attributes:
        url: where it listens.
        requests: bytes of each request.
        connections: how many were made.
    """

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self.url = ""
        self.requests: list[bytes] = []
        self.connections = 0
        self._writers: list[asyncio.StreamWriter] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._writers.append(writer)
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = 0
                for line in head.lower().split(b"\r\n"):
                    if line.startswith(b"content-length:"):
                        length = int(line.split(b":")[1])
                self.requests.append(head + (await reader.readexactly(length) if length else b""))
                await self._answer(self.requests[-1], writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    def hang_up(self) -> None:
        for writer in self._writers:
            writer.close()

    async def hang_up_and_wait(self) -> None:
        self.hang_up()
        for writer in self._writers:
            await writer.wait_closed()


def http(body: bytes, *headers: str, status: str = "200 OK") -> bytes:
    """Returns an answer with Content-Length."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def replying(*answers: bytes) -> Answer:
    """Answers in order; the last one again and again."""
    left = list(answers)

    async def answer(request: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(left.pop(0) if len(left) > 1 else left[0])
        await writer.drain()

    return answer


@asynccontextmanager
async def backend(answer: Answer) -> AsyncIterator[Backend]:
    """Serves on a free port of the loopback interface."""
    serving = Backend(answer)
    server = await asyncio.start_server(serving.serve, "127.0.0.1", 0)
    serving.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/path?query=1"
    try:
        yield serving
    finally:
        server.close()
        serving.hang_up()
