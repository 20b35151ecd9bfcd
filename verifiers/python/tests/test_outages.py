"""What the verifier asks a server that fails, moves, or is not what it seems to be: enough to find it again, and not more."""

import base64
import dataclasses
import socket
import threading
import time

import pytest
from fake import POOL, asked, is_revoked, until

from cenote_verifier import InvalidTokenError, UnavailableError
from cenote_verifier.errors import ServerError
from cenote_verifier.signatures import Signatures
from cenote_verifier.transport import Answer, failed

DISCOVERY = "/.well-known/openid-configuration"
JWKS = "/.well-known/jwks.json"
DELTA = "/revocations/delta"


def test_the_discovery_document_is_read_again_after_an_hour_and_followed(fake, follow, clock):
    verifier = follow()
    fake.moved = "/moved"
    clock.move(3500)
    until(lambda: verifier.state == "FRESH")
    time.sleep(0.3)
    assert len(asked(fake, DISCOVERY)) <= 3
    before = len(asked(fake, DISCOVERY))
    clock.move(200)
    until(lambda: len(asked(fake, f"/moved{DELTA}")) > 1)
    assert len(asked(fake, DISCOVERY)) == before + 1
    until(lambda: verifier.state == "FRESH")


def test_where_the_feed_does_not_answer_as_it_should_discovery_is_read_again_once_a_minute(fake, follow, clock):
    verifier = follow()
    before = len(asked(fake, DISCOVERY))
    elsewhere = (404, {}, b"gone to another address")
    fake.intercept = lambda request: elsewhere if request["path"].startswith("/revocations/") else None
    until(lambda: len(verifier.problems) > 2)
    assert len(asked(fake, DISCOVERY)) == before
    clock.move(61)
    until(lambda: len(asked(fake, DISCOVERY)) == before + 1)
    time.sleep(0.6)
    assert len(asked(fake, DISCOVERY)) == before + 1
    fake.moved = "/moved"
    clock.move(61)
    until(lambda: verifier.state == "FRESH")


def test_a_discovery_document_that_cannot_be_read_or_is_of_another_issuer_leaves_the_one_known(fake, follow, clock):
    verifier = follow()
    answer = [(500, {}, {})]
    fake.intercept = lambda request: answer[0] if request["path"] == DISCOVERY else None
    clock.move(3700)
    until(lambda: any(getattr(problem, "status", 0) == 500 for problem in verifier.problems))
    until(lambda: verifier.state == "FRESH")
    answer[0] = (200, {}, {"issuer": "https://elsewhere.example"})
    clock.move(61)
    until(lambda: any("another issuer" in str(problem) for problem in verifier.problems))
    until(lambda: verifier.state == "FRESH")
    verifier.verify(fake.token(exp=9_999_999_999))


def test_while_the_keys_cannot_be_fetched_tokens_are_refused_without_asking_each_time(fake, follow):
    fake.intercept = lambda request: (503, {}, {}) if request["path"] == JWKS else None
    verifier = follow(fresh=False, backoff=(0.3, 1.0))
    assert verifier.ready(5)
    for n in range(50):
        with pytest.raises(UnavailableError):
            verifier.verify(fake.token(kid=f"made-up-{n}"))
    assert len(asked(fake, JWKS)) <= 5
    fake.intercept = lambda request: None
    until(lambda: may_pass(verifier, fake.token()))


def may_pass(verifier, token):
    try:
        return bool(verifier.verify(token))
    except UnavailableError:
        return False


def test_made_up_key_ids_cost_one_request_for_the_keys_in_ten_seconds(fake, follow, clock):
    verifier = follow()
    for n in range(20):
        with pytest.raises(InvalidTokenError) as refused:
            verifier.verify(fake.token(kid=f"made-up-{n}"))
        assert refused.value.reason == "unknown_key"
    assert len(asked(fake, JWKS)) == 1
    clock.move(10.1)
    fake.kid = "pool-key-2"
    verifier.verify(fake.token())
    assert len(asked(fake, JWKS)) == 2


