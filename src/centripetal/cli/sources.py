"""Where commands other than the server's get their configuration from."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import click

from centripetal.config.loading import LoadedConfig, load

DEFAULT_FILE = "config.json"


def config_option(text: str = "Configuration file.") -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Returns the option -c/--config."""
    return click.option("-c", "--config", default=DEFAULT_FILE, show_default=True, metavar="FILE", help=text)


def load_config(path: str) -> LoadedConfig:
    """Reads a configuration from a file, which need not exist, and the environment.

    Raises:
        ConfigError: it cannot be read.
    """
    return load(path, environ=os.environ)
