"""A server and a verifier for each test."""

import pytest
from fake import Fake, MovableClock, until

from cenote_verifier import CenoteVerifier


@pytest.fixture
def fake():
    fake = Fake().listen()
    yield fake
    fake.close()


@pytest.fixture
def clock():
    return MovableClock()


@pytest.fixture
def follow(fake, clock):
    """Makes a verifier that follows the fake; `problems` and `said` are what it told."""
    made = []

    def follow(fresh=True, **options):
        problems, said = [], []
        named = {"clock": clock, "on_problem": problems.append, "on_state": lambda now, before: said.append(now)}
        verifier = CenoteVerifier(**fake.options(**{**named, **options}))
        verifier.problems, verifier.said = problems, said
        made.append(verifier)
        if fresh:
            assert verifier.ready(5), problems
            verifier.verify(fake.token(), policy=options.get("policy"), token_use=["access"])
        else:
            verifier.start()
        return verifier

    yield follow
    for verifier in made:
        verifier.stop()


@pytest.fixture
def caught_up(fake):
    """Waits until a verifier knows all that the server has."""

    def caught_up(verifier):
        return until(lambda: (verifier.status["seq"], verifier.status["incarnation"]) == (fake.seq, fake.incarnation))

    return caught_up
