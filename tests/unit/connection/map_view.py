"""A client of a map as the official ones are: it reads pages and changes, keeps a view of the state, and comes back."""

from __future__ import annotations

import json
from typing import Any

from centripetal.fanout.fossil import apply_delta

from .pipe import Peer

LIVE, STREAM, STATE = 0, 1, 2


class MapView:
    """A peer, and what it makes of what it receives.

    Attributes:
        state: values by key, as the client sees them.
        live: it is subscribed.
        asking: a reply is on its way.
        position: (offset, epoch) to recover from, None when the state has to be read.
        errors: codes of error replies.
    """

    def __init__(self, peer: Peer, channel: str, *, delta: bool = False, tags_filter: Any = None, limit: int = 0) -> None:
        self.peer = peer
        self.channel = channel
        self.delta = delta
        self.tags_filter = tags_filter
        self.limit = limit
        self.state: dict[str, Any] = {}
        self.position: tuple[int, str] | None = None
        self.live = self.asking = False
        self.errors: list[int] = []
        self._reset()

    def _reset(self) -> None:
        self.phase: int | None = None
        self.cursor = ""
        self.recovering = False
        self._read: dict[str, Any] = {}
        self._bases: dict[str, bytes] = {}
        self._changes: list[tuple[str, Any, bool]] = []
        self._frozen: tuple[int, str] = (0, "")

    def inherit(self, old: MapView) -> None:
        """Goes on where another connection of the same client ended."""
        self.state, self.position = old.state, old.position

    def step(self) -> None:
        """Sends the next request of a subscription, unless it is live or waits for a reply."""
        if self.live or self.asking:
            return
        request: dict[str, Any] = {"channel": self.channel, "type": 1}
        if self.delta:
            request["delta"] = "fossil"
        if self.tags_filter is not None:
            request["tf"] = self.tags_filter
        if self.limit:
            request["limit"] = self.limit
        if self.phase is None:
            self._reset()
            self.recovering = self.position is not None
            self.phase = STREAM if self.recovering else STATE
            if self.position is not None:
                self._frozen = self.position
        request["phase"] = self.phase
        if self.recovering:
            request["recover"] = True
        if self.cursor or self.phase == STREAM:
            request |= {"offset": self._frozen[0], "epoch": self._frozen[1]}
        if self.cursor:
            request["cursor"] = self.cursor
        self.asking = True
        self.peer.send({"subscribe": request})

    def leave(self) -> None:
        """Unsubscribes."""
        self.peer.send({"unsubscribe": {"channel": self.channel}})
        self.live = self.asking = False
        self._reset()

    def take(self) -> None:
        """Reads what came."""
        for message in self.peer.received():
            if "subscribe" in message:
                if self.asking:  # not if it left meanwhile
                    self.asking = False
                    self._take_reply(message["subscribe"])
            elif "error" in message:
                self._take_error(message["error"]["code"])
            elif "push" in message and "pub" in message["push"]:
                self._take_change(message["push"]["pub"])
            elif "push" in message and "unsubscribe" in message["push"]:
                assert message["push"]["unsubscribe"]["code"] == 2500
                self.live = False
                self.phase = None

    def _take_error(self, code: int) -> None:
        self.asking = False
        self.errors.append(code)
        self.phase = None
        if code == 112:
            self.position = None

    def _take_reply(self, result: dict[str, Any]) -> None:
        assert not self.live and result["type"] == 1
        for entry in result.get("state", ()):
            self._read[entry["key"]] = self._whole(entry)
        phase = result.get("phase", LIVE)
        if phase == LIVE:
            self._go_live(result)
            return
        position = (result.get("offset", 0), result["epoch"])
        if phase == STATE:
            assert self.phase == STATE
            if self.cursor:
                assert position == self._frozen, "the frozen position moved"
            self._frozen = position
            self.cursor = result.get("cursor", "")
            self.phase = STATE if self.cursor else STREAM
        else:
            assert phase == self.phase == STREAM
            for change in result.get("publications", ()):
                assert "delta" not in change
                removed = change.get("removed", False)
                self._changes.append((change["key"], None if removed else self._whole(change), removed))
            assert position[0] > self._frozen[0] and position[1] == self._frozen[1]
            self._frozen = position

    def _go_live(self, result: dict[str, Any]) -> None:
        assert result.get("delta", False) == self.delta
        assert result.get("recovered", False) == self.recovering == result.get("was_recovering", False)
        for change in result.get("publications", ()):
            removed = change.get("removed", False)
            self._changes.append((change["key"], None if removed else self._patched(change), removed))
            if removed:
                self._bases.pop(change["key"], None)
        if not self.recovering:
            self.state = dict(self._read)
        for key, value, removed in self._changes:
            if removed:
                self.state.pop(key, None)
            else:
                self.state[key] = value
        self.live = True
        self.phase = None
        self.position = (result.get("offset", 0), result["epoch"]) if result.get("recoverable") else None

    def _take_change(self, change: dict[str, Any]) -> None:
        assert self.live, "a change without a subscription"
        key = change["key"]
        if change.get("removed"):
            self.state.pop(key, None)
            self._bases.pop(key, None)
        else:
            self.state[key] = self._patched(change)
        if self.position is not None:
            assert change["offset"] > self.position[0], f"after {self.position[0]} came {change['offset']}"
            assert self.tags_filter is not None or change["offset"] == self.position[0] + 1
            self.position = (change["offset"], self.position[1])

    def _whole(self, entry: dict[str, Any]) -> Any:
        if not self.delta:
            return entry["data"]
        assert isinstance(entry["data"], str)
        self._bases[entry["key"]] = entry["data"].encode()
        return json.loads(entry["data"])

    def _patched(self, change: dict[str, Any]) -> Any:
        if change.get("delta"):
            assert change["key"] in self._bases, "a patch to one who has nothing to apply it to"
            text = apply_delta(self._bases[change["key"]], change["data"].encode())
            change = {**change, "data": text.decode()}
        return self._whole(change)
