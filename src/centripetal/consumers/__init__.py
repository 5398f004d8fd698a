"""Consumers of message queues."""
