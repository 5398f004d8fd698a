"""Commands that make and check JSON Web Tokens."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import click

from centripetal import __version__
from centripetal.auth import (
    JwtVerifier,
    KeySets,
    TokenSettingsError,
    read_payload,
    sign_connection_token,
    sign_subscription_token,
)
from centripetal.config.schema import Config
from centripetal.interfaces.clock import SystemClock
from centripetal.interfaces.tokens import TokenExpired, TokenInvalid
from centripetal.model.duration import format_duration
from centripetal.outbound import HttpClient

from .sources import config_option, load_config

WEEK_SECONDS = 604_800


def _token_options(command: Callable[..., Any]) -> Callable[..., Any]:
    for option in (
        click.option("-q", "--quiet", is_flag=True, help="Print the token and nothing else."),
        click.option(
            "-t", "--ttl", default=WEEK_SECONDS, show_default=True, help="Seconds until it expires; <0 never."
        ),
        click.option("-u", "--user", default="", help="User id; empty for an anonymous user."),
        config_option("Configuration file with the HMAC key."),
    ):
        command = option(command)
    return command


@click.command()
@_token_options
def gentoken(config: str, user: str, ttl: int, quiet: bool) -> None:
    """Makes a connection token with the HMAC key of the configuration."""
    settings = load_config(config).config.client
    try:
        token = sign_connection_token(settings.token, user, ttl, SystemClock())
    except TokenSettingsError as error:
        raise click.ClickException(str(error)) from error
    _print_token(token, f"HMAC SHA-256 JWT for {_named(user)}", ttl, quiet)


@click.command()
@_token_options
@click.option("-s", "--channel", default="", help="Channel that the token opens.")
def gensubtoken(config: str, user: str, channel: str, ttl: int, quiet: bool) -> None:
    """Makes a subscription token with the HMAC key of the configuration."""
    if not channel:
        raise click.UsageError("channel is required: --channel NAME")
    settings = load_config(config).config.client
    try:
        token = sign_subscription_token(settings.token, settings.subscription_token, user, channel, ttl, SystemClock())
    except TokenSettingsError as error:
        raise click.ClickException(str(error)) from error
    _print_token(token, f'HMAC SHA-256 JWT for {_named(user)} and channel "{channel}"', ttl, quiet)


@click.command()
@config_option("Configuration file with the keys.")
@click.argument("token")
def checktoken(config: str, token: str) -> None:
    """Checks a connection token with the keys of the configuration."""
    claims = _verified(load_config(config).config, lambda verifier: verifier.verify_connection(token))
    click.echo(f"valid token for {_named(claims.user)}\npayload: {_payload(token)}")


@click.command()
@config_option("Configuration file with the keys.")
@click.argument("token")
def checksubtoken(config: str, token: str) -> None:
    """Checks a subscription token with the keys of the configuration."""
    claims = _verified(load_config(config).config, lambda verifier: verifier.verify_subscription(token))
    click.echo(f'valid subscription token for {_named(claims.user)} and channel "{claims.channel}"')
    click.echo(f"payload: {_payload(token)}")


def _verified(config: Config, verify: Callable[[JwtVerifier], Any]) -> Any:
    try:
        return asyncio.run(_verify(config, verify))
    except TokenSettingsError as error:
        raise click.ClickException(str(error)) from error
    except TokenExpired:
        raise click.ClickException("token expired") from None
    except TokenInvalid as error:
        raise click.ClickException(f"invalid token: {error}") from error


async def _verify(config: Config, verify: Callable[[JwtVerifier], Any]) -> Any:
    client, clock, outbound = config.client, SystemClock(), HttpClient(f"centripetal/{__version__}")
    try:
        verifier = JwtVerifier(
            client.token,
            client.subscription_token,
            clock=clock,
            insecure_skip_signature_verify=client.insecure_skip_token_signature_verify,
            key_sets=KeySets(outbound, clock),
        )
        return await verify(verifier)
    finally:
        await outbound.close()


def _payload(token: str) -> str:
    return read_payload(token).decode("utf-8", "replace")


def _named(user: str) -> str:
    return f'user "{user}"' if user else "anonymous user"


def _print_token(token: str, text: str, ttl: int, quiet: bool) -> None:
    if quiet:
        click.echo(token, nl=False)
        return
    lifetime = "without expiration" if ttl < 0 else f"with expiration TTL {format_duration(ttl)}"
    click.echo(f"{text} {lifetime}:\n{token}")
