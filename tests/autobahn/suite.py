"""Runs the Autobahn WebSocket test suite against the echo server and reads its reports."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

# Two halves of about the same length, for two CPUs; nearly all of the time goes into sections 12 and 13, compression.
HALVES = [
    ["1.*", "2.*", "3.*", "4.*", "5.*", "6.*", "7.*", "9.*", "10.*", "12.*", "13.1.*"],
    [f"13.{subsection}.*" for subsection in range(2, 8)],
]
# For every change: of the compression cases, the small and the large ones of each kind.
QUICK = ["1.*", "2.*", "3.*", "4.*", "5.*", "6.*", "7.*", "9.*", "10.*"] + [
    f"{section}.{subsection}.{case}"
    for section, subsections in ((12, 5), (13, 7))
    for subsection in range(1, subsections + 1)
    for case in (1, 4, 9, 12, 17)
]
PASSED = {"OK", "NON-STRICT", "INFORMATIONAL"}

Cases = dict[str, dict[str, Any]]


def main() -> int:
    """Returns the exit status: 1 when a case failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--wstest", required=True, help="the suite's command")
    parser.add_argument("--build", type=Path, required=True, help="folder for configuration and reports")
    parser.add_argument("--timeout", type=float, default=1800.0, help="seconds")
    parser.add_argument("--quick", action="store_true", help="fewer cases of sections 12 and 13")
    parser.add_argument("sections", nargs="*", help="cases, e.g. 6.* 9.1.1; sections 1-7, 9, 10, 12, 13 by default")
    options = parser.parse_args()
    groups = [options.sections] if options.sections else [QUICK] if options.quick else HALVES
    started = time.monotonic()
    with ThreadPoolExecutor() as pool:
        runs = [
            pool.submit(run, options.wstest, options.build / f"run{number}", sections, options.timeout)
            for number, sections in enumerate(groups)
        ]
        cases = {name: case for finished in runs for name, case in finished.result().items()}
    return summarize(cases, (time.monotonic() - started) / 60)


def run(wstest: str, build: Path, sections: list[str], timeout_seconds: float) -> Cases:
    """Runs cases against an echo server of their own and returns the report by case."""
    build.mkdir(parents=True, exist_ok=True)
    report = build / "report"
    echo = Path(__file__).with_name("echo.py")
    with subprocess.Popen([sys.executable, str(echo)], stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            port = int(server.stdout.readline())
            specification = {
                "outdir": str(report),
                "servers": [{"agent": "centripetal", "url": f"ws://127.0.0.1:{port}"}],
                "cases": sections,
                "exclude-cases": [],
            }
            path = build / "fuzzingclient.json"
            path.write_text(json.dumps(specification))
            with (build / "output.txt").open("w") as output:
                subprocess.run(
                    [wstest, "-m", "fuzzingclient", "-s", str(path)],
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    timeout=timeout_seconds,
                    check=True,
                )
        finally:
            server.kill()
    cases: Cases = json.loads((report / "index.json").read_text())["centripetal"]
    return cases


def summarize(cases: Cases, minutes: float) -> int:
    """Prints the cases that failed and the counts; returns the exit status."""
    failed = {name: case for name, case in cases.items() if {case["behavior"], case["behaviorClose"]} - PASSED}
    durations: Counter[str] = Counter()
    for name, case in cases.items():
        durations[name.partition(".")[0]] += case["duration"]
    for name, case in failed.items():
        print(f"FAIL {name}: {case['behavior']}, close {case['behaviorClose']} ({case['remoteCloseCode']})")
    times = ", ".join(f"{section}: {milliseconds / 1000:.0f} s" for section, milliseconds in durations.items())
    print(f"{minutes:.1f} minutes ({times})")
    print(f"{len(cases) - len(failed)} passed, {len(failed)} failed")
    return 1 if failed or not cases else 0


if __name__ == "__main__":
    sys.exit(main())
