"""Sorted items against a sorted list."""

from __future__ import annotations

import random
from bisect import bisect_left, bisect_right

from hypothesis import given
from hypothesis import strategies as st

from centripetal.fanout import sorted_items
from centripetal.fanout.sorted_items import SortedItems

items = st.text(alphabet="abc", min_size=1, max_size=3)
steps = st.lists(st.tuples(st.sampled_from(["toggle", "after", "before"]), items, st.integers(-1, 8)), max_size=80)


def check(kept: SortedItems[str], model: list[str], item: str | None, limit: int) -> None:
    after = model if item is None else model[bisect_right(model, item) :]
    before = (model if item is None else model[: bisect_left(model, item)])[::-1]
    assert kept.after(item, limit) == (after if limit < 0 else after[:limit])
    assert kept.before(item, limit) == (before if limit < 0 else before[:limit])


@given(steps)
def test_it_reads_like_a_sorted_list(plan: list[tuple[str, str, int]]) -> None:
    longest, shortest = sorted_items._LONGEST_RUN, sorted_items._SHORTEST_RUN
    sorted_items._LONGEST_RUN, sorted_items._SHORTEST_RUN = 4, 2
    try:
        kept: SortedItems[str] = SortedItems()
        model: list[str] = []
        for action, item, limit in plan:
            if action == "toggle":
                if item in model:
                    kept.remove(item)
                    model.remove(item)
                else:
                    kept.add(item)
                    model = sorted([*model, item])
                assert len(kept) == len(model)
                assert [run[-1] for run in kept._runs] == kept._lasts
            else:
                check(kept, model, item, limit)
        check(kept, model, None, -1)
        check(kept, model, None, 3)
    finally:
        sorted_items._LONGEST_RUN, sorted_items._SHORTEST_RUN = longest, shortest


def test_many_items_come_and_go_in_runs_of_bounded_length() -> None:
    rng = random.Random(7)
    kept: SortedItems[int] = SortedItems()
    wanted = rng.sample(range(1_000_000), 20_000)
    for item in wanted:
        kept.add(item)
    assert kept.after(None, -1) == sorted(wanted)
    assert max(len(run) for run in kept._runs) <= sorted_items._LONGEST_RUN
    rng.shuffle(wanted)
    for item in wanted[100:]:
        kept.remove(item)
    assert kept.after(None, -1) == sorted(wanted[:100])
    assert len(kept._runs) == 1
