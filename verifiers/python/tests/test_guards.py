"""Connections that outlive their request, and processes that fork."""

import asyncio
import os
import threading
import time

import pytest
from fake import BORN, asked, is_revoked, until


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


def test_a_process_forked_while_a_token_was_asked_for_follows_the_feed_too(fake, follow):
    asking, go_on = threading.Event(), threading.Event()

    def slow(request):
        if request["path"] == "/oauth2/token" and not asking.is_set():
            asking.set()
            go_on.wait(5)

    fake.intercept = slow
    verifier = follow(fresh=False)
    assert asking.wait(3)
    reads, writes = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writes, b"+" if verifier.ready(3) else b"-")
        os._exit(0)
    told = os.read(reads, 1)
    go_on.set()
    os.waitpid(child, 0)
    assert told == b"+"
