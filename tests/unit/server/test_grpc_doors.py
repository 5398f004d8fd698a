"""Which gRPC listeners a configuration has."""

from __future__ import annotations

import asyncio
import sys

import grpc
import pytest
import trustme

from centripetal.config import Config, ConfigError, load
from centripetal.node.counters import Counters
from centripetal.protocol.schema.client_pb2 import Push
from centripetal.server.build import build_node
from centripetal.server.doors import share
from centripetal.server.grpc_doors import build_grpc_doors
from centripetal.transports.uni_grpc import METHOD


def test_there_are_none_by_default() -> None:
    assert build_grpc_doors(Config(), None) == []  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("option", "module"),
    [("grpc_api.enabled", "grpc"), ("grpc_api.reflection", "grpc_reflection.v1alpha.reflection")],
)
def test_a_missing_package_is_named(option: str, module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    flags = {"grpc_api.enabled": "true", option: "true"}
    config = load(None, environ={}, flags=flags).config
    monkeypatch.delitem(sys.modules, "centripetal.api.grpc.service", raising=False)
    monkeypatch.delitem(sys.modules, "centripetal.transports.grpc_listener", raising=False)
    monkeypatch.setitem(sys.modules, module, None)
    node = type("Node", (), {"counters": Counters()})()
    shared = type("Shared", (), {"node": node})()
    with pytest.raises(ConfigError, match=rf"{option}: .*pip install 'centripetal\[grpc\]'"):
        build_grpc_doors(config, shared)


def test_uni_grpc_speaks_tls_only_where_it_has_a_certificate() -> None:
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1")
    flags = {
        "client.insecure": "true",
        "uni_grpc.enabled": "true",
        "uni_grpc.tls.enabled": "true",
        "uni_grpc.tls.cert_pem": certificate.cert_chain_pems[0].bytes().decode(),
        "uni_grpc.tls.key_pem": certificate.private_key_pem.bytes().decode(),
    }
    config = load(None, environ={}, flags=flags).config

    async def first_push(channel: grpc.aio.Channel) -> Push:
        async with channel:
            return Push.FromString(await asyncio.wait_for(channel.unary_stream(METHOD)(b"").read(), 20))

    async def scene() -> None:
        (door,) = build_grpc_doors(config, share(config, build_node(config)))
        await door.listener.start("127.0.0.1", 0)
        address = f"127.0.0.1:{door.listener.port}"
        trusting = grpc.ssl_channel_credentials(authority.cert_pem.bytes())
        assert (await first_push(grpc.aio.secure_channel(address, trusting))).connect.client
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await first_push(grpc.aio.insecure_channel(address))
        assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
        await door.listener.stop(0)

    asyncio.run(scene())
