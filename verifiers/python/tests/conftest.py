"""A server and a verifier for each test, and tokens that nobody should take."""

import hmac

import jwt
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from fake import BORN, Fake, MovableClock, b64, encoded, until

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


@pytest.fixture
def sign_out(fake, caught_up):
    def sign_out(verifier, sub="ann"):
        fake.publish("U", sub, BORN + 1)
        caught_up(verifier)

    return sign_out


@pytest.fixture
def impostors(fake):
    """Tokens that no helper lets through, whatever the library before it thinks of them."""
    head, body, _ = fake.token().split(".")
    number = fake.jwks()["keys"][0]
    pem = jwt.PyJWK.from_dict(number).key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    confused = f"{encoded({'alg': 'HS256', 'kid': fake.kid})}.{body}"
    return {
        "alg none": f"{encoded({'alg': 'none', 'kid': fake.kid})}.{body}.",
        "an HMAC by the public key": f"{confused}.{b64(hmac.digest(pem, confused.encode(), 'sha256'))}",
        "another issuer": fake.token(iss=fake.issuer + "x"),
        "another use": fake.token(use="id"),
        "no use": fake.token(token_use=None),
        "another client": fake.token(client_id="another"),
        "a birth that is none": fake.token(session="0b5e8d2c-1111-4222-8333-444455556666"),
        "an expiry in the past": fake.token(exp=1),
    }
