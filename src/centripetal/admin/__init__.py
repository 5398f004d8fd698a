"""The admin web interface."""
