"""Joins a room, says something and prints what arrives: `python client.py alice general hello`."""

from __future__ import annotations

import asyncio
import os
import sys

from centrifuge import (
    CentrifugeError,
    Client,
    ClientEventHandler,
    ConnectedContext,
    DisconnectedContext,
    PublicationContext,
    SubscriptionEventHandler,
    UnsubscribedContext,
)

URL = os.environ.get("CENTRIPETAL_URL", "ws://127.0.0.1:8000/connection/websocket")


class Connection(ClientEventHandler):
    async def on_connected(self, context: ConnectedContext) -> None:
        print("connected:", context.data, flush=True)

    async def on_disconnected(self, context: DisconnectedContext) -> None:
        print("disconnected:", context.code, context.reason, flush=True)


class Room(SubscriptionEventHandler):
    def __init__(self) -> None:
        self.heard = asyncio.Event()

    async def on_publication(self, context: PublicationContext) -> None:
        print("heard:", context.pub.data, flush=True)
        self.heard.set()

    async def on_unsubscribed(self, context: UnsubscribedContext) -> None:
        print("not in the room:", context.code, context.reason, flush=True)


async def main(user: str, room: str, text: str) -> None:
    """Connects with the cookie that the website would have set in a browser."""
    client = Client(URL, events=Connection(), headers={"Cookie": f"session=session-of-{user}"})
    await client.connect()
    events = Room()
    subscription = client.new_subscription(f"room:{room}", events=events)
    await subscription.subscribe()
    try:
        print("rooms:", (await client.rpc("rooms", None)).data, flush=True)
        await subscription.publish({"text": text, "from": "somebody else"})
        await asyncio.wait_for(events.heard.wait(), 5)
    except CentrifugeError as error:
        print("refused:", error or type(error).__name__, flush=True)
    await client.disconnect()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:4]))
