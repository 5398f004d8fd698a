"""One publication, encoded once for each way in which its subscribers want it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from .fossil import bounded_delta

if TYPE_CHECKING:
    from .channel import Group

Encode = Callable[[Any, str, Any, bool, "bytes | None"], "bytes | None"]
"""(encoding, channel, publication, fossil, patch) -> the frame, or None when the encoding cannot carry the data."""


class Form(Protocol):
    """What decides how frames of a publication look."""

    @property
    def encoding(self) -> Any:
        """What frames are made with."""

    @property
    def fossil(self) -> bool:
        """Fossil delta was negotiated."""


class Prepared:
    """The frames of one publication, made when first asked for.

    Attributes:
        keyed: it is a change of a map, whose base is the value before of the same key.
    """


    __slots__ = ("_base", "_channel", "_delivered", "_encode", "_frames", "_patch", "_patched", "_publication", "keyed")

    def __init__(
        self, encode: Encode, channel: str, publication: Any, base: Any, *, keyed: bool = False, delivered: int = 0
    ) -> None:
        """Takes what is needed to make frames.

        Args:
            encode: see Encode.
            channel: name of the subscription.
            publication: what to send.
            base: the publication that patches build on, None when there must be none.
            keyed: see the attribute.
            delivered: sequence number at which the base was delivered, of a map without offsets.
        """
        self.keyed = keyed
        self._delivered = delivered
        self._encode = encode
        self._channel = channel
        self._publication = publication
        self._base = base
        self._frames: dict[tuple[Any, bool, bool], bytes | None] = {}
        self._patch: bytes | None = None
        self._patched = False

    def full(self, form: Form) -> bytes | None:
        """Returns the frame with the whole payload."""
        return self._frame(form.encoding, form.fossil, None)

    def patched(self, form: Form) -> bytes | None:
        """Returns the frame for those who have the base: a patch where they want one and it is smaller."""
        return self._frame(form.encoding, form.fossil, self.patch() if form.fossil else None)

    def for_ready(self, group: Group) -> bytes | None:
        """Returns the frame for subscribers that have the base: a patch where they want one and it is smaller."""
        patched = group.fossil and (not self.keyed or self._is_known(group))
        return self._frame(group.encoding, group.fossil, self.patch() if patched else None)

    def _is_known(self, group: Group) -> bool:
        """Whether all ready members of a group of a map have the base."""
        base = self._base
        if base is None or not group.wants(base):
            return False
        return bool(base.offset) or self._delivered > group.newest

    def for_fresh(self, group: Group) -> bytes | None:
        """Returns the frame for subscribers that need not have the base: whole, unless the base is certain."""
        base = self._base
        if self.keyed and base is not None and base.offset > group.since and group.wants(base):
            return self._frame(group.encoding, group.fossil, self.patch())
        return self.full(group)

    def patch(self) -> bytes | None:
        """Returns the patch from the base, None when there is none or it is not smaller than the payload."""
        if not self._patched:
            self._patched = True
            if self._base is not None:
                self._patch = patch_between(self._base.data, self._publication.data)
        return self._patch

    def _frame(self, encoding: Any, fossil: bool, patch: bytes | None) -> bytes | None:
        key = (encoding, fossil, patch is not None)
        frames = self._frames
        if key not in frames:
            frames[key] = self._encode(encoding, self._channel, self._publication, fossil, patch)
        return frames[key]


def patch_between(source: bytes, target: bytes) -> bytes | None:
    """Returns a Fossil delta from source to target, None when it would not be smaller or cost too much to find."""
    patch = bounded_delta(source, target)
    return patch if patch is not None and len(patch) < len(target) else None
