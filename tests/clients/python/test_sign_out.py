"""Each row of the sign-out table that an API client can see: what ends, what lives on, and in which words."""

import uuid

import pytest

from support import OTHER_PASSWORD, claims, is_signed_in, is_signed_out, refused


@pytest.fixture
def tracked(make_pool):
    """A pool that tracks sessions."""
    pool = make_pool()
    pool.track_sessions()
    return pool


# --- everywhere ---


def test_global_sign_out_ends_every_session_at_every_client(pool, app, ann, unsigned, idp):
    here, there, elsewhere = app.sign_in(ann), app.sign_in(ann), pool.app().sign_in(ann)
    answer = unsigned.global_sign_out(AccessToken=here["AccessToken"])
    assert set(answer) == {"ResponseMetadata"}
    is_signed_out(idp, app, here)
    is_signed_out(idp, app, there)
    with refused("NotAuthorizedException", "Access Token has been revoked"):
        idp.get_user(AccessToken=elsewhere["AccessToken"])


def test_the_next_sign_in_after_a_global_sign_out_works_at_once(app, ann, idp):
    for _ in range(5):
        tokens = app.sign_in(ann)
        idp.global_sign_out(AccessToken=tokens["AccessToken"])
    is_signed_in(idp, app, app.sign_in(ann))


def test_a_second_global_sign_out_with_the_same_token_is_refused(app, ann, idp):
    token = app.sign_in(ann)["AccessToken"]
    idp.global_sign_out(AccessToken=token)
    with refused("NotAuthorizedException", "Access Token has been revoked"):
        idp.global_sign_out(AccessToken=token)


def test_a_refreshed_access_token_ends_with_its_session(app, ann, idp):
    tokens = app.sign_in(ann)
    fresh = app.refresh(tokens)
    idp.global_sign_out(AccessToken=tokens["AccessToken"])
    with refused("NotAuthorizedException", "Access Token has been revoked"):
        idp.get_user(AccessToken=fresh["AccessToken"])


def test_a_global_sign_out_touches_no_other_user(pool, app, ann, idp):
    bob = app.sign_in(pool.user())
    idp.global_sign_out(AccessToken=app.sign_in(ann)["AccessToken"])
    is_signed_in(idp, app, bob)


def test_a_sign_out_says_its_name(app, ann, idp):
    answer = idp.global_sign_out(AccessToken=app.sign_in(ann)["AccessToken"])
    name = answer["ResponseMetadata"]["HTTPHeaders"]["x-cenote-signout"]
    assert uuid.UUID(name).version == 7


def test_an_administrator_signs_a_user_out_everywhere(app, ann, idp):
    first, second = app.sign_in(ann), app.sign_in(ann)
    answer = idp.admin_user_global_sign_out(**ann.named())
    assert set(answer) == {"ResponseMetadata"}
    is_signed_out(idp, app, first)
    is_signed_out(idp, app, second)
    is_signed_in(idp, app, app.sign_in(ann))


def test_an_administrator_cannot_sign_out_a_user_who_does_not_exist(pool, idp):
    with refused("UserNotFoundException", "User does not exist."):
        idp.admin_user_global_sign_out(UserPoolId=pool.id, Username="nobody")


@pytest.mark.parametrize(
    "call",
    [
        lambda idp, token: idp.get_user(AccessToken=token),
        lambda idp, token: idp.update_user_attributes(
            AccessToken=token, UserAttributes=[{"Name": "name", "Value": "Ann"}]
        ),
        lambda idp, token: idp.delete_user_attributes(AccessToken=token, UserAttributeNames=["name"]),
        lambda idp, token: idp.change_password(
            AccessToken=token, PreviousPassword="Correct-horse-7", ProposedPassword=OTHER_PASSWORD
        ),
        lambda idp, token: idp.delete_user(AccessToken=token),
        lambda idp, token: idp.global_sign_out(AccessToken=token),
    ],
    ids=["get", "update", "delete-attributes", "change-password", "delete-user", "sign-out"],
)
def test_every_operation_refuses_a_revoked_token(app, ann, idp, call):
    token = app.sign_in(ann)["AccessToken"]
    idp.admin_user_global_sign_out(**ann.named())
    with refused("NotAuthorizedException", "Access Token has been revoked"):
        call(idp, token)
    assert app.sign_in(ann)


