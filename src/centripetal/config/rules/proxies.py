"""Rules of proxies, of what refers to them, and of RPC."""

from __future__ import annotations

from centripetal.outbound.client import parse_url
from centripetal.proxies.answers import DISCONNECT_CODES, ERROR_CODES
from centripetal.proxies.settings import GRPC_SCHEME, ProxySettings, is_http

from ..errors import ConfigError
from ..schema import Config
from ..values import show
from .names import check_names

DEFAULT_PROXY = "default"
_MAX_TEXT = 123  # what fits into the close frame of a WebSocket


def check_proxies(config: Config) -> None:
    """Checks `proxies` and `client.proxy`.

    Raises:
        ConfigError: a rule is broken.
    """
    for name, proxy in (("connect", config.client.proxy.connect), ("refresh", config.client.proxy.refresh)):
        if proxy.enabled:
            check_proxy(f"client.proxy.{name}", proxy)
    for index, named in enumerate(config.proxies):
        if named.name == DEFAULT_PROXY:
            raise ConfigError(f'proxies[{index}].name: "{DEFAULT_PROXY}" is reserved')
    check_names("proxies", (named.name for named in config.proxies))
    for index, named in enumerate(config.proxies):
        check_proxy(f"proxies[{index}]", named)


def check_proxy(path: str, proxy: ProxySettings) -> None:
    """Checks a proxy that is in use.

    Raises:
        ConfigError: a rule is broken.
    """
    if not proxy.endpoint:
        raise ConfigError(f"{path}.endpoint: is empty; the proxy is enabled and needs the address of the backend")
    if proxy.timeout <= 0:
        raise ConfigError(f"{path}.timeout: must be greater than zero")
    _check_endpoint(path, proxy)
    for index, transform in enumerate(proxy.http.status_to_code_transforms):
        item = f"{path}.http.status_to_code_transforms[{index}]"
        if not transform.status_code:
            raise ConfigError(f"{item}.status_code: is missing; it is the HTTP status to match")
        if bool(transform.to_error.code) == bool(transform.to_disconnect.code):
            raise ConfigError(f"{item}: needs exactly one of to_error.code and to_disconnect.code")
        if transform.to_error.code and transform.to_error.code not in ERROR_CODES:
            raise ConfigError(f"{item}.to_error.code: {transform.to_error.code} is not in 100–4999")
        if transform.to_disconnect.code and transform.to_disconnect.code not in DISCONNECT_CODES:
            raise ConfigError(f"{item}.to_disconnect.code: {transform.to_disconnect.code} is not in 3000–4999")
        texts = {"to_error.message": transform.to_error.message, "to_disconnect.reason": transform.to_disconnect.reason}
        for name, text in texts.items():
            if not text.isascii() or len(text) > _MAX_TEXT:
                raise ConfigError(f"{item}.{name}: {show(text)} is not ASCII of at most {_MAX_TEXT} bytes")


def _check_endpoint(path: str, proxy: ProxySettings) -> None:
    if is_http(proxy.endpoint):
        try:
            parse_url(proxy.endpoint)
        except ValueError as error:
            raise ConfigError(f"{path}.endpoint: {error}") from None
        return
    if not proxy.endpoint.removeprefix(GRPC_SCHEME).rstrip("/"):
        raise ConfigError(f"{path}.endpoint: {show(proxy.endpoint)} names no host")
    if proxy.grpc.tls.enabled and proxy.grpc.tls.insecure_skip_verify:
        raise ConfigError(
            f"{path}.grpc.tls.insecure_skip_verify: true cannot be used, as certificates are always checked over gRPC; "
            "give server_ca_pem"
        )


def check_reference(config: Config, option: str, name: str, default: str, *, enabled: bool) -> None:
    """Checks an option that names a proxy.

    Args:
        option: path of the option.
        name: the proxy's name; empty counts as "default".
        default: path of the proxy that "default" stands for.
        enabled: whether the proxy is used; if so, its own rules count too.

    Raises:
        ConfigError: a rule is broken.
    """
    if name and name != DEFAULT_PROXY:
        if all(named.name != name for named in config.proxies):
            raise ConfigError(f"{option}: there is no proxy {show(name)} in proxies")
        return
    if enabled:
        proxy: object = config
        for part in default.split("."):
            proxy = getattr(proxy, part)
        assert isinstance(proxy, ProxySettings)
        check_proxy(default, proxy)


def check_rpc(config: Config) -> None:
    """Checks `rpc`.

    Raises:
        ConfigError: a rule is broken.
    """
    options = config.rpc.without_namespace
    path = "rpc.without_namespace.proxy_name"
    check_reference(config, path, options.proxy_name, "rpc.proxy", enabled=options.proxy_enabled)
    check_names("rpc.namespaces", (namespace.name for namespace in config.rpc.namespaces))
    for index, namespace in enumerate(config.rpc.namespaces):
        path = f"rpc.namespaces[{index}].proxy_name"
        check_reference(config, path, namespace.proxy_name, "rpc.proxy", enabled=namespace.proxy_enabled)
