"""Obtains certificates from a real ACME server. Needs the Go tool, which builds the server."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
PROGRAMS = HERE.parent / "build" / "acme"

if __name__ == "__main__":
    sys.path.insert(0, str(HERE / "acme"))
    from pebble import install

    install(PROGRAMS)
    sys.exit(pytest.main([str(HERE / "acme" / "scenes.py"), "-q", *sys.argv[1:]]))
