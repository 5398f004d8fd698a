"""Development mode: what it makes up, and who may open its page."""

from __future__ import annotations

import asyncio
import json
import socket
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jwt
import msgspec
import pytest
from starlette.applications import Starlette

from centripetal.config import LoadedConfig, validate
from centripetal.config.loading import load
from centripetal.config.schema import Config
from centripetal.config.unbuilt import refuse_unbuilt
from centripetal.node.namespaces import Namespaces
from centripetal.node.settings import ChannelSettings, NamespaceOptions
from centripetal.server import development
from centripetal.server.development import (
    development_config,
    development_routes,
    greeting,
    publish_command,
    serve_development,
)


def loaded(**flags: object) -> LoadedConfig:
    return load(None, environ={}, flags={name.replace("__", "."): value for name, value in flags.items()})


def test_the_made_up_configuration_is_one_that_a_server_starts_with() -> None:
    config = development_config(Config())
    validate(config)
    refuse_unbuilt(config)
    assert config.http_server.address == "127.0.0.1"
    assert config.channel.without_namespace.allow_publish_for_client


def test_secrets_are_made_up_anew_each_time() -> None:
    one, other = development_config(Config()), development_config(Config())
    assert one.http_api.key != other.http_api.key
    assert one.client.token.hmac_secret_key != other.client.token.hmac_secret_key
    assert len(one.client.token.hmac_secret_key) >= 32


def test_what_is_configured_stays() -> None:
    given = loaded(
        http_server__address="0.0.0.0",
        http_api__key="mine",
        client__token__hmac_secret_key="also mine",
        client__allowed_origins="https://example.com",
    ).config
    config = development_config(given)
    assert config.http_server.address == "0.0.0.0"
    assert config.http_api.key == "mine"
    assert config.client.token.hmac_secret_key == "also mine"
    assert config.client.allowed_origins == ("https://example.com",)


def test_the_greeting_has_a_token_that_is_valid_and_a_command_with_the_key() -> None:
    config = development_config(loaded(http_server__port="8123").config)
    text = greeting(config)
    token = next(line.split()[1] for line in text.splitlines() if line.strip().startswith("Token"))
    claims = jwt.decode(token, config.client.token.hmac_secret_key, ["HS256"])
    assert claims["sub"] == "alice"
    assert publish_command(config) in text
    assert config.http_api.key in publish_command(config)
    assert config.client.token.hmac_secret_key not in text
    assert "http://localhost:8123/api/publish" in text


def test_a_taken_port_is_one_readable_line(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object, **__: object) -> int:
        raise AssertionError("the server must not start")

    monkeypatch.setattr(development, "serve", never)
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        status = serve_development(loaded(http_server__port=str(other.getsockname()[1])))
    printed = capsys.readouterr()
    assert status == 1
    assert printed.out == ""
    assert printed.err.startswith("error: cannot listen on 127.0.0.1:")
    assert printed.err.count("\n") == 1


