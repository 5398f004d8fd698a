"""How a value of a key travels through the broker: as the data of a publication to the channel."""

from __future__ import annotations

import msgspec


class Arrival(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A value that was published.

    Attributes:
        key: which.
        version: of the value, above 0.
        epoch: of its versions.
        data: JSON text or bytes.
    """

    key: str
    version: int
    epoch: str
    data: bytes


_decode = msgspec.msgpack.Decoder(Arrival).decode
write_arrival = msgspec.msgpack.Encoder().encode


def read_arrival(data: bytes) -> Arrival | None:
    """Returns a value, None for something else; the broker may belong to others, too."""
    try:
        return _decode(data)
    except msgspec.MsgspecError:
        return None
