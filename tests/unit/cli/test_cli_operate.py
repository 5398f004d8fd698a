"""Terminal tools for a running server, against a stand-in that answers as told."""

from __future__ import annotations

import base64
import hashlib
import http.server
import io
import json
import socket
import struct
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from centripetal.cli.server_api import api_url, printable
from centripetal.cli.websocket import WebSocketClient, WebSocketClosed, WebSocketFailure
from centripetal.config import load

from .conftest import Run


class Stand(http.server.HTTPServer):
    """An HTTP server that gives prepared answers and keeps requests."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answers: list[tuple[int, str]] = []
        self.requests: list[tuple[str, str | None, Any]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/api"


class _Handler(http.server.BaseHTTPRequestHandler):
    server: Stand

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.requests.append((self.path, self.headers.get("X-API-Key"), json.loads(body)))
        status, text = self.server.answers.pop(0)
        self.send_response(status)
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, format: str, *args: object) -> None:
        """Keeps the output of the test clean."""


@pytest.fixture
def stand() -> Iterator[Stand]:
    stand = Stand()
    thread = threading.Thread(target=stand.serve_forever, args=(0.01,))
    thread.start()
    yield stand
    stand.shutdown()
    thread.join()
    stand.server_close()


def test_pub(run: Run, stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    stand.answers = [
        (200, '{"result": {}}'),
        (200, '{"result": {"offset": 3, "epoch": "xyz"}}'),
        (200, '{"result": {}}'),
    ]
    assert run("pub", "--url", stand.url, "--key", "k", "news", '{"a": 1}')[:2] == (0, "published\n")
    assert run("pub", "--url", stand.url, "news", "hello")[1] == "published at offset 3, epoch xyz\n"
    monkeypatch.setattr("sys.stdin", io.StringIO("[1]"))
    assert run("pub", "--url", stand.url, "--json", "news", "-")[1] == "{}\n"
    assert stand.requests == [
        ("/api/publish", "k", {"channel": "news", "data": {"a": 1}}),
        ("/api/publish", None, {"channel": "news", "data": "hello"}),
        ("/api/publish", None, {"channel": "news", "data": [1]}),
    ]


def test_where_the_server_is_comes_from_its_configuration(run: Run, stand: Stand) -> None:
    Path("c.json").write_text(
        json.dumps({"http_server": {"port": stand.server_port, "address": "0.0.0.0"}, "http_api": {"key": "k"}})
    )
    stand.answers = [(200, '{"result": {"channels": {"b": {"num_clients": 2}, "a": {"num_clients": 1}}}}')]
    assert run("channels", "-c", "c.json", "--pattern", "*")[1] == "channel  clients\na        1\nb        2\n"
    assert stand.requests == [("/api/channels", "k", {"pattern": "*"})]


@pytest.mark.parametrize(
    ("options", "url"),
    [
        ({}, "http://127.0.0.1:8000/api"),
        ({"HTTP_SERVER_INTERNAL_PORT": "9000"}, "http://127.0.0.1:9000/api"),
        ({"HTTP_SERVER_INTERNAL_PORT": "9000", "HTTP_API_EXTERNAL": "true"}, "http://127.0.0.1:8000/api"),
        ({"HTTP_SERVER_ADDRESS": "::1", "HTTP_API_HANDLER_PREFIX": "/x"}, "http://[::1]:8000/x"),
        ({"HTTP_SERVER_INTERNAL_ADDRESS": "10.0.0.1"}, "http://10.0.0.1:8000/api"),
    ],
)
def test_addresses(options: dict[str, str], url: str) -> None:
    environ = {f"CENTRIPETAL_{name}": value for name, value in options.items()}
    assert api_url(load(None, environ=environ).config) == url


def test_info(run: Run, stand: Stand) -> None:
    node = {"name": "n\x1b[31m1", "version": "1", "num_clients": 5, "num_users": 4, "num_subs": 3, "num_channels": 2}
    stand.answers = [(200, json.dumps({"result": {"nodes": [{**node, "uptime": 61}]}}))] * 2
    _, out, _ = run("info", "--url", stand.url)
    head, line = out.splitlines()
    assert head.split() == ["name", "version", "clients", "users", "subs", "channels", "uptime"]
    assert line.split() == ["n\\x1b[31m1", "1", "5", "4", "3", "2", "1m1s"]
    assert json.loads(run("info", "--url", stand.url, "--json")[1])["nodes"][0]["num_clients"] == 5


@pytest.mark.parametrize(
    ("status", "text", "words"),
    [
        (401, "", "API key"),
        (200, '{"error": {"code": 102, "message": "unknown channel"}}', "102: unknown channel"),
        (400, '{"code": 107, "message": "bad request"}', "107: bad request"),
        (404, "<html>", "status 404"),
        (200, "[]", "not as a server API"),
        (200, "[" * 50_000, "not as a server API"),
    ],
)
def test_errors_of_the_server(run: Run, stand: Stand, status: int, text: str, words: str) -> None:
    stand.answers = [(status, text)]
    code, out, err = run("info", "--url", stand.url)
    assert (code, out) == (1, "") and words in err and err.count("\n") == 1


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:1/api", "ftp://a", "nonsense", "http://", "http://h:port/", "http://[/"]
)
def test_unreachable(run: Run, url: str) -> None:
    for command in (("info",), ("pub", "a", "1"), ("sub", "a")):
        code, out, err = run(*command, "--url", url)
        assert (code, out) == (1, "") and err.startswith("error: ") and err.count("\n") == 1


def test_printable() -> None:
    assert printable("Grüße 你好 🎉") == "Grüße 你好 🎉"
    assert printable("a\x1b[31m\x07\u202e") == "a\\x1b[31m\\x07\\u202e"


class WebSocketStand:
    """A WebSocket server for one connection: shakes hands, sends prepared bytes, keeps the messages it got."""

    def __init__(self, chunks: list[bytes], head: bytes | None = None) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._chunks = chunks
        self._head = head
        self.request = b""
        self.received = b""
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self._listener.getsockname()[1]}/ws?a=1"

    def _serve(self) -> None:
        connection, _ = self._listener.accept()
        with connection:
            while b"\r\n\r\n" not in self.request:
                self.request += connection.recv(4096)
            key = self.request.split(b"Sec-WebSocket-Key: ")[1].split(b"\r\n")[0]
            accept = base64.b64encode(hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())
            head = b"HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: " + accept + b"\r\n\r\n"
            connection.sendall(head if self._head is None else self._head)
            for chunk in self._chunks:
                connection.sendall(chunk)
            connection.shutdown(socket.SHUT_WR)
            while chunk := connection.recv(4096):
                self.received += chunk

    def end(self) -> list[tuple[int, bytes]]:
        """Returns the frames that came, unmasked."""
        self._thread.join(5)
        self._listener.close()
        frames, rest = [], self.received
        while rest:
            size, start = rest[1] & 0x7F, 2
            if size == 126:
                size, start = struct.unpack(">H", rest[2:4])[0], 4
            mask, payload = rest[start : start + 4], rest[start + 4 : start + 4 + size]
            frames.append((rest[0] & 0x0F, bytes(byte ^ mask[index & 3] for index, byte in enumerate(payload))))
            rest = rest[start + 4 + size :]
        return frames


def frame(payload: bytes, opcode: int = 1, final: bool = True) -> bytes:
    head = bytes([(0x80 if final else 0) | opcode])
    size = len(payload)
    length = (
        bytes([size])
        if size < 126
        else b"\x7e" + struct.pack(">H", size)
        if size < 65536
        else b"\x7f" + struct.pack(">Q", size)
    )
    return head + length + payload


def close_frame(code: int, reason: bytes) -> bytes:
    return frame(struct.pack(">H", code) + reason, 8)


def test_sub_prints_publications(run: Run) -> None:
    recovered = '{"id":2,"subscribe":{"publications":[{"data":"old"}]}}'
    live = '{"push":{"channel":"news","pub":{"data":{"a":"\\u001b[31mé"},"offset":5,"info":{"user":"bob"}}}}'
    stand = WebSocketStand(
        [
            frame(b'{"id":1,"connect":{}}\n' + recovered.encode()),
            frame(b"{}"),
            frame(live.encode()[:20], final=False) + frame(b"ping!", 9) + frame(live.encode()[20:], 0),
            close_frame(3001, b"shutdown"),
        ]
    )
    code, out, err = run("sub", "--url", stand.url, "--token", "t", "--channel-token", "c", "news")
    assert (code, err) == (1, "error: the connection ended: 3001 shutdown\n")
    assert out == '"old"\n#5 bob: {"a": "\\u001b[31mé"}\n'
    frames = stand.end()
    assert json.loads(frames[0][1]) == {"id": 1, "connect": {"token": "t", "name": "centripetal"}}
    assert json.loads(frames[1][1]) == {"id": 2, "subscribe": {"channel": "news", "token": "c"}}
    assert (1, b"{}") in frames and (10, b"ping!") in frames
    assert stand.request.startswith(b"GET /ws?a=1 HTTP/1.1\r\n")


def test_sub_prints_json(run: Run) -> None:
    stand = WebSocketStand([frame(b'{"push":{"channel":"news","pub":{"data":1,"offset":5}}}'), close_frame(3000, b"")])
    _, out, _ = run("sub", "--url", stand.url, "--json", "news")
    assert json.loads(out) == {"channel": "news", "data": 1, "offset": 5}
    stand.end()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b'{"id":1,"error":{"code":109,"message":"token expired"}}', "connecting: error 109: token expired"),
        (b'{"id":2,"error":{"code":103,"message":"permission denied"}}', "subscribing: error 103: permission denied"),
        (b'{"push":{"channel":"a","unsubscribe":{"code":2000,"reason":"x"}}}', "2000 x"),
        (b"nonsense", "something else"),
        (b"[]", "something else"),
    ],
)
def test_sub_tells_what_went_wrong(run: Run, text: bytes, words: str) -> None:
    stand = WebSocketStand([frame(text)])
    code, out, err = run("sub", "--url", stand.url, "news")
    assert (code, out) == (1, "") and words in err and err.count("\n") == 1
    stand.end()


def test_sub_makes_tokens_with_the_configured_key(run: Run) -> None:
    Path("config.json").write_text('{"client": {"token": {"hmac_secret_key": "a secret of more than 32 characters"}}}')
    stand = WebSocketStand([close_frame(3000, b"")])
    run("sub", "--url", stand.url, "-u", "alice", "news")
    connect, subscribe = (json.loads(payload) for _, payload in stand.end()[:2])
    assert connect["connect"]["token"].count(".") == 2 and subscribe["subscribe"]["token"].count(".") == 2


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 404 Not Found\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: wrong\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
        b"nonsense\r\n\r\n",
        b"x" * 40_000,
        b"",
    ],
)
def test_a_failed_handshake(head: bytes) -> None:
    stand = WebSocketStand([], head)
    with pytest.raises(WebSocketFailure, match=r"\w"):
        WebSocketClient(stand.url)
    stand.end()


@pytest.mark.parametrize(
    ("chunk", "code"),
    [
        (b"", 1006),
        (b"\x81", 1006),
        (frame(b"abc")[:-1], 1006),
        (b"\x81\x85abcdabcde", 1002),
        (b"\x81\x7f" + struct.pack(">Q", 2**40), 1002),
        (frame(b"", 8), 1005),
    ],
)
def test_ends_of_a_connection(chunk: bytes, code: int) -> None:
    stand = WebSocketStand([chunk])
    client = WebSocketClient(stand.url)
    with pytest.raises(WebSocketClosed) as closed:
        client.receive()
    assert closed.value.code == code
    client.close()
    stand.end()


@pytest.mark.parametrize("size", [0, 125, 126, 65535, 65536, 200_000])
def test_sizes_of_messages(size: int) -> None:
    data = frame(b"x" * size)
    stand = WebSocketStand([data[:1], data[1:3], data[3:]])
    client = WebSocketClient(stand.url)
    assert client.receive() == "x" * size
    client.close()
    stand.end()
