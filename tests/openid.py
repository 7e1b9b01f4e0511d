"""A provider of OpenID Connect on loopback, for tests: whoever comes is the account that the test names."""

import base64
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlencode, urlsplit

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

CLIENT = "chest-reader"


def _b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class Provider:
    """Discovery, authorization, token and keys; ID tokens are signed with RS256.

    claims: what the next sign-in says of the account, beside what the protocol asks for.
    """

    def __init__(self) -> None:
        self.claims: dict[str, object] = {
            "sub": "1",
            "email": "reader@hospital.example",
            "email_verified": True,
        }
        self.address = ""
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self._nonces: dict[str, str] = {}

    def answer(self, path: str, given: dict[str, str]) -> tuple[str, dict[str, object]]:
        """Return where to go next, or "", and the JSON to answer with."""
        if path == "/.well-known/openid-configuration":
            ends = {"authorization_endpoint": "authorize", "token_endpoint": "token", "jwks_uri": "keys"}
            return "", {
                "issuer": self.address,
                **{end: f"{self.address}/{name}" for end, name in ends.items()},
                "response_types_supported": ["code"],
                "subject_types_supported": ["public"],
                "id_token_signing_alg_values_supported": ["RS256"],
            }
        if path == "/authorize":
            code = f"code-{len(self._nonces)}"
            self._nonces[code] = given.get("nonce", "")
            return f"{given['redirect_uri']}?{urlencode({'code': code, 'state': given['state']})}", {}
        if path == "/token":
            token = self._signed(self._nonces.pop(given["code"]))
            return "", {"access_token": "a", "token_type": "Bearer", "expires_in": 3600, "id_token": token}
        numbers = self._key.public_key().public_numbers()
        n, e = (_b64(value.to_bytes(-(-value.bit_length() // 8), "big")) for value in (numbers.n, numbers.e))
        return "", {"keys": [{"kty": "RSA", "use": "sig", "alg": "RS256", "kid": "1", "n": n, "e": e}]}

    def _signed(self, nonce: str) -> str:
        now = int(time.time())
        claims = {"iss": self.address, "aud": CLIENT, "iat": now, "exp": now + 3600, "nonce": nonce}
        parts = ({"alg": "RS256", "kid": "1", "typ": "JWT"}, claims | self.claims)
        text = ".".join(_b64(json.dumps(part).encode()) for part in parts)
        signature = self._key.sign(text.encode(), padding.PKCS1v15(), hashes.SHA256())
        return f"{text}.{_b64(signature)}"


@contextmanager
def provider() -> Iterator[Provider]:
    """Serve one on a free port."""
    made = Provider()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._reply(urlsplit(self.path).query)

        def do_POST(self) -> None:
            self._reply(self.rfile.read(int(self.headers["Content-Length"])).decode())

        def _reply(self, query: str) -> None:
            given = {name: values[0] for name, values in parse_qs(query).items()}
            onward, content = made.answer(urlsplit(self.path).path, given)
            self.send_response(302 if onward else 200)
            if onward:
                self.send_header("Location", onward)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(json.dumps(content).encode())

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made.address = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield made
    finally:
        server.shutdown()
        server.server_close()
