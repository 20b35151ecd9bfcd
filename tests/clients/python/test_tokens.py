"""What a token says, how it verifies, how it is refreshed and rotated."""

import base64
import json
import re
import time
import urllib.request
import uuid

import jwt
import pytest

from support import EVERY_FLOW, claims, refused

ROTATING = {
    "ExplicitAuthFlows": [flow for flow in EVERY_FLOW if flow != "ALLOW_REFRESH_TOKEN_AUTH"],
    "RefreshTokenRotation": {"Feature": "ENABLED", "RetryGracePeriodSeconds": 0},
}
# A token presented again this soon after its rotation is refused, but taken for a lost answer, not for a theft.
SOON_SECS = 2


@pytest.fixture
def rotating(pool):
    return pool.app(**ROTATING)


def issuer(server, pool) -> str:
    return f"{server.endpoint}/{pool.id}"


# --- signatures ---


def test_both_tokens_verify_against_the_published_keys(server, pool, app, ann):
    tokens = app.sign_in(ann)
    keys = jwt.PyJWKClient(issuer(server, pool) + "/.well-known/jwks.json")
    identity = jwt.decode(
        tokens["IdToken"],
        keys.get_signing_key_from_jwt(tokens["IdToken"]).key,
        algorithms=["RS256"],
        audience=app.id,
        issuer=issuer(server, pool),
    )
    access = jwt.decode(
        tokens["AccessToken"],
        keys.get_signing_key_from_jwt(tokens["AccessToken"]).key,
        algorithms=["RS256"],
        issuer=issuer(server, pool),
    )
    assert (identity["token_use"], access["token_use"]) == ("id", "access")


def test_tokens_verify_over_tls_with_the_local_authority(server, pool, app, ann):
    token = app.sign_in(ann)["AccessToken"]
    url = f"{server.tls_endpoint}/{pool.id}/.well-known/jwks.json"
    key = jwt.PyJWKClient(url, ssl_context=server.trust()).get_signing_key_from_jwt(token).key
    assert jwt.decode(token, key, algorithms=["RS256"])["client_id"] == app.id


def test_the_header_holds_only_kid_and_alg_and_the_kids_differ(app, ann):
    tokens = app.sign_in(ann)
    access, identity = (jwt.get_unverified_header(tokens[name]) for name in ("AccessToken", "IdToken"))
    assert set(access) == set(identity) == {"kid", "alg"}
    assert access["alg"] == identity["alg"] == "RS256"
    assert access["kid"] != identity["kid"]


def test_the_key_set_holds_rsa_signing_keys_only(server, pool):
    with urllib.request.urlopen(issuer(server, pool) + "/.well-known/jwks.json") as response:
        keys = json.load(response)["keys"]
    assert len(keys) >= 2
    for key in keys:
        assert set(key) == {"alg", "e", "kid", "kty", "n", "use"}
        assert (key["alg"], key["kty"], key["use"], key["e"]) == ("RS256", "RSA", "sig", "AQAB")


def test_discovery_names_the_issuer_of_the_tokens(server, pool, app, ann):
    with urllib.request.urlopen(issuer(server, pool) + "/.well-known/openid-configuration") as response:
        document = json.load(response)
    assert document["issuer"] == issuer(server, pool) == claims(app.sign_in(ann)["IdToken"])["iss"]
    assert document["jwks_uri"] == issuer(server, pool) + "/.well-known/jwks.json"
    assert document["id_token_signing_alg_values_supported"] == ["RS256"]
    assert document["subject_types_supported"] == ["public"]


# --- claims ---


def test_the_access_token_has_cognitos_claims_and_no_more(server, pool, app, ann):
    before = int(time.time())
    tokens = app.sign_in(ann)
    access = claims(tokens["AccessToken"])
    assert set(access) == {
        "sub", "iss", "client_id", "origin_jti", "event_id", "token_use", "scope", "auth_time", "exp", "iat", "jti",
        "username",
    }  # fmt: skip
    assert access["sub"] == ann.attributes()["sub"]
    assert access["iss"] == issuer(server, pool)
    assert access["client_id"] == app.id
    assert access["token_use"] == "access"
    assert access["scope"] == "aws.cognito.signin.user.admin"
    assert access["username"] == ann.username
    assert access["exp"] - access["iat"] == 3600
    assert before - 1 <= access["auth_time"] <= access["iat"] <= time.time() + 1
    for name in ("jti", "origin_jti", "event_id"):
        assert str(uuid.UUID(access[name])) == access[name]