# --- one session ---


def test_revoke_token_ends_that_session_and_no_other(app, ann, unsigned, idp):
    mine, other = app.sign_in(ann), app.sign_in(ann)
    fresh = app.refresh(mine)
    answer = unsigned.revoke_token(ClientId=app.id, Token=mine["RefreshToken"])
    assert set(answer) == {"ResponseMetadata"}
    is_signed_out(idp, app, mine)
    with refused("NotAuthorizedException", "Access Token has been revoked"):
        idp.get_user(AccessToken=fresh["AccessToken"])
    is_signed_in(idp, app, other)


def test_revoking_twice_is_no_error(app, ann):
    tokens = app.sign_in(ann)
    app.revoke(tokens)
    app.revoke(tokens)


def test_only_refresh_tokens_can_be_revoked(app, ann, idp):
    tokens = app.sign_in(ann)
    for name in ("AccessToken", "IdToken"):
        with refused("UnsupportedTokenTypeException"):
            idp.revoke_token(ClientId=app.id, Token=tokens[name])
    is_signed_in(idp, app, tokens)


def test_a_client_without_revocation_cannot_revoke(pool, ann, idp):
    app = pool.app(EnableTokenRevocation=False)
    tokens = app.sign_in(ann)
    with refused("UnsupportedOperationException"):
        app.revoke(tokens)
    is_signed_in(idp, app, tokens)


def test_another_client_cannot_revoke(pool, app, ann, idp):
    tokens = app.sign_in(ann)
    with refused(("UnauthorizedException", "InvalidParameterException")):
        pool.app().revoke(tokens)
    is_signed_in(idp, app, tokens)


@pytest.mark.parametrize("secret", [{}, {"ClientSecret": "0" * 50}], ids=["missing", "wrong"])
def test_revoking_needs_the_client_secret(pool, ann, idp, secret):
    app = pool.app(GenerateSecret=True)
    tokens = app.sign_in(ann)
    with refused("UnauthorizedException"):
        idp.revoke_token(ClientId=app.id, Token=tokens["RefreshToken"], **secret)
    assert idp.get_user(AccessToken=tokens["AccessToken"])
    app.revoke(tokens)
    with refused("NotAuthorizedException", "Access Token has been revoked"):
        idp.get_user(AccessToken=tokens["AccessToken"])


# --- what happens to the user ---


def test_disabling_ends_all_and_enabling_revives_nothing(app, ann, idp):
    tokens = app.sign_in(ann)
    idp.admin_disable_user(**ann.named())
    with refused("NotAuthorizedException"):
        idp.get_user(AccessToken=tokens["AccessToken"])
    idp.admin_enable_user(**ann.named())
    is_signed_out(idp, app, tokens)
    is_signed_in(idp, app, app.sign_in(ann))


@pytest.mark.parametrize("who", ["user", "administrator"])
def test_deleting_ends_all(app, ann, idp, who):
    tokens = app.sign_in(ann)
    if who == "user":
        idp.delete_user(AccessToken=tokens["AccessToken"])
    else:
        idp.admin_delete_user(**ann.named())
    with refused(("NotAuthorizedException", "UserNotFoundException")):
        idp.get_user(AccessToken=tokens["AccessToken"])
    with refused(("NotAuthorizedException", "UserNotFoundException")):
        app.refresh(tokens)


def test_a_namesake_does_not_inherit_sessions(pool, app, ann, idp):
    tokens = app.sign_in(ann)
    idp.admin_delete_user(**ann.named())
    pool.user(ann.username)
    with refused(("NotAuthorizedException", "UserNotFoundException")):
        idp.get_user(AccessToken=tokens["AccessToken"])


def test_a_reset_by_an_administrator_ends_all(make_pool, idp):
    pool = make_pool(AutoVerifiedAttributes=["email"])
    app, ann = pool.app(), pool.user(email="reset-all@example.com", email_verified="true")
    tokens = app.sign_in(ann)
    idp.admin_reset_user_password(**ann.named())
    with refused(("NotAuthorizedException", "PasswordResetRequiredException")):
        idp.get_user(AccessToken=tokens["AccessToken"])
    with refused(("NotAuthorizedException", "PasswordResetRequiredException")):
        app.refresh(tokens)


