"""The NATS broker."""
