"""States of a connection."""

NEW, CONNECTING, CONNECTED, UNUSABLE, CLOSED = range(5)
"""UNUSABLE: connect was answered with an error; nothing else is answered, and the connection closes as stale."""