def test_a_forgotten_password_ends_all(make_pool, idp, server):
    pool = make_pool(AutoVerifiedAttributes=["email"])
    app, ann = pool.app(), pool.user(email="forgot-all@example.com", email_verified="true")
    tokens = app.sign_in(ann)
    idp.forgot_password(ClientId=app.id, Username=ann.username)
    is_signed_in(idp, app, tokens)
    idp.confirm_forgot_password(
        ClientId=app.id,
        Username=ann.username,
        ConfirmationCode=server.code_for("forgot-all@example.com"),
        Password=OTHER_PASSWORD,
    )
    is_signed_out(idp, app, tokens)


def test_a_changed_password_leaves_sessions_alive(app, ann, idp):
    mine, other = app.sign_in(ann), app.sign_in(ann)
    idp.change_password(
        AccessToken=mine["AccessToken"], PreviousPassword=ann.password, ProposedPassword=OTHER_PASSWORD
    )
    is_signed_in(idp, app, mine)
    is_signed_in(idp, app, other)


def test_changed_attributes_leave_sessions_alive(app, ann, idp):
    tokens = app.sign_in(ann)
    idp.admin_update_user_attributes(**ann.named(), UserAttributes=[{"Name": "name", "Value": "Anna"}])
    idp.admin_delete_user_attributes(**ann.named(), UserAttributeNames=["name"])
    is_signed_in(idp, app, tokens)


def test_deleting_a_client_ends_its_tokens_only(pool, app, ann, idp):
    doomed = pool.app()
    tokens, others = doomed.sign_in(ann), app.sign_in(ann)
    idp.delete_user_pool_client(UserPoolId=pool.id, ClientId=doomed.id)
    with refused(("NotAuthorizedException", "ResourceNotFoundException")):
        idp.get_user(AccessToken=tokens["AccessToken"])
    with refused(("NotAuthorizedException", "ResourceNotFoundException")):
        doomed.refresh(tokens)
    is_signed_in(idp, app, others)


# --- sessions by name ---


def test_session_settings_have_cognitos_defaults_and_are_read_back(pool, app, idp):
    pool_settings = idp.get_user_pool_session_configuration(UserPoolId=pool.id)
    assert pool_settings["UserSessionTracking"] == "DISABLED"
    assert pool_settings["TokenSession"] == {"MaxPerUser": 20}
    client_settings = idp.get_user_pool_client_session_configuration(UserPoolId=pool.id, ClientId=app.id)
    assert client_settings["SSOSession"] == {"MaxValidityMinutes": 60}


def test_session_settings_are_replaced_whole(tracked, idp):
    answer = idp.set_user_pool_session_configuration(
        UserPoolId=tracked.id, UserSessionTracking="ENABLED", TokenSession={"MaxPerUser": 3}
    )
    read = idp.get_user_pool_session_configuration(UserPoolId=tracked.id)
    for settings in (answer, read):
        assert settings["UserPoolId"] == tracked.id
        assert settings["UserSessionTracking"] == "ENABLED"
        assert settings["TokenSession"] == {"MaxPerUser": 3}
    app = tracked.app()
    idp.set_user_pool_client_session_configuration(
        UserPoolId=tracked.id, ClientId=app.id, SSOSession={"MaxValidityMinutes": 0}
    )
    read = idp.get_user_pool_client_session_configuration(UserPoolId=tracked.id, ClientId=app.id)
    assert read["SSOSession"] == {"MaxValidityMinutes": 0}


def test_a_user_sees_every_session(tracked, idp):
    app, other_app, ann = tracked.app(), tracked.app(), tracked.user()
    mine, other = app.sign_in(ann), other_app.sign_in(ann)
    sessions = idp.list_user_sessions(AccessToken=mine["AccessToken"])["Sessions"]
    assert sorted(session["ClientId"] for session in sessions) == sorted([app.id, other_app.id])
    assert [session["ClientId"] for session in sessions if session["IsCurrentSession"]] == [app.id]
    for session in sessions:
        assert session["SessionType"] == "TOKEN"
        assert len(session["SessionId"]) == 28 and session["SessionId"].startswith("tkn")
        assert session["CreateDate"] <= session["LastActiveDate"]
        assert session["LastIPAddress"] in ("127.0.0.1", "::1")
    assert other["AccessToken"]


