"""Forged tokens against keys of an endpoint."""

from __future__ import annotations

import json
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization

from .key_server import (
    EC,
    ED,
    GOOD,
    RSA,
    RSA_OTHER,
    Stage,
    entry,
    key_server,
    key_set,
    play,
    refused,
    signed,
)
from .tokens import token


def test_a_token_must_name_a_key_of_its_algorithm() -> None:
    async def scenario(on: Stage) -> None:
        for forged in (
            signed(None), signed(""), signed("missing"), signed("rsa", RSA_OTHER), signed("ec", RSA),
            signed("rsa", EC["ES256"], "ES256"), signed("ed", RSA), signed("rsa", ED, "EdDSA"),
            signed("only384", RSA, "RS256"), signed("enc"), signed("x" * 600), signed("rsa", RSA, "PS256"),
        ):  # fmt: skip
            await refused(on, forged)
        assert len(on.server.calls) == 2, "two ids are in no answer"

    play(
        scenario, GOOD, entry("ec", EC["ES256"]), entry("ed", ED), entry("only384", RSA, alg="RS384"),
        entry("enc", RSA, use="enc"),
    )  # fmt: skip


def test_keys_that_a_token_brings_along_are_ignored() -> None:
    async def scenario(on: Stage) -> None:
        async with key_server() as evil:
            evil.answers["/keys"] = key_set(entry("rsa", RSA_OTHER), entry("evil", RSA_OTHER))
            url = f"{evil.url}/keys"
            for header in (
                {"jwk": entry("rsa", RSA_OTHER)}, {"jku": url}, {"x5u": url}, {"x5c": ["MIIB"]}, {"iss": url},
            ):  # fmt: skip
                await refused(on, signed("rsa", RSA_OTHER, header=header))
                await refused(on, signed("evil", RSA_OTHER, header=header))
                assert await on.user(signed("rsa", RSA, header=header)) == "alice"
            assert evil.calls == []

    play(scenario)


def test_public_keys_are_no_hmac_secrets() -> None:
    async def scenario(on: Stage) -> None:
        pem = RSA.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        raw = ED.public_key().public_bytes_raw()
        secrets = [pem, pem.strip(), GOOD["n"].encode(), json.dumps(GOOD).encode(), raw, b""]
        for kid in ("rsa", "ed"):
            for alg in ("HS256", "HS384", "HS512", "none", "EdDSA"):
                for secret in secrets:
                    await refused(on, token({"sub": "admin"}, key=secret, header={"alg": alg, "kid": kid}))

    play(scenario, GOOD, entry("ed", ED))


@pytest.mark.parametrize("kid", [1, None, [], {}, True, 1e9, "rsa\x00", "RSA", " rsa", "../keys", "\u0000", "' OR 1=1"])
def test_a_strange_id_is_no_key(kid: Any) -> None:
    async def scenario(on: Stage) -> None:
        await refused(on, token({"sub": "admin"}, header={"alg": "RS256", "kid": kid}))
        assert set(on.server.calls) <= {"/keys"}

    play(scenario)


def test_a_critical_extension_costs_no_call() -> None:
    async def scenario(on: Stage) -> None:
        await refused(on, signed("rsa", header={"crit": ["exp"]}))
        assert on.server.calls == []

    play(scenario)


def test_static_keys_do_not_count_beside_an_endpoint() -> None:
    async def scenario(on: Stage) -> None:
        on.verifier = on.make(jwks_public_endpoint=f"{on.server.url}/keys", hmac_secret_key="x" * 32)
        for kid in (None, "rsa", "missing"):
            await refused(on, signed(kid, "x" * 32, "HS256"))

    play(scenario)
