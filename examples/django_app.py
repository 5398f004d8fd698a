"""A chat's backend in Django: Centripetal asks it who connects, who may join a room, and what may be said there.

Run it with `uvicorn django_app:application --port 9000`. The settings are those of a project in one file; the views and
`urlpatterns` go into yours as they are.
"""

from __future__ import annotations

import functools
import hmac
import json
import os
from collections.abc import Callable
from typing import Any

import django
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.http import HttpRequest, HttpResponse, HttpResponseForbidden, JsonResponse
from django.urls import path
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

SECRET = os.environ.get("CENTRIPETAL_SECRET", "only for this example")
SESSIONS = {"session-of-alice": "alice", "session-of-bob": "bob"}
MEMBERS = {"general": {"alice", "bob"}, "staff": {"alice"}}
MAX_TEXT = 500

Answer = dict[str, Any]

settings.configure(ROOT_URLCONF=__name__, ALLOWED_HOSTS=["127.0.0.1", "localhost"], SECRET_KEY=SECRET)
django.setup()


def event(view: Callable[[HttpRequest, Answer], Answer]) -> Callable[[HttpRequest], HttpResponse]:
    """Makes a view of a function from what Centripetal asks to the answer; nobody else may call it."""

    @csrf_exempt
    @require_POST
    @functools.wraps(view)
    def checked(request: HttpRequest) -> HttpResponse:
        shown = request.headers.get("X-Centripetal-Secret", "")
        if not hmac.compare_digest(shown.encode(), SECRET.encode()):
            return HttpResponseForbidden()
        return JsonResponse(view(request, json.loads(request.body)))

    return checked


@event
def connect(request: HttpRequest, asked: Answer) -> Answer:
    """Says who a connection is, by the cookie of the website; a project with users has `request.user` here."""
    user = SESSIONS.get(request.COOKIES.get("session", ""))
    if user is None:
        return {"disconnect": {"code": 4501, "reason": "please log in"}}
    return {"result": {"user": user, "data": {"rooms": rooms_of(user)}}}


@event
def subscribe(request: HttpRequest, asked: Answer) -> Answer:
    """Lets members into their rooms."""
    if not is_member(asked["user"], asked["channel"]):
        return {"error": {"code": 103, "message": "permission denied"}}
    return {"result": {"info": {"name": asked["user"].title()}}}


@event
def publish(request: HttpRequest, asked: Answer) -> Answer:
    """Lets members speak, and writes their name under what they say."""
    if not is_member(asked["user"], asked["channel"]):
        return {"error": {"code": 103, "message": "permission denied"}}
    data = asked["data"]
    text = data.get("text") if isinstance(data, dict) else None
    if not isinstance(text, str) or not 0 < len(text) <= MAX_TEXT:
        return {"error": {"code": 1000, "message": "say something short"}}
    return {"result": {"data": {"text": text, "from": asked["user"]}}}


@event
def rpc(request: HttpRequest, asked: Answer) -> Answer:
    """Answers calls of clients."""
    if asked.get("method") != "rooms":
        return {"error": {"code": 104, "message": "method not found"}}
    return {"result": {"data": rooms_of(asked["user"])}}


def rooms_of(user: str) -> list[str]:
    return sorted(room for room, members in MEMBERS.items() if user in members)


def is_member(user: str, channel: str) -> bool:
    return channel.removeprefix("room:") in rooms_of(user)


urlpatterns = [
    path("centripetal/connect", connect),
    path("centripetal/subscribe", subscribe),
    path("centripetal/publish", publish),
    path("centripetal/rpc", rpc),
]
application = get_asgi_application()
