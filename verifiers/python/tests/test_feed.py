"""The verifier against a server that follows the rules, and one that lies."""

import functools
import time

import pytest
from fake import BORN, POOL, FeedKey, asked, is_revoked, payload_of, signed, until, uuid7

from cenote_verifier import RevokedError
from cenote_verifier.replica import Place, Replica
from cenote_verifier.wire import Entry, Frame, link


def test_a_live_token_is_let_through_and_says_how_fresh_that_is(fake, follow):
    verified = follow().verify(fake.token())
    assert (verified.claims["sub"], verified.verdict.state, verified.verdict.by) == ("ann", "FRESH", "feed")


def test_a_user_sign_out_ends_what_was_born_before_it_id_tokens_too_and_nothing_else(fake, follow, caught_up):
    verifier = follow()
    before, id = fake.token(BORN), fake.token(BORN, use="id")
    verifier.verify(before)
    fake.publish("U", "ann", BORN + 1)
    assert caught_up(verifier) < 0.25
    with pytest.raises(RevokedError):
        verifier.verify(before)
    with pytest.raises(RevokedError):
        verifier.verify(id, token_use="id")
    verifier.verify(fake.token(BORN + 1))
    verifier.verify(fake.token(BORN, sub="bob"))


@pytest.mark.parametrize("kind, id", [("C", "appclient0000000000000001"), ("P", POOL)])
def test_an_epoch_ends_what_was_born_before_it(fake, follow, caught_up, kind, id):
    verifier = follow()
    fake.publish(kind, id, BORN + 1)
    caught_up(verifier)
    assert is_revoked(verifier, fake.token(BORN))
    verifier.verify(fake.token(BORN + 1))


def test_the_end_of_a_session_ends_its_tokens_and_no_others(fake, follow, caught_up):
    verifier = follow()
    session = uuid7(int(time.time() * 1000))
    fake.publish("S", session, 0)
    caught_up(verifier)
    assert is_revoked(verifier, fake.token(session=session.upper()))
    verifier.verify(fake.token())


def test_a_revoked_key_id_ends_tokens_of_any_birth(fake, follow, caught_up):
    verifier = follow()
    fake.publish("K", "pool-key-1", 0)
    caught_up(verifier)
    assert is_revoked(verifier, fake.token(int(time.time() * 1000) + 10**9))


def test_what_is_known_before_the_start_is_in_the_snapshot(fake, follow):
    for n in range(500):
        fake.publish("U", f"user-{n}", BORN + 1)
    verifier = follow()
    assert verifier.status["entries"] == 500
    assert all(is_revoked(verifier, fake.token(BORN, sub=f"user-{n}")) for n in (0, 77, 499))
    verifier.verify(fake.token(BORN, sub="user-500"))


def test_2500_records_in_one_moment_come_in_full_frames(fake, follow, caught_up):
    verifier = follow()
    for n in range(2500):
        fake.publish("U", f"user-{n}", BORN + 1)
    caught_up(verifier)
    assert verifier.status["entries"] == 2500
    assert is_revoked(verifier, fake.token(BORN, sub="user-2499"))


def test_a_frame_of_1000_records_proves_no_freshness_more_may_be_behind_it():
    replica = Replica()
    replica.place = Place("a", 0, bytes(32))
    for count, start, state in [(1000, 0, "EXPIRED"), (999, 1000, "FRESH")]:
        entries = [Entry("U", n.to_bytes(16, "big"), 1, 2) for n in range(count)]
        before = replica.place.h
        frame = Frame("a", 0, start, start + count, before, functools.reduce(link, entries, before), entries)
        replica.accept(frame, replica.moment())
        assert (replica.place.seq, replica.state) == (start + count, state)


def test_the_acknowledgement_names_the_consumer_the_weakest_policy_and_the_staleness(fake, follow):
    verifier = follow(max_staleness=20)
    last = lambda: asked(fake, "/revocations/delta")[-1]["query"]
    assert (last()["consumer"], last()["policy"], last()["max_staleness"]) == ("test-1", "introspect", "20")
    verifier.uses("open")
    until(lambda: last()["policy"] == "open")
    fake.publish("U", "ann")
    until(lambda: last()["since"] == "1")


LIAR = FeedKey()


def resigned(change):
    return lambda fake, nonce, since: fake.frame(nonce, since, change=change)


def set_not_before(payload):
    payload["e"][0][2] = 5


