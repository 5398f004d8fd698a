"""Commands for a running server, over its HTTP API."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from typing import Any

import click

from centripetal.model.duration import format_duration

from .server_api import call, printable, target_of, target_options

MAX_DATA_BYTES = 16 * 1024 * 1024
_NODE_COLUMNS = ("name", "version", "clients", "users", "subs", "channels", "uptime")


@click.command()
@target_options
@click.option("--json", "as_json", is_flag=True, help="Print the server's result as JSON.")
@click.argument("channel")
@click.argument("data")
def pub(config: str | None, url: str | None, key: str | None, as_json: bool, channel: str, data: str) -> None:
    """Publishes DATA into CHANNEL.

    DATA is JSON; another text is sent as a JSON string. With - it is read from the standard input.
    """
    if data == "-":
        data = sys.stdin.read(MAX_DATA_BYTES)
    request = {"channel": channel, "data": _json_or_text(data)}
    result = call(target_of(config, url, key), "publish", request)
    if as_json:
        click.echo(json.dumps(result))
    elif "offset" in result:
        click.echo(f"published at offset {result['offset']}, epoch {printable(result.get('epoch', ''))}")
    else:
        click.echo("published")


def _json_or_text(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


@click.command()
@target_options
@click.option("--json", "as_json", is_flag=True, help="Print the server's result as JSON.")
def info(config: str | None, url: str | None, key: str | None, as_json: bool) -> None:
    """Shows the nodes of a running server."""
    result = call(target_of(config, url, key), "info", {})
    if as_json:
        click.echo(json.dumps(result))
        return
    nodes = [
        {
            "name": node.get("name", ""),
            "version": node.get("version", ""),
            "clients": node.get("num_clients", 0),
            "users": node.get("num_users", 0),
            "subs": node.get("num_subs", 0),
            "channels": node.get("num_channels", 0),
            "uptime": format_duration(float(node.get("uptime", 0))),
        }
        for node in _objects(result.get("nodes"))
    ]
    _print_table(_NODE_COLUMNS, ([str(node[column]) for column in _NODE_COLUMNS] for node in nodes))


@click.command()
@target_options
@click.option("--pattern", default="", metavar="GLOB", help="Only channels whose name matches.")
@click.option("--json", "as_json", is_flag=True, help="Print the server's result as JSON.")
def channels(config: str | None, url: str | None, key: str | None, pattern: str, as_json: bool) -> None:
    """Shows the channels that have subscribers, and how many."""
    result = call(target_of(config, url, key), "channels", {"pattern": pattern} if pattern else {})
    if as_json:
        click.echo(json.dumps(result))
        return
    found = result.get("channels")
    rows = sorted(found.items()) if isinstance(found, dict) else []
    counts = ([name, str(value.get("num_clients", 0) if isinstance(value, dict) else 0)] for name, value in rows)
    _print_table(("channel", "clients"), counts)


def _objects(value: object) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _print_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    table = [list(columns), *([printable(cell) for cell in row] for row in rows)]
    widths = [max(len(row[index]) for row in table) for index in range(len(columns))]
    for row in table:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
