"""The verifier against a server that follows the rules, breaks, lies, and comes back."""

import asyncio
import base64
import functools
import os
import threading
import time

import pytest
from fake import POOL, FeedKey, b64, payload_of, signed, until, uuid7

from cenote_verifier import CenoteVerifier, InvalidTokenError, RevokedError, UnavailableError
from cenote_verifier.errors import ServerError
from cenote_verifier.replica import Place, Replica
from cenote_verifier.signatures import Signatures
from cenote_verifier.wire import Entry, Frame, link

BORN = 1_000_000


def asked(fake, path):
    return [request for request in fake.requests if request["path"] == path]


def is_revoked(verifier, token):
    try:
        verifier.verify(token, policy="open")
    except RevokedError:
        return True
    return False


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


def test_a_server_that_is_down_at_the_start_the_policy_decides_and_the_feed_is_found_once_it_is_up(fake, follow):
    token = fake.token()
    fake.close()
    verifier = follow(fresh=False)
    with pytest.raises(UnavailableError):
        verifier.verify(token)
    assert verifier.state == "EXPIRED"
    until(lambda: len(verifier.problems) > 3)
    fake.listen()
    until(lambda: verifier.state == "FRESH")
    verifier.verify(token)


def test_without_the_feed_closed_refuses_open_lets_through_and_introspect_asks_and_remembers_for_5_s(
    fake, follow, clock
):
    live, dead = fake.token(), fake.token()
    fake.active.add(live)
    fake.intercept = lambda request: (503, {}, {}) if request["path"].startswith("/revocations/") else None
    verifier = follow(fresh=False)
    with pytest.raises(UnavailableError):
        verifier.verify(live, policy="closed")
    assert verifier.verify(dead, policy="open").verdict.by == "policy"
    threads = [threading.Thread(target=verifier.verify, args=(live,)) for _ in range(8)]
    [thread.start() for thread in threads], [thread.join() for thread in threads]
    assert verifier.verify(live).verdict.by == "introspection"
    assert len(asked(fake, "/oauth2/introspect")) == 1
    with pytest.raises(RevokedError):
        verifier.verify(dead)
    fake.active.clear()
    verifier.verify(live)
    clock.moved_mono += 5.1
    with pytest.raises(RevokedError):
        verifier.verify(live)


def test_introspection_that_fails_or_would_be_about_an_id_token_refuses_as_closed_does(fake, follow):
    broken = ("/revocations/", "/oauth2/introspect")
    fake.intercept = lambda request: (500, {}, {}) if request["path"].startswith(broken) else None
    verifier = follow(fresh=False)
    with pytest.raises(UnavailableError):
        verifier.verify(fake.token())
    with pytest.raises(UnavailableError, match="ID token"):
        verifier.verify(fake.token(use="id"), token_use="id")


def test_an_entry_holds_while_the_feed_is_expired_whatever_the_policy(fake, follow, caught_up, clock):
    verifier = follow()
    fake.publish("U", "ann", BORN + 1)
    caught_up(verifier)
    fake.close()
    clock.move(31)
    assert verifier.state == "EXPIRED"
    assert is_revoked(verifier, fake.token(BORN))
    fake.listen()


def test_heartbeats_that_stop_make_it_stale_after_4_s_and_expired_after_30(fake, follow, clock):
    verifier = follow()
    fake.intercept = lambda request: "hang"
    time.sleep(1.1)
    clock.move(3.5)
    assert verifier.state == "STALE"
    verifier.verify(fake.token())
    until(lambda: verifier.said[-1] == "STALE")
    clock.move(27)
    assert verifier.state == "EXPIRED"
    until(lambda: verifier.said[-1] == "EXPIRED")


@pytest.mark.parametrize(
    "wall, mono",
    [
        pytest.param(3600, 3600, id="the process slept for an hour"),
        pytest.param(3600, 0, id="the machine slept, and its monotonic clock with it"),
        pytest.param(-3600, 3600, id="the wall clock was set back in the sleep"),
    ],
)
def test_after_a_sleep_it_is_not_fresh_and_an_answer_to_what_was_asked_before_does_not_make_it_so(
    fake, follow, clock, wall, mono
):
    verifier = follow()
    held, go_on = threading.Event(), threading.Event()

    def late(frame, nonce, since):
        if not held.is_set():
            held.set()
            go_on.wait(5)
        else:
            fake.over.wait()
        return frame

    fake.tamper = late
    assert held.wait(3)
    clock.moved_wall += wall
    clock.moved_mono += mono
    assert verifier.state == "EXPIRED"
    go_on.set()
    time.sleep(0.1)
    assert verifier.state == "EXPIRED"


