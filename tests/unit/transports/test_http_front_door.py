"""The front door over real sockets: order, framing of bodies, early answers, limits, and handing over."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from gates import gate_with
from sockets import House, get, in_house, post, until

from centripetal.transports.listener import HttpLimits


def test_a_request_and_its_response() -> None:
    async def test(house: House) -> None:
        client = await house.connect()
        client.send(post("/echo?a=1&b=%20&a=2", b"hello", "X-Two: 1", "x-two: 2", "Cookie: a=b", "Cookie: c=d"))
        status, headers, body = await client.response()
        assert (status, body) == (200, b"POST hello")
        assert "date" in headers
        assert "connection" not in headers
        request = house.echo.requests[0]
        assert request.headers["x-two"] == "1, 2"
        assert request.headers["cookie"] == "a=b; c=d"
        assert request.query_parameters == {"a": "1", "b": " "}
        assert request.remote_address.startswith("127.0.0.1:")

    in_house(test)


def test_pipelined_requests_are_answered_in_order() -> None:
    async def test(house: House) -> None:
        client = await house.connect()
        client.send(
            post("/api/1", b"a")
            + post("/api/wait", b"b")
            + post("/api/soon", b"c")
            + get("/echo")
            + post("/api/5", b"e")
        )
        assert (await client.response())[2] == b"POST a"
        assert len(house.echo.requests) == 2
        house.echo.gate.set()
        assert [(await client.response())[2] for _ in range(4)] == [b"waited b", b"soon c", b"GET ", b"POST e"]

    in_house(test)


@pytest.mark.parametrize("size", [1, 7, 50])
def test_requests_in_small_pieces(size: int) -> None:
    async def test(house: House) -> None:
        client = await house.connect()
        data = post("/echo", b"x" * 30) + get("/echo", "Transfer-Encoding: chunked", method="PUT")
        data += b"5\r\nhello\r\n6;x=y\r\n world\r\n0\r\nTrailer: x\r\n\r\n" + get("/api/none")
        for start in range(0, len(data), size):
            client.send(data[start : start + size])
            await asyncio.sleep(0)
        assert (await client.response())[2] == b"POST " + b"x" * 30
        assert (await client.response())[2] == b"PUT hello world"
        status, headers, _ = await client.response()
        assert status == 204
        assert "content-length" not in headers

    in_house(test)


def test_head_gets_the_length_without_the_body() -> None:
    async def test(house: House) -> None:
        client = await house.connect()
        client.send(get("/echo", method="HEAD") + get("/echo", "Connection: close"))
        data = await client.end()
        assert data.count(b"Content-Length: ") == 2
        assert b"HEAD" not in data

    in_house(test)


@pytest.mark.parametrize(
    ("request_head", "closes", "connection"),
    [
        (get("/echo", "Connection: close"), True, "close"),
        (get("/echo", version="1.0"), True, "close"),
        (get("/echo", "Connection: keep-alive", version="1.0"), False, "keep-alive"),
    ],
)
def test_who_closes(request_head: bytes, closes: bool, connection: str) -> None:
    async def test(house: House) -> None:
        client = await house.connect()
        client.send(request_head)
        status, headers, _ = await client.response()
        assert (status, headers["connection"]) == (200, connection)
        if closes:
            assert await client.end() == b""
        else:
            client.send(get("/echo"))
            assert (await client.response())[0] == 200

    in_house(test)


def test_a_refused_head_spares_the_body() -> None:
    async def test(house: House) -> None:
        client = await house.connect()
        client.send(post("/api/secret", b"all of it is here") + get("/echo"))
        assert (await client.response())[0] == 401
        assert (await client.response())[0] == 200
        client.send(get("/api/secret", "Content-Length: 90000", method="POST"))
        status, headers, _ = await client.response()
        assert (status, headers["connection"]) == (401, "close")
        client.send(bytes(90000))
        assert await client.end() == b""
        assert len(house.echo.requests) == 1

    in_house(test)


def test_continue_is_said_only_when_the_body_is_wanted() -> None:
    async def test(house: House) -> None:
        client = await house.connect()
        client.send(get("/echo", "Expect: 100-continue", "Content-Length: 2", method="POST"))
        assert await client.reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.send(b"ok")
        assert (await client.response())[2] == b"POST ok"
        client.send(get("/api/secret", "Expect: 100-continue", "Content-Length: 2", method="POST"))
        assert (await client.response())[0] == 401

    in_house(test)


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"\x16\x03\x01\r\n\r\n", 400),
        (b"GET /echo HTTP/1.1\r\n\r\n", 400),  # no host
        (b"GET /echo HTTP/2.0\r\nHost: a\r\n\r\n", 400),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
        (get("/echo", "Host: other"), 400),
        (get("/echo", "Content-Length: 3", "Transfer-Encoding: chunked"), 400),
        (get("/echo", "Transfer-Encoding: chunked", "Content-Length: 3"), 400),
        (get("/echo", "Content-Length: 3", "Content-Length: 4"), 400),
        (get("/echo", "Content-Length: -3"), 400),
        (get("/echo", "Content-Length: 0x3"), 400),
        (get("/echo", "Content-Length: 3, 3"), 400),
        (get("/echo", "Content-Length: " + "9" * 30), 400),
        (get("/echo", "Transfer-Encoding: gzip"), 400),
        (get("/echo", "Transfer-Encoding: chunked", version="1.0"), 400),
        (get("/echo", "Bad Name: x"), 400),
        (get("/echo", "X: a\r\n folded"), 400),
        (get("/echo", *[f"X-{number}: x" for number in range(300)]), 431),
        (get("/echo", "X: " + "x" * 70000), 431),
        (b"GET /" + b"x" * 70000, 431),
        (get("/echo", "Content-Length: 100001", method="POST"), 413),
        (get("/echo", "Transfer-Encoding: chunked", method="POST") + b"186A1\r\n", 413),
        (get("/echo", "Transfer-Encoding: chunked", method="POST") + b"x\r\n", 400),
        (get("/echo", "Transfer-Encoding: chunked", method="POST") + b"1\r\nab", 400),
        (get("/echo", "Transfer-Encoding: chunked", method="POST") + b"1" * 300, 400),
        (get("/nowhere"), 404),
        (get("/api/broken"), 500),
        (get("/api/split"), 500),
        (get("*", method="OPTIONS"), 404),
    ],
)
def test_bad_requests(data: bytes, status: int) -> None:
    async def test(house: House) -> None:
        client = await house.connect()
        client.send(data)
        assert (await client.response())[0] == status
        if status in (400, 413, 431):
            client.send(get("/echo"))
            assert await client.end() == b""

    in_house(test)


def test_other_forms_of_the_target() -> None:
    async def test(house: House) -> None:
        client = await house.connect()
        for target in ("http://localhost/echo", "/%65cho?x"):
            client.send(get(target))
            assert (await client.response())[0] == 200
        client.send(b"\r\n\r\n" + get("/echo"))
        assert (await client.response())[0] == 200

    in_house(test)


def test_slow_and_idle_connections_are_closed() -> None:
    async def test(house: House) -> None:
        idle, slow_head, slow_body, fine = [await house.connect() for _ in range(4)]
        slow_head.send(b"GET /echo HT")
        slow_body.send(get("/echo", "Content-Length: 5", method="POST") + b"x")
        fine.send(get("/api/wait"))
        for client in (slow_head, slow_body):
            assert (await client.response())[0] == 408
            assert await client.end() == b""
        assert await idle.end() == b""
        house.echo.gate.set()
        assert (await fine.response())[0] == 200

    in_house(test, limits=HttpLimits(head_seconds=0.1, body_seconds=0.1, idle_seconds=0.1))


def test_a_client_that_closes_its_side_gets_its_response() -> None:
    async def test(house: House) -> None:
        client = await house.connect()
        client.send(get("/api/wait"))
        client.writer.write_eof()
        (connection,) = house.listener.connections
        await until(lambda: connection._eof)  # type: ignore[attr-defined]
        house.echo.gate.set()
        assert (await client.response())[2] == b"waited "
        assert await client.end() == b""

    in_house(test)


def test_a_client_that_closes_its_side_at_the_gate_in_the_middle_of_a_body_is_let_go() -> None:
    async def test(house: House) -> None:
        house.listener.gate = gate_with(0)
        waiting: Any = house.listener.gate._waiting
        house.listener.routes.newcomers = frozenset({b"/echo"})
        client = await house.connect()
        client.send(post("/echo", b"x" * 100)[:-50])
        client.writer.write_eof()
        await until(lambda: waiting and waiting[0][0]._eof)
        waiting[0][0].let_in()
        assert await client.end() == b""

    in_house(test)


def test_newcomers_wait_at_the_gate_until_they_are_let_in_or_turned_away() -> None:
    async def test(house: House) -> None:
        house.listener.gate = gate_with(0)
        waiting: Any = house.listener.gate._waiting
        house.listener.routes.newcomers = frozenset({b"/echo"})
        first, second, other = await house.connect(), await house.connect(), await house.connect()
        for count, client in enumerate((first, second), 1):
            client.send(get("/echo"))
            await until(lambda count=count: len(waiting) == count)
        other.send(get("/api/now"))  # whoever begins no connection of a client does not wait
        assert (await other.response())[0] == 200
        assert [request.path for request in house.echo.requests] == ["/api/now"]
        waiting[0][0].let_in()
        assert (await first.response())[0] == 200
        waiting[1][0].turn_away()
        status, headers, body = await second.response()
        assert (status, headers["connection"], body) == (503, "close", b"")
        assert await second.end() == b""

    in_house(test)


def test_a_client_that_leaves_costs_nothing() -> None:
    async def test(house: House) -> None:
        client = await house.connect()
        client.send(get("/api/wait"))
        await until(lambda: house.echo.requests)
        client.writer.transport.abort()
        other = await house.connect()
        other.send(get("/echo"))
        assert (await other.response())[0] == 200
        house.echo.gate.set()
        await until(lambda: len(house.listener.connections) == 1)

    in_house(test)


def test_responses_nobody_reads_stop_the_reading() -> None:
    async def test(house: House) -> None:
        client = await house.connect()
        count = 3000
        for _ in range(count):
            client.send(post("/echo", bytes(10_000)))
        await asyncio.sleep(0.3)
        served = len(house.echo.requests)
        assert served < count
        for _ in range(count):
            assert (await client.response())[0] == 200
        assert len(house.echo.requests) == count

    in_house(test)


def test_long_pipelines_leave_the_loop_to_others() -> None:
    async def test(house: House) -> None:
        client = await house.connect()
        turns = 0

        async def count_turns() -> None:
            nonlocal turns
            while True:
                await asyncio.sleep(0)
                turns += 1

        original = house.echo.respond

        def slow_respond(request: Any, body: bytes) -> Any:
            until = asyncio.get_running_loop().time() + 0.002
            while asyncio.get_running_loop().time() < until:
                pass
            return original(request, body)

        house.echo.respond = slow_respond  # type: ignore[method-assign]
        task = asyncio.create_task(count_turns())
        client.send(get("/echo") * 50)
        for _ in range(50):
            await client.response()
        task.cancel()
        assert turns >= 10

    in_house(test)


def test_draining_closes_after_the_response() -> None:
    async def test(house: House) -> None:
        port = house.listener.port
        idle, asking, busy = await house.connect(), await house.connect(), await house.connect()
        busy.send(get("/api/wait"))
        await until(lambda: house.echo.requests and len(house.listener.connections) == 3)
        house.listener.stop_accepting()
        asking.send(get("/echo"))  # it was on its way when the port closed
        status, headers, _ = await asking.response()
        assert (status, headers["connection"]) == (200, "close")
        assert await asking.end() == b""
        closing = asyncio.create_task(house.listener.close())
        assert await idle.end() == b""
        house.echo.gate.set()
        status, headers, _ = await busy.response()
        assert (status, headers["connection"]) == (200, "close")
        assert await busy.end() == b""
        with pytest.raises(OSError):
            await asyncio.open_connection("127.0.0.1", port)
        await closing

    in_house(test)


async def application(scope: Any, receive: Any, send: Any) -> None:
    """Answers with method, path and body."""
    body = b""
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        body += message["body"]
        if not message["more_body"]:
            break
    answer = f"asgi {scope['method']} {scope['path']} ".encode() + body
    headers = [(b"content-length", str(len(answer)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": answer})


def test_other_paths_go_to_the_application_and_the_connection_comes_back() -> None:
    async def test(house: House) -> None:
        client = await house.connect()
        for _ in range(3):
            client.send(get("/page"))
            assert (await client.response())[2] == b"asgi GET /page "
            client.send(post("/echo", b"x"))
            assert (await client.response())[2] == b"POST x"
        client.send(post("/form", b"a" * 10) + get("/echo") + get("/page2") + post("/api/soon", b"y"))
        expected = [b"asgi POST /form aaaaaaaaaa", b"GET ", b"asgi GET /page2 ", b"soon y"]
        assert [(await client.response())[2] for _ in range(4)] == expected
        assert len(house.listener.connections) == 1

    in_house(test, app=application)


def test_bodies_for_the_application_in_pieces() -> None:
    async def test(house: House) -> None:
        client = await house.connect()
        data = post("/form", b"b" * 300_000)
        for start in range(0, len(data), 70_000):
            client.send(data[start : start + 70_000])
            await asyncio.sleep(0.01)
        assert (await client.response())[2] == b"asgi POST /form " + b"b" * 300_000
        client.send(get("/form", "Transfer-Encoding: chunked", method="POST") + b"2\r\nok\r\n0\r\n\r\n")
        status, headers, body = await client.response()
        assert (status, headers["connection"], body) == (200, "close", b"asgi POST /form ok")
        assert await client.end() == b""

    in_house(test, app=application)


def test_slow_bodies_for_the_application_end() -> None:
    async def test(house: House) -> None:
        client = await house.connect()
        client.send(get("/form", "Content-Length: 10", method="POST") + b"x")
        assert await client.end() == b""
        assert not house.listener.connections

    in_house(test, app=application, limits=HttpLimits(body_seconds=0.1))
