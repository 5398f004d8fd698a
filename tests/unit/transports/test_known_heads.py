"""Heads that come again on a connection: what was found out about them is not found out again, and nothing else changes."""

from __future__ import annotations

import asyncio
import random

import pytest
from sockets import Echo, House, get, in_house, post

from centripetal.interfaces.request import HttpRequest, HttpResponse
from centripetal.transports.endpoints import Routes
from centripetal.transports.responses import ResponseWriter


class Forgetful(Echo):
    """Judges heads by the head alone, and counts how often."""

    forgets_requests = True

    def __init__(self) -> None:
        super().__init__()
        self.judged = 0

    def begin(self, request: HttpRequest) -> HttpResponse | None:
        self.judged += 1
        return super().begin(request)


def test_a_head_is_judged_once() -> None:
    echo = Forgetful()

    async def test(house: House) -> None:
        client = await house.connect()
        for number in range(3):
            client.send(post("/api/1", b"one%d" % number) * 2)
            assert [(await client.response())[2] for _ in range(2)] == [b"POST one%d" % number] * 2
        assert (echo.judged, len(echo.requests)) == (1, 6)
        client.send(post("/api/1", b"longer") + post("/api/1", b"one9"))
        assert [(await client.response())[2] for _ in range(2)] == [b"POST longer", b"POST one9"]
        assert echo.judged == 3
        other = await house.connect()
        other.send(post("/api/1", b"one9"))
        assert (await other.response())[2] == b"POST one9"
        assert echo.judged == 4

    in_house(test, more={"/api/1": echo})


def test_others_are_judged_each_time() -> None:
    async def test(house: House) -> None:
        client = await house.connect()
        client.send(post("/echo", b"a") * 3)
        for _ in range(3):
            assert (await client.response())[2] == b"POST a"
        assert len({id(request) for request in house.echo.requests}) == 3

    in_house(test)


@pytest.mark.parametrize("seed", range(20))
def test_known_heads_split_anywhere(seed: int) -> None:
    """The same bytes give the same answers however they come, also where a request waits in between."""
    chosen = random.Random(seed)
    echo = Forgetful()
    echo.gate.set()
    paths = ("/api/1", "/api/1", "/api/1", "/api/wait", "/api/soon", "/echo")
    requests = [(chosen.choice(paths), b"x" * chosen.choice((0, 3, 3, 40))) for _ in range(40)]
    expected = []
    for path, body in requests:
        begin = {"/api/wait": b"waited ", "/api/soon": b"soon "}.get(path, b"POST ")
        expected.append((200, begin + body))
    data = b"".join(post(path, body) for path, body in requests)

    async def test(house: House) -> None:
        client = await house.connect()
        start = 0
        while start < len(data):
            end = start + chosen.choice((1, 10, 80, 100, 400))
            client.send(data[start:end])
            start = end
            await asyncio.sleep(0)
        answers = [await client.response() for _ in requests]
        assert [(status, body) for status, _, body in answers] == expected

    in_house(test, more={path: echo for path in paths})


def test_new_routes_hold_for_known_heads() -> None:
    async def test(house: House) -> None:
        client = await house.connect()
        client.send(post("/api/1", b"a"))
        assert (await client.response())[0] == 200
        house.listener.serve(Routes({"/api/other": house.echo}), None)
        client.send(post("/api/1", b"a"))
        assert (await client.response())[0] == 404

    in_house(test, more={"/api/1": Forgetful()})


def test_a_known_head_closes_while_draining() -> None:
    async def test(house: House) -> None:
        client = await house.connect()
        client.send(post("/api/1", b"a"))
        await client.response()
        house.listener.stop_accepting()
        client.send(post("/api/1", b"a"))
        _, headers, _ = await client.response()
        assert headers["connection"] == "close"
        assert await client.end() == b""

    in_house(test, more={"/api/1": Forgetful()})


def test_answers_with_kept_headers_look_like_others() -> None:
    writer = ResponseWriter()
    writer.constant.append("X-Always: yes")
    headers = (("Content-Type", "text/plain"), ("X-A", "1"))
    for body in (b"", b"a", b"abc"):
        kept, made = (
            writer.encode(HttpResponse(200, kind(headers), body), close=False)  # type: ignore[operator]
            for kind in (tuple, list)
        )
        assert kept == made
    with pytest.raises(ValueError, match="line break"):
        writer.encode(HttpResponse(200, (("X-A", "a\r\nX-B: b"),)), close=False)
    assert b"Connection: close" in writer.encode(HttpResponse(200, headers), close=True)


def test_kept_headers_have_the_date_of_now(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1_700_000_000.0
    monkeypatch.setattr("centripetal.transports.responses.time.time", lambda: now)
    writer, response = ResponseWriter(), HttpResponse(200, (("X-A", "1"),), b"a")
    first = writer.encode(response, close=False)
    now += 0.5
    assert writer.encode(response, close=False) == first
    now += 1.0
    later = writer.encode(response, close=False)
    assert b"Date: Tue, 14 Nov 2023 22:13:20 GMT" in first
    assert b"Date: Tue, 14 Nov 2023 22:13:21 GMT" in later


def test_a_known_head_without_a_body() -> None:
    """A head without a body may come again, too."""
    echo = Forgetful()

    async def test(house: House) -> None:
        client = await house.connect()
        client.send(get("/api/1") * 3)
        assert [(await client.response())[2] for _ in range(3)] == [b"GET "] * 3
        assert echo.judged == 1

    in_house(test, more={"/api/1": echo})
