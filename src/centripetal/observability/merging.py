"""The metrics of several processes as those of one."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec

from .exposition import Family, Labels, Number, Sample

_MERGED_BY: dict[str, Callable[[Number, Number], Number]] = {
    "centrifugo_node_num_nodes": max,
    "centrifugo_node_build": max,
    "python_info": max,
    "process_start_time_seconds": min,
}
"""Metrics that are not added."""

encode_families = msgspec.msgpack.Encoder().encode
decode_families = msgspec.msgpack.Decoder(list[Family]).decode


def merge_families(several: Iterable[Iterable[Family]]) -> list[Family]:
    """Returns each metric once: values are added, quantiles are the worst ones."""
    merged: dict[str, tuple[Family, dict[tuple[str, Labels], Number]]] = {}
    for families in several:
        for family in families:
            _, values = merged.setdefault(family.name, (family, {}))
            for sample in family.samples:
                key = (sample.suffix, sample.labels)
                known = values.get(key)
                values[key] = sample.value if known is None else _rule(family, sample)(known, sample.value)
    return [
        Family(family.name, family.kind, family.help, [Sample(*key, value) for key, value in values.items()])
        for family, values in merged.values()
    ]


def _rule(family: Family, sample: Sample) -> Callable[[Number, Number], Number]:
    if family.kind == "summary" and not sample.suffix:
        return max
    return _MERGED_BY.get(family.name, _add)


def _add(first: Number, second: Number) -> Number:
    return first + second
