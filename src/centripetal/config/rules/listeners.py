"""Rules of ports, TLS and URL paths."""

from __future__ import annotations

from collections.abc import Iterator

from centripetal.model.certificates import pem_of, read_certificates
from centripetal.model.tls import TlsSettings
from centripetal.transports.addresses import split_address
from centripetal.transports.autocert.names import host_name
from centripetal.transports.settings import HttpServerSettings
from centripetal.transports.tls import server_context

from ..errors import ConfigError
from ..schema import Config
from ..values import show

MAX_WORKERS = 256
_MAX_PORT = 65535
_DEFLATE_LEVELS = range(1, 10)


def check_listeners(config: Config) -> None:
    """Checks `http_server`, `grpc_api`, `uni_grpc` and the transports' own options.

    Raises:
        ConfigError: a rule is broken.
    """
    server = config.http_server
    _check_port("http_server.port", server.port)
    internal_port = _internal_port(config)
    if config.grpc_api.enabled:
        _check_port("grpc_api.port", config.grpc_api.port)
        check_tls("grpc_api.tls", config.grpc_api.tls)
    if config.uni_grpc.enabled:
        _check_port("uni_grpc.port", config.uni_grpc.port)
        check_tls("uni_grpc.tls", config.uni_grpc.tls)
    if server.h2c_external and internal_port == server.port:
        raise ConfigError("http_server.h2c_external: needs an http_server.internal_port of its own")
    for section in ("tls", "tls_autocert"):
        if server.h2c_external and getattr(server, section).enabled:
            raise ConfigError(f"http_server.h2c_external: cannot go together with http_server.{section}.enabled")
    check_tls("http_server.tls", server.tls)
    check_tls("http_server.internal_tls", server.internal_tls)
    if server.tls_autocert.enabled:
        _check_autocert(server)
    if server.http3.enabled and not server.tls.enabled:
        raise ConfigError("http_server.http3.enabled: needs http_server.tls.enabled, and no tls_autocert")
    if server.http3.enabled and server.tls_autocert.enabled:
        raise ConfigError("http_server.http3.enabled: cannot go together with http_server.tls_autocert.enabled")
    if server.http3.enabled and server.tls.client_ca_pem:
        # QUIC's TLS here cannot ask for client certificates, and must not let in who has none.
        raise ConfigError("http_server.http3.enabled: cannot go together with http_server.tls.client_ca_pem")
    if config.webtransport.enabled and not server.http3.enabled:
        raise ConfigError("webtransport.enabled: needs http_server.http3.enabled")
    for name, transport in (("websocket", config.websocket), ("uni_websocket", config.uni_websocket)):
        if transport.compression_level not in _DEFLATE_LEVELS:
            raise ConfigError(f"{name}.compression_level: {transport.compression_level} is not a level from 1 to 9")
    _check_paths(config, same_listener=not server.has_internal_listener)
    _check_responses(config)
    if config.shutdown.timeout < 0:
        raise ConfigError("shutdown.timeout: must not be negative")
    drain, limit = config.shutdown.drain_time, config.shutdown.timeout
    if drain < 0 or (drain and drain >= limit):
        raise ConfigError(f"shutdown.drain_time: {drain:g}s must be less than shutdown.timeout ({limit:g}s), and not negative")
    _check_workers(config)


def _check_workers(config: Config) -> None:
    text = config.workers
    if text != "auto" and not (text.isascii() and text.isdigit() and 0 < int(text[:5]) <= MAX_WORKERS and len(text) < 5):
        raise ConfigError(f"workers: {show(text)} is neither auto nor a number from 1 to {MAX_WORKERS}")


def _check_port(option: str, port: int) -> None:
    if not 0 < port <= _MAX_PORT:
        raise ConfigError(f"{option}: {port} is not a port from 1 to {_MAX_PORT}")


def _internal_port(config: Config) -> int:
    text = config.http_server.internal_port
    if not text:
        return config.http_server.port
    if not (text.isascii() and text.isdigit() and len(text) <= 5 and 0 < int(text) <= _MAX_PORT):
        raise ConfigError(f"http_server.internal_port: {show(text)} is not a port from 1 to {_MAX_PORT}")
    return int(text)


