from __future__ import annotations

import asyncio
import gzip
import zlib
from collections.abc import Coroutine
from typing import Any

import pytest

from centripetal.node.eager import run_eagerly
from centripetal.outbound import (
    BadResponse,
    CallRefused,
    ClientClosed,
    HttpClient,
    HttpResult,
    OutboundError,
    Overloaded,
    TargetSettings,
    TimedOut,
    TooLarge,
    Unreachable,
)

from .backend import Answer, backend, http, replying


async def ask(answer: Answer, settings: TargetSettings | None = None, **call: Any) -> tuple[HttpResult, bytes]:
    client = HttpClient()
    try:
        async with backend(answer) as server:
            result = await client.target(server.url, settings).call(call.pop("method", "POST"), **call)
            return result, server.requests[-1]
    finally:
        await client.close()


def test_a_call_and_its_answer() -> None:
    result, request = asyncio.run(
        ask(
            replying(http(b"hello", "X-One: 1", "x-one: 2", status="418 Teapot")),
            TargetSettings(headers={"X-Static": "s", "X-Both": "static"}),
            body=b'{"a":1}',
            headers={"x-both": "call", "Content-Type": "application/json"},
        )
    )
    assert (result.status, result.body, result.headers["X-ONE"]) == (418, b"hello", "1")
    head, _, body = request.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    assert first == "POST /path?query=1 HTTP/1.1" and body == b'{"a":1}'
    sent = sorted(line.lower() for line in lines if not line.startswith("Host:"))
    assert sent == [
        "accept-encoding: gzip",
        "content-length: 7",
        "content-type: application/json",
        "user-agent: centripetal",
        "x-both: call",
        "x-static: s",
    ]


def test_connections_are_kept_and_cookies_are_not() -> None:
    async def main() -> None:
        client = HttpClient()
        async with backend(replying(http(b"", "Set-Cookie: session=1"))) as server:
            target = client.target(server.url)
            for _ in range(3):
                await target.call("GET")
            assert server.connections == 1
            assert all(b"ookie" not in request for request in server.requests)
        await client.close()

    asyncio.run(main())


def test_a_connection_that_the_server_closed_is_not_used() -> None:
    async def main() -> None:
        client = HttpClient()
        async with backend(replying(http(b"1"))) as server:
            target = client.target(server.url)
            await target.call("POST", body=b"x")
            await server.hang_up_and_wait()
            for _ in range(5):
                await asyncio.sleep(0)  # the end has arrived; the client has to be told
            assert (await target.call("POST", body=b"x")).body == b"1"
            assert server.connections == 2
        await client.close()

    asyncio.run(main())


def test_the_environment_names_no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    assert asyncio.run(ask(replying(http(b"direct"))))[0].body == b"direct"


def test_redirects_are_results() -> None:
    async def main() -> None:
        async with backend(replying(http(b"secret"))) as inner:
            result, _ = await ask(replying(http(b"", f"Location: {inner.url}", status="307 Elsewhere")), body=b"x")
            assert result.status == 307 and inner.requests == []

    asyncio.run(main())


SMALL = TargetSettings(max_body_bytes=100)


def gzipped(data: bytes) -> bytes:
    """Does not tell the time, as names of tests are made of it."""
    return gzip.compress(data, mtime=0)


def chunked(*parts: bytes) -> bytes:
    body = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (*parts, b""))
    return b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + body


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (http(b"x" * 101), TooLarge),
        (chunked(b"x" * 60, b"x" * 60), TooLarge),
        (http(gzipped(b"x" * 101), "Content-Encoding: gzip"), TooLarge),
        (http(gzipped(b"x" * 1_000_000), "Content-Encoding: GZIP"), TooLarge),
        (http(gzipped(b"x" * 60) * 2, "Content-Encoding: gzip"), TooLarge),
        (http(b"", "X-Long: " + "x" * 10_000), TooLarge),
        (http(b"", *["X-Many: 1"] * 200), TooLarge),
        (http(b"plain", "Content-Encoding: gzip"), BadResponse),
        (http(gzipped(b"hello")[:-4], "Content-Encoding: gzip"), BadResponse),
        (http(zlib.compress(b"hello"), "Content-Encoding: deflate"), BadResponse),
        (b"SSH-2.0-OpenSSH_9\r\n\r\n", BadResponse),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", BadResponse),
    ],
)
def test_answers_that_are_refused(answer: bytes, error: type[OutboundError]) -> None:
    with pytest.raises(error) as raised:
        asyncio.run(ask(replying(answer), SMALL))
    assert "x" * 20 not in str(raised.value) and "http" not in str(raised.value)


def test_answers_at_the_bound() -> None:
    for answer in (
        http(b"x" * 100),
        chunked(b"x" * 50, b"x" * 50),
        http(gzipped(b"x" * 60) + gzipped(b"x" * 40), "Content-Encoding: gzip"),
    ):
        assert asyncio.run(ask(replying(answer), SMALL))[0].body == b"x" * 100


