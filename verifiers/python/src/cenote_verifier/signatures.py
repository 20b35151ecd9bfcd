"""The pool's own tokens: RS256 signatures by the pool's JWKS (cached, rotated), and the claims that every token must have."""

from __future__ import annotations

import hashlib
import json
import random
import threading
from typing import Any, Callable, Collection, Mapping

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey, RSAPublicNumbers
from cryptography.hazmat.primitives.hashes import SHA256

from .errors import CenoteError, InvalidTokenError, ServerError, UnavailableError
from .wire import bytes_of

_MAX_TOKEN = 64 << 10
# Between two fetches of the key set.
_PAUSE = 10.0
_LIFE = 300.0
_SEEN = 10_000

Json = Mapping[str, Any]


class WouldBlock(Exception):
    """An answer needs the network, and the caller must not wait."""


class Signatures:
    """`fetch` answers the pool's JWKS, or raises; `backoff` are the first and the longest pause after it has failed."""

    def __init__(
        self, fetch: Callable[[], Json], mono: Callable[[], float], backoff: tuple[float, float] = (0.25, 5.0)
    ) -> None:
        self._fetch = fetch
        self._mono = mono
        self._backoff = backoff
        self._keys: dict[str, RSAPublicKey] = {}
        self._asked = self._next = float("-inf")
        self._failures = 0
        self._asking = threading.Lock()
        self._seen: dict[bytes, RSAPublicKey] = {}

    def open(self, token: object, *, may_wait: bool) -> tuple[Json, Json]:
        """Header and claims of a token that one of the pool's keys signed."""
        if not isinstance(token, str) or len(token) > _MAX_TOKEN or not token.isascii():
            raise InvalidTokenError("this is no token")
        # Read anew each time: what the caller does to its claims is no business of the next.
        header, claims, signature = _parse(token)
        key = self._key(header, may_wait)
        # A token seen before costs no second signature, unless its key is another now.
        name = hashlib.sha256(token.encode()).digest()
        if self._seen.get(name) is key:
            return header, claims
        try:
            key.verify(signature, token.rpartition(".")[0].encode(), PKCS1v15(), SHA256())
        except InvalidSignature:
            raise InvalidTokenError("the signature of the token is wrong", "signature") from None
        if len(self._seen) >= _SEEN:
            try:
                self._seen.pop(next(iter(self._seen)), None)
            except (RuntimeError, StopIteration):
                pass  # Another thread was faster.
        self._seen[name] = key
        return header, claims

    def refresh(self) -> None:
        """Keys that the pool no longer lists are forgotten. One thread asks at a time."""
        before, failures = self._asked, self._failures
        with self._asking:
            if self._asked != before:
                return
            if self._failures != failures:
                raise ServerError("it failed just now")
            asked = self._mono()
            try:
                told = self._fetch().get("keys")
            except Exception:
                first, most = self._backoff
                pause = min(most, first * 2.0 ** min(self._failures, 16)) * random.uniform(0.5, 1.0)
                self._next = self._mono() + pause
                self._failures += 1
                raise
            keys = {}
            for jwk in told if isinstance(told, list) else []:
                key = _rsa(jwk)
                if key:
                    had = self._keys.get(jwk["kid"])
                    keys[jwk["kid"]] = had if had and had.public_numbers() == key.public_numbers() else key
            self._keys = keys
            self._asked = asked
            self._next = asked + _PAUSE
            self._failures = 0

    def hope(self) -> None:
        """The server has come back: the next token need not wait until the pause after the last failure is over."""
        if self._failures > 0:
            self._next = float("-inf")

    @property
    def is_old(self) -> bool:
        now = self._mono()
        return now - self._asked > _LIFE and now >= self._next

    def _key(self, header: Json, may_wait: bool) -> RSAPublicKey:
        kid = header.get("kid")
        if not isinstance(kid, str):
            raise InvalidTokenError("the token names no key", "unknown_key")
        key = self._keys.get(kid)
        if key is not None:
            return key
        # Anybody can send a token with a key id of their invention: the server must not feel it.
        if self._mono() >= self._next or self._asking.locked():
            if not may_wait:
                raise WouldBlock
            try:
                self.refresh()
            except CenoteError as error:
                # Without keys nobody can tell good from bad: that is our trouble, not the caller's.
                raise UnavailableError(f"the keys of the pool cannot be fetched: {error}") from error
        elif self._failures > 0:
            raise UnavailableError("the keys of the pool could not be fetched a moment ago")
        key = self._keys.get(kid)
        if key is None:
            raise InvalidTokenError(f"no key of the pool has the id {kid:.200}", "unknown_key")
        return key


def check_claims(
    claims: Json,
    *,
    issuer: str,
    token_use: Collection[str],
    client_id: Collection[str] | None,
    now: float,
    leeway: float = 0.0,
) -> None:
    """What must hold besides the signature."""
    exp, nbf = claims.get("exp"), claims.get("nbf")
    if not isinstance(exp, (int, float)) or isinstance(exp, bool):
        raise InvalidTokenError("the token lacks exp")
    check_parties(claims, issuer=issuer, token_use=token_use, client_id=client_id)
    if not exp > now - leeway:
        raise InvalidTokenError("the token has expired", "expired")
    if nbf is not None and not (isinstance(nbf, (int, float)) and nbf <= now + leeway):
        raise InvalidTokenError("the token is not valid yet", "expired")


def check_parties(
    claims: Json, *, issuer: str, token_use: Collection[str], client_id: Collection[str] | None
) -> None:
    """Whose token it is, and for what."""
    use = claims.get("token_use")
    if use not in ("access", "id"):
        raise InvalidTokenError("the token lacks token_use")
    check_issuer(claims, issuer)
    if use not in token_use:
        raise InvalidTokenError(f"this is no {' or '.join(token_use)} token: its token_use is {use}", "token_use")
    client = claims.get("aud" if use == "id" else "client_id")
    if client_id is not None and client not in client_id:
        raise InvalidTokenError("the token was made for another app client", "client")


def check_issuer(claims: Json, issuer: str) -> None:
    """The feed of one pool says nothing about the tokens of another."""
    if claims.get("iss") != issuer:
        raise InvalidTokenError(f"the token is by another issuer: {str(claims.get('iss')):.200}", "issuer")


def _parse(token: str) -> tuple[Json, Json, bytes]:
    parts = [bytes_of(part) for part in token.split(".")]
    if len(parts) != 3 or parts[0] is None or parts[1] is None or parts[2] is None:
        raise InvalidTokenError("this is no JWT")
    header, claims = _object(parts[0]), _object(parts[1])
    if header.get("alg") != "RS256" or "crit" in header:
        raise InvalidTokenError("the token is not signed with RS256")
    return header, claims, parts[2]


def _object(data: bytes) -> Json:
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise InvalidTokenError("this is no JWT")
    return value


def _rsa(jwk: object) -> RSAPublicKey | None:
    if not isinstance(jwk, dict) or jwk.get("kty") != "RSA" or not isinstance(jwk.get("kid"), str):
        return None
    n, e = bytes_of(jwk.get("n")), bytes_of(jwk.get("e"))
    if not n or not e:
        return None
    try:
        return RSAPublicNumbers(int.from_bytes(e, "big"), int.from_bytes(n, "big")).public_key()
    except ValueError:
        return None
