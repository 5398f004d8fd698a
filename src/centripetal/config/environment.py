"""Options in environment variables."""

from __future__ import annotations

import re
from collections.abc import Mapping

from .errors import ConfigError

PREFIXES = ("CENTRIPETAL_", "CENTRIFUGO_")
"""Accepted prefixes; the first wins."""

_CUSTOM = re.compile(r"\$\{(?:CENTRIPETAL|CENTRIFUGO)_VAR_([^}]+)\}")
_KUBERNETES = re.compile(r"(?:CENTRIPETAL|CENTRIFUGO)(?:_[A-Z0-9_]+)?_(?:PORT|SERVICE_)")


class Environment:
    """Environment variables with our prefixes. Remembers which were asked for, so that others can be reported."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        self._variables = {name: value for name, value in variables.items() if name.startswith(PREFIXES)}
        self._known: set[str] = set()

    def find(self, variable: str) -> tuple[str, str] | None:
        """Returns name and text of a variable given without prefix; None if it is not set or empty."""
        found = None
        for prefix in PREFIXES:
            name = prefix + variable
            text = self._variables.get(name)
            if text is not None:
                self._known.add(name)
                if text and found is None:
                    found = name, text
        return found

    def substitute(self, text: str, where: str) -> str:
        """Replaces `${CENTRIPETAL_VAR_NAME}` and `${CENTRIFUGO_VAR_NAME}` by the variable of that name.

        Raises:
            ConfigError: there is no such variable.
        """

        def value(match: re.Match[str]) -> str:
            for prefix in PREFIXES:
                replacement = self._variables.get(f"{prefix}VAR_{match[1]}")
                if replacement is not None:
                    return replacement
            raise ConfigError(f"{where}: there is no environment variable for {match[0]}")

        return _CUSTOM.sub(value, text)

    def unknown(self) -> tuple[str, ...]:
        """Returns names with our prefix that no option asked for, sorted; Kubernetes' own and `_VAR_` names are fine."""
        return tuple(
            name
            for name in sorted(self._variables)
            if name not in self._known
            and not name.startswith(tuple(prefix + "VAR_" for prefix in PREFIXES))
            and not _KUBERNETES.match(name)
        )


def join_variable(variable: str, name: str) -> str:
    """Returns the variable, without prefix, of an option or list item `name` inside what `variable` stands for."""
    name = name.upper().replace(".", "_").replace("-", "_")
    return f"{variable}_{name}" if variable else name


def read_dotenv(text: str) -> dict[str, str]:
    """Reads the lines NAME=value of a `.env` file; quotes, comments and `export` are understood.

    Raises:
        ConfigError: a line has another form.
    """
    variables: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        name, equals, value = line.removeprefix("export ").partition("=")
        name = name.strip()
        if not equals or not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_.]*", name):
            raise ConfigError(f".env, line {number}: not of the form NAME=value")
        variables[name] = _unquoted(value.strip(), number)
    return variables


def _unquoted(value: str, number: int) -> str:
    quote = value[:1]
    if quote not in ("'", '"'):
        return re.split(r"\s#", value, maxsplit=1)[0].rstrip()
    pattern = r"'([^']*)'\s*(?:#.*)?" if quote == "'" else r'"((?:[^"\\]|\\.)*)"\s*(?:#.*)?'
    match = re.fullmatch(pattern, value)
    if match is None:
        raise ConfigError(f".env, line {number}: a quote is not closed")
    if quote == "'":
        return match[1]
    escapes = {"n": "\n", "r": "\r", "t": "\t"}
    return re.sub(r"\\(.)", lambda escape: escapes.get(escape[1], escape[1]), match[1])
