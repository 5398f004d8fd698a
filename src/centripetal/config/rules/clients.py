"""Rules of connections: origins, tokens, pings, personal channels."""

from __future__ import annotations

import re

from centripetal.model.duration import format_duration
from centripetal.transports.origins import Origins

from ..errors import ConfigError
from ..schema import Config
from ..values import show

_CLAIM = re.compile(r"[a-zA-Z_]+")


class _Epoch:
    """A clock for parsing keys, which needs no time."""

    def time(self) -> float:
        return 0.0

    def monotonic(self) -> float:
        return 0.0


def check_clients(config: Config) -> None:
    """Checks `client` apart from its proxies.

    Raises:
        ConfigError: a rule is broken.
    """
    client = config.client
    if client.ping_interval <= client.pong_timeout:
        raise ConfigError(
            f"client.ping_interval: {format_duration(client.ping_interval)} is not greater than "
            f"client.pong_timeout ({format_duration(client.pong_timeout)})"
        )
    if client.presence_update_interval < 0:
        raise ConfigError("client.presence_update_interval: must not be negative")
    _check_origins(client.allowed_origins)
    _check_tokens(config)
    _check_personal_channel(config)
    for index, transform in enumerate(client.connect_code_to_unidirectional_disconnect.transforms):
        path = f"client.connect_code_to_unidirectional_disconnect.transforms[{index}]"
        if not transform.code:
            raise ConfigError(f"{path}.code: is missing; it is the connect error to match")
        if not transform.to.code:
            raise ConfigError(f"{path}.to.code: is missing; it is the disconnect code to use")
        if not transform.to.reason.isascii():
            raise ConfigError(f"{path}.to.reason: {show(transform.to.reason)} is not ASCII")


def _check_origins(patterns: tuple[str, ...]) -> None:
    for index, pattern in enumerate(patterns):
        try:
            Origins((pattern,))
        except ValueError as error:
            raise ConfigError(f"client.allowed_origins[{index}]: {show(pattern)} is not a pattern: {error}") from error


def _check_tokens(config: Config) -> None:
    client = config.client
    sections = [("client.token", client.token)]
    if client.subscription_token.enabled:
        sections.append(("client.subscription_token", client.subscription_token))
    for path, token in sections:
        if token.user_id_claim and not _CLAIM.fullmatch(token.user_id_claim):
            raise ConfigError(f"{path}.user_id_claim: {show(token.user_id_claim)} does not match {_CLAIM.pattern}")
        for name in ("audience", "issuer"):
            if getattr(token, name) and getattr(token, f"{name}_regex"):
                raise ConfigError(f"{path}.{name}_regex: cannot go together with {path}.{name}")
    names = ("rsa_public_key", "ecdsa_public_key", "audience_regex", "issuer_regex", "jwks_public_endpoint")
    if not any(getattr(token, name) for _, token in sections for name in names):
        return
    from centripetal.auth import JwtVerifier, KeySets, TokenSettingsError
    from centripetal.outbound import HttpClient

    clock = _Epoch()
    try:
        # Nothing is opened or fetched by that; whether keys can be fetched is for a token to find out.
        key_sets = KeySets(HttpClient(), clock)
        JwtVerifier(client.token, client.subscription_token, clock=clock, key_sets=key_sets)
    except TokenSettingsError as error:
        raise ConfigError(str(error)) from error


def _check_personal_channel(config: Config) -> None:
    personal = config.client.subscribe_to_user_personal_channel
    if not personal.enabled:
        return
    name = personal.personal_channel_namespace
    path = "client.subscribe_to_user_personal_channel"
    options = next((item for item in config.channel.namespaces if item.name == name), None)
    if name and options is None:
        raise ConfigError(f"{path}.personal_channel_namespace: there is no namespace {show(name)}")
    presence = options.presence if options is not None else config.channel.without_namespace.presence
    if personal.single_connection and not presence:
        where = f"namespace {show(name)}" if name else "channel.without_namespace"
        raise ConfigError(f"{path}.single_connection: needs presence in {where}")
