"""The server, in a process that tells what lives in it: `python watched.py -c FILE`.

`GET /churn/report` counts tasks and objects by type. Automatic garbage collection is off, so that what only a
collection would free is seen as left behind.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import os
import sys
from collections import Counter
from collections.abc import Sequence

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import BaseRoute, Route

from centripetal.cli.serve import read_startable
from centripetal.config import LoadedConfig
from centripetal.node.node import Node
from centripetal.server.run import serve
from centripetal.transports import heads

REPORT = "/churn/report"

HEADS_REMEMBERED = 8
"""The front door remembers some heads of requests; here fewer than usual, so that a leaked one is not taken for one."""


class MallocFigures(ctypes.Structure):
    """What glibc's `mallinfo2` tells of all its arenas; each figure a `size_t`."""

    _fields_ = [
        (name, ctypes.c_size_t)
        for name in ["arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks", "fordblks", "keepcost"]
    ]


def allocated_bytes() -> int:
    """Returns how many bytes `malloc` has given out: objects over 512 bytes and all that libraries in C keep.

    Unlike the resident memory it does not depend on where in the heap the last peak left something.
    """
    mallinfo2 = ctypes.CDLL(None).mallinfo2
    mallinfo2.restype = MallocFigures
    figures = mallinfo2()
    return int(figures.uordblks + figures.hblkhd)


def count_objects() -> dict[str, int]:
    """Returns how many objects of each type the collector knows, by the type's full name."""
    kinds = Counter(type(thing) for thing in gc.get_objects())
    return {f"{kind.__module__}.{kind.__qualname__}": count for kind, count in kinds.items()}


async def report(request: Request) -> JSONResponse:
    """Tells the tasks and objects as they are; `?collect` also the objects and the memory once garbage is collected."""
    told = {"tasks": len(asyncio.all_tasks()), "uncollected": count_objects(), "collected": {}, "blocks": 0, "bytes": 0}
    if "collect" in request.query_params:
        gc.collect()
        told["blocks"] = sys.getallocatedblocks()
        told["bytes"] = allocated_bytes()
        told["collected"] = count_objects()
    return JSONResponse(told)


def routes(node: Node) -> Sequence[BaseRoute]:
    """Returns the further page of the server."""
    return [Route(REPORT, report)]


def main() -> int:
    """Runs the server; returns its exit status."""
    path = sys.argv[-1]

    def read() -> LoadedConfig:
        return read_startable(path, os.environ, {})

    heads._KNOWN_HEADS = HEADS_REMEMBERED
    gc.disable()
    return serve(read(), read, extra_routes=routes)


if __name__ == "__main__":
    sys.exit(main())
