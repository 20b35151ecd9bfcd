"""Version 1 of the feed's format (docs/revocation-feed.md): bytes and JSON in, values out. No state, no clock, no network."""

from __future__ import annotations

import base64
import binascii
import hashlib
import itertools
import json
import re
import struct
from dataclasses import dataclass
from typing import Any, Mapping, NoReturn

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from .errors import FrameError

RECORD = 32
# A frame with as many says nothing about freshness: more may follow.
MAX_ENTRIES = 1000
_HEADER = 32
_BASE64URL = re.compile(r"[A-Za-z0-9_-]*", re.ASCII)
_KEY16 = re.compile(r"[A-Za-z0-9_-]{21}[AQgw]", re.ASCII)
_HASH = re.compile(r"[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]", re.ASCII)
_KIND = re.compile(r"[A-Z]", re.ASCII)

FeedKeys = Mapping[str, Ed25519PublicKey]


@dataclass(frozen=True)
class Entry:
    kind: str
    key: bytes
    not_before: int
    drop_after: int


@dataclass(frozen=True)
class Frame:
    incarnation: str
    iat: int
    start: int
    end: int
    h_before: bytes
    h_after: bytes
    entries: list[Entry]


@dataclass(frozen=True)
class Snapshot:
    incarnation: str
    iat: int
    seq: int
    h: bytes
    records: bytes


def key16(kind: str, pool: str, id: str) -> bytes:
    """What an entry is found by: it names nobody. `kind` is U, S, X, C, P or K."""
    return hashlib.sha256(f"{kind}\0{pool}\0{id}".encode("utf-8", "surrogatepass")).digest()[:16]


def link(before: bytes, entry: Entry) -> bytes:
    """The chain after one more entry of a frame."""
    record = entry.kind.encode() + entry.key + struct.pack(">QQ", entry.not_before, entry.drop_after)
    return hashlib.sha256(before + record).digest()


def feed_keys(jwks: Mapping[str, Any]) -> dict[str, Ed25519PublicKey]:
    """The public keys of a JWK Set by their kid. Keys of other kinds are left out: a later version may bring some."""
    keys = {}
    found = jwks.get("keys")
    for jwk in found if isinstance(found, list) else []:
        if not isinstance(jwk, dict) or (jwk.get("kty"), jwk.get("crv")) != ("OKP", "Ed25519"):
            continue
        x = bytes_of(jwk.get("x"))
        if x is not None and len(x) == 32 and isinstance(jwk.get("kid"), str):
            keys[jwk["kid"]] = Ed25519PublicKey.from_public_bytes(x)
    return keys


def open_jws(jws: str, typ: str, keys: FeedKeys) -> dict[str, Any]:
    """The payload of a JWS signed by one of `keys`; its `typ` must be the one expected."""
    parts = jws.split(".")
    decoded = [bytes_of(part) for part in parts]
    if len(parts) != 3 or None in decoded:
        _refuse("malformed", "this is no compact JWS")
    header_bytes, payload, signature = decoded
    header = _object(header_bytes or b"")
    if header.get("typ") != typ:
        _refuse("type", f"typ is {header.get('typ')!r}, not {typ}")
    kid = header.get("kid")
    key = keys.get(kid) if isinstance(kid, str) else None
    if key is None:
        _refuse("unknown_key", f"no key of the feed has the id {kid!r}")
    if header.get("alg") != "EdDSA" or "crit" in header:
        _refuse("signature", "the feed is signed with EdDSA and no extensions")
    try:
        key.verify(signature or b"", jws.rpartition(".")[0].encode())
    except InvalidSignature:
        _refuse("signature", "the signature is wrong")
    told = _object(payload or b"")
    # Before the rest: another version may look quite different.
    version = told.get("v")
    if not isinstance(version, (int, float)) or isinstance(version, bool):
        _refuse("malformed", "the version of the format is missing")
    if version != 1:
        _refuse("version", f"version {version} of the format is not known here; a newer package may know it")
    return told