def test_the_id_token_has_cognitos_claims_and_the_users_attributes(server, make_pool):
    pool = make_pool(Schema=[{"Name": "shoe", "AttributeDataType": "Number", "Mutable": True}])
    app = pool.app()
    user = pool.user(email="ann@example.com", email_verified="true", name="Ann", **{"custom:shoe": "41"})
    identity = claims(app.sign_in(user)["IdToken"])
    assert identity["aud"] == app.id
    assert identity["iss"] == issuer(server, pool)
    assert identity["token_use"] == "id"
    assert identity["cognito:username"] == user.username
    assert identity["sub"] == user.attributes()["sub"]
    assert (identity["email"], identity["email_verified"]) == ("ann@example.com", True)
    assert (identity["name"], identity["custom:shoe"]) == ("Ann", "41")
    assert identity["exp"] - identity["iat"] == 3600
    assert {"auth_time", "jti", "origin_jti", "event_id"} <= set(identity)
    assert not {"client_id", "username", "scope", "at_hash"} & set(identity)


def test_a_client_reads_only_the_attributes_it_may(make_pool):
    pool = make_pool()
    app = pool.app(ReadAttributes=["name"])
    user = pool.user(email="ann@example.com", email_verified="true", name="Ann")
    identity = claims(app.sign_in(user)["IdToken"])
    assert identity["name"] == "Ann"
    assert not {"email", "email_verified"} & set(identity)


def test_both_tokens_come_from_one_origin(app, ann):
    tokens = app.sign_in(ann)
    access, identity = claims(tokens["AccessToken"]), claims(tokens["IdToken"])
    assert access["origin_jti"] == identity["origin_jti"]
    assert access["event_id"] == identity["event_id"]
    assert access["jti"] != identity["jti"]


def test_a_client_without_revocation_has_no_origin_jti(pool, ann):
    tokens = pool.app(EnableTokenRevocation=False).sign_in(ann)
    for name in ("AccessToken", "IdToken"):
        assert "origin_jti" not in claims(tokens[name])
        assert "event_id" in claims(tokens[name])


def test_lifetimes_follow_the_client(pool, ann):
    app = pool.app(
        AccessTokenValidity=5,
        IdTokenValidity=10,
        TokenValidityUnits={"AccessToken": "minutes", "IdToken": "minutes", "RefreshToken": "days"},
    )
    tokens = app.sign_in(ann)
    assert tokens["ExpiresIn"] == 300
    access, identity = claims(tokens["AccessToken"]), claims(tokens["IdToken"])
    assert (access["exp"] - access["iat"], identity["exp"] - identity["iat"]) == (300, 600)


def test_a_refresh_token_is_opaque_and_long(app, ann):
    token = app.sign_in(ann)["RefreshToken"]
    assert re.fullmatch(r"[A-Za-z0-9\-_=.]+", token)
    assert token.count(".") == 4
    assert token != app.sign_in(ann)["RefreshToken"]


# --- refresh ---


@pytest.mark.parametrize("flow", ["REFRESH_TOKEN_AUTH", "REFRESH_TOKEN"])
def test_a_refresh_gives_new_tokens_of_the_same_origin(app, ann, flow):
    tokens = app.sign_in(ann)
    fresh = app.refresh(tokens, flow=flow)
    assert set(fresh) == {"AccessToken", "IdToken", "ExpiresIn", "TokenType"}
    old, new = claims(tokens["AccessToken"]), claims(fresh["AccessToken"])
    assert new["jti"] != old["jti"]
    for same in ("origin_jti", "auth_time", "sub", "scope", "username", "client_id"):
        assert new[same] == old[same]


def test_get_tokens_from_refresh_token_does_the_same(app, ann, unsigned):
    tokens = app.sign_in(ann)
    fresh = unsigned.get_tokens_from_refresh_token(ClientId=app.id, RefreshToken=tokens["RefreshToken"])
    result = fresh["AuthenticationResult"]
    assert set(result) == {"AccessToken", "IdToken", "ExpiresIn", "TokenType"}
    assert claims(result["AccessToken"])["origin_jti"] == claims(tokens["AccessToken"])["origin_jti"]


def test_get_tokens_from_refresh_token_needs_the_client_secret(pool, ann, idp):
    app = pool.app(GenerateSecret=True)
    tokens = app.sign_in(ann)
    assert app.exchange(tokens["RefreshToken"])["AccessToken"]
    with refused("NotAuthorizedException"):
        idp.get_tokens_from_refresh_token(ClientId=app.id, RefreshToken=tokens["RefreshToken"])
    with refused("NotAuthorizedException"):
        idp.get_tokens_from_refresh_token(ClientId=app.id, RefreshToken=tokens["RefreshToken"], ClientSecret="0" * 50)


def test_a_refresh_sees_changed_attributes(app, ann, idp):
    tokens = app.sign_in(ann)
    idp.admin_update_user_attributes(**ann.named(), UserAttributes=[{"Name": "name", "Value": "Anna"}])
    assert "name" not in claims(tokens["IdToken"])
    assert claims(app.refresh(tokens)["IdToken"])["name"] == "Anna"


def test_a_refresh_token_of_another_client_is_refused(pool, app, ann):
    with refused("NotAuthorizedException", "Invalid Refresh Token."):
        pool.app().refresh(app.sign_in(ann))


