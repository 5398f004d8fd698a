"""A server of static files, for development."""

from __future__ import annotations

import functools
import http.server
from pathlib import Path

import click


def serve_directory(directory: str, address: str, port: str) -> int:
    """Serves the files of a directory over HTTP until it is interrupted.

    Args:
        address: interface, empty for all.
        port: TCP port as text.

    Returns:
        The exit status.
    """
    if not Path(directory).is_dir():
        raise click.ClickException(f"--dir: {directory!r} is not a directory")
    if not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        raise click.ClickException(f"--port: {port!r} is not a port from 1 to 65535")
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=directory)
    try:
        server = http.server.ThreadingHTTPServer((address, int(port)), handler)
    except OSError as error:
        raise click.ClickException(f"cannot listen on {address}:{port}: {error.strerror}") from error
    print(f"start serving {directory} on {address}:{port}", flush=True)
    with server:
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            return 0
    return 0
