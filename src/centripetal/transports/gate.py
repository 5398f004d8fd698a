"""Lets newcomers in at a rate that leaves the turns of the event loop short.

Thousands of clients that come back at once would otherwise be served in one turn, and everybody who is connected would
wait for its end. What a newcomer costs later (its connect command, tokens, recovery) shows in the length of the turns
too, so the gate needs to know nothing of it: when turns get long, fewer come in; while they are short, more.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Protocol

LONG_TURN_SECONDS = 0.04
"""Above this, half as many newcomers are let in per turn."""

SHORT_TURN_SECONDS = 0.02
"""Below this, a quarter more."""

FEWEST, FIRST, MOST = 16, 32, 64
"""Newcomers per turn. More at once would have their commands come together, too, later and past the gate."""

PATIENCE_SECONDS = 1.0
"""A newcomer who has waited for so long is turned away; its own backoff spreads it better than our queue."""

TURNED_AWAY_PER_PLACE = 4
"""Turning away costs less than letting in: so many take one place of a turn."""


class Newcomer(Protocol):
    """A connection whose request waits at the gate."""

    def let_in(self) -> None:
        """Its request is served now."""

    def turn_away(self) -> None:
        """It is answered that there is no room (HTTP 503)."""


class Gate:
    """One for all listeners of a loop.

    Args:
        loop: whose turns are kept short.
        count_turned_away: called for each newcomer that is turned away.
    """

    __slots__ = ("_admitted", "_began", "_count_turned_away", "_loop", "_open", "_quota", "_waiting")

    def __init__(self, loop: asyncio.AbstractEventLoop, count_turned_away: Callable[[], None] = lambda: None) -> None:
        self._loop = loop
        self._count_turned_away = count_turned_away
        self._quota = FIRST
        self._admitted = 0  # in this turn
        self._began = 0.0
        self._open = False  # a turn is being measured
        self._waiting: deque[tuple[Newcomer, float]] = deque()

    def enter(self, newcomer: Newcomer) -> bool:
        """Asks for a place.

        Returns:
            Whether the newcomer may go on at once. Otherwise it waits, and is told.
        """
        if not self._open:
            self._open = True
            self._began = self._loop.time()
            self._admitted = 0
            self._loop.call_soon(self._end_turn)
        if self._admitted < self._quota and not self._waiting:
            self._admitted += 1
            return True
        self._waiting.append((newcomer, self._loop.time()))
        return False

    @property
    def has_room(self) -> bool:
        """Whether somebody who came now would be let in at once."""
        return not self._waiting and (not self._open or self._admitted < self._quota)

    def _end_turn(self) -> None:
        now = self._loop.time()
        took = now - self._began
        if took > LONG_TURN_SECONDS:
            self._quota = max(self._quota // 2, FEWEST)
        elif took < SHORT_TURN_SECONDS:
            self._quota = min(self._quota + (self._quota >> 2) + 1, MOST)
        self._open = False
        if self._waiting:
            self._open = True
            self._began = now
            self._loop.call_soon(self._end_turn)
            self._let_in(now)

    def _let_in(self, now: float) -> None:
        waiting = self._waiting
        places = self._quota * TURNED_AWAY_PER_PLACE
        self._admitted = self._quota
        while waiting and places > 0:
            newcomer, came_at = waiting.popleft()
            if now - came_at > PATIENCE_SECONDS:
                self._count_turned_away()
                places -= 1
                newcomer.turn_away()
            else:
                places -= TURNED_AWAY_PER_PLACE
                newcomer.let_in()
