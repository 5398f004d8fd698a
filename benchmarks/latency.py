#!/usr/bin/env python3
"""Measures the time from publishing to receiving while a server has other work than this publication: publications come at
random moments, at a given rate, to many subscribers of a channel.

    ./latency.py --server 'ours=centripetal -c {config}' --rate 120

Needs uvloop. Servers are given as for bench.py. The generator is Python, so its own time is in the figures: about 1 µs for each
delivery. Every delivery is counted; a run that lost one fails.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import os
import random
import tempfile
import time
from pathlib import Path

import uvloop
from bench import cpu_set
from loads import LOADS
from servers import API_KEY, Server, running

CHANNEL = b"latency"
SEED = 7
SETTLE_SECONDS = 2.0


def masked(payload: bytes) -> bytes:
    """Returns a client's text frame of at most 125 bytes; the mask is zero."""
    return bytes((0x81, 0x80 | len(payload))) + b"\0\0\0\0" + payload


class Subscriber(asyncio.Protocol):
    """Connects, subscribes, and notes when each publication came after it was sent."""

    def __init__(self, latencies: list[int], ready: asyncio.Semaphore) -> None:
        self.latencies = latencies
        self.ready = ready
        self.replies = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: asyncio.Transport = transport  # type: ignore[assignment]
        key = base64.b64encode(os.urandom(16))
        self.transport.write(
            b"GET /connection/websocket HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %b\r\n\r\n" % key
        )

    def data_received(self, data: bytes) -> None:
        now = time.perf_counter_ns()
        self.replies += 1
        if self.replies == 1:
            self.transport.write(masked(b'{"id":1,"connect":{}}'))
        elif self.replies == 2:
            self.transport.write(masked(b'{"id":2,"subscribe":{"channel":"%b"}}' % CHANNEL))
        elif self.replies == 3:
            self.ready.release()
        at = data.find(b'"ns":')
        while at >= 0:
            self.latencies.append(now - int(data[at + 5 : data.index(b",", at)]))
            at = data.find(b'"ns":', at + 5)


def cpu_seconds(pid: int) -> float:
    """Returns the CPU time of one process."""
    ticks = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
    return sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK")


async def publish_at_random(port: int, rate: float, seconds: float) -> int:
    """Publishes `rate` times a second on average, whatever becomes of the publications before; returns how many."""
    loop = asyncio.get_running_loop()
    lanes = [(await loop.create_connection(asyncio.Protocol, "127.0.0.1", port))[0] for _ in range(8)]
    moments = random.Random(SEED)
    at = loop.time()
    end = at + seconds
    published = 0
    while (at := at + moments.expovariate(rate)) < end:
        await asyncio.sleep(at - loop.time())
        body = b'{"channel":"%b","data":{"ns":%d,"x":"%b"}}' % (CHANNEL, time.perf_counter_ns(), b"x" * 100)
        lanes[published % len(lanes)].write(
            b"POST /api/publish HTTP/1.1\r\nHost: localhost\r\nX-API-Key: %b\r\nContent-Type: application/json\r\n"
            b"Content-Length: %d\r\n\r\n%b" % (API_KEY.encode(), len(body), body)
        )
        published += 1
    return published


async def measure(port: int, pid: int, options: argparse.Namespace) -> str:
    """Returns one line of figures.

    Raises:
        RuntimeError: a delivery is missing, or came twice.
    """
    loop = asyncio.get_running_loop()
    latencies: list[int] = []
    ready = asyncio.Semaphore(0)
    for _ in range(options.clients):
        await loop.create_connection(lambda: Subscriber(latencies, ready), "127.0.0.1", port)
    for _ in range(options.clients):
        await ready.acquire()
    before = cpu_seconds(pid)
    published = await publish_at_random(port, options.rate, options.seconds)
    busy = (cpu_seconds(pid) - before) / options.seconds
    await asyncio.sleep(SETTLE_SECONDS)
    if len(latencies) != published * options.clients:
        raise RuntimeError(f"{len(latencies)} deliveries instead of {published * options.clients}")
    latencies.sort()
    p50, p99, longest = (latencies[int((len(latencies) - 1) * part)] / 1e6 for part in (0.5, 0.99, 1.0))
    return f"server busy {busy:.2f}, p50 {p50:.1f} ms, p99 {p99:.1f} ms, max {longest:.1f} ms, {len(latencies)} deliveries"


def main() -> None:
    """Measures one server after the other."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--server", action="append", required=True, metavar="NAME=COMMAND", help="with {config} for the file")
    parser.add_argument("--rate", type=float, default=100.0, help="publications a second (default 100)")
    parser.add_argument("--clients", type=int, default=1000, help="subscribers (default 1000)")
    parser.add_argument("--seconds", type=float, default=8.0, help="of publishing (default 8)")
    parser.add_argument("--server-cpus", type=cpu_set, default={0}, metavar="LIST", help="default 0")
    parser.add_argument("--load-cpus", type=cpu_set, default={1}, metavar="LIST", help="default 1")
    options = parser.parse_args()
    load = next(load for load in LOADS if load.name == "fanout/1k")
    os.sched_setaffinity(0, options.load_cpus)
    with tempfile.TemporaryDirectory() as folder:
        for text in options.server:
            name, _, command = text.partition("=")
            with running(Server(name, command), load, options.server_cpus, Path(folder)) as (port, _backend_port, pid):
                print(f"{name}: {uvloop.run(measure(port, pid, options))}")


if __name__ == "__main__":
    main()
