"""What goes wrong with a configuration."""

from __future__ import annotations


class ConfigError(Exception):
    """A configuration that cannot be used. The text is one line that names the option, its value and what is right."""

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(message.split()))
