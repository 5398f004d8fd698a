"""TLS of calls to backends (`http.tls` and `grpc.tls` of a proxy)."""

from __future__ import annotations

from typing import Any

import msgspec

from ..model.certificates import pem_of
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
