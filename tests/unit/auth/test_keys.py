"""Reading public keys, warnings about weak ones, and signing."""

from __future__ import annotations

import base64
import datetime
from pathlib import Path

import jwt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from centripetal.auth import (
    JwtVerifier,
    SubscriptionTokenSettings,
    TokenSettings,
    TokenSettingsError,
    load_public_key,
    read_payload,
    sign_connection_token,
    sign_subscription_token,
    weak_keys,
)

from .test_verifier import RSA_PUBLIC, pem_pair
from .tokens import NOW, SECRET, ManualClock, run

OPTION = "client.token.rsa_public_key"


def test_a_key_may_be_pem_base64_of_pem_or_a_file(tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    path.write_text(RSA_PUBLIC)
    for value in (RSA_PUBLIC, base64.b64encode(RSA_PUBLIC.encode()).decode(), str(path)):
        key = load_public_key(value, OPTION)
        assert isinstance(key, rsa.RSAPublicKey)
        assert key.key_size == 2048


def test_a_key_may_come_in_a_certificate() -> None:
    private = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])
    start = datetime.datetime(2024, 1, 1)
    certificate = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(private.public_key()).serial_number(1)
        .not_valid_before(start).not_valid_after(start + datetime.timedelta(days=1)).sign(private, hashes.SHA256())
    )
    pem = certificate.public_bytes(serialization.Encoding.PEM).decode()
    assert isinstance(load_public_key(pem, OPTION), ec.EllipticCurvePublicKey)


def test_an_unreadable_key_is_refused_by_its_options_name(tmp_path: Path) -> None:
    empty, huge = tmp_path / "empty", tmp_path / "huge"
    empty.write_text("")
    huge.write_text("-----BEGIN " + "x" * 70_000)
    other = pem_pair(ed25519.Ed25519PrivateKey.generate())[1]
    koblitz = pem_pair(ec.generate_private_key(ec.SECP256K1()))[1]
    for value in ("x", "\x00", "/no/such/file", str(empty), str(huge), str(tmp_path), other, koblitz, "-----BEGIN x"):
        with pytest.raises(TokenSettingsError, match=OPTION):
            load_public_key(value, OPTION)


def test_weak_keys_are_told_by_their_options() -> None:
    assert weak_keys(TokenSettings(hmac_secret_key=SECRET, rsa_public_key=RSA_PUBLIC)) == []
    short = pem_pair(rsa.generate_private_key(public_exponent=65537, key_size=1024))[1]
    warnings = weak_keys(
        TokenSettings(hmac_secret_key="short", hmac_previous_secret_key="shorter", rsa_public_key=short), "client.x"
    )
    assert [warning.split(":")[0] for warning in warnings] == [
        "client.x.hmac_secret_key", "client.x.hmac_previous_secret_key", "client.x.rsa_public_key",
    ]
    assert "shorter" not in " ".join(warnings)


def test_static_keys_beside_an_endpoint_are_not_looked_at() -> None:
    settings = TokenSettings(
        jwks_public_endpoint="https://keys.test/", hmac_secret_key="short", rsa_public_key="unreadable"
    )
    assert weak_keys(settings) == []


def test_signed_connection_tokens_verify() -> None:
    settings, clock = TokenSettings(hmac_secret_key=SECRET), ManualClock()
    signed = sign_connection_token(settings, "alice", 60, clock)
    now = int(NOW)
    assert jwt.get_unverified_header(signed) == {"alg": "HS256", "typ": "JWT"}
    assert read_payload(signed) == b'{"sub":"alice","iat":%d,"exp":%d}' % (now, now + 60)
    claims = run(JwtVerifier(settings, clock=clock).verify_connection(signed))
    assert (claims.user, claims.expire_at) == ("alice", now + 60)
    assert read_payload(sign_connection_token(settings, "", -1, clock)) == b'{"iat":%d}' % now
    named = TokenSettings(hmac_secret_key=SECRET, user_id_claim="uid")
    signed = sign_connection_token(named, "alice", -1, clock)
    assert run(JwtVerifier(named, clock=clock).verify_connection(signed)).user == "alice"


def test_signed_subscription_tokens_use_their_own_key_if_there_is_one() -> None:
    settings, clock = TokenSettings(hmac_secret_key=SECRET), ManualClock()
    own = SubscriptionTokenSettings(enabled=True, hmac_secret_key="other")
    for subscription in (None, own, SubscriptionTokenSettings(hmac_secret_key="other")):
        signed = sign_subscription_token(settings, subscription, "alice", "news", 60, clock)
        claims = run(JwtVerifier(settings, subscription, clock=clock).verify_subscription(signed))
        assert (claims.user, claims.channel) == ("alice", "news")


def test_without_a_secret_nothing_is_signed() -> None:
    with pytest.raises(TokenSettingsError, match="client.token.hmac_secret_key"):
        sign_connection_token(TokenSettings(), "alice", 60, ManualClock())
    with pytest.raises(TokenSettingsError, match="client.subscription_token.hmac_secret_key"):
        own = SubscriptionTokenSettings(enabled=True)
        sign_subscription_token(TokenSettings(hmac_secret_key="x"), own, "alice", "x", 60, ManualClock())
