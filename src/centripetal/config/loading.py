"""Builds a configuration from a file, the environment and flags."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from .environment import Environment, join_variable
from .errors import ConfigError
from .files import read_file
from .options import NAMED_LISTS, Option, join, options_of
from .schema import Config
from .values import MAX_LIST_ITEMS, read_text, read_value, show


class LoadedConfig(Struct, frozen=True, kw_only=True):
    """A configuration and what is worth telling about its sources.

    Attributes:
        config: the options.
        path: the file asked for; None without one.
        file_found: whether there is such a file.
        unknown_keys: dotted paths of keys in the file that are no options.
        unknown_environment: variables with our prefix that belong to no option.
    """

    config: Config
    path: str | None = None
    file_found: bool = False
    unknown_keys: tuple[str, ...] = ()
    unknown_environment: tuple[str, ...] = ()


def load(path: str | None, *, environ: Mapping[str, str], flags: Mapping[str, object] | None = None) -> LoadedConfig:
    """Reads a configuration. A flag beats the environment, which beats the file, which beats the default.

    A zero value (0, "", false, an empty list) of an option that has a default means the default. Whether options fit
    together is validate()'s to say.

    Args:
        path: a file ending in .json, .yaml, .yml or .toml; it need not exist. None for no file.
        environ: environment variables; those beginning with CENTRIPETAL_ or CENTRIFUGO_ count.
        flags: values by dotted path, such as {"http_server.port": "8000"}.

    Raises:
        ConfigError: the file cannot be read, or a value is not of its option's kind.
    """
    content = None if path is None else read_file(path)
    environment = Environment(environ)
    reader = _Reader(environment, flags or {})
    config = reader.section(Config, content or {}, "", "")
    assert isinstance(config, Config)
    return LoadedConfig(
        config=config,
        path=path,
        file_found=content is not None,
        unknown_keys=tuple(reader.unknown_keys),
        unknown_environment=environment.unknown(),
    )


def load_given(path: str) -> Config | None:
    """Returns only what a file says: options that it leaves out are zero, not their default. None without the file.

    Raises:
        ConfigError: as load().
    """
    content = read_file(path)
    if content is None:
        return None
    config = _Reader(Environment({}), {}, defaults=False).section(Config, content, "", "")
    assert isinstance(config, Config)
    return config


class _Reader:
    def __init__(self, environment: Environment, flags: Mapping[str, object], *, defaults: bool = True) -> None:
        self._environment = environment
        self._flags = flags
        self._defaults = defaults
        self.unknown_keys: list[str] = []

    def section(self, kind: type[Struct], raw: Mapping[str, Any], path: str, variable: str | None) -> Struct:
        given = self._given(kind, raw, path)
        values: dict[str, Any] = {}
        for option in options_of(kind):
            option_path = join(path, option.name)
            option_variable = None if variable is None else join_variable(variable, option.name)
            item = given.get(option.name)
            if option.kind == "section" and option.section is not None:
                group = self._group(item, option_path)
                values[option.name] = self.section(option.section, group, option_path, option_variable)
            elif option.kind == "sections" and option.section is not None:
                values[option.name] = self._items(option.section, item, option_path, option_variable)
            else:
                values[option.name] = self._value(option, item, option_path, option_variable)
        return kind(**values)

    def _given(self, kind: type[Struct], raw: Mapping[str, Any], path: str) -> dict[str, Any]:
        kinds = {option.name: option.kind for option in options_of(kind)}
        given: dict[str, Any] = {}
        dotted: dict[str, dict[str, Any]] = {}
        for key, value in raw.items():
            name, _, rest = str(key).lower().partition(".")
            if rest and kinds.get(name) == "section":
                dotted.setdefault(name, {})[str(key)[len(name) + 1 :]] = value
            elif rest or name not in kinds:
                self.unknown_keys.append(join(path, str(key)))
            elif name in given:
                raise ConfigError(f"{join(path, name)}: is given twice, in different case")
            else:
                given[name] = value
        for name, values in dotted.items():
            group = self._group(given.get(name), join(path, name))
            for rest in values.keys() & group.keys():
                raise ConfigError(f"{join(path, name)}.{rest}: is given twice, once with a dot in the key")
            given[name] = {**group, **values}
        return given

    def _group(self, raw: object, path: str) -> Mapping[str, Any]:
        if raw is None or raw == "":
            return {}
        if not isinstance(raw, Mapping):
            raise ConfigError(f"{path}: {_kind_of(raw)} is not a group of options (an object)")
        return raw

    def _value(self, option: Option, raw: object, path: str, variable: str | None) -> Any:
        found = None if variable is None else self._environment.find(variable)
        flag = self._flags.get(path)
        if flag is not None:
            where = f"--{path}"
            value = read_text(option, flag, where) if isinstance(flag, str) else read_value(option, flag, where)
        elif found is not None:
            value = read_text(option, found[1], found[0])
        elif raw is not None:
            value = read_value(option, raw, path)
        elif self._defaults:
            return option.default
        else:
            return type(option.default)()
        if not value and self._defaults:
            return option.default
        if option.kind == "map" and self._defaults:
            value = {key: self._environment.substitute(text, path) for key, text in value.items()}
        return value

    def _items(self, kind: type[Struct], raw: object, path: str, variable: str | None) -> tuple[Struct, ...]:
        found = None if variable is None else self._environment.find(variable)
        where = path
        if found is not None:
            where, raw = found[0], _items_of_text(found[1], found[0], named=path in NAMED_LISTS)
        if raw is None or raw == "" or raw == {}:
            return ()
        if isinstance(raw, Mapping):
            raw = [raw]
        if not isinstance(raw, list):
            raise ConfigError(f"{where}: {_kind_of(raw)} is not a list of objects")
        if len(raw) > MAX_LIST_ITEMS:
            raise ConfigError(f"{where}: a list has at most {MAX_LIST_ITEMS} items")
        return tuple(self._item(kind, item, index, path, variable) for index, item in enumerate(raw))

    def _item(self, kind: type[Struct], raw: object, index: int, path: str, variable: str | None) -> Struct:
        item_path = f"{path}[{index}]"
        group = self._group(raw, item_path)
        item_variable = None
        if path in NAMED_LISTS and variable is not None:
            name = next((value for key, value in group.items() if str(key).lower() == "name"), "")
            if isinstance(name, str) and name:
                item_variable = join_variable(variable, name)
        return self.section(kind, group, item_path, item_variable)


def _items_of_text(text: str, where: str, *, named: bool) -> object:
    if not text.lstrip().startswith("["):
        if named:
            return [{"name": name} for name in text.split()]
        raise ConfigError(f"{where}: {show(text)} is not a JSON array")
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{where}: is not a JSON array: {error}") from error


def _kind_of(raw: object) -> str:
    names = {bool: "a boolean", int: "a number", float: "a number", str: "a text", list: "a list", dict: "an object"}
    return names.get(type(raw), f"a {type(raw).__name__}")
