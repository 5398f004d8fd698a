"""The pages that Starlette serves: connection/init."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from centripetal.config import Config, load
from centripetal.server.pages import application, external_routes


def config(**sections: Any) -> Config:
    return load(None, environ={}, flags={f"{section}.{k}": v for section, o in sections.items() for k, v in o.items()}).config


def ask(method: str, path: str, **headers: str) -> tuple[int, dict[str, str], bytes]:
    """Makes a request of the external pages; returns status, headers and body."""
    app = application(external_routes(config(init={"enabled": "true"}, client={"allowed_origins": "https://good.test"})))
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b""}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http", "http_version": "1.1", "method": method, "path": path, "query_string": b"",
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
    }  # fmt: skip
    asyncio.run(app(scope, receive, send))
    head = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return sent[0]["status"], head, b"".join(message["body"] for message in sent[1:])


def test_init_is_an_empty_object() -> None:
    status, headers, body = ask("GET", "/connection/init")
    assert (status, body, headers["content-type"]) == (200, b"{}", "application/json; charset=utf-8")


@pytest.mark.parametrize(("origin", "told"), [("https://good.test", "https://good.test"), ("https://evil.test", None)])
def test_init_names_only_allowed_origins(origin: str, told: str | None) -> None:
    _, headers, _ = ask("GET", "/connection/init", origin=origin)
    assert headers.get("access-control-allow-origin") == told


def test_another_method_is_refused_without_a_body() -> None:
    status, headers, body = ask("POST", "/connection/init")
    assert (status, body) == (405, b"")
    assert "GET" in headers["allow"]