def test_a_directory_that_is_not_there_is_one_readable_line(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert serve_development(loaded(http_server__port="0"), str(tmp_path / "absent")) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("error: --dir: ") and printed.err.count("\n") == 1


# -- the page


SETTINGS = ChannelSettings(
    namespaces=(
        NamespaceOptions(name="board", subscription_type="map"),
        NamespaceOptions(name="users", subscription_type="map_users"),
        NamespaceOptions(name="prices", subscription_type="shared_poll"),
        NamespaceOptions(name="page", map_users_presence_channel_prefix="users:"),
    )
)


def a_node(number_of_clients: int = 1) -> Any:
    transport = SimpleNamespace(encoding=SimpleNamespace(name="websocket-json"))
    clients = {
        f"c{n}": SimpleNamespace(id=f"c{n}", user="alice", transport=transport, subscriptions={"news": None})
        for n in range(number_of_clients)
    }
    channels = {"news": SimpleNamespace(num_live=number_of_clients)}
    return SimpleNamespace(
        registry=SimpleNamespace(clients=clients), hub=SimpleNamespace(channels=channels), namespaces=Namespaces(SETTINGS)
    )


def get(
    path: str,
    *,
    host: str = "localhost:8000",
    client: str = "127.0.0.1",
    node: Any = None,
    directory: Path | None = None,
    **headers: str,
) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body of a GET request to the page's routes."""
    pages = None if directory is None else str(directory)
    app = Starlette(routes=list(development_routes(development_config(Config()), node or a_node(), pages)))
    path, _, query = path.partition("?")
    given = {"host": host, **{name.replace("_", "-"): value for name, value in headers.items()}}
    scope = {
        "type": "http",
        "method": "GET",
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "headers": [(name.encode(), value.encode()) for name, value in given.items()],
        "client": (client, 50000),
        "server": ("127.0.0.1", 8000),
    }
    sent: list[Any] = []

    requests = [{"type": "http.request", "body": b"", "more_body": False}]

    async def receive() -> Any:
        if not requests:
            await asyncio.Event().wait()  # the browser stays
        return requests.pop()

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(app(scope, receive, send))
    answered = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return sent[0]["status"], answered, b"".join(message.get("body", b"") for message in sent[1:])


@pytest.mark.parametrize("path", ["/", "/development/", "/development/page.css", "/development/page.js"])
def test_the_page_needs_nothing_from_elsewhere(path: str) -> None:
    status, headers, body = get(path)
    assert status == 200
    assert "default-src 'none'" in headers["content-security-policy"]
    assert b"https://" not in body
    assert headers["cache-control"] == "no-store"


def test_the_session_lets_the_page_connect() -> None:
    status, _, body = get("/development/session")
    session = json.loads(body)
    assert status == 200
    assert session["endpoint"] == "/connection/websocket"
    assert jwt.decode(session["token"], options={"verify_signature": False})["sub"] == "page"


@pytest.mark.parametrize(("query", "user"), [("bob", "bob"), ("Zo%C3%AB%20%26%20Co.", "Zoë & Co."), ("x" * 101, "x" * 100)])
def test_the_session_of_any_user(query: str, user: str) -> None:
    session = json.loads(get(f"/development/session?user={query}")[2])
    assert jwt.decode(session["token"], options={"verify_signature": False})["sub"] == user


def test_the_overview_shows_connections_and_channels_up_to_a_bound() -> None:
    overview = json.loads(get("/development/overview", node=a_node(1000))[2])
    assert overview["num_clients"] == 1000
    assert len(overview["connections"]) == development.MAX_CONNECTIONS_SHOWN
    assert overview["connections"][0] == {
        "client": "c0",
        "user": "alice",
        "transport": "websocket-json",
        "channels": ["news"],
    }
    assert overview["channels"] == [{"name": "news", "subscribers": 1000, "type": 0, "quiet": True}]


@pytest.mark.parametrize(
    ("name", "kind", "quiet"),
    [
        ("news", 0, True),
        ("board:1", 1, True),
        ("users:page:1", 3, True),
        ("page:1", 0, False),
        ("prices:1", None, False),
        ("unknown:1", 0, False),
    ],
)
def test_how_the_page_may_watch_a_channel(name: str, kind: int | None, quiet: bool) -> None:
    answer = json.loads(get(f"/development/channel?name={name}")[2])
    assert answer == {"name": name, "type": kind, "quiet": quiet}


@pytest.mark.parametrize("host", ["localhost:8000", "LOCALHOST", "127.0.0.1:8000", "[::1]:8000", "[::1]"])
def test_this_machine_may_open_the_page(host: str) -> None:
    assert get("/", host=host)[0] == 200


@pytest.fixture
def pages(tmp_path: Path) -> Path:
    """A developer's directory beside a file that is not to be served."""
    (tmp_path / "config.json").write_text("secret")
    folder = tmp_path / "pages"
    (folder / "more").mkdir(parents=True)
    (folder / "index.html").write_text("own page")
    (folder / "more" / "index.html").write_text("another page")
    (folder / "app.js").write_text("own script")
    (folder / "link").symlink_to(tmp_path / "config.json")
    return folder


@pytest.mark.parametrize(
    ("path", "body", "media_type"),
    [
        ("/", b"own page", "text/html"),
        ("/more/", b"another page", "text/html"),
        ("/app.js?v=1", b"own script", "text/javascript"),
    ],
)
def test_own_pages_are_served(pages: Path, path: str, body: bytes, media_type: str) -> None:
    status, headers, served = get(path, directory=pages)
    assert (status, served) == (200, body)
    assert headers["content-type"].startswith(media_type) and headers["cache-control"] == "no-cache"


def test_the_page_that_shows_the_server_stays_beside_own_pages(pages: Path) -> None:
    assert b"/development/page.js" in get("/development/", directory=pages)[2]
    assert get("/development/overview", directory=pages)[0] == 200


@pytest.mark.parametrize("path", ["/absent", "/../config.json", "/more/../../config.json", "/link", "/more"])
def test_nothing_else_is_served(pages: Path, path: str) -> None:
    status, _, body = get(path, directory=pages)
    assert status in (307, 404) and b"secret" not in body


def test_others_may_not_open_own_pages(pages: Path) -> None:
    assert get("/app.js", directory=pages, host="attacker.example")[0] == 403
    assert get("/app.js", directory=pages, client="192.0.2.1")[0] == 403
    assert get("/", directory=pages, sec_fetch_site="cross-site")[0] == 200


@pytest.mark.parametrize(
    "path", ["/", "/development/", "/development/session", "/development/channel", "/development/overview", "/development/page.js"]
)
@pytest.mark.parametrize(
    "asked",
    [
        {"host": "attacker.example"},
        {"host": "localhost.attacker.example:8000"},
        {"host": "localhost:8000; script-src *"},
        {"host": "localhost:"},
        {"host": ""},
        {"client": "192.0.2.1"},
    ],
)
def test_others_may_not(path: str, asked: dict[str, str]) -> None:
    status, _, body = get(path, **asked)
    assert status == 403
    assert b"token" not in body


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_another_site_may_link_to_the_page_and_read_nothing(site: str) -> None:
    assert get("/", sec_fetch_site=site)[0] == 200
    assert get("/development/", sec_fetch_site=site)[0] == 200
    assert get("/development/page.js", sec_fetch_site=site)[0] == 403
    assert get("/development/session", sec_fetch_site=site)[0] == 403
    assert get("/development/session", sec_fetch_site="same-origin")[0] == 200


def test_defaults_count_as_not_configured() -> None:
    config = msgspec.structs.replace(Config(), http_api=msgspec.structs.replace(Config().http_api, key=""))
    assert development_config(config).http_api.key
