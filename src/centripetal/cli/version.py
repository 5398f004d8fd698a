"""The version."""

from __future__ import annotations

import platform

import click

import centripetal


@click.command()
def version() -> None:
    """Prints the version."""
    print(f"Centripetal v{centripetal.__version__} (Python version: {platform.python_version()})")
