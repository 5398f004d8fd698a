"""The connections of this node, by id and by user."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol

from ..model import Disconnect
from .control import SubscribeUser


class Session(Protocol):
    """What a node asks of an authenticated connection.

    Attributes:
        id: connection id.
        user: user id, empty for anonymous.
        session: secret id of emulated and unidirectional connections; empty for others.
    """

    id: str
    user: str
    session: str

    async def subscribe_by_server(self, order: SubscribeUser) -> None:
        """Adds a server-side subscription and tells the client; whose connections are meant has been found out."""

    async def unsubscribe_by_server(self, channel: str) -> None:
        """Ends a subscription, all with an empty channel, and tells the client."""

    def refresh_by_server(self, *, expired: bool, expire_at: int, info: bytes | None) -> None:
        """Changes the connection's expiry and tells the client."""

    def disconnect(self, disconnect: Disconnect) -> None:
        """Ends the connection."""

    def renew_presence_soon(self) -> None:
        """Renews its presence within seconds, since it may have been lost."""

    def lose_position(self, channel: str) -> None:
        """Ends a positioned subscription whose continuity is lost (2500, or 3010 for a server-side one)."""


class Registry:
    """Authenticated connections.

    Attributes:
        clients: by connection id.
        users: by user id, each with its connections.
        sessions: those that have one, by session.
        changed: called with their number whenever it changes, if set.
    """

    def __init__(self) -> None:
        self.clients: dict[str, Session] = {}
        self.users: dict[str, dict[str, Session]] = {}
        self.sessions: dict[str, Session] = {}
        self.changed: Callable[[int], None] | None = None

    def add(self, client: Session) -> None:
        """Adds a connection."""
        self.clients[client.id] = client
        self.users.setdefault(client.user, {})[client.id] = client
        if client.session:
            self.sessions[client.session] = client
        if self.changed is not None:
            self.changed(len(self.clients))

    def remove(self, client: Session) -> None:
        """Removes a connection, if it is there."""
        if self.clients.pop(client.id, None) is None:
            return
        self.sessions.pop(client.session, None)
        of_user = self.users[client.user]
        del of_user[client.id]
        if not of_user:
            del self.users[client.user]
        if self.changed is not None:
            self.changed(len(self.clients))

    def of_user(self, user: str, client: str = "", session: str = "") -> Iterable[Session]:
        """Returns a user's connections, narrowed to a connection id or session where given."""
        connections = self.users.get(user)
        if connections is None:
            return ()
        return [
            connection
            for connection in connections.values()
            if (not client or connection.id == client) and (not session or connection.session == session)
        ]
