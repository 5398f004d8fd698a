"""Forged, malformed and oversized tokens: nothing but TokenInvalid and TokenExpired ever comes out."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from centripetal.auth import JwtVerifier, TokenSettings
from centripetal.auth.compact import MAX_CACHED_HEADERS, HeaderReader
from centripetal.interfaces import TokenExpired, TokenInvalid

from .test_verifier import EC_PAIRS, RSA_PUBLIC
from .tokens import NOW, SECRET, ManualClock, encode, run, token

CHECKED = JwtVerifier(TokenSettings(hmac_secret_key=SECRET), clock=ManualClock())
OPEN = JwtVerifier(TokenSettings(), clock=ManualClock(), insecure_skip_signature_verify=True)


def refused(forged: str, checked: JwtVerifier = CHECKED) -> None:
    with pytest.raises(TokenInvalid) as caught:
        run(checked.verify_connection(forged))
    with pytest.raises(TokenInvalid):
        run(checked.verify_subscription(forged))
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("alg", ["HS256", "HS384", "HS512"])
@pytest.mark.parametrize("public", [RSA_PUBLIC, EC_PAIRS["ES256"][1]])
def test_a_public_key_is_no_hmac_secret(alg: str, public: str) -> None:
    option = "rsa_public_key" if public is RSA_PUBLIC else "ecdsa_public_key"
    checked = JwtVerifier(TokenSettings(**{option: public}), clock=ManualClock())
    for key in (public, public.strip(), public.encode() + b"\n"):
        refused(token({"sub": "admin"}, key=key, alg=alg), checked)
    also_secret = JwtVerifier(TokenSettings(hmac_secret_key=SECRET, **{option: public}), clock=ManualClock())
    refused(token({"sub": "admin"}, key=public, alg=alg), also_secret)
    refused(token({"sub": "admin"}, header={"alg": "RS256"}), also_secret)


@pytest.mark.parametrize("alg", ["none", "None", "NONE", "nOnE", "", "hs256", "HS256 ", "HS1", "PS256", "EdDSA"])
def test_no_other_algorithm_is_taken(alg: str) -> None:
    forged = token({"sub": "admin"}, header={"alg": alg})
    refused(forged)
    refused(forged.rpartition(".")[0] + ".")
    refused(forged.rpartition(".")[0])
    refused(token({"sub": "admin"}).rpartition(".")[0] + ".")


def test_a_signature_has_one_spelling() -> None:
    good = token({"sub": "alice"})
    assert run(CHECKED.verify_connection(good)).user == "alice"
    head, _, signature = good.rpartition(".")
    last = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_".index(signature[-1])
    twin = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"[last ^ 1]
    for other in (signature + "=", signature[:-1], signature[:-1] + twin, signature + "A", signature + "\n", ""):
        refused(f"{head}.{other}")


@pytest.mark.parametrize("crit", [["exp"], ["b64"], [], None, "x"])
def test_a_critical_extension_is_refused(crit: Any) -> None:
    refused(token({"sub": "alice"}, header={"alg": "HS256", "crit": crit}))


@pytest.mark.parametrize("name", ["jwk", "jku", "x5u", "x5c", "x5t", "kid", "cty", "zip"])
def test_a_header_cannot_bring_its_own_key(name: str) -> None:
    mine = {"kty": "oct", "k": encode(b"mine"), "alg": "HS256"}
    for value in (mine, "https://evil.test/keys", ["MIIB"]):
        header = {"alg": "HS256", name: value}
        refused(token({"sub": "admin"}, key=b"mine", header=header))
        if name != "kid" or isinstance(value, str):
            assert run(CHECKED.verify_connection(token({"sub": "alice"}, header=header))).user == "alice"


@pytest.mark.parametrize("claim", ["exp", "nbf", "iat", "expire_at"])
@pytest.mark.parametrize(
    "number", ["9" * 18, "9" * 19, "9" * 30, "9" * 309, "9" * 4301, "-" + "9" * 400, "1e400", "1e308", "-1e308", "1" * 60_000]
)
def test_huge_numbers_are_taken_or_refused(claim: str, number: str) -> None:
    either(CHECKED, token(payload=f'{{"{claim}":{number}}}'.encode()))
    either(CHECKED, token(payload=f'{{"{claim}":{number},"channel":"x"}}'.encode()))


def test_numbers_in_free_claims_are_left_as_they_are() -> None:
    payload = b'{"info":{"n":' + b"9" * 5000 + b'},"sub":"alice"}'
    assert run(CHECKED.verify_connection(token(payload=payload))).info == b'{"n":' + b"9" * 5000 + b"}"


@pytest.mark.parametrize(
    "forged",
    [
        "", ".", "..", "...", "x", "a.b.c", "a.b.c.d", "a.b", "eyJhbGciOiJIUzI1NiJ9..x", "eyJhbGciOiJIUzI1NiJ9..",
        token({}) + ".x", "x." + token({}), token({}).replace(".", ". ", 1), " " + token({}), token({}) + " ",
        "\u00e9.a.b", "\ud800.a.b", "\x00", "A" * 70_000, "." * 60_000, "eyJ+.e30.x", "eyJ=.e30.x",
    ],
)
def test_garbage_is_refused(forged: str) -> None:
    refused(forged)
    refused(forged, OPEN)


@pytest.mark.parametrize("header", [[], "x", 1, None, {}, {"alg": 1}, {"alg": None}, {"alg": ["HS256"]}, {"kid": "x"}])
def test_a_malformed_header_is_refused(header: Any) -> None:
    signed = encode(json.dumps(header).encode()) + "." + encode(b"{}")
    refused(signed + ".x", OPEN)


WRONG_TYPES: dict[str, list[Any]] = {
    "sub": [1, True, [], {}], "iss": [1, ["x"]], "aud": [1, [1], {}], "exp": ["1", True, [], {}], "nbf": ["1", {}],
    "iat": ["1"], "jti": [1], "expire_at": ["1", True, {}], "b64info": [1, {}, "!", "AQI", "A\u00e9=="],
    "channels": ["x", [1], {}, [None]],
    "subs": ["x", [], {"a": 1}, {"a": {"b64info": "!"}}, {"a": {"b64data": 1}}, {"a": {"override": []}},
             {"a": {"override": {"presence": True}}}, {"a": {"override": {"presence": {"value": 1}}}}],
    "meta": ["x", 1, []], "channel": [1, [], {}],
}


@pytest.mark.parametrize(
    ("claim", "value"), [(claim, value) for claim, values in WRONG_TYPES.items() for value in values]
)
def test_a_claim_of_a_wrong_type_is_an_invalid_token(claim: str, value: Any) -> None:
    with pytest.raises(TokenInvalid):
        run(CHECKED.verify_connection(token({claim: value})))


@pytest.mark.parametrize(
    ("claim", "value"),
    [("client", 1), ("data", None), ("b64data", "!"), ("override", "x"), ("override", {"presence": 1}), ("channel", 1)],
)
def test_a_subscription_claim_of_a_wrong_type_is_an_invalid_token(claim: str, value: Any) -> None:
    forged = token({"channel": "x", claim: value})
    if claim == "data":
        assert run(CHECKED.verify_subscription(forged)).data == b"null"
        return
    with pytest.raises(TokenInvalid):
        run(CHECKED.verify_subscription(forged))


@pytest.mark.parametrize(
    "payload",
    [
        b"", b"x", b"[]", b"null", b"1", b'"x"', b"{", b"{}x", b"{} {}", b'{"sub":"\xff"}', b'{"info":"\xff"}',
        b'{"info":}', b'{"sub":"\\ud800"}', b'{"exp":1e999}', b'{"exp":' + b"9" * 5000 + b"}", b'{"exp":NaN}',
        b'{"info":' + b"[" * 65 + b"]" * 65 + b"}", b'{"info":' + b"[" * 20_000 + b"]" * 20_000 + b"}",
        b"[" * 40_000, b'{"info":' * 5000,
        b'{"x":"' + b'\\\\\\"' * 30 + b'","info":' + b"{\"a\":" * 70 + b"1" + b"}" * 71,
    ],
)
def test_malformed_claims_are_refused(payload: bytes) -> None:
    with pytest.raises((TokenInvalid, TokenExpired)):
        run(CHECKED.verify_connection(token(payload=payload)))
    with pytest.raises((TokenInvalid, TokenExpired)):
        run(CHECKED.verify_subscription(token(payload=payload)))


def test_brackets_in_strings_are_not_nesting() -> None:
    info = ["[" * 500, '"[{' * 100, "\\" * 7 + "[" * 90, "\\n\"[[[["]
    payload = json.dumps({"sub": "alice", "info": info, "channels": [], "x": [[] for _ in range(100)]}).encode()
    assert json.loads(run(CHECKED.verify_connection(token(payload=payload))).info) == info


def test_of_a_doubled_claim_the_last_counts() -> None:
    payload = b'{"sub":"first","exp":1,"exp":1800000000,"sub":"last"}'
    assert run(CHECKED.verify_connection(token(payload=payload))).user == "last"


def test_the_header_cache_is_bounded() -> None:
    headers = HeaderReader()
    for number in range(3 * MAX_CACHED_HEADERS):
        headers.read(encode(json.dumps({"alg": "HS256", "kid": str(number)}).encode()).encode())
    headers.read(encode(json.dumps({"alg": "HS256", "kid": "x" * 5000}).encode()).encode())
    assert 0 < len(headers._known) <= MAX_CACHED_HEADERS
    assert all(len(segment) < 600 for segment in headers._known)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)
CLAIMS = st.dictionaries(
    st.sampled_from([*WRONG_TYPES, "info", "data", "b64data", "client", "override", "uid", "crit"]), JSON, max_size=6
)
UID = JwtVerifier(TokenSettings(hmac_secret_key=SECRET, user_id_claim="uid"), clock=ManualClock(NOW))


def either(checked: JwtVerifier, forged: str) -> None:
    for verify in (checked.verify_connection, checked.verify_subscription):
        try:
            claims = run(verify(forged))
        except (TokenInvalid, TokenExpired):
            continue
        claims.user.encode()
        assert isinstance(claims.expire_at, int)
        assert 0 <= claims.expire_at <= 2**53


@settings(max_examples=300, deadline=None)
@given(CLAIMS)
def test_any_claims_are_taken_or_refused(claims: dict[str, Any]) -> None:
    either(CHECKED, token(claims))
    either(UID, token(claims))


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=60))
def test_any_payload_is_taken_or_refused(payload: bytes) -> None:
    either(CHECKED, token(payload=payload))
    either(UID, token(payload=b'{"uid":' + payload + b"}"))


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=40) | st.text("eyJ0.-_=+", max_size=40))
def test_any_text_is_refused(forged: str) -> None:
    refused(forged)
    either(OPEN, forged)