@pytest.mark.parametrize("token", ["nonsense", "eyJjdHkiOiJKV1QifQ.a.b.c.d"])
def test_an_unknown_refresh_token_is_refused(app, token):
    with refused("NotAuthorizedException", "Invalid Refresh Token."):
        app.refresh({"RefreshToken": token})


def test_an_access_token_does_not_refresh(app, ann):
    with refused("NotAuthorizedException", "Invalid Refresh Token."):
        app.refresh({"RefreshToken": app.sign_in(ann)["AccessToken"]})


def test_a_refresh_of_a_disabled_user_is_refused(app, ann, idp):
    tokens = app.sign_in(ann)
    idp.admin_disable_user(**ann.named())
    with refused("NotAuthorizedException"):
        app.refresh(tokens)


# --- rotation ---


def test_rotation_replaces_the_refresh_token(rotating, ann):
    tokens = rotating.sign_in(ann)
    fresh = rotating.exchange(tokens["RefreshToken"])
    assert fresh["RefreshToken"] != tokens["RefreshToken"]
    assert claims(fresh["AccessToken"])["origin_jti"] == claims(tokens["AccessToken"])["origin_jti"]
    assert rotating.exchange(fresh["RefreshToken"])["RefreshToken"]


def test_a_reused_refresh_token_ends_its_family(rotating, ann, idp):
    tokens = rotating.sign_in(ann)
    elsewhere = rotating.sign_in(ann)
    fresh = rotating.exchange(tokens["RefreshToken"])
    time.sleep(SOON_SECS + 0.5)
    with refused("RefreshTokenReuseException"):
        rotating.exchange(tokens["RefreshToken"])
    with refused("NotAuthorizedException", "Refresh Token has been revoked"):
        rotating.exchange(fresh["RefreshToken"])
    with refused("NotAuthorizedException", "Access Token has been revoked"):
        idp.get_user(AccessToken=fresh["AccessToken"])
    assert idp.get_user(AccessToken=elsewhere["AccessToken"])
    assert rotating.exchange(elsewhere["RefreshToken"])


def test_a_client_that_repeats_at_once_loses_nothing(rotating, ann):
    tokens = rotating.sign_in(ann)
    fresh = rotating.exchange(tokens["RefreshToken"])
    with refused("RefreshTokenReuseException"):
        rotating.exchange(tokens["RefreshToken"])
    assert rotating.exchange(fresh["RefreshToken"])["AccessToken"]


def test_within_the_grace_period_the_old_token_still_works(pool, ann):
    app = pool.app(**{**ROTATING, "RefreshTokenRotation": {"Feature": "ENABLED", "RetryGracePeriodSeconds": 60}})
    tokens = app.sign_in(ann)
    first = app.exchange(tokens["RefreshToken"])
    again = app.exchange(tokens["RefreshToken"])
    origins = {claims(result["AccessToken"])["origin_jti"] for result in (tokens, first, again)}
    assert len(origins) == 1
    assert app.exchange(first["RefreshToken"]) and app.exchange(again["RefreshToken"])


def test_a_rotating_client_has_no_refresh_by_initiate_auth(rotating, ann):
    with refused(("InvalidParameterException", "NotAuthorizedException", "UnsupportedOperationException")):
        rotating.refresh(rotating.sign_in(ann))


# --- forged and misplaced access tokens ---


def forged(token: str, header: dict) -> str:
    """The same claims under another header, without a signature."""
    head = base64.urlsafe_b64encode(json.dumps(header).encode()).rstrip(b"=").decode()
    return f"{head}.{token.split('.')[1]}."


def test_tokens_that_were_never_signed_are_refused(app, ann, idp):
    token = app.sign_in(ann)["AccessToken"]
    head, body, signature = token.split(".")
    kid = jwt.get_unverified_header(token)["kid"]
    changed = base64.urlsafe_b64encode(json.dumps({**claims(token), "username": "admin"}).encode()).rstrip(b"=").decode()
    for wrong in (
        forged(token, {"alg": "none", "kid": kid}),
        forged(token, {"alg": "none"}),
        f"{head}.{changed}.{signature}",
        f"{head}.{body}.{signature[:-10]}",
        f"{head}.{body}",
        jwt.encode(claims(token), "public-key-as-secret" * 4, algorithm="HS256", headers={"kid": kid}),
        "nonsense",
    ):
        with refused("NotAuthorizedException"):
            idp.get_user(AccessToken=wrong)
    assert idp.get_user(AccessToken=token)["Username"] == ann.username


def test_an_id_token_is_no_access_token(app, ann, idp):
    with refused("NotAuthorizedException"):
        idp.get_user(AccessToken=app.sign_in(ann)["IdToken"])


def test_a_refresh_token_is_no_access_token(app, ann, idp):
    with refused("NotAuthorizedException"):
        idp.get_user(AccessToken=app.sign_in(ann)["RefreshToken"])
