"""Hostile input for everything that parses."""
