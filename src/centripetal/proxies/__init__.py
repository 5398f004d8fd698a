"""Calls to the application's backend."""
