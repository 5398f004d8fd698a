"""Key sets: which keys count, and what is no key set."""

from __future__ import annotations

import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import given, settings
from hypothesis import strategies as st

from centripetal.auth.compact import HeaderReader, split_token
from centripetal.auth.key_set import MAX_KEYS, MAX_SET_BYTES, KeySetInvalid, parse_key_set, split_key_set

from .key_server import EC, ED, RSA, RSA_OTHER, entry, key_set, signed

GOOD = entry("good", RSA)


def algorithms(made: dict[str, Any]) -> list[str]:
    return sorted(parse_key_set(key_set(GOOD, made)).get("k", {}))


def test_the_type_of_a_key_says_its_algorithms() -> None:
    assert algorithms(entry("k", RSA)) == ["RS256", "RS384", "RS512"]
    assert [algorithms(entry("k", key)) for key in EC.values()] == [["ES256"], ["ES384"], ["ES512"]]
    assert algorithms(entry("k", ED)) == ["EdDSA"]


def test_alg_leaves_one() -> None:
    assert algorithms(entry("k", RSA, alg="RS384")) == ["RS384"]
    assert algorithms(entry("k", ED, alg="EdDSA")) == ["EdDSA"]


@pytest.mark.parametrize(
    "made",
    [
        entry("k", RSA, use="enc"), entry("k", RSA, use=None), entry("k", RSA, key_ops=["sign"]),
        entry("k", RSA, alg="HS256"), entry("k", RSA, alg="none"), entry("k", RSA, alg="RSA-OAEP"),
        entry("k", RSA, alg="ES256"), entry("k", EC["ES256"], alg="ES384"), entry("k", ED, alg="RS256"),
        entry("k", RSA, kty="EC"), entry("k", EC["ES256"], kty="RSA"), entry("k", RSA, kty="rsa"),
        entry("k", RSA, kty=None), entry("k", RSA, kty=1), entry("", RSA), entry("k", RSA, kid=None),
        entry("k", RSA, kid=1), entry("k" * 513, RSA), {"kty": "oct", "k": "c2VjcmV0", "kid": "k", "use": "sig"},
        entry("k", RSA, n=""), entry("k", RSA, e=""), entry("k", RSA, n="!"), entry("k", RSA, e="AQ"),
        entry("k", RSA, e="AQAC"), entry("k", RSA, e="A" * 400), entry("k", RSA, n="_" * 2800),
        entry("k", rsa.generate_private_key(public_exponent=65537, key_size=1024), n="_w"),
        entry("k", EC["ES256"], crv="P-384"), entry("k", EC["ES256"], crv="secp256k1"), entry("k", EC["ES256"], x="AA"),
        entry("k", EC["ES256"], y=None), entry("k", ED, crv="Ed448"), entry("k", ED, crv="X25519"),
        entry("k", ED, x="AAAA"), [], "x", None, 1,
    ],
)  # fmt: skip
def test_unusable_keys_are_passed_over(made: Any) -> None:
    assert list(parse_key_set(key_set(GOOD, made))) == ["good"]


def test_members_for_others_do_not_matter() -> None:
    made = entry("k", RSA, x5c=["MII"], x5u="http://evil.test/", x5t="x", jku=1, d="private", nested={"a": [1]})
    assert algorithms(made) == ["RS256", "RS384", "RS512"]


def test_one_id_may_have_keys_of_two_types() -> None:
    assert sorted(parse_key_set(key_set(entry("k", ED), entry("k", EC["ES256"])))["k"]) == ["ES256", "EdDSA"]


def test_of_one_type_the_last_counts() -> None:
    token = split_token(signed("k", RSA_OTHER), HeaderReader())
    assert parse_key_set(key_set(entry("k", RSA), entry("k", RSA_OTHER)))["k"]["RS256"](token)
    assert not parse_key_set(key_set(entry("k", RSA_OTHER), entry("k", RSA)))["k"]["RS256"](token)


@pytest.mark.parametrize(
    "body",
    [
        b"", b"x", b"[]", b"{}", b"null", b'{"keys":{}}', b'{"keys":null}', b'{"keys":[]}', b'{"keys":[1]}',
        b"\xff", b'{"keys":[' + b"[" * 100_000, key_set(GOOD) + b"x", key_set(entry("k", RSA, use="enc")),
        key_set(*[{}] * MAX_KEYS, GOOD), b'{"keys":[], "x":"' + b"x" * MAX_SET_BYTES + b'"}',
    ],
)  # fmt: skip
def test_what_is_no_key_set(body: bytes) -> None:
    with pytest.raises(KeySetInvalid) as raised:
        parse_key_set(body)
    assert len(str(raised.value)) < 100


MEMBERS = st.sampled_from([*entry("k", RSA), *entry("k", EC["ES256"]), "use", "alg", "key_ops", "crv"])
VALUES = (
    st.sampled_from([*entry("k", RSA).values(), *entry("k", EC["ES256"]).values(), "Ed25519", "OKP"])
    | st.text(max_size=50) | st.integers() | st.none() | st.lists(st.text(max_size=3), max_size=2)
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(st.lists(st.dictionaries(MEMBERS, VALUES), max_size=4))
def test_any_set_is_taken_or_refused(entries: list[Any]) -> None:
    try:
        found = parse_key_set(json.dumps({"keys": entries}).encode())
    except KeySetInvalid:
        return
    assert all(kid and checks for kid, checks in found.items())


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=100))
def test_any_bytes_are_taken_or_refused(body: bytes) -> None:
    with pytest.raises(KeySetInvalid):
        parse_key_set(body)


def test_a_set_can_be_split_by_key() -> None:
    entries = [entry("a", RSA), entry("b", ED), entry("b", EC["ES256"]), entry("c", RSA, use="enc"), entry("d", RSA)]
    body = key_set(*entries, {"kid": "e"}, entry("d", RSA_OTHER))
    whole, parts = parse_key_set(body), split_key_set(body)
    assert list(parts) == list(whole) == ["a", "b", "d"]
    for kid, part in parts.items():
        assert {kid: sorted(checks) for kid, checks in parse_key_set(part).items()} == {kid: sorted(whole[kid])}
    token = split_token(signed("d", RSA_OTHER), HeaderReader())
    assert parse_key_set(parts["d"])["d"]["RS256"](token), "the last one counts in a part, too"
    with pytest.raises(KeySetInvalid):
        split_key_set(key_set(entry("c", RSA, use="enc")))
