"""The configuration: one typed schema, its sources, its rules."""

from .errors import ConfigError
from .loading import LoadedConfig, load
from .rules import validate
from .schema import Config

__all__ = ["Config", "ConfigError", "LoadedConfig", "load", "validate"]
