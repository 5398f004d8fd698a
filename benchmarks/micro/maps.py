"""Measures maps in memory: a page of a large map while it changes, and an update. Run: python benchmarks/micro/maps.py"""

from __future__ import annotations

import gc
import json
import random
import time
from statistics import median

from centripetal.engines.memory import MemoryMapBroker
from centripetal.interfaces import MapPublishOptions, MapRemoveOptions, MapRetention, StateFilter, SystemClock
from centripetal.node.eager import run_eagerly
from centripetal.protocol.json_codec import JSON
from centripetal.protocol.results import PublicationEntry

KEYS = 100_000
PAGE = 1000
UPDATES_A_PAGE = 10
"""As many as come between two pages when a client reads 100 pages a second and the map changes 1,000 times a second."""

RETENTION = MapRetention(key_ttl_seconds=3600.0, stream_size=1000, stream_ttl_seconds=60.0, meta_ttl_seconds=7200.0)


class NoSubscribers:
    """Takes what the broker distributes."""

    def on_publication(self, *event: object) -> None:
        """Nobody is there."""

    on_join = on_leave = on_state_lost = on_publication


def main() -> None:
    """Prints microseconds of processor time: median and worst."""
    gc.disable()  # the server has raised its thresholds
    broker = MemoryMapBroker(SystemClock())
    broker.bind(NoSubscribers())
    rng = random.Random(5)
    options = MapPublishOptions(retention=RETENTION)
    data = json.dumps({"price": 12.5, "name": "x" * 60}).encode()
    times: dict[str, list[float]] = {"new key": [], "update": [], "remove and add": [], "page": [], "page as JSON": []}

    def timed(name: str, coroutine: object) -> object:
        started = time.thread_time()
        _, result = run_eagerly(coroutine)  # type: ignore[arg-type]
        times[name].append(time.thread_time() - started)
        return result

    for number in rng.sample(range(KEYS), KEYS):
        timed("new key", broker.publish("big", f"key{number:06}", data, options))
    wanted = StateFilter(limit=PAGE)
    for _ in range(300):
        page = timed("page", broker.read_state("big", wanted, RETENTION))
        started = time.thread_time()
        for entry in page.entries:  # type: ignore[attr-defined]
            JSON.encode_entry(PublicationEntry(entry))
        times["page as JSON"].append(time.thread_time() - started)
        wanted = StateFilter(page.cursor, PAGE)  # type: ignore[attr-defined]
        for _ in range(UPDATES_A_PAGE - 2):
            timed("update", broker.publish("big", f"key{rng.randrange(KEYS):06}", data, options))
        key = f"key{rng.randrange(KEYS):06}"
        removal = broker.remove("big", key, MapRemoveOptions(retention=RETENTION))
        started = time.thread_time()
        run_eagerly(removal)
        run_eagerly(broker.publish("big", key, data, options))
        times["remove and add"].append(time.thread_time() - started)
    for name, seconds in times.items():
        print(f"{name:16} median {median(seconds) * 1e6:8.1f} us   worst {max(seconds) * 1e6:8.1f} us")


if __name__ == "__main__":
    main()
