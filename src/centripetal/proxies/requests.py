"""What a backend is told: the fields of a request, and what goes along as headers or metadata."""

from __future__ import annotations

import base64
from typing import Any

import msgspec

from ..interfaces.hooks import Caller, Event, Forwarded, Forwarding
from .answers import WIRE
from .settings import ProxySettings

_NOT_FIELDS = ("caller", "bidirectional")

OF_ONE_CONNECTION = frozenset(
    ("accept-encoding", "connection", "content-encoding", "content-length", "expect", "host", "keep-alive",
     "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade")
)  # fmt: skip
"""Headers that are about the client's connection or body; on the request to the backend they would be wrong."""


class RequestFields:
    """Makes the fields of one event's requests to one backend, named as on the wire, zero values left out."""

    def __init__(self, event: Event[Any, Any], settings: ProxySettings) -> None:
        """Takes what the event has and `binary_encoding`, `include_connection_meta`."""
        self._names = tuple(name for name in event.request.__struct_fields__ if name not in _NOT_FIELDS)
        self._has_caller = "caller" in event.request.__struct_fields__
        self._names_user = WIRE[event.name].names_user
        self._binary = settings.binary_encoding
        self._include_meta = settings.include_connection_meta

    def of(self, request: Any) -> dict[str, Any]:
        """Returns the fields; payloads are bytes."""
        fields: dict[str, Any] = {}
        if self._has_caller:
            caller: Caller = request.caller
            fields["client"] = caller.client
            fields["transport"] = caller.transport
            fields["protocol"] = caller.protocol
            fields["encoding"] = "binary" if self._binary else "json"
            if self._names_user:
                fields["user"] = caller.user
            if self._include_meta and caller.meta:
                fields["meta"] = caller.meta
        for name in self._names:
            value = getattr(request, name)
            if value:
                fields[name] = msgspec.to_builtins(value) if isinstance(value, tuple) else value
        if self._binary and "data" in fields:
            fields["b64data"] = base64.b64encode(fields.pop("data")).decode()
        return fields


class Forwarder:
    """Chooses what of a connection goes to one backend as headers or metadata; names in lower case."""

    def __init__(self, settings: ProxySettings, standing: dict[str, str]) -> None:
        """Takes `http_headers`, `grpc_metadata`, `emulated_headers`, and the values that are sent always."""
        self.wanted = Forwarding(
            *(
                frozenset(name.lower() for name in names) - OF_ONE_CONNECTION
                for names in (settings.http_headers, settings.grpc_metadata, settings.emulated_headers)
            )
        )
        self._standing = {name.lower(): value for name, value in standing.items()}

    def of(self, forwarded: Forwarded) -> dict[str, str]:
        """Returns names and values: the request's win over emulated ones, those over standing ones."""
        sent = dict(self._standing)
        wanted = self.wanted
        for values, names in (
            (forwarded.emulated, wanted.emulated),
            (forwarded.metadata, wanted.metadata),
            (forwarded.headers, wanted.headers),
        ):
            for name, value in values.items():
                if name in names:
                    sent[name] = value
        return sent
