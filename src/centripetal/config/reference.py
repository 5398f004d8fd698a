"""The reference of all options as Markdown: `centripetal configdoc` and docs/configuration.md."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator

from msgspec import Struct

from centripetal.model.duration import format_duration

from .options import NAMED_LISTS, Option, join, options_of
from .schema import Config

INTRODUCTION = """\
Options come from a file, from environment variables and from flags; a flag beats a variable, which beats the file,
which beats the default. This page is made from the program itself by `centripetal configdoc --markdown`.

- **File**: `--config FILE` (`-c`), ending in `.json`, `.yaml`, `.yml` or `.toml`; `config.json` without the flag. The
  server also starts without a file. Keys may be written in any case, and `"client.insecure": true` is the same as
  `"client": {"insecure": true}`. Keys that are no options are reported and otherwise ignored;
  `centripetal checkconfig --strict` refuses them.
- **Environment**: the path of the option in upper case with `_` for dots, after `CENTRIPETAL_`; the prefix `CENTRIFUGO_`
  is accepted too, the first wins. Lists of texts are separated by single spaces, maps and other lists are JSON. Empty
  variables count as not set. The server also reads a file `.env` in its working directory; real variables win over it.
- **Items of named lists** (`channel.namespaces`, `rpc.namespaces`, `proxies`, `consumers`) have variables of their own:
  `CENTRIPETAL_CHANNEL_NAMESPACES="news chat"` makes two namespaces and
  `CENTRIPETAL_CHANNEL_NAMESPACES_NEWS_HISTORY_SIZE=10` sets an option of the first. This also works for items of the
  file. In names, `.` and `-` become `_`.
- **Durations** are texts such as `25s`, `300ms`, `1h30m` or `-1s`; a bare number in a file is nanoseconds.
- **A zero value** (`0`, `""`, `"0s"`, an empty list) of an option that has a default means the default.
- **PEM** values are PEM text, Base64 of it, or the path of a file.
- **Maps** are objects of texts or lists of `{"key": ..., "value": ...}`. `${CENTRIPETAL_VAR_NAME}` in a value (also
  `${CENTRIFUGO_VAR_NAME}`) is replaced by the variable `CENTRIPETAL_VAR_NAME` or `CENTRIFUGO_VAR_NAME`, which has to exist.

`centripetal checkconfig` says whether a configuration is valid, `centripetal defaultconfig` writes all options with their
defaults to a file, `centripetal defaultenv` prints them as variables, `centripetal genconfig` writes a small file to begin
with."""

_SPELLING = {"tls": "TLS", "http": "HTTP", "grpc": "gRPC", "nats": "NATS", "redis": "Redis", "postgres": "PostgreSQL"}
_KINDS = {"texts": "list of texts", "map": "map of texts", "sections": "list of objects"}


def render_markdown(section: str = "", base_level: int = 0) -> str:
    """Returns the reference.

    Args:
        section: a top-level option or section; empty for everything.
        base_level: how much deeper the headings are than usual.

    Raises:
        KeyError: there is no such section.
    """
    options = {option.name: option for option in options_of(Config)}
    chosen = [options[section]] if section else list(options.values())
    shared = _shared_sections()
    level = base_level + 1
    parts: list[str] = [] if section else [f"{'#' * level} Configuration", INTRODUCTION]
    plain = [option for option in chosen if option.section is None]
    if plain:
        parts.append(f"{'#' * (level + 1)} Options without a section")
        parts.append(_table((option.name, option) for option in plain))
    for option in chosen:
        if option.section is not None:
            parts += _section(option, level + 1, shared)
    used = [kind for kind in shared if any(_title(kind) in part for part in parts)]
    if used:
        parts.append(f"{'#' * (level + 1)} Groups of options that are used in several places")
    done: set[type[Struct]] = set()
    while used:
        kind = used.pop(0)
        if kind in done:
            continue
        done.add(kind)
        text = [f"{'#' * (level + 2)} {_title(kind)}", _table(_rows(kind, "", shared))]
        parts += text
        used += [other for other in shared if other not in done and _title(other) in text[1]]
    return "\n\n".join(parts) + "\n"


def _section(option: Option, level: int, shared: list[type[Struct]]) -> list[str]:
    assert option.section is not None
    path = option.name + "[]" if option.kind == "sections" else option.name
    parts = [f"{'#' * level} `{option.name}`", option.meaning, _table(_rows(option.section, path, shared))]
    if option.kind == "sections":
        parts[1] += " Each item:"
    return parts


def _rows(section: type[Struct], path: str, shared: list[type[Struct]]) -> Iterator[tuple[str, Option]]:
    for option in options_of(section):
        option_path = join(path, option.name)
        if option.section is None or option.section in shared:
            yield option_path, option
        elif option.kind == "sections":
            yield option_path, option
            yield from _rows(option.section, option_path + "[]", shared)
        else:
            yield from _rows(option.section, option_path, shared)


def _table(rows: Iterable[tuple[str, Option]]) -> str:
    lines = ["| Option | Type | Default | Meaning |", "| --- | --- | --- | --- |"]
    for path, option in rows:
        kind, meaning = _kind(option), option.meaning
        if option.section is not None and option.kind == "section":
            lines.append(
                f"| `{path}.*` | group | | {meaning} See [{_title(option.section)}](#{_anchor(option.section)}). |"
            )
            continue
        if option.section is not None and path in NAMED_LISTS:
            meaning += " Items have names."
        lines.append(f"| `{path}` | {kind} | {_default(option)} | {_escaped(meaning)} |")
    return "\n".join(lines)


def _kind(option: Option) -> str:
    if option.choices:
        return "one of " + ", ".join(f"`{json.dumps(choice)}`" for choice in option.choices)
    if option.pem:
        return "PEM"
    return _KINDS.get(option.kind, option.kind)


def _default(option: Option) -> str:
    if option.kind == "duration":
        return f"`{format_duration(option.default)}`"
    return f"`{json.dumps(list(option.default) if isinstance(option.default, tuple) else option.default)}`"


def _escaped(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")


def _shared_sections() -> list[type[Struct]]:
    counts: Counter[type[Struct]] = Counter()
    first_seen: list[type[Struct]] = []

    def count(section: type[Struct]) -> None:
        for option in options_of(section):
            if option.section is not None and option.kind == "section":
                if option.section not in counts:
                    first_seen.append(option.section)
                    count(option.section)
                counts[option.section] += 1
            elif option.section is not None:
                count(option.section)

    count(Config)
    return [section for section in first_seen if counts[section] > 1]


def _title(section: type[Struct]) -> str:
    name = section.__name__.removesuffix("Settings").removesuffix("Options")
    words = "".join(f" {character.lower()}" if character.isupper() else character for character in name).split()
    return " ".join(_SPELLING.get(word, word) for word in ["Options", "of", *words])


def _anchor(section: type[Struct]) -> str:
    return _title(section).lower().replace(" ", "-")
