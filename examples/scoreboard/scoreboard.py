"""A live scoreboard: games whose scores are in a dictionary, a page that shows them, and Centripetal in between.

`python scoreboard.py` runs all three and needs nothing but the command `centripetal`. Nothing here pushes anything: the
server asks for the games that somebody looks at, once a second, and tells browsers what has changed.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import random
import shlex
import subprocess
import threading
import time
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
CONFIG = json.loads((HERE / "config.json").read_text())
SIGNATURES = CONFIG["shared_poll"]["hmac_secret_key"]
BACKEND = CONFIG["channel"]["proxy"]["shared_poll_refresh"]["http"]["static_headers"]["X-Centripetal-Secret"]
PORT = int(os.environ.get("SCOREBOARD_PORT", "9000"))
SERVER_PORT = int(os.environ.get("SCOREBOARD_SERVER_PORT", "8000"))
PAGES = {"/": "index.html", "/scoreboard.js": "scoreboard.js", "/centrifuge.js": "centrifuge.js"}
TYPES = {".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8"}
SIGNED_SECONDS = 60
MAX_BODY_BYTES = 1 << 20

TEAMS = ("Aachen", "Bergen", "Cadiz", "Delft", "Enna", "Faro", "Genoa", "Hull", "Izmir", "Jena", "Krakow", "Lille")
GAMES: dict[str, dict[str, Any]] = {
    f"game-{number}": {"home": home, "away": away, "score": [0, 0], "minute": 0}
    for number, (home, away) in enumerate(zip(TEAMS[::2], TEAMS[1::2], strict=True), 1)
}


def play() -> None:
    """Plays: a minute each second, and now and then a goal. A database that others write to would be as good."""
    while True:
        time.sleep(1)
        for game in GAMES.values():
            game["minute"] = game["minute"] % 90 + 1
            if game["minute"] == 1:
                game["score"] = [0, 0]
            elif random.random() < 0.05:
                game["score"][random.randrange(2)] += 1


def refresh(request: dict[str, Any]) -> dict[str, Any]:
    """Answers the server: what is the state of these games? One that does not exist is left out."""
    wanted = [item["key"] for item in request["items"]]
    return {"result": {"items": [{"key": key, "data": GAMES[key]} for key in wanted if key in GAMES]}}


def sign(request: dict[str, Any], user: str = "") -> dict[str, Any]:
    """Answers a browser: which of these games may it look at? All that exist; its user is the empty one."""
    keys = [key for key in request["keys"] if key in GAMES]
    issued = int(time.time())
    expires = issued + SIGNED_SECONDS
    digest = hashlib.sha256("\0".join(keys).encode()).hexdigest()
    signed = "\0".join((str(issued), str(expires), user, request["channel"], digest))
    mac = hmac.new(SIGNATURES.encode(), signed.encode(), hashlib.sha256).hexdigest()
    return {"keys": keys, "signature": f"{issued}:{expires}:{mac}"}


class Handler(BaseHTTPRequestHandler):
    """The website."""

    def do_GET(self) -> None:
        if self.path == "/games":
            self.reply({"games": list(GAMES), "server": f"ws://localhost:{SERVER_PORT}/connection/websocket"})
        elif self.path in PAGES and (HERE / "page" / PAGES[self.path]).exists():
            file = HERE / "page" / PAGES[self.path]
            self.reply(file.read_bytes(), TYPES[file.suffix])
        else:
            self.send_error(HTTPStatus.NOT_FOUND)

    def do_POST(self) -> None:
        size = int(self.headers.get("Content-Length") or 0)
        if size > MAX_BODY_BYTES:
            self.send_error(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
            return
        body = json.loads(self.rfile.read(size))
        if self.path == "/sign":
            self.reply(sign(body))
        elif self.path != "/centripetal/refresh":
            self.send_error(HTTPStatus.NOT_FOUND)
        elif not hmac.compare_digest(self.headers.get("X-Centripetal-Secret", "").encode(), BACKEND.encode()):
            self.send_error(HTTPStatus.FORBIDDEN)
        else:
            self.reply(refresh(body))

    def reply(self, content: dict[str, Any] | bytes, kind: str = "application/json") -> None:
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: Any) -> None:
        """Says nothing."""


def main() -> None:
    """Runs the games, the website and the server until Ctrl-C."""
    website = ThreadingHTTPServer(("127.0.0.1", PORT), Handler)
    for target in (play, website.serve_forever):
        threading.Thread(target=target, daemon=True).start()
    options = {
        "CENTRIPETAL_HTTP_SERVER_PORT": str(SERVER_PORT),
        "CENTRIPETAL_CHANNEL_PROXY_SHARED_POLL_REFRESH_ENDPOINT": f"http://127.0.0.1:{PORT}/centripetal/refresh",
    }
    command = shlex.split(os.environ.get("CENTRIPETAL_SERVER") or "centripetal")
    with subprocess.Popen([*command, "-c", str(HERE / "config.json")], env=os.environ | options) as server:
        print(f"The scoreboard is at http://localhost:{PORT}/", flush=True)
        try:
            server.wait()
        except KeyboardInterrupt:
            server.terminate()


if __name__ == "__main__":
    main()
