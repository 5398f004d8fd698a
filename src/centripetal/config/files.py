"""Configuration files: JSON, YAML and TOML, told apart by their ending."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

from .errors import ConfigError

FORMATS = {".json": "json", ".yaml": "yaml", ".yml": "yaml", ".toml": "toml"}
MAX_FILE_BYTES = 16 * 1024 * 1024


def format_of(path: str) -> str:
    """Returns "json", "yaml" or "toml".

    Raises:
        ConfigError: the file's name has another ending.
    """
    try:
        return FORMATS[Path(path).suffix.lower()]
    except KeyError:
        raise ConfigError(f"{path}: a configuration file ends in .json, .yaml, .yml or .toml") from None


def read_file(path: str) -> dict[str, Any] | None:
    """Returns the top-level object of a configuration file, or None if there is no such file.

    Raises:
        ConfigError: it cannot be read or parsed.
    """
    kind = format_of(path)
    try:
        with open(path, "rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    if len(content) > MAX_FILE_BYTES:
        raise ConfigError(f"{path}: a configuration file has at most {MAX_FILE_BYTES} bytes")
    try:
        value = parse(content.decode("utf-8-sig"), kind)
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: is not UTF-8 at byte {error.start}") from error
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path}: is not {kind.upper()}: {error}") from error
    if not isinstance(value, dict):
        raise ConfigError(f"{path}: holds no object of options")
    return value


def parse(text: str, kind: str) -> Any:
    """Parses a configuration text of format "json", "yaml" or "toml".

    Raises:
        ValueError: the text is not of that format.
    """
    if kind == "json":
        return json.loads(text)
    if kind == "toml":
        return tomllib.loads(text)
    from .yaml_text import parse_yaml  # not at the top: most files are JSON, and this import is slow

    value = parse_yaml(text)
    return {} if value is None else value


def render(value: dict[str, Any], kind: str) -> str:
    """Writes an object as text of format "json", "yaml" or "toml"."""
    if kind == "json":
        return json.dumps(value, indent=2, ensure_ascii=False) + "\n"
    if kind == "toml":
        import tomli_w

        return tomli_w.dumps(value)
    from .yaml_text import render_yaml

    return render_yaml(value)
