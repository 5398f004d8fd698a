"""Generated messages of the proxy protocol over gRPC."""