def test_key_sets_that_come_slowly_neither_age_the_feed_nor_hold_up_what_watches_it(fake, follow, clock):
    verifier = follow()
    slow = ("/.well-known/jwks.json", "/.well-known/revocation-jwks.json")
    fake.intercept = lambda request: "hang" if request["path"] in slow else None
    clock.move(301)
    until(lambda: asked(fake, slow[0])[1:] or asked(fake, slow[1])[1:])
    until(lambda: verifier.state == "FRESH")
    verified = verifier.verify(fake.token())
    guard = verifier.guard(verified.claims, verified.header, policy="closed")
    fake.intercept = lambda request: "hang"
    clock.move(31)
    assert guard.future.result(1).reason == "revocation_unknown"


def test_one_key_that_is_none_does_not_cost_the_others(fake, follow):
    keys = [{"kty": "RSA", "kid": "broken", "n": 5}, None, "x", *fake.jwks()["keys"]]
    fake.intercept = lambda request: (200, {}, {"keys": keys}) if request["path"] == JWKS else None
    follow().verify(fake.token())


def test_introspection_that_has_failed_is_not_tried_again_for_each_token_of_the_next_second(fake, follow, clock):
    broken = ["/revocations/", "/oauth2/introspect"]
    fake.intercept = lambda request: (500, {}, {}) if request["path"].startswith(tuple(broken)) else None
    verifier = follow(fresh=False)
    for _ in range(20):
        with pytest.raises(UnavailableError):
            verifier.verify(fake.token())
    assert len(asked(fake, "/oauth2/introspect")) == 1
    broken.remove("/oauth2/introspect")
    clock.move(1.1)
    token = fake.token()
    fake.active.add(token)
    verifier.verify(token)


def test_tokens_that_are_introspected_do_not_wait_for_each_other(fake, follow):
    def slow(request):
        if request["path"].startswith("/revocations/"):
            return 503, {}, {}
        if request["path"] == "/oauth2/introspect":
            time.sleep(0.5)
        return None

    fake.intercept = slow
    verifier = follow(fresh=False)
    tokens = [fake.token() for _ in range(40)]
    fake.active.update(tokens)
    until(lambda: may_pass(verifier, tokens[0]))
    threads = [threading.Thread(target=verifier.verify, args=(token,)) for token in tokens]
    began = time.monotonic()
    [thread.start() for thread in threads], [thread.join() for thread in threads]
    assert time.monotonic() - began < 1.5


def test_a_410_after_each_snapshot_is_answered_with_growing_pauses(fake, follow):
    follow(backoff=(0.1, 5.0))
    gone = (410, {}, {"error": "snapshot_required"})
    fake.intercept = lambda request: gone if request["path"] == DELTA else None
    fake.publish("U", "ann")
    time.sleep(1.5)
    assert 2 <= len(asked(fake, "/revocations/snapshot")) <= 8


@pytest.mark.parametrize("what", ["a server that holds no question back", "a storm of sign-outs"])
def test_nothing_is_asked_about_more_than_fourteen_times_a_second(fake, follow, what):
    verifier = follow()

    def at_once(request):
        if request["path"] != DELTA:
            return None
        if what == "a storm of sign-outs":
            fake.publish("U", "ann")
        return 200, {}, fake.frame(request["query"]["nonce"], int(request["query"]["since"])).encode()

    fake.intercept = at_once
    until(lambda: len(asked(fake, DELTA)) > 25)
    fake.requests.clear()
    time.sleep(1)
    assert 8 <= len(asked(fake, DELTA)) <= 16
    assert verifier.state == "FRESH"


