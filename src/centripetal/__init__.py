"""Centripetal: a real-time messaging server and library."""

__version__ = "0.1.0"