TAMPERED = {
    "dropped": lambda fake, nonce, since: fake.frame(nonce, since + 1),
    "repeated": lambda fake, nonce, since: fake.frame(nonce, 0, 1),
    "reordered": resigned(lambda payload: payload["e"].reverse()),
    "shortened": resigned(lambda payload: payload["e"].pop()),
    "altered and signed again": resigned(set_not_before),
    "altered": lambda fake, nonce, since: flipped(fake.frame(nonce, since)),
    "replayed": lambda fake, nonce, since: fake.frame("A" * 24, since),
    "without a nonce": lambda fake, nonce, since: fake.frame(None, since),
    "of another pool": resigned(lambda payload: payload.update(pool="us-east-1_Other0001")),
    "of version 2": resigned(lambda payload: payload.update(v=2)),
    "by an unknown key": lambda fake, nonce, since: fake.frame(nonce, since, key=LIAR),
    "by a known key id and another key": lambda fake, nonce, since: fake.frame(nonce, since, key=impostor(fake)),
    "of another type": lambda fake, nonce, since: fake.frame(nonce, since, typ="JWT"),
    "no frame at all": lambda fake, nonce, since: "<html>welcome to the hotel</html>",
}


@pytest.mark.parametrize("what", TAMPERED)
def test_a_frame_that_was_tampered_with_proves_nothing_and_is_mended_by_a_snapshot(fake, follow, clock, what):
    fake.publish("U", "old", BORN + 1)
    verifier = follow()

    def tamper(frame, nonce, since):
        # Never a mere heartbeat: there must be something to tamper with.
        for n in (1, 2):
            fake.publish("U", f"more-{n}")
        return TAMPERED[what](fake, nonce, since)

    fake.tamper = tamper
    fake.publish("U", "ann", BORN + 1)
    fake.publish("U", "bob", BORN + 1)
    until(lambda: len(verifier.problems) > 1)
    clock.move(31)
    assert verifier.state == "EXPIRED"
    for sub in ("old", "ann", "bob"):
        # What the snapshot has told is known, though the feed is not fresh.
        until(lambda: is_revoked(verifier, fake.token(BORN, sub=sub)))
    assert verifier.state == "EXPIRED"
    fake.tamper = lambda frame, nonce, since: frame
    until(lambda: verifier.state == "FRESH")


def flipped(jws):
    middle = len(jws) // 2
    return jws[:middle] + ("B" if jws[middle] == "A" else "A") + jws[middle + 1 :]


def impostor(fake):
    return FeedKey(fake.feed_keys[0].kid)


def test_a_snapshot_with_one_byte_changed_is_refused_and_what_was_known_stays(fake, follow, caught_up):
    fake.publish("U", "ann", BORN + 1)
    verifier = follow()

    def broken(request):
        if request["path"] != "/revocations/snapshot":
            return None
        fake.publish("U", "bob")
        body = bytearray(fake.snapshot())
        body[40] ^= 1
        return 200, {}, bytes(body)

    fake.intercept = broken
    fake.begin()
    until(lambda: any(getattr(problem, "reason", "") == "digest" for problem in verifier.problems))
    assert is_revoked(verifier, fake.token(BORN))
    fake.intercept = lambda request: None
    caught_up(verifier)


def test_a_new_incarnation_merges_what_was_known_and_has_not_ended_is_kept(fake, follow, caught_up):
    verifier = follow()
    fake.publish("U", "ann", BORN + 1)
    caught_up(verifier)
    fake.begin(40)
    fake.publish("U", "bob", BORN + 1)
    caught_up(verifier)
    assert [problem.status for problem in verifier.problems] == [410]
    assert all(is_revoked(verifier, fake.token(BORN, sub=sub)) for sub in ("ann", "bob"))
    until(lambda: verifier.state == "FRESH")


def test_a_key_of_the_feed_that_is_new_is_fetched_and_one_that_is_gone_is_not_believed(fake, follow, caught_up, clock):
    verifier = follow()
    [old] = fake.feed_keys
    clock.move(10.1)
    fake.feed_keys = [FeedKey()]
    fake.publish("U", "ann", BORN + 1)
    caught_up(verifier)
    fake.tamper = lambda frame, nonce, since: signed("revfeed+jwt", payload_of(frame), old)
    until(lambda: any(getattr(problem, "reason", "") == "unknown_key" for problem in verifier.problems))