def test_a_pool_that_is_deleted_tells_its_last_record_to_whoever_gets_no_token_any_more(fake, follow, clock):
    verifier = follow()
    token = fake.token(exp=9_999_999_999)
    verifier.verify(token, policy="closed")
    seen = []

    def deleted(request):
        if request["path"] == "/oauth2/token":
            return 401, {}, {"error": "invalid_client"}
        if request["path"] != DELTA:
            return None
        seen.append(request["headers"]["authorization"])
        since = int(request["query"]["since"])
        if since == fake.seq:
            return 404, {}, {"error": "not_found"}
        return 200, {}, fake.frame(request["query"]["nonce"], since).encode()

    fake.intercept = deleted
    # The token that opened the feed has ended, and there will be no other.
    clock.move(3601)
    until(lambda: seen and seen[-1] is None)
    until(lambda: getattr(verifier.problems[-1], "error", "") == "invalid_client")
    fake.publish("P", POOL, int(time.time() * 1000) + 60_000)
    until(lambda: is_revoked(verifier, token))


def test_a_404_proves_nothing_it_is_an_outage_like_any_other(fake, follow, clock):
    verifier = follow()
    answer = [(404, {}, {"error": "not_found", "error_description": "There is no such user pool."})]
    fake.intercept = lambda request: answer[0] if request["path"].startswith("/revocations/") else None
    until(lambda: len(verifier.problems) > 2)
    assert verifier.state != "EXPIRED"
    answer[0] = (404, {}, b"<h1>Not Found</h1>")
    seen = len(verifier.problems)
    until(lambda: len(verifier.problems) > seen + 2)
    assert verifier.state != "EXPIRED"
    clock.move(31)
    assert verifier.state == "EXPIRED"


def test_a_snapshot_made_while_the_clock_of_the_server_was_ahead_is_made_again(fake, follow):
    fake.ahead = 3600
    verifier = follow(fresh=False)
    assert verifier.ready(5)
    fake.ahead = 0
    until(lambda: any(getattr(problem, "reason", "") == "earlier" for problem in verifier.problems))
    until(lambda: len(asked(fake, "/revocations/snapshot")) == 2)
    until(lambda: verifier.state == "FRESH")


def test_callbacks_that_raise_do_not_end_the_feed(fake, follow, caught_up):
    told = []

    def broken(*what):
        told.append(what)
        raise RuntimeError("a bug of the application")

    verifier = follow(on_problem=broken, on_state=broken)
    fake.intercept = lambda request: (500, {}, {}) if request["path"] == DELTA else None
    seen = len(told)
    until(lambda: len(told) > seen + 1)
    fake.intercept = lambda request: None
    fake.publish("U", "ann")
    caught_up(verifier)


def test_an_answer_whose_headers_come_byte_by_byte_is_cut_off(fake, follow, monkeypatch):
    trap = socket.create_server(("127.0.0.1", 0))

    def drip():
        client, _ = trap.accept()
        client.sendall(b"HTTP/1.1 200 OK\r\n")
        try:
            while True:
                client.sendall(b"X")
                time.sleep(0.05)
        except OSError:
            client.close()

    threading.Thread(target=drip, daemon=True).start()
    fake.intercept = lambda request: (503, {}, {}) if request["path"].startswith("/revocations/") else None
    verifier = follow(fresh=False)
    until(lambda: verifier._discovery._known)
    known = verifier._discovery._known
    address = f"http://127.0.0.1:{trap.getsockname()[1]}/introspect"
    verifier._discovery._known = dataclasses.replace(known, introspection=address)
    began = time.monotonic()
    with pytest.raises(UnavailableError):
        verifier.verify(fake.token())
    assert time.monotonic() - began < 4
    trap.close()


def test_what_the_caller_does_to_its_claims_does_not_change_those_of_the_next(fake, follow):
    verifier = follow()
    token = fake.token(**{"cognito:groups": ["staff"]})
    first = verifier.verify(token).claims
    first["cognito:groups"].append("admin")
    first["sub"] = "eve"
    claims = verifier.verify(token).claims
    assert (claims["sub"], claims["cognito:groups"]) == ("ann", ["staff"])


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


def test_what_stands_before_the_server_may_not_ask_for_more_patience_than_5_s():
    assert failed("https://id.example.com/x", Answer(503, {"retry-after": "3600"}, b"")).retry_after == 5


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
