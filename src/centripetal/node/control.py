"""The messages that nodes of a cluster send each other."""

from __future__ import annotations

from typing import Any

import msgspec

from ..interfaces import SubscriptionOverrides
from ..model import StreamPosition


class Message(msgspec.Struct, frozen=True, array_like=True, kw_only=True):
    """What all have in common.

    Attributes:
        sender: id of the node.
    """

    sender: str


class Alive(Message, frozen=True, tag=1):
    """A node is there, and describes itself.

    Attributes:
        description: in the wire names of `NodeResult`.
        group: nodes with one group appear as one to the outside; empty for none.
        session_prefix: how sessions of the node begin, which tells it from others of its group.
        greets: it has just begun, and wants to know the others.
    """

    description: dict[str, Any]
    group: str = ""
    greets: bool = False
    session_prefix: str = ""


class Gone(Message, frozen=True, tag=2):
    """A node has stopped."""


class SubscribeUser(Message, frozen=True, tag=3):
    """Subscribe connections of a user; see Node.subscribe_user()."""

    user: str
    channel: str
    client: str = ""
    session: str = ""
    expire_at: int = 0
    info: bytes = b""
    data: bytes = b""
    recover_since: StreamPosition | None = None
    overrides: SubscriptionOverrides | None = None


class UnsubscribeUser(Message, frozen=True, tag=4):
    """End a subscription of a user; see Node.unsubscribe_user()."""

    user: str
    channel: str
    client: str = ""
    session: str = ""


class DisconnectUser(Message, frozen=True, tag=5):
    """End connections of a user; see Node.disconnect_user()."""

    user: str
    code: int
    reason: str
    client: str = ""
    session: str = ""
    whitelist: list[str] = []


class RefreshUser(Message, frozen=True, tag=6):
    """Change the expiry of a user's connections; see Node.refresh_user()."""

    user: str
    client: str = ""
    session: str = ""
    expired: bool = False
    expire_at: int = 0
    info: bytes | None = None


class Question(Message, frozen=True, tag=7):
    """Something that every node, or one, is asked.

    Attributes:
        number: for the answer.
        topic: which handler answers.
        body: what it needs.
    """

    number: int
    topic: str
    body: bytes


class Answer(Message, frozen=True, tag=8):
    """What a node answers.

    Attributes:
        number: of the question.
        body: what its handler says.
        failed: it could not answer.
    """

    number: int
    body: bytes
    failed: bool = False


AnyMessage = Alive | Gone | SubscribeUser | UnsubscribeUser | DisconnectUser | RefreshUser | Question | Answer

encode = msgspec.msgpack.Encoder().encode
decode = msgspec.msgpack.Decoder(AnyMessage).decode
