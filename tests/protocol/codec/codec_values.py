"""What the codec tests share: random values, and plain readings of requests."""

from __future__ import annotations

import json
from typing import Any

import msgspec
from hypothesis import strategies as st

from centripetal.model import ClientInfo, Publication
from centripetal.protocol import results

texts = st.text(st.characters(codec="utf-8"), max_size=12)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
json_payloads = st.builds(
    lambda value, indent: json.dumps(value, indent=indent, ensure_ascii=False).encode(),
    json_values,
    st.sampled_from((None, 1)),
)
no_payload = st.just(b"")
counts = st.integers(0, 2**32 - 1)
offsets = st.one_of(st.just(0), st.integers(0, 2**64 - 1))
booleans = st.booleans()


def infos(payloads: st.SearchStrategy[bytes]) -> st.SearchStrategy[ClientInfo]:
    """Client infos with payloads of one encoding."""
    return st.builds(ClientInfo, texts, texts, payloads | no_payload, payloads | no_payload)


def publications(payloads: st.SearchStrategy[bytes]) -> st.SearchStrategy[Publication]:
    """Publications with payloads of one encoding."""
    return st.builds(
        Publication,
        data=payloads | no_payload,
        offset=offsets,
        info=st.none() | infos(payloads),
        tags=st.none() | st.dictionaries(texts, texts, max_size=3),
        epoch=texts,
        version=offsets,
        channel=texts,
        key=texts,
        removed=booleans,
        score=st.integers(-(2**63), 2**63 - 1),
    )


def bodies(payloads: st.SearchStrategy[bytes]) -> st.SearchStrategy[tuple[str, str, msgspec.Struct]]:
    """(`reply` or `push`, method or kind, body) for everything the server sends except publications."""
    payloads = payloads | no_payload
    entries = st.lists(st.builds(results.PublicationEntry, publications(payloads)), max_size=2)
    sub = st.builds(
        results.SubscribeResult, booleans, counts, booleans, texts, entries, booleans, offsets, booleans, payloads,
        booleans, booleans, st.integers(-(2**63), 2**63 - 1), st.integers(0, 4), st.integers(0, 2), texts, entries,
        counts,
    )
    subs = st.dictionaries(texts, sub, max_size=2)
    dictionary = st.none() | st.builds(results.Dictionary, texts, payloads, texts)
    info = infos(payloads)
    replies = {
        "connect": st.builds(
            results.ConnectResult, texts, texts, booleans, counts, payloads, subs, counts, booleans, texts, texts,
            st.integers(0, 2**62), st.integers(-5, 5), dictionary,
        ),
        "subscribe": sub,
        "unsubscribe": st.builds(results.UnsubscribeResult),
        "publish": st.builds(results.PublishResult),
        "presence": st.builds(results.PresenceResult, st.dictionaries(texts, info, max_size=2)),
        "presence_stats": st.builds(results.PresenceStatsResult, counts, counts),
        "history": st.builds(results.HistoryResult, entries, texts, offsets),
        "ping": st.builds(results.PingResult),
        "rpc": st.builds(results.RpcResult, payloads),
        "refresh": st.builds(results.RefreshResult, texts, texts, booleans, counts),
        "sub_refresh": st.builds(results.SubRefreshResult, booleans, counts, entries),
    }
    pushes = {
        "join": st.builds(results.Join, info),
        "leave": st.builds(results.Leave, info),
        "unsubscribe": st.builds(results.Unsubscribe, counts, texts),
        "message": st.builds(results.Message, payloads),
        "subscribe": st.builds(results.Subscribe, booleans, texts, offsets, booleans, payloads),
        "connect": st.builds(
            results.ConnectPush, texts, texts, payloads, subs, booleans, counts, counts, booleans, texts, texts,
            st.integers(0, 2**62),
        ),
        "disconnect": st.builds(results.DisconnectPush, counts, texts, booleans),
        "refresh": st.builds(results.RefreshPush, booleans, counts),
    }
    return st.one_of(
        [st.tuples(st.just("reply"), st.just(name), body) for name, body in replies.items()]
        + [st.tuples(st.just("push"), st.just(name), body) for name, body in pushes.items()]
    )


def fields(value: Any) -> Any:
    """A struct as plain objects without its defaults, payloads as bytes; for comparisons that print well."""
    if isinstance(value, results.PublicationEntry):
        value = value.publication
    if isinstance(value, msgspec.Raw):
        return bytes(value)
    if isinstance(value, msgspec.Struct):
        named = {name: fields(getattr(value, name)) for name in value.__struct_fields__}
        return {name: field for name, field in named.items() if field or isinstance(field, dict) and name not in EMPTY}
    if isinstance(value, dict):
        return {name: fields(member) for name, member in value.items()}
    if isinstance(value, list | tuple):
        return [fields(member) for member in value]
    return value


EMPTY = {"tags", "subs", "headers", "presence"}
"""Maps, of which an empty one is the same as none; an empty message is not."""
