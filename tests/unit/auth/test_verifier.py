"""What verified tokens mean: claims of both kinds, times, keys, names."""

from __future__ import annotations

from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from centripetal.auth import JwtVerifier, SubscriptionTokenSettings, TokenSettings, TokenSettingsError
from centripetal.interfaces import ServerSubscription, SubscriptionOverrides, TokenExpired, TokenInvalid

from .tokens import NOW, SECRET, ManualClock, run, token


def verifier(**options: Any) -> JwtVerifier:
    return JwtVerifier(TokenSettings(**{"hmac_secret_key": SECRET, **options}), clock=ManualClock())


def connect(claims: Any = None, **options: Any) -> Any:
    return run(verifier(**options).verify_connection(token(claims)))


def subscribe(claims: Any = None, **options: Any) -> Any:
    return run(verifier(**options).verify_subscription(token(claims)))


def pem_pair(private: Any) -> tuple[str, str]:
    private_pem = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public_pem = private.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return private_pem.decode(), public_pem.decode()


RSA_PRIVATE, RSA_PUBLIC = pem_pair(rsa.generate_private_key(public_exponent=65537, key_size=2048))
EC_PAIRS = {
    "ES256": pem_pair(ec.generate_private_key(ec.SECP256R1())),
    "ES384": pem_pair(ec.generate_private_key(ec.SECP384R1())),
    "ES512": pem_pair(ec.generate_private_key(ec.SECP521R1())),
}


@pytest.mark.parametrize("alg", ["HS256", "HS384", "HS512"])
def test_every_hmac_algorithm_is_taken_with_the_secret(alg: str) -> None:
    assert run(verifier().verify_connection(token({"sub": "alice"}, alg=alg))).user == "alice"


@pytest.mark.parametrize("alg", ["RS256", "RS384", "RS512"])
def test_every_rsa_algorithm_is_taken_with_the_public_key(alg: str) -> None:
    signed = jwt.encode({"sub": "alice"}, RSA_PRIVATE, algorithm=alg)
    assert run(verifier(rsa_public_key=RSA_PUBLIC).verify_connection(signed)).user == "alice"
    with pytest.raises(TokenInvalid, match="not enabled"):
        run(verifier().verify_connection(signed))


@pytest.mark.parametrize("alg", sorted(EC_PAIRS))
def test_an_ecdsa_key_takes_the_algorithm_of_its_curve_alone(alg: str) -> None:
    for key_alg, (private, public) in EC_PAIRS.items():
        checked = verifier(ecdsa_public_key=public)
        signed = jwt.encode({"sub": "alice"}, private, algorithm=key_alg)
        if key_alg == alg:
            assert run(checked.verify_connection(signed)).user == "alice"
            continue
        with pytest.raises(TokenInvalid):
            run(checked.verify_connection(jwt.encode({"sub": "alice"}, EC_PAIRS[alg][0], algorithm=alg)))


@pytest.mark.parametrize(
    ("claims", "expire_at"),
    [
        ({}, 0),
        ({"exp": NOW + 300}, int(NOW + 300)),
        ({"exp": int(NOW) + 300, "expire_at": int(NOW) + 1000}, int(NOW) + 1000),
        ({"exp": int(NOW) + 300, "expire_at": 0}, 0),
        ({"exp": int(NOW) + 300, "expire_at": -5}, 0),
        ({"exp": int(NOW) + 300, "expire_at": None}, int(NOW) + 300),
        ({"expire_at": 5}, 5),
        ({"exp": 10**30}, 2**53),
    ],
)
def test_expire_at_counts_before_exp(claims: dict[str, Any], expire_at: int) -> None:
    assert connect(claims).expire_at == expire_at
    assert subscribe({**claims, "channel": "x"}).expire_at == expire_at


