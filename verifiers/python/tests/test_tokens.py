"""Tokens and options that are wrong."""

import time

import pytest
from fake import b64

from cenote_verifier import CenoteVerifier, InvalidTokenError


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


@pytest.mark.parametrize(
    "options, message",
    [
        ({"issuer": "nonsense"}, "issuer must begin with https"),
        ({"issuer": "http://id.example.com/us-east-1_A"}, "https"),
        ({"consumer": "a b"}, "consumer"),
        ({"client_secret": None}, "belong together"),
        ({"policy": "maybe"}, "policy"),
        ({"max_staleness": 1}, "4 to 86400"),
        ({"max_staleness": 90_000}, "4 to 86400"),
    ],
)
def test_mistakes_in_the_options_are_told_when_the_verifier_is_made(fake, options, message):
    with pytest.raises(ValueError, match=message):
        CenoteVerifier(**fake.options(**options))
