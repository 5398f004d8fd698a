"""States of a connection."""

NEW, CONNECTING, ACCEPTED, CONNECTED, UNUSABLE, CLOSED = range(6)
"""ACCEPTED: it belongs to the node, and its first subscriptions are made; connect is not answered yet.

UNUSABLE: connect was answered with an error; nothing else is answered, and the connection closes as stale.
"""
