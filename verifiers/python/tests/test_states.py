"""Every state of the feed under every policy."""

import threading

import pytest
from fake import BORN, asked, is_revoked, until

from cenote_verifier import RevokedError, UnavailableError

# What becomes of a live token, of one that the feed has told of, and of one that ended since the feed was heard last.
TABLE = [
    ("FRESH", "introspect", "feed", RevokedError, RevokedError),
    ("FRESH", "closed", "feed", RevokedError, RevokedError),
    ("FRESH", "open", "feed", RevokedError, RevokedError),
    ("STALE", "introspect", "feed", RevokedError, "feed"),
    ("STALE", "closed", "feed", RevokedError, "feed"),
    ("STALE", "open", "feed", RevokedError, "feed"),
    ("EXPIRED", "introspect", "introspection", RevokedError, RevokedError),
    ("EXPIRED", "closed", UnavailableError, RevokedError, UnavailableError),
    ("EXPIRED", "open", "policy", RevokedError, "policy"),
]
AGE = {"FRESH": 0, "STALE": 20, "EXPIRED": 31}


@pytest.mark.parametrize("state, policy, live, told, untold", TABLE)
def test_every_state_under_every_policy(fake, follow, caught_up, clock, state, policy, live, told, untold):
    verifier = follow()
    tokens = {"live": fake.token(sub="bob"), "told": fake.token(BORN), "untold": fake.token(BORN, sub="eve")}
    fake.active.add(tokens["live"])
    fake.publish("U", "ann", BORN + 1)
    caught_up(verifier)
    if state != "FRESH":
        fake.intercept = lambda request: (503, {}, {}) if request["path"].startswith("/revocations/") else None
        until(lambda: verifier.problems)
    fake.publish("U", "eve", BORN + 1)
    if state == "FRESH":
        caught_up(verifier)
    clock.move(AGE[state])
    assert verifier.state == state
    for name, expected in [("live", live), ("told", told), ("untold", untold)]:
        if isinstance(expected, str):
            verdict = verifier.verify(tokens[name], policy=policy).verdict
            assert (verdict.state, verdict.by) == (state, expected), name
        else:
            with pytest.raises(expected):
                verifier.verify(tokens[name], policy=policy)


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
