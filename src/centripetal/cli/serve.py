"""The server, and a server of static files for development."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from centripetal.config.environment import read_dotenv
from centripetal.config.errors import ConfigError
from centripetal.config.loading import LoadedConfig, load

from .flags import add_option_flags, complete_switches, take_flags
from .sources import DEFAULT_FILE

MAX_DOTENV_BYTES = 1024 * 1024


class ServeCommand(click.Command):
    """A command whose switches may stand without a value."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parses the flags."""
        return super().parse_args(ctx, complete_switches(args))


@click.command(cls=ServeCommand)
@add_option_flags
@click.option("--dev", is_flag=True, help="Development mode: needs no configuration, shows a page at /.")
@click.option("-d", "--dir", "directory", metavar="DIRECTORY", help="Serve the files of this directory: with --dev as pages at /, otherwise nothing else.")
def serve(directory: str | None, dev: bool, **parameters: Any) -> int:
    """Runs the server.

    `centripetal serve -c FILE` is the same as `centripetal -c FILE`. With --dir it is no such server but one of static
    files, for trying things out; then --port (3000) and --address say where. With --dev and --dir it is both.
    """
    if directory is not None and not dev:
        if parameters["config"] is not None:
            raise click.UsageError("--dir serves static files; it goes together with --config only in --dev")
        flags = take_flags(parameters)
        from .static import serve_directory

        port, address = flags.get("http_server.port", "3000"), flags.get("http_server.address", "")
        return serve_directory(directory, str(address), str(port))
    return run_server(parameters, dev=dev, directory=directory)


def run_server(parameters: dict[str, Any], *, dev: bool = False, directory: str | None = None) -> int:
    """Reads the configuration, checks it and runs the server until it is stopped.

    Args:
        parameters: of the command: `config` and the option flags.
        dev: run the development mode, for which a file is read only if one is named.
        directory: of pages that the development mode serves.

    Returns:
        The exit status.

    Raises:
        ConfigError: the configuration cannot be used.
    """
    flags = take_flags(parameters)
    path = parameters["config"] or (None if dev else DEFAULT_FILE)
    environ = {**read_dotenv_file(), **os.environ}

    def read() -> LoadedConfig:
        return read_startable(path, environ, flags)

    loaded = read()
    if dev:
        from centripetal.server.development import serve_development

        return serve_development(loaded, directory)
    from centripetal.server.run import serve as serve_configured

    return serve_configured(loaded, read)


def read_startable(path: str | None, environ: Mapping[str, str], flags: Mapping[str, object]) -> LoadedConfig:
    """Reads a configuration that a server can start with.

    Raises:
        ConfigError: it is not valid, or needs what this version does not have.
    """
    from centripetal.config.rules import validate
    from centripetal.config.unbuilt import refuse_unbuilt

    loaded = load(path, environ=environ, flags=flags)
    validate(loaded.config)
    refuse_unbuilt(loaded.config)
    return loaded


def read_dotenv_file() -> dict[str, str]:
    """Returns the variables of `.env` in the working directory; none without that file.

    Raises:
        ConfigError: the file cannot be read.
    """
    try:
        with Path(".env").open("rb") as file:
            content = file.read(MAX_DOTENV_BYTES + 1)
        if len(content) > MAX_DOTENV_BYTES:
            raise ConfigError(f".env: has more than {MAX_DOTENV_BYTES} bytes")
        return read_dotenv(content.decode("utf-8-sig"))
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f".env: cannot be read: {error}") from error
