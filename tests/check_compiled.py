"""Checks that what pyproject.toml lists as compiled is what an interpreter imports.

Run with the compiled package first on the path; prints how many modules there are, or which ones are not compiled.
"""

from __future__ import annotations

import sys
import tomllib
from importlib.util import find_spec
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent / "pyproject.toml"


def main() -> int:
    """Returns the exit status: 1 when a module is missing."""
    hooks = tomllib.loads(PROJECT.read_text(encoding="utf-8"))["tool"]["hatch"]["build"]["targets"]["wheel"]["hooks"]
    names = ["centripetal." + module.replace("/", ".") for module in hooks["custom"]["modules"]]
    specs = {name: find_spec(name) for name in names}
    missing = [name for name, spec in specs.items() if spec is None or (spec.origin or "").endswith(".py")]
    print("not compiled: " + ", ".join(missing) if missing else f"{len(names)} modules are compiled")
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
