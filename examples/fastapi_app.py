"""A chat's backend in FastAPI: Centripetal asks it who connects, who may join a room, and what may be said there.

Run it with `uvicorn fastapi_app:app --port 9000`.
"""

from __future__ import annotations

import hmac
import os
from typing import Annotated, Any

from fastapi import APIRouter, Cookie, Depends, FastAPI, Header, HTTPException
from pydantic import BaseModel

SECRET = os.environ.get("CENTRIPETAL_SECRET", "only for this example")
SESSIONS = {"session-of-alice": "alice", "session-of-bob": "bob"}
MEMBERS = {"general": {"alice", "bob"}, "staff": {"alice"}}
MAX_TEXT = 500

Answer = dict[str, Any]


def require_secret(x_centripetal_secret: Annotated[str, Header()] = "") -> None:
    """Lets nobody but Centripetal call: these addresses decide about users."""
    if not hmac.compare_digest(x_centripetal_secret.encode(), SECRET.encode()):
        raise HTTPException(403)


events = APIRouter(prefix="/centripetal", dependencies=[Depends(require_secret)])


class Subscribe(BaseModel):
    user: str
    channel: str


class Publish(BaseModel):
    user: str
    channel: str
    data: Any


class Rpc(BaseModel):
    user: str
    method: str = ""


@events.post("/connect")
def connect(session: Annotated[str, Cookie()] = "") -> Answer:
    """Says who a connection is, by the cookie of the website."""
    user = SESSIONS.get(session)
    if user is None:
        return {"disconnect": {"code": 4501, "reason": "please log in"}}
    return {"result": {"user": user, "data": {"rooms": rooms_of(user)}}}


@events.post("/subscribe")
def subscribe(event: Subscribe) -> Answer:
    """Lets members into their rooms."""
    if not is_member(event.user, event.channel):
        return {"error": {"code": 103, "message": "permission denied"}}
    return {"result": {"info": {"name": event.user.title()}}}


@events.post("/publish")
def publish(event: Publish) -> Answer:
    """Lets members speak, and writes their name under what they say."""
    if not is_member(event.user, event.channel):
        return {"error": {"code": 103, "message": "permission denied"}}
    text = event.data.get("text") if isinstance(event.data, dict) else None
    if not isinstance(text, str) or not 0 < len(text) <= MAX_TEXT:
        return {"error": {"code": 1000, "message": "say something short"}}
    return {"result": {"data": {"text": text, "from": event.user}}}


@events.post("/rpc")
def rpc(event: Rpc) -> Answer:
    """Answers calls of clients."""
    if event.method != "rooms":
        return {"error": {"code": 104, "message": "method not found"}}
    return {"result": {"data": rooms_of(event.user)}}


def rooms_of(user: str) -> list[str]:
    return sorted(room for room, members in MEMBERS.items() if user in members)


def is_member(user: str, channel: str) -> bool:
    return channel.removeprefix("room:") in rooms_of(user)


app = FastAPI()
app.include_router(events)
