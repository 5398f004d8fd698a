"""Runs the Autobahn WebSocket test suite against the echo server and reads its report."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

SECTIONS = ["1.*", "2.*", "3.*", "4.*", "5.*", "6.*", "7.*", "9.*", "10.*", "12.*", "13.*"]
PASSED = {"OK", "NON-STRICT", "INFORMATIONAL"}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--wstest", required=True, help="the suite's command")
    parser.add_argument("--build", type=Path, required=True, help="folder for configuration and report")
    parser.add_argument("--timeout", type=float, default=1200.0, help="seconds")
    parser.add_argument("sections", nargs="*", default=SECTIONS, help="cases, e.g. 6.* 9.1.1")
    options = parser.parse_args()
    options.build.mkdir(parents=True, exist_ok=True)
    report = options.build / "report"
    echo = Path(__file__).with_name("echo.py")
    with subprocess.Popen([sys.executable, str(echo)], stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            port = int(server.stdout.readline())
            specification = options.build / "fuzzingclient.json"
            specification.write_text(
                json.dumps(
                    {
                        "outdir": str(report),
                        "servers": [{"agent": "centripetal", "url": f"ws://127.0.0.1:{port}"}],
                        "cases": options.sections,
                        "exclude-cases": [],
                    }
                )
            )
            started = time.monotonic()
            with (options.build / "output.txt").open("w") as output:
                subprocess.run(
                    [options.wstest, "-m", "fuzzingclient", "-s", str(specification)],
                    stdout=output, stderr=subprocess.STDOUT, timeout=options.timeout, check=True,
                )  # fmt: skip
            minutes = (time.monotonic() - started) / 60
        finally:
            server.kill()
    return summarize(report / "index.json", minutes)


def summarize(index: Path, minutes: float) -> int:
    """Prints the cases that failed and the counts; returns the exit status."""
    cases = json.loads(index.read_text())["centripetal"]
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
