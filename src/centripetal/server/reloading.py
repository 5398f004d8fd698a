"""A configuration that is read again while the server runs."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from ..config import Config, LoadedConfig, validate
from ..config.changes import merge
from ..config.unbuilt import refuse_unbuilt


def read_again(running: Config, reload: Callable[[], LoadedConfig]) -> tuple[LoadedConfig, list[str], list[str]]:
    """Reads the configuration and takes of it what can be applied to a running server.

    Args:
        running: by what the server runs.
        reload: reads it.

    Returns:
        What to go on with; the paths of the options that change; those that wait for a restart.

    Raises:
        ConfigError: it has a mistake.
        OSError: it cannot be read.
    """
    loaded = reload()
    validate(loaded.config)
    refuse_unbuilt(loaded.config)
    config, applied, waiting = merge(running, loaded.config)
    return msgspec.structs.replace(loaded, config=config), applied, waiting
