#!/usr/bin/env python3
"""Draws how the cost of a delivery or publication grows with subscribers, channels, payload and publications a turn.

    ./growth.py --server 'ours=centripetal -c {config}' --baseline --svg ../docs/performance.svg

Servers are given as for bench.py. A point is the median of `--repeat` runs, going round the servers.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from bench import BASELINE, HERE, cpu_set, run_undisturbed, write_tokens
from curves import Curve, Plot, draw
from loads import HISTORY, Load
from servers import Server


@dataclass(frozen=True)
class Sweep:
    """One plot: a load in which one number grows.

    Attributes:
        name: on the command line.
        title: what grows, and what is measured.
        arguments: for the generator, with `{}` for the number.
        sizes: of it.
        channel: options of the channels.
        per: the value of a run to plot, CPU-µs.
        baseline: the C baseline server can take it.
    """

    name: str
    title: str
    arguments: str
    sizes: tuple[int, ...]
    channel: dict
    per: str = "cpu_us"
    baseline: bool = True

    def load(self, size: int, seconds: float) -> Load:
        """The load at one size."""
        return Load(
            f"{self.name}/{size}",
            self.title,
            "operation",
            self.arguments.format(size),
            channel=self.channel,
            seconds=seconds,
            warmup=0.5,
            baseline=self.baseline,
        )


SWEEPS = (
    Sweep("subscribers", "µs a delivery; subscribers", "fanout --clients {}", (10, 100, 1000, 5000, 15000), {}),
    Sweep("payload", "µs a delivery; bytes of payload", "fanout --clients 1000 --payload {}", (64, 512, 4096, 32768), {}),
    Sweep(
        "batch",
        "µs a delivery; publications a turn",
        "fanout --clients 1000 --method batch --batch {}",
        (1, 4, 16, 64),
        {},
    ),
    Sweep(
        "channels",
        "µs a publication with history; channels",
        "publish --lanes 32 --channels {} --offsets",
        (32, 1000, 10000, 100000),
        HISTORY,
    ),
)


def measure(sweep: Sweep, servers: list[Server], options: argparse.Namespace, folder: Path) -> Plot:
    """Runs a sweep and returns its plot; a point whose runs failed is left out, and told."""
    curves = {server.name: Curve(server.name, []) for server in servers if sweep.baseline or not server.is_baseline}
    for size in sweep.sizes:
        load = sweep.load(size, options.seconds)
        values: dict[str, list[float]] = {name: [] for name in curves}
        for _ in range(options.repeat):
            for server in servers:
                try:
                    values[server.name].append(run_undisturbed(server, load, options, folder)[sweep.per])
                except RuntimeError as error:
                    print(f"{load.name}, {server.name}: {error}", file=sys.stderr)
        for name, found in values.items():
            if found:
                curves[name].points.append((size, statistics.median(found)))
        line = "  ".join(f"{name} {statistics.median(found):.2f}" for name, found in values.items() if found)
        print(f"{load.name:20} {line}", flush=True)
    return Plot(sweep.title, list(curves.values()))


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    names = [sweep.name for sweep in SWEEPS]
    parser.add_argument("sweeps", nargs="*", metavar="SWEEP", help=f"{', '.join(names)}; default: all")
    parser.add_argument("--server", action="append", default=[], metavar="NAME=COMMAND", help="with {config} for the file")
    parser.add_argument("--baseline", action="store_true", help="measure the C baseline server too")
    parser.add_argument("--svg", type=Path, metavar="FILE", help="draw the curves there")
    parser.add_argument("--repeat", type=int, default=1, help="runs of each point on each server (default 1)")
    parser.add_argument("--seconds", type=float, default=2, help="window of a run (default 2)")
    parser.add_argument("--calm", type=float, default=0, metavar="SECONDS", help="as for bench.py")
    parser.add_argument("--server-cpus", type=cpu_set, default={0}, metavar="LIST", help="default 0")
    parser.add_argument("--load-cpus", type=cpu_set, default={1}, metavar="LIST", help="default 1")
    options = parser.parse_args()
    for name in options.sweeps:
        if name not in names:
            parser.error(f"no sweep {name!r}; there are {', '.join(names)}")
    if not options.baseline and not options.server:
        parser.error("nothing to measure: give --server or --baseline")
    options.quick = False
    return options


def main() -> int:
    options = parse_arguments()
    subprocess.run(["make", "--silent", "-C", str(HERE)], check=True)
    servers = [Server(*server.split("=", 1)) for server in options.server]
    servers += [BASELINE] if options.baseline else []
    os.sched_setaffinity(0, options.load_cpus)
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        write_tokens(Path(folder, "tokens"))
        chosen = [sweep for sweep in SWEEPS if sweep.name in options.sweeps or not options.sweeps]
        plots = [measure(sweep, servers, options, Path(folder)) for sweep in chosen]
    if options.svg:
        options.svg.write_text(draw(plots))
    return 0


if __name__ == "__main__":
    sys.exit(main())
