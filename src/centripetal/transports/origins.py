"""Which web pages may connect (`client.allowed_origins`)."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from ..node.patterns import compile_pattern

_MAX_ORIGIN_BYTES = 1024
_MAX_PATTERN_LENGTH = 65536  # they are the operator's own
_SPECIAL = frozenset("*?[{\\")


class Origins:
    """Matches the Origin header against glob patterns (see `node/patterns.py`), in linear time.

    A pattern is matched with the whole lower-cased origin.

    Args:
        patterns: of the option.

    Raises:
        PatternError: a pattern is malformed.
    """

    __slots__ = ("_any", "_exact", "_globs")

    def __init__(self, patterns: Iterable[str]) -> None:
        self._any = False
        self._exact: set[str] = set()
        self._globs: list[Callable[[str], bool]] = []
        for pattern in patterns:
            if pattern == "*":
                self._any = True
            elif _SPECIAL.isdisjoint(pattern):
                self._exact.add(pattern)
            else:
                self._globs.append(compile_pattern(pattern, _MAX_PATTERN_LENGTH))

    def allows(self, origin: str | None) -> bool:
        """Says whether a request may come in.

        Args:
            origin: value of its Origin header; None or empty when it has none, as from anything but a browser.
        """
        if not origin or self._any:
            return True
        if len(origin) > _MAX_ORIGIN_BYTES:
            return False
        origin = origin.lower()
        return origin in self._exact or any(matches(origin) for matches in self._globs)
