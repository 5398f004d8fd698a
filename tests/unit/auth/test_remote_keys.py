"""Keys fetched over HTTP: when the endpoint is asked, how often, and what counts when it fails."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Callable
from typing import Any

import pytest
from aiohttp import web

from centripetal.auth import JwtVerifier, SubscriptionTokenSettings, TokenSettings, key_download
from centripetal.auth.key_cache import (
    FETCHES_AT_ONCE,
    FETCHES_PER_MINUTE,
    FRESH_SECONDS,
    MISSING_SECONDS,
    USABLE_SECONDS,
)
from centripetal.auth.key_sets import MAX_ENDPOINTS, STRANGERS_AT_ONCE
from centripetal.interfaces import TokenExpired, TokenInvalid

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

NEW = entry("new", RSA_OTHER)


def test_every_type_of_key_is_fetched_once() -> None:
    async def scenario(on: Stage) -> None:
        for alg in ("RS256", "RS384", "RS512"):
            assert await on.user(signed("rsa", RSA, alg)) == "alice"
        for alg, key in EC.items():
            assert await on.user(signed(alg, key, alg)) == "alice"
        assert await on.user(signed("ed", ED, "EdDSA")) == "alice"
        assert on.server.calls == ["/keys"]

    play(scenario, GOOD, entry("ed", ED), *(entry(alg, key) for alg, key in EC.items()))


def test_a_known_key_needs_no_waiting() -> None:
    async def scenario(on: Stage) -> None:
        await on.user(signed("rsa"))
        coroutine = on.verifier.verify_connection(signed("rsa"))
        with pytest.raises(StopIteration):
            coroutine.send(None)

    play(scenario)


def test_claims_are_checked_as_with_any_key() -> None:
    async def scenario(on: Stage) -> None:
        now = int(on.clock.time())
        with pytest.raises(TokenExpired):
            await on.user(signed("rsa", exp=now - 1))
        assert await on.user(signed("rsa", exp=now + 1)) == "alice"

    play(scenario)


def test_all_who_wait_share_one_call_and_others_do_not_wait() -> None:
    async def scenario(on: Stage) -> None:
        on.server.gate.clear()
        waiting = [asyncio.create_task(on.user(signed("rsa", sub=f"user{n}"))) for n in range(50)]
        await on.server.wait_calls(1)
        static = JwtVerifier(TokenSettings(hmac_secret_key="x" * 32), clock=on.clock)
        with pytest.raises(TokenInvalid):
            await static.verify_connection(signed(None, "y" * 32, "HS256"))
        assert not any(task.done() for task in waiting)
        waiting[0].cancel()
        on.server.gate.set()
        results = await asyncio.gather(*waiting, return_exceptions=True)
        assert isinstance(results[0], asyncio.CancelledError)
        assert results[1:] == [f"user{n}" for n in range(1, 50)]
        assert on.server.calls == ["/keys"]

    play(scenario)


def test_whoever_joined_an_older_answer_gets_a_newer_one() -> None:
    async def scenario(on: Stage) -> None:
        on.server.gate.clear()
        first = asyncio.create_task(on.user(signed("rsa")))
        await on.server.wait_calls(1)
        on.server.answers["/keys"] = key_set(GOOD, NEW)
        second = [asyncio.create_task(on.user(signed("new", RSA_OTHER))) for _ in range(5)]
        await asyncio.sleep(0)
        on.server.gate.set()
        assert await asyncio.gather(first, *second) == ["alice"] * 6
        assert len(on.server.calls) == 2

    play(scenario)


def test_a_new_key_is_fetched_and_older_ones_stay_for_an_hour() -> None:
    async def scenario(on: Stage) -> None:
        await on.user(signed("rsa"))
        on.server.answers["/keys"] = key_set(NEW)
        await on.user(signed("new", RSA_OTHER))
        on.clock.advance(FRESH_SECONDS - 1)
        await on.user(signed("rsa"))
        assert len(on.server.calls) == 2
        on.clock.advance(1)
        await refused(on, signed("rsa"))
        await on.user(signed("new", RSA_OTHER))
        assert len(on.server.calls) == 3

    play(scenario)


def test_use_does_not_keep_a_withdrawn_key_alive() -> None:
    async def scenario(on: Stage) -> None:
        await on.user(signed("rsa"))
        on.server.answers["/keys"] = key_set(NEW)
        for _ in range(59):
            on.clock.advance(60)
            await on.user(signed("rsa"))
        on.clock.advance(60)
        await refused(on, signed("rsa"))

    play(scenario)


def test_an_outage_locks_nobody_out_for_a_day() -> None:
    async def scenario(on: Stage) -> None:
        await on.user(signed("rsa"))
        on.server.answers["/keys"] = lambda: web.Response(status=503)
        on.clock.advance(FRESH_SECONDS)
        for _ in range(3):
            assert await on.user(signed("rsa")) == "alice"
        on.clock.advance(USABLE_SECONDS - FRESH_SECONDS)
        await refused(on, signed("rsa"))
        on.server.answers["/keys"] = key_set(GOOD)
        assert await on.user(signed("rsa")) == "alice"

    play(scenario)


def test_made_up_ids_neither_flood_the_endpoint_nor_displace_keys() -> None:
    async def scenario(on: Stage) -> None:
        await on.user(signed("rsa"))
        for minute in range(3):
            for number in range(600):
                await refused(on, signed(f"forged-{minute}-{number}"))
                on.clock.advance(0.1)
            assert len(on.server.calls) <= FETCHES_AT_ONCE + FETCHES_PER_MINUTE * (minute + 1)
        assert await on.user(signed("rsa")) == "alice"
        # A key that appears within the flood is found as soon as the endpoint may be asked again.
        on.server.answers["/keys"] = key_set(GOOD, NEW)
        for number in range(100):
            await refused(on, signed(f"late-{number}"))
        on.clock.advance(60 / FETCHES_PER_MINUTE)
        assert await on.user(signed("new", RSA_OTHER)) == "alice"

    play(scenario)


def test_a_missing_id_is_asked_for_once_for_a_while() -> None:
    async def scenario(on: Stage) -> None:
        for _ in range(5):
            await refused(on, signed("new", RSA_OTHER))
        assert len(on.server.calls) == 1
        on.server.answers["/keys"] = key_set(GOOD, NEW)
        on.clock.advance(MISSING_SECONDS)
        assert await on.user(signed("new", RSA_OTHER)) == "alice"

    play(scenario)


def fails_once(answer: bytes) -> Callable[[], web.Response]:
    left = [web.Response(status=500)]
    return lambda: left.pop() if left else web.Response(body=answer)


def test_a_second_attempt_after_a_pause() -> None:
    async def scenario(on: Stage) -> None:
        on.server.answers["/keys"] = fails_once(key_set(GOOD))
        assert await on.user(signed("rsa")) == "alice"
        assert len(on.server.calls) == 2 and on.pauses == [pytest.approx(0.07)]

    play(scenario)


@pytest.mark.parametrize(
    ("answer", "calls"),
    [
        (lambda: web.Response(status=500), 2),
        (lambda: web.Response(status=404), 1),
        (lambda: web.Response(status=204), 1),
        (lambda: web.Response(status=302, headers={"Location": "http://127.0.0.1:1/"}), 1),
        (b"not json", 1),
        (key_set(), 1),
        (b"x" * 600_000, 2),
        (lambda: web.Response(body=gzip.compress(b" " * 600_000), headers={"Content-Encoding": "gzip"}), 2),
    ],
)
def test_every_failure_is_an_invalid_token_and_the_next_answer_counts(answer: Any, calls: int) -> None:
    async def scenario(on: Stage) -> None:
        on.server.answers["/keys"] = answer
        assert await refused(on, signed("rsa")) == "the key set cannot be fetched"
        assert len(on.server.calls) == calls
        on.server.answers["/keys"] = key_set(GOOD)
        assert await on.user(signed("rsa")) == "alice"

    play(scenario)


def test_nobody_at_the_endpoint() -> None:
    async def scenario(on: Stage) -> None:
        on.verifier = on.make(jwks_public_endpoint="http://127.0.0.1:1/keys")
        assert await refused(on, signed("rsa")) == "the key set cannot be fetched"
        assert len(on.pauses) == 1

    play(scenario)


def test_an_endpoint_that_does_not_answer_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(key_download, "TIMEOUT_SECONDS", 0.05)

    async def scenario(on: Stage) -> None:
        on.server.gate.clear()
        assert await refused(on, signed("rsa")) == "the key set cannot be fetched"
        assert len(on.server.calls) == 2
        on.server.gate.set()

    play(scenario)


def test_redirects_stay_at_the_host() -> None:
    async def scenario(on: Stage) -> None:
        async with key_server() as other:
            other.answers["/keys"] = key_set(GOOD)
            redirects = {
                "/a": "/keys", "/b": f"{on.server.url}/a", "/c": f"{other.url}/keys", "/d": "//evil.test/keys",
                "/e": f"http://u:p@{on.server.url[7:]}/keys", "/f": "/f", "/g": "ftp://127.0.0.1/", "/h": "",
            }  # fmt: skip
            for path, location in redirects.items():
                on.server.answers[path] = lambda location=location: web.Response(
                    status=307, headers={"Location": location}
                )
                on.verifier = on.make(jwks_public_endpoint=f"{on.server.url}{path}")
                if path in ("/a", "/b"):
                    assert await on.user(signed("rsa")) == "alice"
                else:
                    await refused(on, signed("rsa"))
            assert other.calls == []
            assert on.server.calls.count("/f") == 4

    play(scenario)


def test_keys_belong_to_their_endpoint() -> None:
    async def scenario(on: Stage) -> None:
        on.server.answers.update({"/one": key_set(entry("k", RSA)), "/two": key_set(entry("k", RSA_OTHER))})
        on.verifier = on.make(
            jwks_public_endpoint=on.server.url + "/{{realm}}", issuer_regex="^https://id.test/(?P<realm>one|two)$"
        )
        assert await on.user(signed("k", RSA, iss="https://id.test/one")) == "alice"
        await refused(on, signed("k", RSA, iss="https://id.test/two"))
        assert await on.user(signed("k", RSA_OTHER, iss="https://id.test/two")) == "alice"
        await refused(on, signed("k", RSA_OTHER, iss="https://id.test/one"))
        for issuer in ("https://id.test/three", "https://id.test/one/", "", "https://evil.test/one"):
            await refused(on, signed("k", RSA, iss=issuer))
        await refused(on, signed("k", RSA))
        assert on.server.calls == ["/one", "/two"]

    play(scenario)


def test_the_first_audience_that_matches_says_the_endpoint() -> None:
    async def scenario(on: Stage) -> None:
        on.server.answers["/one"] = key_set(GOOD)
        on.verifier = on.make(jwks_public_endpoint=on.server.url + "/{{app}}", audience_regex="^app-(?P<app>one|two)$")
        assert await on.user(signed("rsa", aud=["other", "app-one", "app-two"])) == "alice"
        await refused(on, signed("rsa", aud=["other"]))
        assert on.server.calls == ["/one"]

    play(scenario)


def test_subscription_tokens_may_have_keys_of_their_own() -> None:
    async def scenario(on: Stage) -> None:
        on.server.answers["/subscriptions"] = key_set(NEW)
        own = SubscriptionTokenSettings(enabled=True, jwks_public_endpoint=f"{on.server.url}/subscriptions")
        settings = TokenSettings(jwks_public_endpoint=f"{on.server.url}/keys")
        verifier = JwtVerifier(settings, own, clock=on.clock, key_sets=on.key_sets)
        assert (await verifier.verify_subscription(signed("new", RSA_OTHER, channel="x"))).channel == "x"
        with pytest.raises(TokenInvalid):
            await verifier.verify_subscription(signed("rsa", channel="x"))
        assert (await verifier.verify_connection(signed("rsa"))).user == "alice"

    play(scenario)


def test_a_new_verifier_keeps_the_keys_of_the_same_endpoint() -> None:
    async def scenario(on: Stage) -> None:
        await on.user(signed("rsa"))
        on.verifier = on.make(jwks_public_endpoint=f"{on.server.url}/keys", audience="x")
        assert await on.user(signed("rsa", aud="x")) == "alice"
        assert len(on.server.calls) == 1

    play(scenario)


def test_private_addresses_are_refused_where_asked() -> None:
    async def scenario(on: Stage) -> None:
        await refused(on, signed("rsa"))
        assert on.server.calls == []

    play(scenario, public_only=True)


def test_a_host_out_of_unchecked_claims_must_be_public() -> None:
    async def scenario(on: Stage) -> None:
        port = on.server.url.rpartition(":")[2]
        options = {
            "jwks_public_endpoint": f"http://{{{{host}}}}:{port}/keys",
            "issuer_regex": "^(?P<host>.+)$",
            "insecure_skip_jwks_endpoint_safety_check": True,
        }
        on.verifier = on.make(**options)
        for host in ("127.0.0.1", "localhost", "127.1", "0x7f000001", "2130706433", "a" * 300, "127.0.0.1:99999"):
            await refused(on, signed("rsa", iss=host))
        assert on.server.calls == []
        on.verifier = on.make(**{**options, "issuer_regex": "^(?P<host>127.0.0.1|localhost)$".replace(".", r"\.")})
        assert await on.user(signed("rsa", iss="127.0.0.1")) == "alice"

    play(scenario)


def test_made_up_endpoints_are_bounded_and_displace_no_keys() -> None:
    async def scenario(on: Stage) -> None:
        on.verifier = on.make(
            jwks_public_endpoint=on.server.url + "/{{realm}}",
            issuer_regex="^(?P<realm>.+)$",
            insecure_skip_jwks_endpoint_safety_check=True,
        )
        assert await on.user(signed("rsa", iss="keys")) == "alice"
        forged = signed("rsa", iss="X" * 6)
        for number in range(MAX_ENDPOINTS + 50):
            await refused(on, signed("rsa", iss=f"forged{number}") if number < 80 else forged)
            on.key_sets.at(f"{on.server.url}/more{number}", public_only=False)
        assert len(on.key_sets) == MAX_ENDPOINTS
        assert len(on.server.calls) <= 1 + STRANGERS_AT_ONCE
        calls = len(on.server.calls)
        assert await on.user(signed("rsa", iss="keys")) == "alice" and len(on.server.calls) == calls

    play(scenario)


def test_a_failure_is_told_without_what_may_be_secret(capsys: pytest.CaptureFixture[str]) -> None:
    async def scenario(on: Stage) -> None:
        address = on.server.url.replace("http://", "http://user:password@")
        on.verifier = on.make(jwks_public_endpoint=f"{address}/private?api_key=hidden")
        await refused(on, signed("rsa"))
        assert on.server.calls == ["/private?api_key=hidden"]

    play(scenario)
    told = "".join(capsys.readouterr())
    assert "key_set_not_fetched" in told and "404" in told and "127.0.0.1" in told
    assert not any(secret in told for secret in ("password", "hidden", "private", signed("rsa")[:20]))
