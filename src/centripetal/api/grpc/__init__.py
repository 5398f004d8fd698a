"""The server API over gRPC."""