def read_frame(jws: str, keys: FeedKeys, pool: str, nonce: str | None) -> Frame:
    """A frame about `pool` that answers `nonce`. Whether it continues what one has is the replica's question."""
    told = open_jws(jws, "revfeed+jwt", keys)
    _same_pool(told, pool)
    if told.get("nonce") != nonce:
        _refuse("nonce", "the frame does not answer this request: it is an old one")
    rows = told.get("e")
    if not isinstance(rows, list):
        _refuse("malformed", "a member is missing")
    return Frame(
        incarnation=_text(told, "incarnation"),
        iat=_natural(told.get("iat")),
        start=_natural(told.get("from")),
        end=_natural(told.get("to")),
        h_before=_hash(told.get("h_before")),
        h_after=_hash(told.get("h_after")),
        entries=[_entry(row) for row in rows],
    )


def read_snapshot(data: bytes, keys: FeedKeys, pool: str) -> Snapshot:
    """A whole snapshot: its place in the feed, and its records as they stand in the file."""
    if len(data) < _HEADER or data[:6] != b"CNTRVF":
        _refuse("malformed", "this is no snapshot")
    version, n, length = struct.unpack_from(">HQI", data, 6)
    if version != 1:
        _refuse("version", "a newer package may know this version of snapshots")
    end = _HEADER + n * RECORD
    if len(data) != end + length:
        _refuse("malformed", "the snapshot is cut short or too long")
    told = open_jws(data[end:].decode("latin-1"), "revsnap+jwt", keys)
    _same_pool(told, pool)
    incarnation, iat, seq = _text(told, "incarnation"), _natural(told.get("iat")), _natural(told.get("seq"))
    if _natural(told.get("n")) != n:
        _refuse("length", "the snapshot and its signature count differently")
    if hashlib.sha256(memoryview(data)[:end]).digest() != _hash(told.get("sha256")):
        _refuse("digest", "the records are not those that were signed")
    records = data[_HEADER:end]
    keys_in_order = (records[at : at + 16] for at in range(0, len(records), RECORD))
    if any(a >= b for a, b in itertools.pairwise(keys_in_order)):
        _refuse("malformed", "the records are not sorted")
    return Snapshot(incarnation, iat, seq, _hash(told.get("h")), records)


def bytes_of(text: object) -> bytes | None:
    """The bytes of text in base64url. Python would skip what is none."""
    if not isinstance(text, str) or not _BASE64URL.fullmatch(text):
        return None
    try:
        return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except binascii.Error:
        return None


def _object(data: bytes) -> dict[str, Any]:
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        _refuse("malformed", "a part of the JWS is no JSON object")
    return value


def _same_pool(told: Mapping[str, Any], pool: str) -> None:
    if told.get("pool") != pool:
        _refuse("pool", f"this is about the pool {told.get('pool')!r}, not {pool}")


def _entry(row: object) -> Entry:
    if not isinstance(row, list) or len(row) != 4:
        _refuse("malformed", "a record has not four members")
    kind, key, not_before, drop_after = row
    # A kind that is not known yet is kept: nothing looks it up, but the chain runs through it.
    if not isinstance(kind, str) or not _KIND.fullmatch(kind):
        _refuse("malformed", "the kind of a record is no letter")
    if not isinstance(key, str) or not _KEY16.fullmatch(key):
        _refuse("malformed", "the key of a record is not 16 bytes")
    return Entry(kind, base64.urlsafe_b64decode(key + "=="), _natural(not_before), _natural(drop_after))


def _hash(text: object) -> bytes:
    if not isinstance(text, str) or not _HASH.fullmatch(text):
        _refuse("malformed", "a hash is not 32 bytes")
    return base64.urlsafe_b64decode(text + "=")


def _text(told: Mapping[str, Any], name: str) -> str:
    value = told.get(name)
    if not isinstance(value, str):
        _refuse("malformed", f"{name} is missing")
    return value


def _natural(value: object) -> int:
    if type(value) is not int or not 0 <= value < 1 << 53:
        _refuse("malformed", f"this is no number or time of the feed: {value!r:.40}")
    return value


def _refuse(reason: str, message: str) -> NoReturn:
    raise FrameError(reason, message)