def test_a_large_answer_is_not_read_to_its_end() -> None:
    written = 0

    async def endless(request: bytes, writer: asyncio.StreamWriter) -> None:
        nonlocal written
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while written < 100_000_000:
            writer.write(b"10000\r\n" + b"x" * 65_536 + b"\r\n")
            await writer.drain()
            written += 65_536

    with pytest.raises(TooLarge):
        asyncio.run(ask(endless))
    assert written < 20_000_000


async def never(request: bytes, writer: asyncio.StreamWriter) -> None:
    await asyncio.Event().wait()


async def half(request: bytes, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
    await never(request, writer)


async def hang_up(request: bytes, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
    await writer.drain()
    writer.close()


@pytest.mark.parametrize(("answer", "error"), [(never, TimedOut), (half, TimedOut), (hang_up, Unreachable)])
def test_answers_that_do_not_come(answer: Answer, error: type[OutboundError]) -> None:
    with pytest.raises(error):
        asyncio.run(ask(answer, TargetSettings(timeout_seconds=0.05 if error is TimedOut else 5)))


def test_interim_answers_are_passed_over() -> None:
    interim = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
    result, _ = asyncio.run(ask(replying(interim + http(b"final"))))
    assert (result.status, result.body, "Link" in result.headers) == (200, b"final", False)


@pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified"])
def test_answers_without_a_body_leave_the_connection_usable(status: str) -> None:
    async def main() -> None:
        client = HttpClient()
        async with backend(replying(f"HTTP/1.1 {status}\r\n\r\n".encode())) as server:
            target = client.target(server.url)
            assert [(await target.call("POST")).body for _ in range(3)] == [b""] * 3
            assert server.connections == 1
        await client.close()

    asyncio.run(main())


def test_a_body_without_a_length_goes_to_the_end_of_the_connection() -> None:
    async def answer(request: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\nto the")
        await writer.drain()
        writer.write(b" end")
        writer.close()

    assert asyncio.run(ask(answer))[0].body == b"to the end"


def test_what_a_kept_connection_swallowed_is_repeated_only_if_it_can_be() -> None:
    async def main() -> None:
        answers = 0

        async def every_second(request: bytes, writer: asyncio.StreamWriter) -> None:
            nonlocal answers
            answers += 1
            if answers % 2:
                writer.write(http(b"%d" % answers))
            else:
                writer.close()

        client = HttpClient()
        async with backend(every_second) as server:
            target = client.target(server.url)
            assert (await target.call("GET")).body == b"1"
            assert (await target.call("GET")).body == b"3" and len(server.requests) == 3
            with pytest.raises(Unreachable):
                await target.call("POST", body=b"x")
            assert len(server.requests) == 4
        await client.close()

    asyncio.run(main())


def test_an_answer_before_the_request_was_sent_ends_the_connection() -> None:
    body = b"x" * 50_000_000

    async def main() -> None:
        answered = asyncio.Event()
        received: asyncio.Future[int] = asyncio.get_running_loop().create_future()

        async def early(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(http(b"too long", status="413 Content Too Large"))
            await answered.wait()
            size = 0
            try:
                while part := await reader.read(1_000_000):
                    size += len(part)
            except ConnectionError:
                pass
            writer.close()
            received.set_result(size)

        client = HttpClient()
        server = await asyncio.start_server(early, "127.0.0.1", 0)
        target = client.target(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/")
        assert (await target.call("POST", body=body)).status == 413
        answered.set()
        assert await received < len(body)
        server.close()
        await client.close()

    asyncio.run(main())


def failing(url: str, **call: Any) -> Coroutine[Any, Any, None]:
    async def main() -> None:
        client = HttpClient()
        try:
            await client.target(url, TargetSettings(timeout_seconds=5)).call("GET", **call)
        finally:
            await client.close()

    return main()


def test_nobody_there() -> None:
    with pytest.raises(Unreachable):
        asyncio.run(failing("http://127.0.0.1:1/"))
    with pytest.raises(Unreachable):
        asyncio.run(failing("http://name.invalid/"))


@pytest.mark.parametrize("headers", [{"X-A": "1\r\nX-B: 2"}, {"X-A: 1\r\nX-B": "2"}, {"X-A": "1\n"}])
def test_headers_cannot_smuggle_others(headers: dict[str, str]) -> None:
    async def main() -> None:
        client = HttpClient()
        async with backend(replying(http(b""))) as server:
            with pytest.raises(CallRefused):
                await client.target(server.url).call("GET", headers=headers)
            assert (await client.target(server.url).call("GET")).status == 200
            assert len(server.requests) == 1 and b"X-B" not in server.requests[0]
        await client.close()

    asyncio.run(main())


@pytest.mark.parametrize("url", ["", "/path", "ftp://a/", "http://", "http://a:port/", "http://[::1/", "unix:///x"])
def test_urls_that_cannot_be_called(url: str) -> None:
    with pytest.raises(ValueError):
        HttpClient().target(url)


class Gate:
    """Answers each request when the test says so."""

    def __init__(self) -> None:
        self.arrived: asyncio.Queue[tuple[bytes, asyncio.Event]] = asyncio.Queue()

    async def __call__(self, request: bytes, writer: asyncio.StreamWriter) -> None:
        opened = asyncio.Event()
        self.arrived.put_nowait((request[request.index(b"\r\n\r\n") + 4 :], opened))
        await opened.wait()
        writer.write(http(b""))


def test_calls_of_one_target_wait_in_order_and_others_do_not() -> None:
    async def main() -> None:
        client, gate = HttpClient(), Gate()
        async with backend(gate) as slow, backend(replying(http(b"quick"))) as quick:
            target = client.target(slow.url, TargetSettings(max_concurrent=2, max_waiting=3, timeout_seconds=10))
            tasks = [asyncio.create_task(target.call("POST", body=b"%d" % n)) for n in range(5)]
            first, second = await gate.arrived.get(), await gate.arrived.get()
            assert {first[0], second[0]} == {b"0", b"1"} and target.waiting == 3
            with pytest.raises(Overloaded):
                await target.call("POST", body=b"5")
            assert (await client.target(quick.url).call("GET")).body == b"quick"
            tasks[2].cancel()
            for expected in (b"3", b"4"):
                first[1].set()
                first = await gate.arrived.get()
                assert first[0] == expected
            first[1].set()
            second[1].set()
            results = await asyncio.gather(*tasks, return_exceptions=True)
            assert isinstance(results[2], asyncio.CancelledError)
            assert [type(result) for result in results].count(HttpResult) == 4
        await client.close()

    asyncio.run(main())


def test_a_cancelled_call_gives_its_place_back() -> None:
    async def main() -> None:
        client, gate = HttpClient(), Gate()
        async with backend(gate) as server:
            target = client.target(server.url, TargetSettings(max_concurrent=1, timeout_seconds=10))
            task = asyncio.create_task(target.call("GET"))
            await gate.arrived.get()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            task = asyncio.create_task(target.call("GET"))
            (await gate.arrived.get())[1].set()
            assert (await task).status == 200
            assert server.connections == 2, "the connection with an answer to come must not be used again"
        await client.close()

    asyncio.run(main())


def test_waiting_for_the_turn_counts() -> None:
    async def main() -> None:
        client = HttpClient()
        async with backend(never) as server:
            target = client.target(server.url, TargetSettings(max_concurrent=1, timeout_seconds=10))
            running = asyncio.create_task(target.call("GET"))
            await asyncio.sleep(0)
            with pytest.raises(TimedOut):
                await target.call("GET", timeout_seconds=0.02)
            assert target.waiting == 0
            running.cancel()
        await client.close()

    asyncio.run(main())


def test_closing_ends_running_and_waiting_calls() -> None:
    async def main() -> None:
        client, gate = HttpClient(), Gate()
        async with backend(gate) as server:
            target = client.target(server.url, TargetSettings(max_concurrent=1, timeout_seconds=10))
            tasks = [asyncio.create_task(target.call("GET")) for _ in range(3)]
            await gate.arrived.get()
            await client.close()
            await client.close()
            results = await asyncio.gather(*tasks, return_exceptions=True)
            assert [type(result) for result in results] == [ClientClosed] * 3
            with pytest.raises(ClientClosed):
                await target.call("GET")

    asyncio.run(main())


def test_a_call_may_begin_outside_of_any_task() -> None:
    async def main() -> None:
        client = HttpClient()
        async with backend(replying(http(b"1"))) as server:
            target = client.target(server.url)
            done: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
            asyncio.get_running_loop().call_soon(lambda: done.set_result(run_eagerly(target.call("GET"))))
            finished, task = await done
            assert not finished and (await task).body == b"1"
        await client.close()

    asyncio.run(main())


def test_private_addresses_are_refused_where_asked() -> None:
    async def main() -> None:
        client = HttpClient()
        async with backend(replying(http(b"inside"))) as server:
            port = server.url.split(":")[2].split("/")[0]
            for host in ("127.0.0.1", "localhost", "[::1]", "127.1", "0x7f000001", "[::ffff:127.0.0.1]"):
                target = client.target(f"http://{host}:{port}/", TargetSettings(public_only=True, timeout_seconds=5))
                with pytest.raises(CallRefused):
                    await target.call("GET")
            assert server.connections == 0
        await client.close()

    asyncio.run(main())
