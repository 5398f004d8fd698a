"""What the application is asked about keys that clients track, and what it answers (hook `shared_poll_refresh`)."""

from __future__ import annotations

from msgspec import Struct


class PollItem(Struct, frozen=True, omit_defaults=True, gc=False):
    """A key that clients track.

    Attributes:
        key: which.
        version: of the value that is known here, 0 for none; always 0 where the application gives no versions.
    """

    key: str = ""
    version: int = 0


class SharedPollRefreshEvent(Struct, frozen=True, kw_only=True):
    """The values of some keys are wanted, once for all clients that track them."""

    channel: str = ""
    items: tuple[PollItem, ...] = ()


class PolledItem(Struct, frozen=True, kw_only=True, gc=False):
    """What the application says of a key.

    Attributes:
        key: which.
        data: its value, JSON text or bytes; empty when it has not changed.
        version: of the value; goes up with each change. 0 where the application gives no versions.
        removed: there is no such key any more.
        prev_data: the value before, on which a patch may build; empty when unknown.
    """

    key: str = ""
    data: bytes = b""
    version: int = 0
    removed: bool = False
    prev_data: bytes = b""


class SharedPollRefreshAnswer(Struct, frozen=True, kw_only=True):
    """Values of keys; those left out have not changed.

    Attributes:
        items: what is known of keys.
        epoch: of the versions; another one than before means that versions began anew.
    """

    items: tuple[PolledItem, ...] = ()
    epoch: str = ""