def check_tls(path: str, tls: TlsSettings) -> None:
    """Checks the TLS of a listener: certificate and key are there and belong together, and everything given can be read.

    Raises:
        ConfigError: a rule is broken.
    """
    if not tls.enabled:
        return
    for name in ("cert_pem", "key_pem"):
        if not getattr(tls, name):
            raise ConfigError(f"{path}.{name}: is empty; TLS of a listener needs certificate and key")
    try:
        pem_of(tls, "server_ca_pem")
        server_context(read_certificates(tls))
    except ValueError as error:
        raise ConfigError(f"{path}.{error}") from error


def _check_autocert(server: HttpServerSettings) -> None:
    settings = server.tls_autocert
    path = "http_server.tls_autocert"
    names = set()
    for index, name in enumerate(settings.host_whitelist):
        try:
            names.add(host_name(name))
        except ValueError as error:
            raise ConfigError(f"{path}.host_whitelist[{index}]: {show(name)} {error}") from error
    if settings.server_name:
        try:
            name = host_name(settings.server_name)
        except ValueError as error:
            raise ConfigError(f"{path}.server_name: {show(settings.server_name)} {error}") from error
        if names and name not in names:
            raise ConfigError(f"{path}.server_name: {show(settings.server_name)} is not in host_whitelist")
    if settings.http:
        try:
            place = split_address(settings.http_addr)
        except ValueError as error:
            raise ConfigError(f"{path}.http_addr: {show(settings.http_addr)} {error}") from error
        if place in ((server.address, server.port), server.internal_place):
            raise ConfigError(f"{path}.http_addr: {show(settings.http_addr)} is where the server itself listens")


def _check_paths(config: Config, *, same_listener: bool) -> None:
    groups = (
        [[*_external(config), *_internal(config)]] if same_listener else [[*_external(config)], [*_internal(config)]]
    )
    for group in groups:
        owners: dict[str, str] = {}
        for section, prefix in group:
            option = f"{section}.handler_prefix"
            if prefix and not prefix.startswith("/"):
                raise ConfigError(f"{option}: {show(prefix)} does not begin with /")
            other = owners.setdefault(prefix.rstrip("/"), option)
            if other != option:
                raise ConfigError(f"{option}: {show(prefix)} is the path of {other} already")


def _external(config: Config) -> Iterator[tuple[str, str]]:
    if not config.websocket.disabled:
        yield "websocket", config.websocket.handler_prefix
    if config.sse.enabled or config.http_stream.enabled:
        yield "emulation", config.emulation.handler_prefix
    for name in ("sse", "http_stream", "webtransport", "uni_sse", "uni_http_stream", "uni_websocket", "init"):
        section = getattr(config, name)
        if section.enabled:
            yield name, section.handler_prefix
    if config.http_api.external and not config.http_api.disabled:
        yield "http_api", config.http_api.handler_prefix
    if config.admin.enabled and config.admin.external:
        yield "admin", config.admin.handler_prefix


def _internal(config: Config) -> Iterator[tuple[str, str]]:
    if not config.http_api.external and not config.http_api.disabled:
        yield "http_api", config.http_api.handler_prefix
    if config.admin.enabled and not config.admin.external:
        yield "admin", config.admin.handler_prefix
    for name in ("prometheus", "health", "swagger", "debug"):
        section = getattr(config, name)
        if section.enabled:
            yield name, section.handler_prefix


def _check_responses(config: Config) -> None:
    for name, transport in (("uni_sse", config.uni_sse), ("uni_http_stream", config.uni_http_stream)):
        for index, transform in enumerate(transport.connect_code_to_http_response.transforms):
            path = f"{name}.connect_code_to_http_response.transforms[{index}]"
            if not transform.code:
                raise ConfigError(f"{path}.code: is missing; it is the error or disconnect code to match")
            if not transform.to.status_code:
                raise ConfigError(f"{path}.to.status_code: is missing; it is the HTTP status to answer")
