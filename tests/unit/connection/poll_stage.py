"""What tests of shared polls need: a backend that is asked, signatures, and a client as the official ones are."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
from typing import Any

from centripetal.engines.memory import MemoryBroker, MemoryMapBroker, MemoryPresenceManager
from centripetal.fanout.fossil import apply_delta
from centripetal.interfaces import BrokerError, ControlEvents, HookTable
from centripetal.interfaces.hooks import SHARED_POLL_REFRESH
from centripetal.interfaces.shared_poll import PolledItem, SharedPollRefreshAnswer, SharedPollRefreshEvent
from centripetal.node.cluster import Membership
from centripetal.node.node import Node
from centripetal.node.settings import (
    ChannelSettings,
    ClientSettings,
    NodeOptions,
    SharedPollOptions,
    SharedPollSettings,
)
from centripetal.testing import ManualClock

from .pipe import OPEN, Peer, namespace

SECRET = "secret"
CHANNEL = "poll:x"


def sign(
    keys: list[str], *, channel: str = CHANNEL, user: str = "", iat: int = 0, exp: int = 0, secret: str = SECRET
) -> str:
    """Returns the signature of these keys."""
    digest = hashlib.sha256("\0".join(keys).encode()).hexdigest()
    text = "\0".join((str(iat), str(exp), user, channel, digest))
    return f"{iat}:{exp}:{hmac.new(secret.encode(), text.encode(), hashlib.sha256).hexdigest()}"


def track(versions: dict[str, int], *, untrack: list[str] | None = None, **signed: Any) -> dict[str, Any]:
    """Returns the command that tracks keys."""
    batch = {
        "signature": sign(list(versions), **signed),
        "items": [{"key": key, "version": version} for key, version in versions.items()],
    }
    command = {"channel": signed.get("channel", CHANNEL), "type": 1, "track": [batch], "untrack": untrack or []}
    return {"sub_refresh": command}


def untrack(*keys: str, channel: str = CHANNEL) -> dict[str, Any]:
    """Returns the command that ends that."""
    return {"sub_refresh": {"channel": channel, "type": 2, "untrack": list(keys)}}


class PolledBackend:
    """The application that is asked.

    Attributes:
        state: (version, data) by key; a key that is None is answered as removed, one that is not there is left out.
        epoch: of its versions.
        versioned: it tells versions.
        spare: it leaves out what has not changed.
        before: the data before, by key; told as `prev_data`.
        failure: raised in place of an answer.
        asked: keys with the versions that were known, call by call.
        overlaps: calls for a key for which another one was on its way.
        gates: calls that are held until they are opened; None to answer at once.
    """

    def __init__(self, *, versioned: bool = True, spare: bool = False) -> None:
        self.state: dict[str, tuple[int, Any] | None] = {}
        self.epoch = ""
        self.versioned = versioned
        self.spare = spare
        self.before: dict[str, Any] = {}
        self.failure: Exception | None = None
        self.overlaps = 0
        self.asked: list[dict[str, int]] = []
        self.channels: list[str] = []
        self.gates: list[asyncio.Future[bool]] | None = None
        self.calling: list[set[str]] = []

    def set(self, key: str, data: Any, version: int = 0) -> None:
        """Changes a value."""
        self.state[key] = (version, data)

    async def __call__(self, event: SharedPollRefreshEvent) -> SharedPollRefreshAnswer | None:
        wanted = {item.key: item.version for item in event.items}
        names = set(wanted)
        self.overlaps += any(names & other for other in self.calling)
        self.asked.append(wanted)
        self.channels.append(event.channel)
        self.calling.append(names)
        try:
            answer = self._answer(wanted)
            if self.gates is not None:
                gate = asyncio.get_running_loop().create_future()
                self.gates.append(gate)
                if not await gate:
                    raise TimeoutError
            if self.failure is not None:
                raise self.failure
            return answer
        finally:
            self.calling.remove(names)

    def _answer(self, wanted: dict[str, int]) -> SharedPollRefreshAnswer:
        items = []
        for key, known in wanted.items():
            if key not in self.state:
                continue
            value = self.state[key]
            if value is None:
                items.append(PolledItem(key=key, removed=True))
                continue
            version, data = value
            if self.spare and version and version <= known:
                continue
            before = json.dumps(self.before[key]).encode() if key in self.before else b""
            items.append(
                PolledItem(
                    key=key,
                    data=json.dumps(data).encode(),
                    version=version if self.versioned else 0,
                    prev_data=before,
                )
            )
        return SharedPollRefreshAnswer(items=tuple(items), epoch=self.epoch)

    def open_gate(self, number: int = 0, *, answer: bool = True) -> None:
        """Lets a call that is held end, with its answer or without."""
        assert self.gates is not None
        gate = self.gates.pop(number % len(self.gates))
        if not gate.done():
            gate.set_result(answer)


class Line:
    """A controller; those with the same list of others are in one cluster."""

    def __init__(self, others: list[Line]) -> None:
        self.others = others
        self.broken = False

    def bind(self, events: ControlEvents) -> None:
        """Tells where messages go."""
        self.events = events

    async def start(self, node: str) -> None:
        """Joins the others."""
        self.node = node
        self.others.append(self)

    async def stop(self) -> None:
        """Leaves them."""
        self.others.remove(self)

    async def send(self, address: str, message: bytes) -> None:
        """Sends a message, which arrives later."""
        if self.broken:
            raise BrokerError("broken")
        for other in self.others:
            if address in ("", other.node):
                asyncio.get_running_loop().call_soon(other.events.on_control, address, message)


class PollStage:
    """A node with a namespace `poll` and a backend; make it inside an event loop."""

    def __init__(
        self, backend: PolledBackend | None = None, *, settings: SharedPollSettings | None = None, **options: Any
    ):
        client = options.pop("client", {})
        limits = options.pop("channel", {})
        controller = options.pop("controller", None)
        self.clock = options.pop("clock", None) or ManualClock()
        self.backend = backend or PolledBackend()
        hooks = HookTable()
        hooks.add(SHARED_POLL_REFRESH, self.backend)
        mode = "versioned" if self.backend.versioned else ""
        self.node = Node(
            broker=MemoryBroker(self.clock, history_meta_ttl_seconds=3600),
            presence=MemoryPresenceManager(self.clock),
            map_broker=MemoryMapBroker(self.clock),
            options=NodeOptions(
                client=ClientSettings(allow_anonymous_connect_without_token=True, **client),
                channel=ChannelSettings(
                    without_namespace=OPEN,
                    namespaces=(
                        namespace(
                            "poll",
                            subscription_type="shared_poll",
                            shared_poll=SharedPollOptions(mode=mode, **{"refresh_interval": 10.0, **options}),
                            **limits,
                        ),
                    ),
                ),
                shared_poll=settings or SharedPollSettings(hmac_secret_key=SECRET),
            ),
            hooks=hooks,
            clock=self.clock,
            membership=None if controller is None else Membership(controller, "group"),
        )

    async def settle(self) -> None:
        """Lets everything happen that is due now."""
        for _ in range(12):
            self.node.ticker.advance()
            await asyncio.sleep(0)

    async def wait(self, seconds: float) -> None:
        """Lets time pass."""
        self.clock.advance(seconds)
        await self.settle()

    def subscriber(self, *, delta: bool = False) -> PollView:
        """Returns a client that is subscribed."""
        view = PollView(self.node, delta=delta)
        view.subscribe()
        return view


class PollView:
    """A client and what it makes of what it receives.

    Attributes:
        peer: its connection.
        values: by key.
        versions: by key that it tracks.
        epoch: of the versions, None before it subscribed.
        live: it is subscribed.
        pushes: publications that came.
        losses: unsubscribe pushes by code.
        errors: codes of error replies.
    """

    def __init__(self, node: Node, *, delta: bool = False) -> None:
        self.node = node
        self.delta = delta
        self.values: dict[str, Any] = {}
        self.versions: dict[str, int] = {}
        self.epoch: str | None = None
        self.live = False
        self.pushes: list[dict[str, Any]] = []
        self.losses: list[int] = []
        self.errors: list[int] = []
        self.replies: list[dict[str, Any]] = []
        self._bases: dict[str, bytes] = {}
        self.connect()

    def connect(self) -> None:
        """Connects, again if need be."""
        self.live = False
        self._bases = {}
        self.peer = Peer(self.node)
        self.peer.pipe.ping_interval_seconds = 0.0
        self.peer.ask({"connect": {}})

    def subscribe(self) -> None:
        """Subscribes and tracks what it tracked before."""
        request: dict[str, Any] = {"channel": CHANNEL, "type": 4}
        if self.delta:
            request["delta"] = "fossil"
        self.peer.send({"subscribe": request})
        self.take()

    def track(self, *keys: str, **signed: Any) -> None:
        """Tracks keys with the versions that it has."""
        for key in keys:
            self.versions.setdefault(key, 0)
        self.peer.send(track({key: self.versions[key] for key in keys}, **signed))
        self.take()

    def untrack(self, *keys: str) -> None:
        """Ends that."""
        self.peer.send(untrack(*keys))
        for key in keys:
            self.versions.pop(key, None)
            self.values.pop(key, None)
            self._bases.pop(key, None)
        self.take()

    def take(self) -> list[dict[str, Any]]:
        """Takes what came; returns the publications among it."""
        before = len(self.pushes)
        for message in self.peer.received():
            if "error" in message:
                self.errors.append(message["error"]["code"])
            elif "subscribe" in message:
                self._subscribed(message["subscribe"])
            elif "sub_refresh" in message:
                self.replies.append(message["sub_refresh"])
                for item in message["sub_refresh"].get("items", ()):
                    self._apply(item)
            elif "push" in message:
                push = message["push"]
                assert push["channel"] == CHANNEL
                if "unsubscribe" in push:
                    self.losses.append(push["unsubscribe"]["code"])
                    self.live = False
                else:
                    self.pushes.append(push["pub"])
                    self._apply(push["pub"])
        return self.pushes[before:]

    def _subscribed(self, result: dict[str, Any]) -> None:
        assert result["type"] == 4
        self.live = True
        epoch = result.get("epoch", "")
        if self.epoch is not None and epoch != self.epoch:
            self.versions = dict.fromkeys(self.versions, 0)
        self.epoch = epoch
        self._bases = {}

    def _apply(self, pub: dict[str, Any]) -> None:
        key = pub["key"]
        assert key in self.versions, "a key that is not tracked"
        if pub.get("removed"):
            del self.versions[key]
            self.values.pop(key, None)
            self._bases.pop(key, None)
            return
        assert pub["version"] > self.versions[key], "not newer"
        self.versions[key] = pub["version"]
        data = pub["data"]
        if self.delta:
            assert isinstance(data, str)
            raw = apply_delta(self._bases[key], data.encode()) if pub.get("delta") else data.encode()
            self._bases[key] = raw
            data = json.loads(raw)
        self.values[key] = data
