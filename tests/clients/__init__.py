"""Published client libraries, driven against the server."""
