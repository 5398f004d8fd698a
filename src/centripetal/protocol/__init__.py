"""Wire formats of the client protocol: bytes in, commands out; results in, bytes out."""
