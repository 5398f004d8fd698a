"""TLS of calls to backends (`http.tls` and `grpc.tls` of a proxy)."""

from __future__ import annotations

import ssl
from typing import Any

import msgspec

from ..model.certificates import pem_of
from ..model.tls import TlsSettings
from ..outbound import tls as outbound
from .settings import ProxySettings

_PEM_OPTIONS = ("cert_pem", "key_pem", "server_ca_pem")


def with_pem_texts(settings: ProxySettings) -> ProxySettings:
    """Returns the settings with the certificates themselves, read from where the options say.

    Raises:
        ValueError: one cannot be read; the text begins with the option.
    """
    kinds: dict[str, Any] = {}
    for kind in ("http", "grpc"):
        section = getattr(settings, kind)
        if section.tls.enabled:
            try:
                texts = {option: pem_of(section.tls, option) for option in _PEM_OPTIONS}
            except ValueError as error:
                raise ValueError(f"{kind}.tls.{error}") from None
            kinds[kind] = msgspec.structs.replace(section, tls=msgspec.structs.replace(section.tls, **texts))
    return msgspec.structs.replace(settings, **kinds) if kinds else settings


def client_context(tls: TlsSettings) -> ssl.SSLContext:
    """Returns the context of HTTP calls.

    Args:
        tls: enabled; its PEM options are texts by now.

    Raises:
        ValueError: a certificate or key cannot be used; the text begins with the option.
    """
    try:
        return outbound.client_context(tls)
    except ValueError as error:
        raise ValueError(f"http.tls.{error}") from None