def test_after_a_sleep_the_feed_is_asked_at_once(fake, follow, clock):
    verifier = follow()
    fake.publish("U", "ann", BORN + 1)
    clock.moved_wall += 3600
    assert until(lambda: verifier.state == "FRESH") < 0.9


def test_a_wall_clock_that_jumps_ahead_and_comes_back_costs_no_entry(fake, follow, caught_up, clock):
    verifier = follow()
    fake.publish("U", "ann", BORN + 1, int(time.time() * 1000) + 60_000)
    caught_up(verifier)
    clock.moved_wall += 7200
    # A new incarnation makes it fetch a snapshot, and a snapshot makes it tidy up.
    fake.begin()
    caught_up(verifier)
    clock.moved_wall = 0
    assert is_revoked(verifier, fake.token(BORN))


def test_a_wall_clock_that_is_ahead_at_the_start_and_is_corrected_has_cost_no_entry(fake, follow, clock):
    clock.moved_wall = 7200
    fake.publish("U", "ann", BORN + 1, int(time.time() * 1000) + 60_000)
    verifier = follow(fresh=False)
    assert verifier.ready()
    clock.moved_wall = 0
    assert is_revoked(verifier, fake.token(BORN))


def test_a_clock_that_is_hours_slow_revives_no_token_that_the_server_has_forgotten(fake, follow, clock):
    clock.moved_wall = -7200
    verifier = follow()
    with pytest.raises(InvalidTokenError) as refused:
        verifier.verify(fake.token(exp=int(time.time()) - 121))
    assert refused.value.reason == "expired"


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


def test_a_bearer_token_that_is_refused_is_renewed_at_once(fake, follow, caught_up):
    verifier = follow()
    fake.bearers.clear()
    fake.publish("U", "ann")
    caught_up(verifier)
    until(lambda: len(asked(fake, "/oauth2/token")) == 2)
    assert verifier.problems == []


