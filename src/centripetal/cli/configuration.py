"""Commands that check and write configurations."""

from __future__ import annotations

import os
import secrets
from typing import Any

import click

from centripetal.config.errors import ConfigError
from centripetal.config.files import format_of, render
from centripetal.config.loading import load, load_given
from centripetal.config.output import to_object, to_variables
from centripetal.config.rules import validate

from .sources import config_option

KEY_BYTES = 64
PASSWORD_BYTES = 16


@click.command()
@config_option()
@click.option("-s", "--strict", is_flag=True, help="Refuse keys in the file that are no options.")
def checkconfig(config: str, strict: bool) -> None:
    """Checks a configuration file; says nothing when it is valid."""
    loaded = load(config, environ=os.environ)
    if not loaded.file_found:
        raise ConfigError(f"{config}: there is no such file")
    if strict and loaded.unknown_keys:
        raise ConfigError(f"unknown keys in config: {', '.join(loaded.unknown_keys)}")
    validate(loaded.config)


@click.command()
@config_option("File to write; it must not exist.")
def genconfig(config: str) -> None:
    """Writes a small configuration file with fresh random keys."""
    content = {
        "client": {"token": {"hmac_secret_key": secrets.token_urlsafe(KEY_BYTES)}, "allowed_origins": []},
        "admin": {
            "enabled": False,
            "password": secrets.token_urlsafe(PASSWORD_BYTES),
            "secret": secrets.token_urlsafe(KEY_BYTES),
        },
        "http_api": {"key": secrets.token_urlsafe(KEY_BYTES)},
    }
    _write_new(config, content)


@click.command()
@config_option("File to write; it must not exist.")
@click.option("-b", "--base", default="", metavar="FILE", help="Configuration file whose values to keep.")
@click.option("-d", "--dry-run", is_flag=True, help="Print instead of writing.")
def defaultconfig(config: str, base: str, dry_run: bool) -> None:
    """Writes a configuration file with every option."""
    kind = format_of(config)
    loaded = load(base or None, environ={})
    if base and not loaded.file_found:
        raise ConfigError(f"{base}: there is no such file")
    content = to_object(loaded.config)
    if dry_run:
        click.echo(render(content, kind), nl=False)
    else:
        _write_new(config, content)


@click.command()
@click.option("-b", "--base", default="", metavar="FILE", help="Configuration file whose values to print.")
@click.option("--base-non-zero-only", is_flag=True, help="Print only what the base file sets.")
@click.option(
    "--prefix",
    type=click.Choice(["CENTRIFUGO", "CENTRIPETAL"]),
    default="CENTRIFUGO",
    show_default=True,
    help="Which of the two accepted prefixes the names get.",
)
def defaultenv(base: str, base_non_zero_only: bool, prefix: str) -> None:
    """Prints every option as an environment variable."""
    if base_non_zero_only and not base:
        raise click.UsageError("--base-non-zero-only needs --base")
    given = load_given(base) if base else None
    if base and given is None:
        raise ConfigError(f"{base}: there is no such file")
    loaded = load(base or None, environ={})
    lines = to_variables(loaded.config, prefix=f"{prefix}_", given=given if base_non_zero_only else None)
    click.echo("\n".join(lines))


def _write_new(path: str, content: dict[str, Any]) -> None:
    text = render(content, format_of(path))
    try:
        # Exclusive, and private from the first moment: the file holds keys.
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise ConfigError(f"{path}: exists already and is left as it is") from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be written: {error.strerror}") from error
    with open(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
