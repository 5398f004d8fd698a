"""Frames as clients send them."""

from __future__ import annotations

from itertools import pairwise

from centripetal.protocol.websocket import MessageLimits, MessageParser, unmask
from centripetal.protocol.websocket.messages import Event

MASK = bytes.fromhex("37fa213d")


def client_frame(
    opcode: int, payload: bytes = b"", *, fin: bool = True, rsv: int = 0, mask: bytes | None = MASK
) -> bytes:
    """Builds one frame; `rsv` has RSV1 in bit 2, a mask of None leaves it unmasked."""
    first = (0x80 if fin else 0) | rsv << 4 | opcode
    masked = 0x80 if mask is not None else 0
    size = len(payload)
    if size < 126:
        head = bytes((first, masked | size))
    elif size < 65536:
        head = bytes((first, masked | 126)) + size.to_bytes(2, "big")
    else:
        head = bytes((first, masked | 127)) + size.to_bytes(8, "big")
    return head + payload if mask is None else head + mask + unmask(payload, mask)


def events_of(pieces: list[bytes], *, limits: MessageLimits | None = None, compression: bool = False) -> list[Event]:
    """Feeds pieces one after the other and returns all events."""
    parser = MessageParser(limits or MessageLimits(), compression)
    events: list[Event] = []
    for piece in pieces:
        parser.feed(piece)
        while (event := parser.next_event()) is not None:
            events.append(event)
    return events


def cut(data: bytes, positions: list[int]) -> list[bytes]:
    """Cuts data at the positions."""
    edges = [0, *sorted(min(position, len(data)) for position in positions), len(data)]
    return [data[start:end] for start, end in pairwise(edges)]
