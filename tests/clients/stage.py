"""What one test of the Python client works with."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
import uuid
from collections.abc import Awaitable, Callable
from typing import Any, Self

import jwt
from cent import AsyncClient, PublishRequest
from centrifuge import Client, ClientEventHandler, Subscription, SubscriptionEventHandler

from .cable import Cable
from .instance import Instance

LIMIT_SECONDS = 30.0


class Recorder:
    """Keeps what a client or subscription reports, in order, until a test takes it.

    An event is (name, context); `on_` is not part of the name.
    """

    def __init__(self, handler: ClientEventHandler | SubscriptionEventHandler) -> None:
        self._kept: list[tuple[str, Any]] = []
        self._arrived = asyncio.Event()
        self.handler = handler
        for name in dir(handler):
            if name.startswith("on_"):
                setattr(handler, name, self._keeper(name.removeprefix("on_")))

    def _keeper(self, name: str) -> Callable[[Any], Awaitable[None]]:
        async def keep(context: Any) -> None:
            self._kept.append((name, context))
            self._arrived.set()

        return keep

    async def take(self, name: str) -> Any:
        """Removes and returns the context of the first event of that name, waiting for it if need be."""
        try:
            async with asyncio.timeout(LIMIT_SECONDS):
                while True:
                    for index, (kept, context) in enumerate(self._kept):
                        if kept == name:
                            del self._kept[index]
                            return context
                    self._arrived.clear()
                    await self._arrived.wait()
        except TimeoutError:
            raise AssertionError(f"no event {name!r}; there is {[kept for kept, _ in self._kept]}") from None

    async def take_many(self, name: str, count: int) -> list[Any]:
        """The first `count` events of that name."""
        return [await self.take(name) for _ in range(count)]

    def rest(self, name: str) -> list[Any]:
        """What is kept of that name."""
        return [context for kept, context in self._kept if kept == name]


class Stage:
    """Makes clients, channels and tokens; what it made ends with the context.

    Args:
        instance: the server.
        protobuf: clients speak Protobuf instead of JSON.
    """

    def __init__(self, instance: Instance, protobuf: bool = False) -> None:
        self.instance = instance
        self.protobuf = protobuf

    async def __aenter__(self) -> Self:
        self._exits = contextlib.AsyncExitStack()
        self.api = AsyncClient(self.instance.api_url, self.instance.api_key)
        self._exits.push_async_callback(self.api.close)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._exits.aclose()

    def channel(self, namespace: str) -> str:
        """A channel name that only this test uses."""
        return f"{namespace}:{uuid.uuid4()}"

    def user(self) -> str:
        """A user id that only this test uses."""
        return f"user-{uuid.uuid4()}"

    def token(self, sub: str, **claims: Any) -> str:
        """A connection token, or with the claim `channel` a subscription token."""
        return jwt.encode({"sub": sub, "exp": int(time.time()) + 600, **claims}, self.instance.secret, "HS256")

    async def cable(self) -> Cable:
        """A cable to the server."""
        return await self._exits.enter_async_context(Cable(self.instance.port))

    def client(self, *, port: int | None = None, **options: Any) -> tuple[Client, Recorder]:
        """A client that is not connected yet, and its events."""
        recorder = Recorder(ClientEventHandler())
        options.setdefault("token", self.token("alice"))
        client = Client(
            f"ws://127.0.0.1:{port or self.instance.port}/connection/websocket",
            events=recorder.handler,  # type: ignore[arg-type]
            use_protobuf=self.protobuf,
            min_reconnect_delay=0.05,
            max_reconnect_delay=0.2,
            **options,
        )
        self._exits.push_async_callback(client.disconnect)
        return client, recorder

    async def connected(self, **options: Any) -> tuple[Client, Recorder]:
        """A connected client, and its events after `connected`."""
        client, recorder = self.client(**options)
        await client.connect()
        await recorder.take("connecting")
        await recorder.take("connected")
        return client, recorder

    async def subscription(self, client: Client, channel: str, **options: Any) -> tuple[Subscription, Recorder]:
        """A subscription that is on its way, and its events."""
        recorder = Recorder(SubscriptionEventHandler())
        subscription = client.new_subscription(channel, events=recorder.handler, **options)  # type: ignore[arg-type]
        await subscription.subscribe()
        return subscription, recorder

    async def publish(self, channel: str, data: Any, **options: Any) -> None:
        """Publishes over the server API."""
        await self.api.publish(PublishRequest(channel=channel, data=data, **options))

    def write(self, value: Any) -> Any:
        """A payload for the client."""
        return json.dumps(value).encode() if self.protobuf else value

    def read(self, payload: Any) -> Any:
        """A payload from the client."""
        return json.loads(payload) if self.protobuf else payload

    async def publications(self, recorder: Recorder, count: int) -> list[Any]:
        """The data of the next publications."""
        return [self.read(context.pub.data) for context in await recorder.take_many("publication", count)]