@pytest.mark.parametrize("claims", [{"exp": NOW}, {"exp": int(NOW)}, {"exp": -1}, {"nbf": NOW}, {"nbf": NOW + 1}])
def test_times_have_no_leeway(claims: dict[str, Any]) -> None:
    with pytest.raises(TokenExpired):
        connect(claims)
    with pytest.raises(TokenExpired):
        subscribe({**claims, "channel": "x"})
    assert run(verifier().verify_connection(token(claims), ignore_expiry=True)).user == ""
    assert run(verifier().verify_subscription(token({**claims, "channel": "x"}), ignore_expiry=True)).channel == "x"


def test_times_on_the_right_side_are_taken() -> None:
    assert connect({"exp": NOW + 0.001, "nbf": NOW - 0.001, "iat": NOW + 10}).user == ""


def test_info_comes_as_json_or_as_base64_which_wins() -> None:
    assert connect({"info": {"a": 1}}).info == b'{"a": 1}'
    assert connect({"info": {"a": 1}, "b64info": "AQI="}).info == b"\x01\x02"
    assert connect({"info": {"a": 1}, "b64info": ""}).info == b'{"a": 1}'
    claims = subscribe({"channel": "x", "info": [1], "b64info": "AQI=", "data": "text", "b64data": "AwQ="})
    assert (claims.info, claims.data) == (b"\x01\x02", b"\x03\x04")
    assert subscribe({"channel": "x", "data": "text"}).data == b'"text"'


def test_meta_is_an_object() -> None:
    assert connect({"meta": {"a": 1}}).meta == b'{"a": 1}'
    assert connect({"meta": None}).meta == b""
    for meta in ("x", 1, [], True):
        with pytest.raises(TokenInvalid, match="meta"):
            connect({"meta": meta})


def test_subs_gives_server_side_subscriptions_in_the_tokens_order() -> None:
    subs = {
        "z": {"info": 1, "b64data": "AQI=", "override": {"presence": {"value": True}, "join_leave": {}}},
        "a": {},
        "m": None,
    }
    got = connect({"subs": subs, "channels": ["ignored"]}).subscriptions
    assert list(got) == ["z", "a", "m"]
    overrides = SubscriptionOverrides(presence=True, join_leave=False)
    assert got["z"] == ServerSubscription(info=b"1", data=b"\x01\x02", overrides=overrides)
    assert got["a"] == got["m"] == ServerSubscription()


def test_channels_counts_without_subs() -> None:
    assert list(connect({"channels": ["b", "a", "b"]}).subscriptions) == ["b", "a"]
    assert list(connect({"channels": ["b"], "subs": {}}).subscriptions) == ["b"]
    with pytest.raises(TokenInvalid, match="too many"):
        connect({"channels": [str(number) for number in range(5000)]})


def test_a_subscription_token_names_channel_and_may_name_client() -> None:
    claims = subscribe({"sub": "alice", "channel": "x", "client": "c", "override": {"force_recovery": {"value": True}}})
    assert (claims.user, claims.channel, claims.client) == ("alice", "x", "c")
    assert claims.overrides == SubscriptionOverrides(force_recovery=True)
    for kind in ({"sub": "alice"}, {"channel": ""}, {"channel": None}):
        with pytest.raises(TokenInvalid, match="channel"):
            subscribe(kind)


def test_a_subscription_token_cannot_connect() -> None:
    with pytest.raises(TokenInvalid, match="channel"):
        connect({"channel": "x", "exp": NOW - 1})


def test_issuer_and_audience_must_match() -> None:
    named = {"issuer": "me", "audience": "them"}
    assert connect({"iss": "me", "aud": "them"}, **named).user == ""
    assert connect({"iss": "me", "aud": ["others", "them"]}, **named).user == ""
    for claims in ({}, {"aud": "them"}, {"iss": "you", "aud": "them"}, {"iss": "me", "aud": ["x"]}, {"iss": "me"}):
        with pytest.raises(TokenInvalid):
            connect(claims, **named)


def test_expressions_match_anywhere_unless_anchored() -> None:
    assert connect({"iss": "https://b.example/x"}, issuer_regex=r"(a|b)\.example").user == ""
    assert connect({"aud": ["web", "app2"]}, audience_regex="^app").user == ""
    for claims, options in (
        ({"iss": "https://c.example"}, {"issuer_regex": r"(a|b)\.example"}),
        ({"aud": "my app"}, {"audience_regex": "^app"}),
        ({}, {"audience_regex": "^app"}),
    ):
        with pytest.raises(TokenInvalid):
            connect(claims, **options)


