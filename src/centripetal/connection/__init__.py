"""One client from connect to disconnect."""

from .client import Client

__all__ = ["Client"]
