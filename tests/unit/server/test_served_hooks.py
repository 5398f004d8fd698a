"""The hooks of a configuration: which proxy is asked about what, over TLS too, and after a reload."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import grpc
import pytest
import trustme
import websockets.asyncio.client
from aiohttp import web
from test_lifecycle import run  # noqa: F401  a fixture

from centripetal.config import ConfigError, load, validate
from centripetal.config.unbuilt import refuse_unbuilt
from centripetal.interfaces import HookError
from centripetal.interfaces.hooks import (
    CACHE_EMPTY,
    CONNECT,
    PUBLISH,
    REFRESH,
    RPC,
    SHARED_POLL_REFRESH,
    SUB_REFRESH,
    SUBSCRIBE,
    SUBSCRIBE_STREAM,
    Caller,
    RpcEvent,
)
from centripetal.node.counters import Counters
from centripetal.outbound import HttpClient
from centripetal.proxies.schema import proxy_pb2 as schema
from centripetal.proxies.table import ProxyTable
from centripetal.server.hooks import build_hooks
from centripetal.testing import ManualClock

EVENT = RpcEvent(caller=Caller(client="c"), method="m")


def hooks_of(folder: Path, config: dict[str, Any], previous: ProxyTable | None = None) -> ProxyTable:
    path = folder / "config.json"
    path.write_text(json.dumps(config))
    loaded = load(str(path), environ={}).config
    validate(loaded)
    refuse_unbuilt(loaded)
    return build_hooks(loaded, HttpClient(), Counters(), ManualClock(), previous)


def inside(scene: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(60):
            await scene()

    asyncio.run(bounded())


def test_nothing_is_asked_by_default(tmp_path: Path) -> None:
    async def scene() -> None:
        hooks = hooks_of(tmp_path, {})
        for event in (CONNECT, REFRESH, RPC, SUBSCRIBE, SUBSCRIBE_STREAM, PUBLISH, SUB_REFRESH, CACHE_EMPTY):
            assert not hooks.has_any(event)

    inside(scene)


def test_who_is_asked_about_what(tmp_path: Path) -> None:
    default = {"endpoint": "http://a/"}
    config = {
        "client": {
            "proxy": {
                "connect": {"enabled": True, "endpoint": "http://a/", "http_headers": ["Cookie"]},
                "refresh": {"enabled": True, "endpoint": "grpc://a:1", "emulated_headers": ["X-A"]},
            }
        },
        "proxies": [
            {"name": "mine", "endpoint": "http://b/", "grpc_metadata": ["X-Region"]},
            {"name": "polled", "endpoint": "http://d/", "http_headers": ["X-Polled"]},
            {"name": "unused", "endpoint": "http://c/", "http_headers": ["X-Unused"]},
        ],
        "channel": {
            "proxy": {"subscribe": default, "publish": default, "sub_refresh": default, "cache_empty": default,
                      "subscribe_stream": {"endpoint": "a:1"}, "shared_poll_refresh": default},
            "without_namespace": {"subscribe_proxy_enabled": True},
            "namespaces": [
                {"name": "room", "subscribe_proxy_enabled": True, "subscribe_proxy_name": "mine",
                 "publish_proxy_enabled": True, "sub_refresh_proxy_enabled": True, "cache_empty_proxy_enabled": True},
                {"name": "same", "subscribe_proxy_enabled": True, "subscribe_proxy_name": "mine"},
                {"name": "feed", "subscribe_stream_proxy_enabled": True},
                {"name": "poll", "subscription_type": "shared_poll"},
                {"name": "poll2", "subscription_type": "shared_poll", "shared_poll": {"proxy_name": "polled"}},
            ],
        },
        "shared_poll": {"hmac_secret_key": "k"},
        "rpc": {
            "proxy": default,
            "without_namespace": {"proxy_enabled": True},
            "namespaces": [{"name": "math", "proxy_enabled": True, "proxy_name": "mine"}],
        },
    }  # fmt: skip

    async def scene() -> None:
        hooks = hooks_of(tmp_path, config)
        for event in (CONNECT, REFRESH, RPC, SUBSCRIBE, SUBSCRIBE_STREAM, PUBLISH, SUB_REFRESH, CACHE_EMPTY):
            assert hooks.find(event) is not None
        assert hooks.find(SUBSCRIBE, "mine") is not None and hooks.find(RPC, "mine") is not None
        assert hooks.find(SUBSCRIBE, "mine") is not hooks.find(SUBSCRIBE)
        assert hooks.find(SHARED_POLL_REFRESH) is not None and hooks.find(SHARED_POLL_REFRESH, "polled") is not None
        assert hooks.find(PUBLISH, "mine") is None and hooks.find(SUBSCRIBE, "unused") is None
        wanted = hooks.forwarding
        assert (wanted.headers, wanted.metadata, wanted.emulated) == ({"cookie"}, {"x-region"}, {"x-a"})
        again = hooks_of(tmp_path, config, hooks)
        assert again.find(RPC) is hooks.find(RPC)
        await again.close()

    inside(scene)


@pytest.mark.parametrize(
    ("proxy", "option"),
    [
        ({"endpoint": "https://a/", "http": {"tls": {"enabled": True, "server_ca_pem": "/nowhere"}}},
         "rpc.proxy.http.tls.server_ca_pem"),
        ({"endpoint": "a:1", "grpc": {"tls": {"enabled": True, "cert_pem": "/nowhere"}}}, "rpc.proxy.grpc.tls.cert_pem"),
    ],
)  # fmt: skip
def test_certificates_that_cannot_be_read_stop_the_start(tmp_path: Path, proxy: dict[str, Any], option: str) -> None:
    async def scene() -> None:
        with pytest.raises(ConfigError) as refusal:
            hooks_of(tmp_path, {"rpc": {"proxy": proxy, "without_namespace": {"proxy_enabled": True}}})
        assert str(refusal.value).startswith(option)

    inside(scene)


AUTHORITY = trustme.CA()
OTHER = trustme.CA()
SERVER = AUTHORITY.issue_cert("backend.test")
CLIENT = AUTHORITY.issue_cert("centripetal.test")


def pem(blob: Any) -> str:
    return str(blob.bytes().decode())


OWN = {"cert_pem": pem(CLIENT.cert_chain_pems[0]), "key_pem": pem(CLIENT.private_key_pem)}
TRUSTED = {"enabled": True, "server_ca_pem": pem(AUTHORITY.cert_pem), "server_name": "backend.test"}
TLS = [
    ({**TRUSTED, **OWN}, True),
    (TRUSTED, False),
    ({**TRUSTED, **OWN, "server_name": "other.test"}, False),
    ({**TRUSTED, **OWN, "server_ca_pem": pem(OTHER.cert_pem)}, False),
]


async def ask(folder: Path, endpoint: str, kind: str, tls: dict[str, Any]) -> bool:
    proxy = {"endpoint": endpoint, "timeout": "3s", kind: {"tls": tls}}
    hooks = hooks_of(folder, {"rpc": {"proxy": proxy, "without_namespace": {"proxy_enabled": True}}})
    hook = hooks.find(RPC)
    assert hook is not None
    try:
        answer = await hook(EVENT)
        assert answer is not None and answer.data == b"1"
        return True
    except HookError:
        return False
    finally:
        await hooks.close()
        await hooks._http.close()


@pytest.mark.parametrize(("tls", "trusts"), [*TLS, ({"enabled": True, "insecure_skip_verify": True, **OWN}, True)])
def test_tls_over_http(tmp_path: Path, tls: dict[str, Any], trusts: bool) -> None:
    async def scene() -> None:
        async def answer(request: web.Request) -> web.Response:
            return web.json_response({"result": {"data": 1}})

        app = web.Application()
        app.router.add_post("/", answer)
        runner = web.AppRunner(app)
        await runner.setup()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        SERVER.configure_cert(context)
        AUTHORITY.configure_trust(context)
        context.verify_mode = ssl.CERT_REQUIRED
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
        try:
            assert await ask(tmp_path, f"https://127.0.0.1:{runner.addresses[0][1]}/", "http", tls) is trusts
        finally:
            await runner.cleanup()

    inside(scene)


@pytest.mark.parametrize(("tls", "trusts"), TLS)
def test_tls_over_grpc(tmp_path: Path, tls: dict[str, Any], trusts: bool) -> None:
    async def scene() -> None:
        async def answer(request: Any, context: Any) -> Any:
            return schema.RPCResponse(result=schema.RPCResult(data=b"1"))

        server = grpc.aio.server()
        handler = grpc.unary_unary_rpc_method_handler(
            answer, schema.RPCRequest.FromString, schema.RPCResponse.SerializeToString
        )
        service = "centrifugal.centrifugo.proxy.CentrifugoProxy"
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, {"RPC": handler}),))
        credentials = grpc.ssl_server_credentials(
            [(SERVER.private_key_pem.bytes(), SERVER.cert_chain_pems[0].bytes())], AUTHORITY.cert_pem.bytes(), True
        )
        port = server.add_secure_port("127.0.0.1:0", credentials)
        await server.start()
        try:
            assert await ask(tmp_path, f"grpc://127.0.0.1:{port}", "grpc", tls) is trusts
        finally:
            await server.stop(0)

    inside(scene)


def test_a_reload_asks_another_backend_and_a_shutdown_does_not_wait_for_it(run: Any) -> None:  # noqa: F811
    async def scene() -> None:
        stuck = asyncio.Event()

        async def answer(request: web.Request) -> web.Response:
            if request.path == "/stuck":
                stuck.set()
                await asyncio.Event().wait()
            return web.json_response({"result": {"data": request.path}})

        app = web.Application()
        app.router.add_post("/{tail:.*}", answer)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        base = f"http://127.0.0.1:{runner.addresses[0][1]}"
        proxied: dict[str, Any] = {"proxy": {"endpoint": f"{base}/one"}, "without_namespace": {"proxy_enabled": True}}
        server = run({"client": {"allow_anonymous_connect_without_token": True}, "rpc": proxied})
        await asyncio.to_thread(server.wait_started)
        async with websockets.asyncio.client.connect(f"ws://127.0.0.1:{server.port}/connection/websocket") as client:

            async def call() -> Any:
                await client.send('{"id":2,"rpc":{"method":"m"}}')
                return json.loads(await client.recv())

            await client.send('{"id":1,"connect":{}}')
            await client.recv()
            assert await call() == {"id": 2, "rpc": {"data": "/one"}}
            config = json.loads(server.path.read_text())
            for name in ("two", "stuck"):
                config["rpc"]["proxy"] = {"endpoint": f"{base}/{name}", "timeout": "60s"}
                server.write(config)
                os.kill(server.process.pid, signal.SIGHUP)
                await asyncio.to_thread(server.wait_for_times, '"reloaded"', 1 if name == "two" else 2)
                if name == "two":
                    assert await call() == {"id": 2, "rpc": {"data": "/two"}}
            config["rpc"]["proxy"]["endpoint"] = "http://:0"
            server.write(config)
            os.kill(server.process.pid, signal.SIGHUP)
            await asyncio.to_thread(server.wait_for, "reload_refused")
            await client.send('{"id":2,"rpc":{"method":"m"}}')
            await stuck.wait()
            server.process.send_signal(signal.SIGTERM)
            assert await asyncio.to_thread(server.process.wait, 10) == 0
        await runner.cleanup()

    inside(scene)
