"""Certificates by ACME (RFC 8555), obtained and renewed by the server itself (`http_server.tls_autocert.*`)."""
