"""The Protobuf schema of the server API and the code generated from it."""