def test_while_the_keys_cannot_be_fetched_invented_key_ids_wait_for_one_attempt_and_not_for_each_other():
    asked = []

    def fetch():
        asked.append(1)
        time.sleep(0.3)
        raise ServerError("away")

    signatures = Signatures(fetch, time.monotonic)
    header = base64.urlsafe_b64encode(b'{"alg":"RS256","kid":"none"}').rstrip(b"=").decode()

    def ask():
        with pytest.raises(UnavailableError):
            signatures.open(f"{header}.e30.AA", may_wait=True)

    threads = [threading.Thread(target=ask) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(asked) == 1


def test_a_bearer_token_is_renewed_before_it_ends(fake, follow, clock):
    verifier = follow()
    clock.move(3541)
    until(lambda: len(asked(fake, "/oauth2/token")) == 2)
    until(lambda: verifier.state == "FRESH")


@pytest.mark.parametrize("status, headers, least, most", [(503, {}, 4, 20), (429, {"Retry-After": "1"}, 1, 2)])
def test_a_server_that_is_busy_is_not_hammered_and_retry_after_is_kept(fake, follow, status, headers, least, most):
    verifier = follow()
    fake.requests.clear()
    fake.intercept = lambda request: (status, headers, {}) if request["path"] == "/revocations/delta" else None
    time.sleep(1.9)
    assert least <= len(asked(fake, "/revocations/delta")) <= most
    fake.intercept = lambda request: None
    until(lambda: verifier.state == "FRESH")


def test_a_redirect_is_not_followed(fake, follow):
    verifier = follow()
    moved = (302, {"Location": f"{fake.issuer}/elsewhere"}, b"")
    fake.intercept = lambda request: moved if request["path"] == "/revocations/delta" else None
    until(lambda: verifier.problems)
    assert asked(fake, "/elsewhere") == []


def test_an_answer_without_end_is_cut_off(fake, follow):
    verifier = follow()
    fake.intercept = lambda request: (200, {}, b"A" * (3 << 20)) if request["path"] == "/revocations/delta" else None
    until(lambda: any("more than 1048576 bytes" in str(problem) for problem in verifier.problems))


def test_discovery_of_another_issuer_or_without_a_feed_says_so(fake, follow):
    told = {"issuer": fake.issuer, "jwks_uri": f"{fake.issuer}/jwks"}
    fake.intercept = lambda request: (200, {}, told) if request["path"].startswith("/.well-known/openid") else None
    verifier = follow(fresh=False)
    until(lambda: any("revocation feed" in str(problem) for problem in verifier.problems))
    told["issuer"] = "https://elsewhere.example"
    until(lambda: any("another issuer: https://elsewhere" in str(problem) for problem in verifier.problems))


def test_tokens_that_are_none_of_this_pool_are_each_refused_with_a_reason(fake, follow):
    verifier = follow(audience="appclient0000000000000001")
    good, now = fake.token(), int(time.time())
    head, body, signature = good.split(".")
    none = b64(b'{"alg":"none","kid":"pool-key-1"}')
    for token, reason in [
        ("", "malformed"),
        ("a.b", "malformed"),
        (None, "malformed"),
        ("é.b.c", "malformed"),
        (good + "A" * 70_000, "malformed"),
        (f"{none}.{body}.", "malformed"),
        (f"{head}.{b64(b'{}')}.{signature}", "signature"),
        (fake.token(kid="other"), "unknown_key"),
        (fake.token(iss="https://elsewhere.example"), "issuer"),
        (fake.token(exp=now - 1), "expired"),
        (fake.token(nbf=now + 60), "expired"),
        (fake.token(use="id"), "token_use"),
        (fake.token(client_id="other"), "client"),
        (fake.token(session="0b5e8d2c-1111-4222-8333-444455556666"), "malformed"),
    ]:
        with pytest.raises(InvalidTokenError) as refused:
            verifier.verify(token)
        assert refused.value.reason == reason, token


def test_a_guard_fires_once_its_session_ends_and_not_for_the_sessions_of_others(fake, follow):
    verifier = follow()
    mine, other = verifier.verify(fake.token()), verifier.verify(fake.token())
    with verifier.guard(mine.claims, mine.header) as guard, verifier.guard(other.claims, other.header) as spared:
        assert verifier.status["guards"] == 2
        fake.publish("S", mine.claims["origin_jti"])
        end = guard.future.result(1)
        assert (end.reason, end.kind) == ("session_revoked", "S")
        assert not spared.is_revoked
    assert verifier.status["guards"] == 0


def test_a_guard_of_asyncio_fires_within_a_second_and_cancelling_one_wait_harms_nobody(fake, follow):
    verifier = follow()
    verified = verifier.verify(fake.token())

    async def wait():
        guard = verifier.guard(verified.claims, verified.header)
        guard.revoked.cancel()
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(guard.revoked, 0.05)
        fake.publish("S", verified.claims["origin_jti"])
        return await asyncio.wait_for(guard.revoked, 1)

    assert asyncio.run(wait()).reason == "session_revoked"


def test_a_guard_fires_also_when_the_news_comes_in_a_snapshot_or_was_there_before_it(fake, follow):
    verifier = follow()
    verified = verifier.verify(fake.token(BORN))
    guard = verifier.guard(verified.claims, verified.header)
    fake.begin()
    fake.publish("U", "ann", BORN + 1)
    assert guard.future.result(3).kind == "U"
    assert verifier.guard(verified.claims, verified.header).future.result(0).kind == "U"


def test_guards_when_the_feed_expires_closed_fires_open_stays_introspect_asks(fake, follow, clock):
    verifier = follow()
    live, dead = fake.token(), fake.token()
    fake.active.add(live)
    guards = {}
    for name, token, policy in [
        ("closed", live, "closed"),
        ("open", live, "open"),
        ("live", live, "introspect"),
        ("dead", dead, "introspect"),
    ]:
        verified = verifier.verify(token)
        guards[name] = verifier.guard(verified.claims, verified.header, token=token, policy=policy)
    fake.intercept = lambda request: "hang" if request["path"].startswith("/revocations/") else None
    clock.move(31)
    assert guards["closed"].future.result(2).reason == "revocation_unknown"
    assert guards["dead"].future.result(2).reason == "session_revoked"
    time.sleep(0.3)
    assert not guards["open"].is_revoked and not guards["live"].is_revoked


def test_a_forked_process_follows_the_feed_by_itself(fake, follow):
    verifier = follow()
    token = fake.token(BORN)
    reads, writes = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            verifier.ready(5)
            os.write(writes, b"+")
            until(lambda: is_revoked(verifier, token))
            os.write(writes, b"!")
        finally:
            os._exit(0)
    assert os.read(reads, 1) == b"+"
    fake.publish("U", "ann", BORN + 1)
    assert os.read(reads, 1) == b"!"
    os.waitpid(child, 0)
    names = {request["query"]["consumer"] for request in asked(fake, "/revocations/delta")}
    assert names == {"test-1", f"test-1-{child}"}


@pytest.mark.parametrize(
    "options, message",
    [
        ({"issuer": "nonsense"}, "issuer must begin with https"),
        ({"issuer": "http://id.example.com/us-east-1_A"}, "https"),
        ({"consumer": "a b"}, "consumer"),
        ({"client_secret": None}, "belong together"),
        ({"policy": "maybe"}, "policy"),
        ({"max_staleness": 1}, "at least 4"),
    ],
)
def test_mistakes_in_the_options_are_told_when_the_verifier_is_made(fake, options, message):
    with pytest.raises(ValueError, match=message):
        CenoteVerifier(**fake.options(**options))
