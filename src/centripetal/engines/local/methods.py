"""What is asked and told over a link, as two tables made from the interfaces.

A request is its id, the number of the method, the arguments as an array; its answer the id, 0, the result, or the id, 1, a text. An
event is 0, the number of the event, the arguments. Numbers are places in the tables; the two ends may be of different releases, so rows
are added at the end only.
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from ...interfaces import (
    Broker,
    BrokerError,
    ControlEvents,
    KeyDirectory,
    KeyDirectoryError,
    MapBroker,
    MapBrokerEvents,
    PresenceError,
    PresenceManager,
)
from .heir import HeirError, HeirMethods
from .muster import MusterMethods
from .post import PostMethods

RESULT, FAILURE = 0, 1
"""Kinds of answers."""

EVENT_ID = 0
"""In the place of a request's id."""


class Call:
    """A method, or an event, as it goes over a link.

    Attributes:
        number: its place in the table.
        target: `broker`, `presence`, `map_broker`, `controller`, `keys`, `muster` or `heir`: what has the method, or what
            tells of the event.
        name: of the method.
        decode_arguments: makes a tuple of MessagePack; raises msgspec.DecodeError, which covers wrong types.
        decode_result: makes the result.
        error: what the method raises when it cannot do its work.
        is_about_interest: it says which channels a link wants, which the host keeps for it.
    """

    __slots__ = ("decode_arguments", "decode_result", "error", "is_about_interest", "name", "number", "target")

    def __init__(self, number: int, target: str, method: Callable[..., Any], error: type[Exception]) -> None:
        self.number = number
        self.target = target
        self.name = method.__name__
        self.error = error
        self.is_about_interest = self.name in ("subscribe", "unsubscribe")
        types = typing.get_type_hints(method)
        parameters = [name for name in inspect.signature(method).parameters if name != "self"]
        arguments = tuple[tuple(types[name] for name in parameters)] if parameters else tuple[()]  # type: ignore[misc]
        self.decode_arguments: Callable[[Any], tuple[Any, ...]] = msgspec.msgpack.Decoder(arguments).decode
        self.decode_result: Callable[[Any], Any] = msgspec.msgpack.Decoder(types["return"]).decode


def _table(rows: Iterable[tuple[str, Any, type[Exception], tuple[str, ...]]]) -> tuple[Call, ...]:
    calls: list[Call] = []
    for target, interface, error, names in rows:
        calls += [Call(len(calls) + place, target, getattr(interface, name), error) for place, name in enumerate(names)]
    return tuple(calls)


METHODS = _table(
    (
        ("broker", Broker, BrokerError, (
            "publish", "publish_join", "publish_leave", "history", "remove_history", "subscribe", "unsubscribe",
        )),
        ("presence", PresenceManager, PresenceError, ("add", "remove", "presence", "stats")),
        ("map_broker", MapBroker, BrokerError, (
            "publish", "remove", "read_state", "read_stream", "count_keys", "clear", "subscribe", "unsubscribe",
        )),
        ("heir", HeirMethods, HeirError, ("restore", "begin")),
        ("controller", PostMethods, BrokerError, ("subscribe", "send")),
        ("keys", KeyDirectory, KeyDirectoryError, ("find",)),
        ("muster", MusterMethods, BrokerError, ("report",)),
    )
)  # fmt: skip

EVENTS = _table(
    (
        ("broker", MapBrokerEvents, BrokerError, ("on_publication", "on_join", "on_leave")),
        ("map_broker", MapBrokerEvents, BrokerError, ("on_publication", "on_state_lost")),
        ("controller", ControlEvents, BrokerError, ("on_control",)),
    )
)

METHOD_OF = {(method.target, method.name): method for method in METHODS}
EVENT_OF = {(event.target, event.name): event for event in EVENTS}

VERSION = 3
"""Of both tables and what they carry. Rows, and fields with defaults, may be added at the end without a new one."""
