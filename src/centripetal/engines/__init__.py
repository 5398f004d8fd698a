"""Brokers, presence managers, map brokers and controllers."""
