"""Compiles modules of the hot path with mypyc into the wheel, if CENTRIPETAL_COMPILE=1 is in the environment.

The source is the same and stays in the wheel; an interpreter that finds no extension module of its own kind runs that. The
modules are listed in pyproject.toml.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

PACKAGE = "centripetal"
GROUP = f"{PACKAGE}_compiled"
"""Name of the extension module, beside the package, that has the code of all."""


def is_wanted() -> bool:
    """Whether the modules are to be compiled."""
    return os.environ.get("CENTRIPETAL_COMPILE", "") not in ("", "0")


class CompileHook(BuildHookInterface[Any]):
    """Adds extension modules to a wheel."""

    PLUGIN_NAME = "custom"

    def dependencies(self) -> list[str]:
        """Returns what the build needs: the compiler, and what it learns types from."""
        if not is_wanted():
            return []
        return ["mypy==2.4.*", "setuptools>=70", "types-protobuf>=5.27", *self.metadata.core.dependencies]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compiles, and tells hatchling what came of it; an editable installation stays as it is."""
        if not is_wanted() or version != "standard":
            return
        folder = Path(self.root, "build", "mypyc")
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(Path(self.root, "src", PACKAGE), folder / PACKAGE, ignore=shutil.ignore_patterns("*.so", "__pycache__"))
        with contextlib.chdir(folder):
            compile_modules([f"{PACKAGE}/{module}.py" for module in self.config["modules"]])
        built = folder / "lib"
        for file in built.rglob("*"):
            if file.suffix in (".so", ".pyd"):
                build_data["force_include"][str(file)] = str(file.relative_to(built))
        build_data["pure_python"] = False
        build_data["infer_tag"] = True


def compile_modules(files: list[str]) -> None:
    """Compiles files below the current folder into extension modules below `lib`.

    Raises:
        SystemExit: there is no C compiler, or a module cannot be compiled; what is wrong was printed.
    """
    from mypyc.build import mypycify
    from setuptools import setup

    extensions = mypycify(["--config-file=", "--ignore-missing-imports", *files], group_name=GROUP, multi_file=True, opt_level="2", debug_level="0")
    jobs = str(os.cpu_count() or 1)
    setup(
        name=GROUP,
        packages=[],
        ext_modules=extensions,
        script_args=["--quiet", "build_ext", "--build-lib", "lib", "--build-temp", "temp", "--parallel", jobs],
    )
