"""../vectors holds all verifiers and the server to one format."""

import base64
import json
import pathlib

import pytest

from cenote_verifier import FrameError, InvalidTokenError
from cenote_verifier.entries import Entries
from cenote_verifier.replica import Place, Replica
from cenote_verifier.signatures import Signatures, check_claims
from cenote_verifier.tokens import ended_by, subjects
from cenote_verifier.wire import Entry, feed_keys, key16, link, read_frame, read_snapshot

HOME = pathlib.Path(__file__).resolve().parents[2] / "vectors"
VECTORS = json.loads((HOME / "feed.json").read_text())
KEYS = feed_keys(VECTORS["feed_jwks"])


def data(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def text_of(value):
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


def place(told):
    return Place(told["incarnation"], told["seq"], data(told["h"]))


def record(row):
    return Entry(row[0], data(row[1]), row[2], row[3])


def cases(part):
    return [pytest.param(case, id=case["name"]) for case in VECTORS[part]]


def test_there_are_vectors_of_version_1():
    assert VECTORS["version"] == 1
    assert all(len(VECTORS[part]) > 5 for part in ("key16", "frames", "snapshots", "tokens"))


def test_key16():
    for case in VECTORS["key16"]:
        assert text_of(key16(case["kind"], case["pool"], case["id"])) == case["key16"], case


def test_the_chain():
    h = data(VECTORS["chain"]["h0"])
    for case in VECTORS["chain"]["records"]:
        h = link(h, record(case["e"]))
        assert text_of(h) == case["h"]


@pytest.mark.parametrize("case", cases("frames"))
def test_frame(case):
    replica = Replica()
    replica.place = place(case["state"])

    def take():
        replica.accept(read_frame(case["frame"], KEYS, VECTORS["pool"], case["nonce"]), replica.moment())

    if case["expect"] == "accept":
        take()
        assert replica.place == place(case["after"])
        assert replica.state == "FRESH"
        return
    with pytest.raises(FrameError) as refused:
        take()
    assert refused.value.reason == case["reason"]
    assert (replica.place, len(replica.entries), replica.state) == (place(case["state"]), 0, "EXPIRED")


@pytest.mark.parametrize("case", cases("snapshots"))
def test_snapshot(case):
    body = (HOME / case["file"]).read_bytes() if "file" in case else data(case["snapshot"])
    if case["expect"] == "refuse":
        with pytest.raises(FrameError) as refused:
            read_snapshot(body, KEYS, VECTORS["pool"])
        assert refused.value.reason == case["reason"]
        return
    snapshot = read_snapshot(body, KEYS, VECTORS["pool"])
    assert Place(snapshot.incarnation, snapshot.seq, snapshot.h) == place(case["after"])
    known = Entries()
    known.merge(snapshot.records, 0)
    assert len(known) == len(case["entries"])
    for key, not_before, drop_after in case["entries"]:
        assert known.find(data(key)) == (not_before, drop_after)


@pytest.mark.parametrize("case", cases("tokens"))
def test_token(case):
    known = Entries()
    for row in VECTORS["states"][case["state"]]:
        known.add(record(row))
    signatures = Signatures(lambda: VECTORS["token_jwks"], lambda: 0.0)

    def judged():
        header, claims = signatures.open(case["token"], may_wait=True)
        check_claims(
            claims, issuer=VECTORS["issuer"], token_use=("access", "id"), client_id=None, now=case["now_ms"] / 1000
        )
        return "revoked" if ended_by(known, subjects(VECTORS["pool"], claims, header)) else "alive"

    if case["expect"] == "invalid":
        with pytest.raises(InvalidTokenError) as refused:
            judged()
        assert refused.value.reason == case["reason"]
    else:
        assert judged() == case["expect"]