@pytest.mark.parametrize(
    ("value", "user"),
    [
        ("alice", "alice"), (42, "42"), (-7, "-7"), (1.5, "1.5"), (1e3, "1000"), (True, "true"), (None, ""),
        (2**70, str(2**70)), ("\u00e9\n", "\u00e9\n"), ([1], "[1]"),
    ],
)
def test_user_id_claim_replaces_sub_and_becomes_text(value: Any, user: str) -> None:
    assert connect({"sub": "ignored", "uid": value}, user_id_claim="uid").user == user
    assert connect({"sub": "ignored"}, user_id_claim="uid").user == ""


def test_the_previous_secret_counts_until_its_time() -> None:
    old = token({"sub": "alice"}, key="older")
    assert run(verifier(hmac_previous_secret_key="older").verify_connection(old)).user == "alice"
    for until, is_valid in ((int(NOW), True), (int(NOW) - 1, False)):
        checked = verifier(hmac_previous_secret_key="older", hmac_previous_secret_key_valid_until=until)
        assert run(checked.verify_connection(token({"sub": "bob"}))).user == "bob"
        if is_valid:
            assert run(checked.verify_connection(old)).user == "alice"
        else:
            with pytest.raises(TokenInvalid):
                run(checked.verify_connection(old))


def test_subscription_tokens_may_have_their_own_keys() -> None:
    own = SubscriptionTokenSettings(enabled=True, hmac_secret_key="other", user_id_claim="who")
    checked = JwtVerifier(TokenSettings(hmac_secret_key=SECRET), own, clock=ManualClock())
    claims = {"channel": "x", "who": "alice"}
    assert run(checked.verify_subscription(token(claims, key="other"))).user == "alice"
    with pytest.raises(TokenInvalid):
        run(checked.verify_subscription(token(claims)))
    assert run(checked.verify_connection(token({"sub": "bob"}))).user == "bob"
    disabled = SubscriptionTokenSettings(enabled=False, hmac_secret_key="other")
    checked = JwtVerifier(TokenSettings(hmac_secret_key=SECRET), disabled, clock=ManualClock())
    assert run(checked.verify_subscription(token({"channel": "x"}))).channel == "x"


def test_without_keys_no_token_is_valid() -> None:
    with pytest.raises(TokenInvalid, match="not enabled"):
        connect({"sub": "alice"}, hmac_secret_key="")


def test_unchecked_signatures_leave_the_claims_checked() -> None:
    checked = JwtVerifier(TokenSettings(), clock=ManualClock(), insecure_skip_signature_verify=True)
    assert run(checked.verify_connection(token({"sub": "alice"}, key="any"))).user == "alice"
    with pytest.raises(TokenExpired):
        run(checked.verify_connection(token({"exp": NOW - 1}, key="any")))
    with pytest.raises(TokenInvalid):
        run(checked.verify_connection(token({"sub": 1}, key="any")))


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"issuer": "a", "issuer_regex": "b"}, "client.token.issuer"),
        ({"audience": "a", "audience_regex": "b"}, "client.token.audience"),
        ({"issuer_regex": "("}, "client.token.issuer_regex"),
        ({"rsa_public_key": "nothing"}, "client.token.rsa_public_key"),
        ({"rsa_public_key": EC_PAIRS["ES256"][1]}, "client.token.rsa_public_key"),
        ({"ecdsa_public_key": RSA_PUBLIC}, "client.token.ecdsa_public_key"),
        ({"ecdsa_public_key": RSA_PRIVATE}, "client.token.ecdsa_public_key"),
        ({"jwks_public_endpoint": "http://localhost/keys"}, "client.token.jwks_public_endpoint: the verifier was given"),
    ],
)
def test_an_unusable_option_is_named(options: dict[str, Any], named: str) -> None:
    with pytest.raises(TokenSettingsError, match=named):
        verifier(**options)
