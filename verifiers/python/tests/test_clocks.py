"""Clocks that jump, machines that sleep, and heartbeats that stop."""

import threading
import time

import pytest
from fake import BORN, is_revoked, until

from cenote_verifier import InvalidTokenError


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
