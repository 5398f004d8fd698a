"""Rules that options keep among each other."""

from .everything import validate

__all__ = ["validate"]
