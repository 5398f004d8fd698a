"""Runs the conformance kit against Centripetal, without the scenario files whose feature does not exist yet.

Arguments go on to `conform check`; a filter (part of `area/name::scenario`) narrows the choice further. The server is
`centripetal -c {config}` unless `--server` names another command. The last line printed is the kit's own count.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

TESTS = Path(__file__).resolve().parent
KIT = TESTS / "conformance"
EXCLUSIONS = TESTS / "conformance_exclusions.txt"
DEFAULT_SERVER = "centripetal -c {config}"


def excluded_files(text: str) -> set[str]:
    """Returns the `area/name` lines of an exclusion file; blank lines and comments do not count."""
    lines = (line.strip() for line in text.splitlines())
    return {line for line in lines if line and not line.startswith("#")}


def scenario_files(kit: Path) -> list[str]:
    """Returns `area/name` of every scenario file of the kit, sorted."""
    paths = (kit / "scenarios").glob("*/*.py")
    return sorted(f"{path.parent.name}/{path.stem}" for path in paths if not path.name.startswith("_"))


def split_filters(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Separates the kit's filters from its options, so that filters can be combined with the exclusions."""
    with_value = {"--server", "--overlay", "--jobs", "--junit"}
    options: list[str] = []
    filters: list[str] = []
    rest = iter(arguments)
    for argument in rest:
        if argument in with_value:
            options += [argument, next(rest, "")]
        elif argument.startswith("-"):
            options.append(argument)
        else:
            filters.append(argument)
    return options, filters


def main(arguments: Sequence[str]) -> int:
    """Returns the kit's exit status; 2 when the exclusion file or the filters make no sense."""
    excluded = excluded_files(EXCLUSIONS.read_text(encoding="utf-8"))
    files = scenario_files(KIT)
    unknown = sorted(excluded - set(files))
    if unknown:
        print(f"{EXCLUSIONS.name} names scenario files that the kit does not have: {', '.join(unknown)}")
        return 2
    options, filters = split_filters(arguments)
    chosen = [
        file for file in files if file not in excluded and (not filters or any(part in f"{file}::" for part in filters))
    ]
    if not chosen:
        print("no scenario file is left: all that match are excluded, or none matches")
        return 2
    if "--server" not in options:
        options += ["--server", DEFAULT_SERVER]
    if "--jobs" not in options:
        # One for each processor: scenarios have time limits, and those of the console start many processes.
        options += ["--jobs", str(os.cpu_count() or 1)]
    # The server's command is looked up on PATH; the environment that runs this script has the one to test.
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    command = [sys.executable, str(KIT / "conform"), "check", *options, *(f"{file}::" for file in chosen)]
    print(f"{len(chosen)} of {len(files)} scenario files", flush=True)
    environment = {**os.environ, "PATH": path, "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(command, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
