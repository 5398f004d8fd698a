"""How bytes come in and go out: the front door, and the transports behind it."""
