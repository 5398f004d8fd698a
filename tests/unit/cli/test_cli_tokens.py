"""Commands that make and check tokens."""

from __future__ import annotations

import base64
import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from .conftest import Run

SECRET = "a secret of more than 32 characters, for the tests"
CONFIG = {"client": {"token": {"hmac_secret_key": SECRET}}}
OWN_KEY = {"client": {**CONFIG["client"], "subscription_token": {"enabled": True, "hmac_secret_key": SECRET[::-1]}}}


@pytest.fixture(autouse=True)
def files(run: Run) -> None:
    Path("config.json").write_text(json.dumps(CONFIG))
    Path("own.json").write_text(json.dumps(OWN_KEY))
    Path("none.json").write_text("{}")


def claims(token: str) -> dict[str, Any]:
    part = token.strip().split(".")[1]
    value: dict[str, Any] = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    return value


def test_a_made_token_checks(run: Run) -> None:
    code, out, _ = run("gentoken", "-u", "alice")
    first, token = out.splitlines()
    assert code == 0 and first == 'HMAC SHA-256 JWT for user "alice" with expiration TTL 168h0m0s:'
    code, out, _ = run("checktoken", token)
    assert code == 0 and out.startswith('valid token for user "alice"\npayload: {"sub":"alice"')


def test_lifetimes(run: Run) -> None:
    _, token, _ = run("gentoken", "-q", "-t", "60")
    assert claims(token)["exp"] - claims(token)["iat"] == 60 and "\n" not in token and "sub" not in claims(token)
    _, out, _ = run("gentoken", "-t", "-1")
    assert "for anonymous user without expiration:" in out and "exp" not in claims(out.splitlines()[1])
    _, expired, _ = run("gentoken", "-q", "-t", "0")
    code, _, err = run("checktoken", expired)
    assert (code, err) == (1, "error: token expired\n")


def test_subscription_tokens(run: Run) -> None:
    code, out, _ = run("gensubtoken", "-u", "alice", "-s", "news")
    token = out.splitlines()[1]
    assert code == 0 and 'user "alice" and channel "news"' in out and claims(token)["channel"] == "news"
    code, out, _ = run("checksubtoken", token)
    assert code == 0 and out.startswith('valid subscription token for user "alice" and channel "news"\npayload: {')
    assert run("checktoken", token)[0] == 1
    assert run("checksubtoken", run("gentoken", "-q")[1])[0] == 1
    assert run("gensubtoken", "-u", "alice")[0] == 1


def test_subscription_tokens_with_a_key_of_their_own(run: Run) -> None:
    _, token, _ = run("gensubtoken", "-q", "-s", "news", "-c", "own.json")
    assert run("checksubtoken", "-c", "own.json", token)[0] == 0
    assert run("checksubtoken", token)[0] == 1


class _Keys(BaseHTTPRequestHandler):
    key = ec.generate_private_key(ec.SECP256R1())

    def do_GET(self) -> None:
        entry = json.loads(jwt.algorithms.ECAlgorithm.to_jwk(self.key.public_key()))
        body = json.dumps({"keys": [{**entry, "kid": "k", "use": "sig"}]}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


def test_keys_may_be_fetched(run: Run) -> None:
    with HTTPServer(("127.0.0.1", 0), _Keys) as server:
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        try:
            url = f"http://127.0.0.1:{server.server_port}/keys"
            Path("keys.json").write_text(json.dumps({"client": {"token": {"jwks_public_endpoint": url}}}))
            good, unknown = (jwt.encode({"sub": "alice"}, _Keys.key, "ES256", headers={"kid": kid}) for kid in "kx")
            code, out, _ = run("checktoken", "-c", "keys.json", good)
            assert code == 0 and out.startswith('valid token for user "alice"')
            code, _, err = run("checktoken", "-c", "keys.json", unknown)
            assert code == 1 and "the key set has no such key" in err
        finally:
            server.shutdown()
            serving.join()


@pytest.mark.parametrize("command", [("gentoken",), ("gensubtoken", "-s", "news")])
def test_without_a_key(run: Run, command: tuple[str, ...]) -> None:
    code, out, err = run(*command, "-c", "none.json")
    assert (code, out) == (1, "") and "client.token.hmac_secret_key" in err


@pytest.mark.parametrize("token", ["nonsense", "a.b.c", "..", "é", "x" * 100_000])
def test_nonsense_is_no_token(run: Run, token: str) -> None:
    code, out, err = run("checktoken", token)
    assert (code, out) == (1, "") and err.startswith("error: invalid token") and err.count("\n") == 1


def test_the_key_can_come_from_the_environment(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CENTRIPETAL_CLIENT_TOKEN_HMAC_SECRET_KEY", SECRET)
    assert run("gentoken", "-q", "-c", "absent.json")[0] == 0