def test_an_administrator_sees_the_same_without_a_current_one(tracked, idp):
    app, ann = tracked.app(), tracked.user()
    mine = app.sign_in(ann)
    app.sign_in(ann)
    theirs = idp.list_user_sessions(AccessToken=mine["AccessToken"])["Sessions"]
    ours = idp.admin_list_user_sessions(**ann.named())["Sessions"]
    assert sorted(session["SessionId"] for session in ours) == sorted(session["SessionId"] for session in theirs)
    assert not any(session["IsCurrentSession"] for session in ours)


def test_an_ended_session_is_no_longer_listed(tracked, idp):
    app, ann = tracked.app(), tracked.user()
    app.revoke(app.sign_in(ann))
    assert idp.admin_list_user_sessions(**ann.named())["Sessions"] == []


def test_a_user_ends_another_session_by_name(tracked, idp):
    app, ann = tracked.app(), tracked.user()
    mine, other = app.sign_in(ann), app.sign_in(ann)
    [victim] = [
        session["SessionId"]
        for session in idp.list_user_sessions(AccessToken=mine["AccessToken"])["Sessions"]
        if not session["IsCurrentSession"]
    ]
    idp.revoke_user_session(AccessToken=mine["AccessToken"], SessionId=victim)
    is_signed_out(idp, app, other)
    is_signed_in(idp, app, mine)


def test_a_user_cannot_name_the_session_in_use(tracked, idp):
    app, ann = tracked.app(), tracked.user()
    mine = app.sign_in(ann)
    [current] = idp.list_user_sessions(AccessToken=mine["AccessToken"])["Sessions"]
    with refused(("InvalidParameterException", "NotAuthorizedException")):
        idp.revoke_user_session(AccessToken=mine["AccessToken"], SessionId=current["SessionId"])
    is_signed_in(idp, app, mine)


def test_a_user_cannot_end_the_session_of_somebody_else(tracked, idp):
    app, ann, bob = tracked.app(), tracked.user(), tracked.user()
    anns, bobs = app.sign_in(ann), app.sign_in(bob)
    [session] = idp.list_user_sessions(AccessToken=bobs["AccessToken"])["Sessions"]
    with refused(("ResourceNotFoundException", "NotAuthorizedException", "InvalidParameterException")):
        idp.revoke_user_session(AccessToken=anns["AccessToken"], SessionId=session["SessionId"])
    with refused(("ResourceNotFoundException", "NotAuthorizedException", "InvalidParameterException")):
        idp.admin_revoke_user_session(**ann.named(), SessionId=session["SessionId"])
    is_signed_in(idp, app, bobs)


@pytest.mark.parametrize("linked", [{}, {"RevokeAssociatedSessions": "NONE"}, {"RevokeAssociatedSessions": "LINKED"}])
def test_an_administrator_ends_one_session(tracked, idp, linked):
    app, ann = tracked.app(), tracked.user()
    first = app.sign_in(ann)
    [session] = idp.admin_list_user_sessions(**ann.named())["Sessions"]
    second = app.sign_in(ann)
    idp.admin_revoke_user_session(**ann.named(), SessionId=session["SessionId"], **linked)
    is_signed_out(idp, app, first)
    is_signed_in(idp, app, second)


def test_one_session_too_many_evicts_the_least_recently_used(make_pool, idp):
    pool = make_pool()
    pool.track_sessions(most=2)
    app, ann = pool.app(), pool.user()
    first, second, third = app.sign_in(ann), app.sign_in(ann), app.sign_in(ann)
    is_signed_out(idp, app, first)
    is_signed_in(idp, app, second)
    is_signed_in(idp, app, third)
    assert len(idp.admin_list_user_sessions(**ann.named())["Sessions"]) == 2


def test_tracking_changes_no_claim_that_clients_know(tracked, pool, app, ann):
    plain = claims(app.sign_in(ann)["AccessToken"])
    with_tracking = claims(tracked.app().sign_in(tracked.user())["AccessToken"])
    assert set(plain) <= set(with_tracking)
