"""Names of list items."""

from __future__ import annotations

import re
from collections.abc import Iterable

from ..errors import ConfigError
from ..values import show

NAME = re.compile(r"[-a-zA-Z0-9_.]{2,}")
CONSUMER_NAME = re.compile(r"[a-zA-Z0-9_]{2,}")


def check_names(path: str, names: Iterable[str], pattern: re.Pattern[str] = NAME) -> None:
    """Checks that names have the right form and none comes twice.

    Raises:
        ConfigError: one has not, or does.
    """
    seen: set[str] = set()
    for index, name in enumerate(names):
        option = f"{path}[{index}].name"
        if not pattern.fullmatch(name):
            raise ConfigError(f"{option}: {show(name)} does not match {pattern.pattern}")
        if name in seen:
            raise ConfigError(f"{option}: {show(name)} is there twice; names in {path} are unique")
        seen.add(name)
