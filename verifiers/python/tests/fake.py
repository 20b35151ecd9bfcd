"""A server that speaks the feed as docs/revocation-feed.md says, and misbehaves when told to."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import secrets
import struct
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA256

from cenote_verifier import RevokedError
from cenote_verifier.replica import Clock
from cenote_verifier.wire import key16

POOL = "us-east-1_Fake00001"
CLIENT = "appclient0000000000000001"
# The challenge of a 401 that leads to sign-in.
REVOKED = 'Bearer error="invalid_token", error_description="session revoked", max_age=0'
# A birth long ago, for tokens that a sign-out shall end.
BORN = 1_000_000
RSA = rsa.generate_private_key(65537, 2048)


class FeedKey:
    made = 0

    def __init__(self, kid=None):
        FeedKey.made += 1
        self.kid = kid or f"feed-key-{FeedKey.made}"
        self.private = Ed25519PrivateKey.generate()

    def jwk(self):
        raw = self.private.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
        return {"kty": "OKP", "crv": "Ed25519", "x": b64(raw), "kid": self.kid, "use": "sig", "alg": "EdDSA"}


class Fake:
    def __init__(self):
        self.requests = []
        # Answers a request in the server's stead if it answers something: (status, headers, body) or "hang".
        self.intercept = lambda request: None
        # Changes the text of a frame before it leaves.
        self.tamper = lambda frame, nonce, since: frame
        # By how many seconds the server's clock is ahead.
        self.ahead = 0
        self.token_life = 3600
        self.kid = "pool-key-1"
        self.active = set()
        # An ssl.SSLContext: it asks for certificates then, and lets in who shows one. No token is needed.
        self.tls = None
        # Certificates (DER) that have expired since their connections began.
        self.ended = set()
        # Where the feed is now, below the issuer; the old address goes on as long as nobody intercepts it.
        self.moved = ""
        self.feed_keys = [FeedKey()]
        self.bearers = set()
        self.news = threading.Condition()
        self.over = threading.Event()
        self.port = 0
        self.begin()

    def begin(self, seq=0):
        """A new incarnation with no records, as after a restore."""
        self.incarnation = b64(secrets.token_bytes(16))
        self.base, self.records = seq, []
        self.chain = [sha256(f"cenote-revocation-feed/1\0{POOL}\0{self.incarnation}".encode())]

    @property
    def seq(self):
        return self.base + len(self.records)

    @property
    def issuer(self):
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}/{POOL}"

    def listen(self):
        fake = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_GET(self):
                fake.serve(self)

            do_POST = do_GET

            def log_message(self, *args):
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            allow_reuse_address = True
            request_queue_size = 128

            def handle_error(self, request, client_address):
                pass

        self.over.clear()
        self.sockets = []
        self.server = Server(("127.0.0.1", self.port), Handler)
        if self.tls:
            # Whoever shakes hands slowly, or not at all, holds up his own thread.
            self.server.socket = self.tls.wrap_socket(
                self.server.socket, server_side=True, do_handshake_on_connect=False
            )
        self.port = self.server.server_port
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def close(self):
        self.over.set()
        with self.news:
            self.news.notify_all()
        self.server.shutdown()
        self.server.server_close()
        for sock in self.sockets:
            try:
                sock.shutdown(2)
            except OSError:
                pass

    def options(self, **more):
        """Arguments for a verifier of this server."""
        named = {
            "client_id": "machine",
            "client_secret": "a secret: with %",
            "consumer": "test-1",
            "backoff": (0.02, 0.2),
        }
        return {"issuer": self.issuer, **named, **more}

    def publish(self, kind, id, not_before=None, drop_after=None):
        """A record, as a sign-out makes one."""
        now = int(time.time() * 1000)
        record = (
            kind,
            key16(kind, POOL, id),
            now + 1 if not_before is None else not_before,
            drop_after or now + 3_600_000,
        )
        with self.news:
            self.records.append(record)
            self.chain.append(sha256(self.chain[-1] + kind.encode() + record[1] + struct.pack(">QQ", *record[2:])))
            self.news.notify_all()

    def frame(self, nonce=None, start=None, end=None, change=lambda payload: None, key=None, typ="revfeed+jwt"):
        start, end = self.seq if start is None else start, self.seq if end is None else end
        rows = [[kind, b64(key), nb, drop] for kind, key, nb, drop in self.records[start - self.base : end - self.base]]
        h = [b64(self.chain[n - self.base]) for n in (start, end)]
        payload = {
            "v": 1,
            "pool": POOL,
            "incarnation": self.incarnation,
            "iat": int((time.time() + self.ahead) * 1000),
            "nonce": nonce,
        }
        payload |= {"from": start, "to": end, "h_before": h[0], "h_after": h[1], "e": rows}
        change(payload)
        return signed(typ, payload, key or self.feed_keys[-1])

    def snapshot(self):
        by_key = {}
        for _, key, nb, drop in self.records:
            had = by_key.get(key, (0, 0))
            by_key[key] = (max(had[0], nb), max(had[1], drop))
        records = b"".join(key + struct.pack(">QQ", *by_key[key]) for key in sorted(by_key))

        def head(length):
            return b"CNTRVF\0\1" + struct.pack(">QI", len(by_key), length) + bytes(12)

        def told(length):
            payload = {
                "v": 1,
                "pool": POOL,
                "incarnation": self.incarnation,
                "iat": int((time.time() + self.ahead) * 1000),
                "seq": self.seq,
            }
            payload |= {"h": b64(self.chain[-1]), "n": len(by_key), "sha256": b64(sha256(head(length) + records))}
            return signed("revsnap+jwt", payload, self.feed_keys[-1]).encode()

        # The digest covers the length of the signature, which does not depend on the digest.
        length = len(told(0))
        return head(length) + records + told(length)

    def token(self, born=None, session=None, use="access", kid=None, **more):
        """A token of the pool; `born` is the birth of its session."""
        now = int(time.time())
        session = session or uuid7(now * 1000 if born is None else born)
        claims = {
            "iss": self.issuer,
            "sub": "ann",
            "token_use": use,
            "origin_jti": session,
            "jti": secrets.token_hex(8),
        }
        claims |= {"aud" if use == "id" else "client_id": CLIENT, "iat": now, "exp": now + 3600, **more}
        text = f"{encoded({'alg': 'RS256', 'kid': kid or self.kid})}.{encoded(claims)}"
        return f"{text}.{b64(RSA.sign(text.encode(), padding.PKCS1v15(), SHA256()))}"

    def jwks(self):
        numbers = RSA.public_key().public_numbers()
        n, e = (b64(value.to_bytes((value.bit_length() + 7) // 8, "big")) for value in (numbers.n, numbers.e))
        return {"keys": [{"kty": "RSA", "n": n, "e": e, "kid": self.kid, "alg": "RS256", "use": "sig"}]}

    def serve(self, handler):
        self.sockets.append(handler.connection)
        url = urlsplit(handler.path)
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        body = handler.rfile.read(int(handler.headers.get("content-length", 0))).decode()
        request = {"path": url.path[len(POOL) + 1 :], "query": query, "headers": handler.headers, "body": body}
        request["certificate"] = handler.connection.getpeercert(binary_form=True) if self.tls else None
        self.requests.append(request)
        answer = self.intercept(request) or self.answer(request)
        if answer == "hang":
            self.over.wait()
            return
        status, headers, body = answer
        if isinstance(body, dict):
            body, headers = json.dumps(body).encode(), {"Content-Type": "application/json", **headers}
        handler.send_response(status)
        for name, value in {"Cache-Control": "no-store", "Content-Length": str(len(body)), **headers}.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(body)

    def answer(self, request):
        path, issuer = request["path"], self.issuer
        if path == "/.well-known/openid-configuration":
            return (
                200,
                {},
                {
                    "issuer": issuer,
                    "jwks_uri": f"{issuer}/.well-known/jwks.json",
                    "token_endpoint": f"{issuer}/oauth2/token",
                    "introspection_endpoint": f"{issuer}/oauth2/introspect",
                    "revocation_feed_endpoint": f"{issuer}{self.moved}/revocations",
                    "revocation_feed_jwks_uri": f"{issuer}/.well-known/revocation-jwks.json",
                },
            )
        if path == "/.well-known/jwks.json":
            return 200, {}, self.jwks()
        if path == "/.well-known/revocation-jwks.json":
            return 200, {}, {"keys": [key.jwk() for key in self.feed_keys]}
        if path == "/oauth2/token":
            basic = "Basic " + base64.b64encode(b"machine:a%20secret%3A%20with%20%25").decode()
            if request["headers"]["authorization"] != basic or "scope=revocations%2Fread" not in request["body"]:
                return 401, {}, {"error": "invalid_client"}
            token = secrets.token_hex(12)
            self.bearers.add(f"Bearer {token}")
            return 200, {}, {"access_token": token, "token_type": "Bearer", "expires_in": self.token_life}
        if path == "/oauth2/introspect":
            return 200, {}, {"active": parse_qs(request["body"])["token"][0] in self.active}
        certificate = request["certificate"]
        is_in = certificate not in self.ended if certificate else request["headers"]["authorization"] in self.bearers
        if not is_in:
            return 401, {}, {"error": "invalid_token"}
        if path.endswith("/revocations/snapshot"):
            return 200, {"Content-Encoding": "gzip"}, gzip.compress(self.snapshot())
        return self.delta(**request["query"])

    def delta(self, since, incarnation, nonce, wait, **_):
        since = int(since)
        if len(nonce) < 16 or wait not in "012":
            return 400, {}, {"error": "invalid_request"}
        if incarnation != self.incarnation or not self.base <= since <= self.seq:
            return 410, {}, {"error": "snapshot_required"}
        with self.news:
            self.news.wait_for(
                lambda: self.over.is_set() or self.seq > since or self.incarnation != incarnation, int(wait)
            )
        if incarnation != self.incarnation:
            return 410, {}, {"error": "snapshot_required"}
        text = self.tamper(self.frame(nonce, since, min(self.seq, since + 1000)), nonce, since)
        return 200, {"Content-Type": "application/revfeed+jwt"}, text.encode()


class MovableClock(Clock):
    """A clock whose two hands can be moved apart."""

    def __init__(self):
        self.moved_wall = self.moved_mono = 0.0

    def wall(self):
        return super().wall() + self.moved_wall

    def mono(self):
        return super().mono() + self.moved_mono

    def move(self, seconds):
        self.moved_wall += seconds
        self.moved_mono += seconds


def asked(fake, path):
    return [request for request in fake.requests if request["path"] == path]


def is_revoked(verifier, token):
    try:
        verifier.verify(token, policy="open")
    except RevokedError:
        return True
    return False


def stale_then_expired(fake, clock, bob, status):
    """What every framework answers for a live token while the feed is silent, with the server there and without it."""
    fake.active.add(bob)
    fake.intercept = lambda request: "hang" if request["path"].startswith("/revocations/") else None
    until(lambda: fake.requests[-1]["path"].startswith("/revocations/"))
    clock.move(20)
    assert [status(path, bob) for path in ("/me", "/pay", "/news")] == [200, 200, 200]
    clock.move(11)
    assert [status(path, bob) for path in ("/me", "/pay", "/news")] == [200, 503, 200]
    assert status("/me", fake.token(sub="eve")) == 401
    cut_off(fake, clock)
    until(lambda: status("/me", bob) == 503)


def cut_off(fake, clock):
    fake.intercept = lambda request: (503, {}, {})
    clock.move(31)


def until(holds, seconds=3.0):
    """Waits until something holds; answers how long it took."""
    began = time.monotonic()
    while not holds():
        assert time.monotonic() - began < seconds, f"not within {seconds} s"
        time.sleep(0.005)
    return time.monotonic() - began


def signed(typ, payload, key):
    text = f"{encoded({'alg': 'EdDSA', 'kid': key.kid, 'typ': typ})}.{encoded(payload)}"
    return f"{text}.{b64(key.private.sign(text.encode()))}"


def uuid7(ms):
    hex = f"{ms:012x}7{secrets.token_hex(2)[:3]}a{secrets.token_hex(8)[:15]}"
    return "-".join((hex[:8], hex[8:12], hex[12:16], hex[16:20], hex[20:]))


def payload_of(jws):
    part = jws.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))


def encoded(value):
    return b64(json.dumps(value, separators=(",", ":")).encode())


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def sha256(data):
    return hashlib.sha256(data).digest()
