"""Every way in by API, and every refusal at the door. Tokens themselves: test_tokens.py."""

import json
import time

import pycognito
import pytest
from pycognito.aws_srp import AWSSRP

from support import EVERY_FLOW, OTHER_PASSWORD, PASSWORD, refused, unique

WRONG = "Wrong-password-1"


def srp(app, user, password=None) -> AWSSRP:
    return AWSSRP(
        username=user.username,
        password=password or user.password,
        pool_id=app.pool.id,
        client_id=app.id,
        client=app.idp,
        client_secret=app.secret,
    )


def admin_start(app, flow, username, password):
    return app.idp.admin_initiate_auth(
        UserPoolId=app.pool.id,
        ClientId=app.id,
        AuthFlow=flow,
        AuthParameters={"USERNAME": username, "PASSWORD": password},
    )


# --- passwords ---


def test_a_password_gives_three_tokens(app, ann):
    answer = app.start(ann.username, ann.password)
    tokens = answer["AuthenticationResult"]
    assert set(tokens) == {"AccessToken", "IdToken", "RefreshToken", "ExpiresIn", "TokenType"}
    assert (tokens["TokenType"], tokens["ExpiresIn"]) == ("Bearer", 3600)
    assert answer["ChallengeParameters"] == {}
    assert "ChallengeName" not in answer and "Session" not in answer


def test_a_user_signs_in_without_aws_credentials(app, ann, unsigned):
    answer = unsigned.initiate_auth(
        ClientId=app.id,
        AuthFlow="USER_PASSWORD_AUTH",
        AuthParameters={"USERNAME": ann.username, "PASSWORD": ann.password},
    )
    access = answer["AuthenticationResult"]["AccessToken"]
    assert unsigned.get_user(AccessToken=access)["Username"] == ann.username


def test_the_ready_user_signs_in_at_the_ready_client(idp, server):
    answer = idp.initiate_auth(
        ClientId=server.client_id,
        AuthFlow="USER_PASSWORD_AUTH",
        AuthParameters={"USERNAME": server.username, "PASSWORD": server.password},
    )
    assert answer["AuthenticationResult"]["AccessToken"]


def test_a_wrong_password_is_refused(app, ann):
    with refused("NotAuthorizedException", "Incorrect username or password."):
        app.start(ann.username, WRONG)


def test_an_unknown_user_looks_like_a_wrong_password_when_existence_is_protected(pool):
    app = pool.app(PreventUserExistenceErrors="ENABLED")
    with refused("NotAuthorizedException", "Incorrect username or password."):
        app.start(unique("nobody"), PASSWORD)


@pytest.mark.parametrize("settings", [{}, {"PreventUserExistenceErrors": "LEGACY"}])
def test_an_unknown_user_is_named_when_existence_is_not_protected(pool, settings):
    app = pool.app(**settings)
    with refused("UserNotFoundException", "User does not exist."):
        app.start(unique("nobody"), PASSWORD)


def test_a_disabled_user_is_refused(app, ann, idp):
    idp.admin_disable_user(**ann.named())
    with refused("NotAuthorizedException", "User is disabled."):
        app.start(ann.username, ann.password)
    idp.admin_enable_user(**ann.named())
    assert app.sign_in(ann)


def test_an_unconfirmed_user_is_refused(app, idp):
    username = unique("newcomer")
    idp.sign_up(ClientId=app.id, Username=username, Password=PASSWORD)
    with refused("UserNotConfirmedException", "User is not confirmed."):
        app.start(username, PASSWORD)


def test_a_user_whose_password_was_reset_must_choose_a_new_one(make_pool, idp):
    pool = make_pool(AutoVerifiedAttributes=["email"])
    app, ann = pool.app(), pool.user(email="ann@example.com", email_verified="true")
    idp.admin_reset_user_password(**ann.named())
    with refused("PasswordResetRequiredException", "Password reset required for the user"):
        app.start(ann.username, ann.password)


def test_five_wrong_passwords_lock_the_user_out_for_a_moment(app, ann):
    for failures in range(1, 10):
        with refused("NotAuthorizedException") as caught:
            app.start(ann.username, WRONG)
        if caught.value.response["Error"]["Message"] == "Password attempts exceeded":
            break
        assert caught.value.response["Error"]["Message"] == "Incorrect username or password."
    assert failures > 5, "locked too early"
    with refused("NotAuthorizedException", "Password attempts exceeded"):
        app.start(ann.username, ann.password)
    time.sleep(1.2 * 2 ** (failures - 6))
    assert app.sign_in(ann)


@pytest.mark.parametrize("door", ["ADMIN_USER_PASSWORD_AUTH", "USER_SRP_AUTH"])
def test_the_lock_holds_at_every_door(app, ann, door):
    for _ in range(6):
        with refused("NotAuthorizedException"):
            app.start(ann.username, WRONG)
    with refused("NotAuthorizedException", "Password attempts exceeded"):
        if door == "USER_SRP_AUTH":
            srp(app, ann).authenticate_user()
        else:
            admin_start(app, door, ann.username, ann.password)


# --- SRP ---


def test_srp_signs_in(app, ann):
    tokens = srp(app, ann).authenticate_user()["AuthenticationResult"]
    assert app.idp.get_user(AccessToken=tokens["AccessToken"])["Username"] == ann.username


def test_srp_signs_in_with_a_client_secret(pool, ann):
    app = pool.app(GenerateSecret=True)
    assert srp(app, ann).authenticate_user()["AuthenticationResult"]["IdToken"]


def test_srp_with_a_wrong_password_is_refused(app, ann):
    with refused("NotAuthorizedException", "Incorrect username or password."):
        srp(app, ann, WRONG).authenticate_user()


def test_srp_with_a_password_of_many_scripts(app, pool):
    user = pool.user(password="Пароль-A-7-ñandú-猫")
    assert srp(app, user).authenticate_user()["AuthenticationResult"]


def test_srp_for_an_unknown_user_is_simulated_and_the_same_each_time(pool):
    app = pool.app(PreventUserExistenceErrors="ENABLED")
    parameters = {"USERNAME": unique("nobody"), "SRP_A": "5"}

    def challenge():
        answer = app.idp.initiate_auth(ClientId=app.id, AuthFlow="USER_SRP_AUTH", AuthParameters=parameters)
        assert answer["ChallengeName"] == "PASSWORD_VERIFIER"
        return answer["ChallengeParameters"]

    first, second = challenge(), challenge()
    assert set(first) == {"SALT", "SECRET_BLOCK", "SRP_B", "USERNAME", "USER_ID_FOR_SRP"}
    assert first["SALT"] == second["SALT"]
    assert first["USER_ID_FOR_SRP"] == second["USER_ID_FOR_SRP"]
    assert first["SRP_B"] != second["SRP_B"]


def test_srp_for_an_unknown_user_ends_like_a_wrong_password(pool):
    app = pool.app(PreventUserExistenceErrors="ENABLED")
    nobody = pool.user()
    app.idp.admin_delete_user(**nobody.named())
    with refused("NotAuthorizedException", "Incorrect username or password."):
        srp(app, nobody).authenticate_user()


def test_pycognito_lives_through_a_whole_day(server, pool, app, idp):
    """The library's own class: it checks the tokens' issuer and signature against the endpoint's JWKS."""
    user = pool.user(email="day@example.com", email_verified="true")
    day = pycognito.Cognito(
        pool.id, app.id, username=user.username, boto3_client_kwargs={"endpoint_url": server.endpoint}
    )
    day.authenticate(user.password)
    assert day.get_user().email == "day@example.com"
    before = day.access_token
    day.renew_access_token()
    assert day.access_token != before
    day.update_profile({"name": "Ann"})
    day.change_password(user.password, OTHER_PASSWORD)
    token = day.access_token
    day.logout()
    with refused("NotAuthorizedException", "Access Token has been revoked"):
        idp.get_user(AccessToken=token)


# --- administrators ---


@pytest.mark.parametrize("flow", ["ADMIN_USER_PASSWORD_AUTH", "ADMIN_NO_SRP_AUTH"])
def test_an_administrator_signs_a_user_in(app, ann, flow):
    assert admin_start(app, flow, ann.username, ann.password)["AuthenticationResult"]["RefreshToken"]


def test_a_legacy_flow_name_allows_the_legacy_flow(pool, ann):
    app = pool.app(ExplicitAuthFlows=["ADMIN_NO_SRP_AUTH"])
    assert admin_start(app, "ADMIN_NO_SRP_AUTH", ann.username, ann.password)["AuthenticationResult"]


def test_an_administrators_wrong_password_is_refused(app, ann):
    with refused("NotAuthorizedException", "Incorrect username or password."):
        admin_start(app, "ADMIN_USER_PASSWORD_AUTH", ann.username, WRONG)


def test_an_administrators_flow_is_refused_at_the_public_door(app, ann):
    with refused("InvalidParameterException"):
        app.idp.initiate_auth(
            ClientId=app.id,
            AuthFlow="ADMIN_USER_PASSWORD_AUTH",
            AuthParameters={"USERNAME": ann.username, "PASSWORD": ann.password},
        )


def test_an_administrator_refreshes(app, ann):
    tokens = app.sign_in(ann)
    answer = app.idp.admin_initiate_auth(
        UserPoolId=app.pool.id,
        ClientId=app.id,
        AuthFlow="REFRESH_TOKEN_AUTH",
        AuthParameters={"REFRESH_TOKEN": tokens["RefreshToken"]},
    )
    assert answer["AuthenticationResult"]["AccessToken"]


# --- the first sign-in ---


def test_a_temporary_password_asks_for_a_new_one(make_pool, idp):
    pool = make_pool()
    app, employee = pool.app(), pool.new_employee(email="new@example.com")
    challenge = app.start(employee.username, employee.password)
    assert challenge["ChallengeName"] == "NEW_PASSWORD_REQUIRED"
    parameters = challenge["ChallengeParameters"]
    assert set(parameters) >= {"USER_ID_FOR_SRP", "requiredAttributes", "userAttributes"}
    assert json.loads(parameters["requiredAttributes"]) == []
    assert json.loads(parameters["userAttributes"])["email"] == "new@example.com"
    assert employee.describe()["UserStatus"] == "FORCE_CHANGE_PASSWORD"

    answer = idp.respond_to_auth_challenge(
        ClientId=app.id,
        ChallengeName="NEW_PASSWORD_REQUIRED",
        Session=challenge["Session"],
        ChallengeResponses={
            "USERNAME": employee.username,
            "NEW_PASSWORD": OTHER_PASSWORD,
            "userAttributes.name": "Ann Newcomer",
        },
    )
    assert answer["AuthenticationResult"]["AccessToken"]
    assert employee.describe()["UserStatus"] == "CONFIRMED"
    assert employee.attributes()["name"] == "Ann Newcomer"
    assert app.start(employee.username, OTHER_PASSWORD)["AuthenticationResult"]
    with refused("NotAuthorizedException", "Incorrect username or password."):
        app.start(employee.username, employee.password)


def test_an_administrator_answers_the_challenge(pool, app, idp):
    employee = pool.new_employee()
    challenge = admin_start(app, "ADMIN_USER_PASSWORD_AUTH", employee.username, employee.password)
    answer = idp.admin_respond_to_auth_challenge(
        UserPoolId=pool.id,
        ClientId=app.id,
        ChallengeName="NEW_PASSWORD_REQUIRED",
        Session=challenge["Session"],
        ChallengeResponses={"USERNAME": employee.username, "NEW_PASSWORD": OTHER_PASSWORD},
    )
    assert answer["AuthenticationResult"]["IdToken"]


def test_srp_asks_for_a_new_password_too(pool, app):
    employee = pool.new_employee()
    tokens = srp(app, employee).set_new_password_challenge(OTHER_PASSWORD)
    assert tokens["AuthenticationResult"]["AccessToken"]


def test_a_weak_new_password_is_refused(pool, app, idp):
    employee = pool.new_employee()
    challenge = app.start(employee.username, employee.password)
    with refused("InvalidPasswordException"):
        idp.respond_to_auth_challenge(
            ClientId=app.id,
            ChallengeName="NEW_PASSWORD_REQUIRED",
            Session=challenge["Session"],
            ChallengeResponses={"USERNAME": employee.username, "NEW_PASSWORD": "short"},
        )
    assert employee.describe()["UserStatus"] == "FORCE_CHANGE_PASSWORD"


def test_a_challenge_session_works_once(pool, app, idp):
    employee = pool.new_employee()
    challenge = app.start(employee.username, employee.password)

    def respond(password):
        return idp.respond_to_auth_challenge(
            ClientId=app.id,
            ChallengeName="NEW_PASSWORD_REQUIRED",
            Session=challenge["Session"],
            ChallengeResponses={"USERNAME": employee.username, "NEW_PASSWORD": password},
        )

    assert respond(OTHER_PASSWORD)["AuthenticationResult"]
    with refused("NotAuthorizedException", "Invalid session for the user, session can only be used once."):
        respond("Third-password-9")
    assert app.start(employee.username, OTHER_PASSWORD)["AuthenticationResult"]


def test_a_challenge_session_belongs_to_its_client(pool, app, idp):
    employee = pool.new_employee()
    challenge = app.start(employee.username, employee.password)
    with refused("NotAuthorizedException", "Invalid session for the user."):
        idp.respond_to_auth_challenge(
            ClientId=pool.app().id,
            ChallengeName="NEW_PASSWORD_REQUIRED",
            Session=challenge["Session"],
            ChallengeResponses={"USERNAME": employee.username, "NEW_PASSWORD": OTHER_PASSWORD},
        )


def test_a_global_sign_out_ends_a_half_done_sign_in(pool, app, idp):
    employee = pool.new_employee()
    challenge = app.start(employee.username, employee.password)
    idp.admin_user_global_sign_out(**employee.named())
    with refused("NotAuthorizedException"):
        idp.respond_to_auth_challenge(
            ClientId=app.id,
            ChallengeName="NEW_PASSWORD_REQUIRED",
            Session=challenge["Session"],
            ChallengeResponses={"USERNAME": employee.username, "NEW_PASSWORD": OTHER_PASSWORD},
        )


# --- app clients ---


def test_a_client_secret_must_be_proven(pool, ann, idp):
    app = pool.app(GenerateSecret=True)
    parameters = {"USERNAME": ann.username, "PASSWORD": ann.password}

    def start():
        return idp.initiate_auth(ClientId=app.id, AuthFlow="USER_PASSWORD_AUTH", AuthParameters=parameters)

    missing = f"Client {app.id} is configured with secret but SECRET_HASH was not received"
    with refused("NotAuthorizedException", missing):
        start()
    parameters["SECRET_HASH"] = app.secret_hash(ann.username, "0" * 50)
    with refused("NotAuthorizedException", f"Unable to verify secret hash for client {app.id}"):
        start()
    parameters["SECRET_HASH"] = app.secret_hash(ann.username)
    assert start()["AuthenticationResult"]


def test_a_refresh_proves_the_client_secret_too(pool, ann):
    app = pool.app(GenerateSecret=True)
    tokens = app.sign_in(ann)
    assert app.refresh(tokens, ann.username)["AccessToken"]
    with refused("NotAuthorizedException"):
        app.refresh(tokens, "somebody-else")


def test_an_unknown_client_is_named(idp, ann):
    nowhere = "0" * 26
    with refused("ResourceNotFoundException", f"User pool client {nowhere} does not exist."):
        idp.initiate_auth(
            ClientId=nowhere,
            AuthFlow="USER_PASSWORD_AUTH",
            AuthParameters={"USERNAME": ann.username, "PASSWORD": ann.password},
        )


@pytest.mark.parametrize("flow", ["USER_PASSWORD_AUTH", "USER_SRP_AUTH"])
def test_a_flow_that_the_client_does_not_allow_is_refused(pool, ann, idp, flow):
    app = pool.app(ExplicitAuthFlows=["ALLOW_REFRESH_TOKEN_AUTH", "ALLOW_ADMIN_USER_PASSWORD_AUTH"])
    parameters = {"USERNAME": ann.username, "PASSWORD": ann.password, "SRP_A": "5"}
    with refused("InvalidParameterException") as caught:
        idp.initiate_auth(ClientId=app.id, AuthFlow=flow, AuthParameters=parameters)
    assert "not enabled for" in caught.value.response["Error"]["Message"]


def test_a_client_without_flows_allows_srp_and_refresh(make_pool, idp):
    pool = make_pool()
    client = idp.create_user_pool_client(UserPoolId=pool.id, ClientName="defaults")["UserPoolClient"]
    user = pool.user()
    login = AWSSRP(user.username, user.password, pool.id, client["ClientId"], client=idp)
    tokens = login.authenticate_user()["AuthenticationResult"]
    refreshed = idp.initiate_auth(
        ClientId=client["ClientId"],
        AuthFlow="REFRESH_TOKEN_AUTH",
        AuthParameters={"REFRESH_TOKEN": tokens["RefreshToken"]},
    )
    assert refreshed["AuthenticationResult"]["AccessToken"]


def test_a_missing_username_is_named(app, idp):
    with refused("InvalidParameterException", "Missing required parameter USERNAME"):
        idp.initiate_auth(ClientId=app.id, AuthFlow="USER_PASSWORD_AUTH", AuthParameters={"PASSWORD": PASSWORD})


# --- names ---


def test_an_email_is_the_username_where_the_pool_says_so(make_pool):
    pool = make_pool(UsernameAttributes=["email"])
    app = pool.app()
    pool.user("ann@example.com", email_verified="true")
    ann = pool.idp.admin_get_user(UserPoolId=pool.id, Username="ann@example.com")
    tokens = app.start("ann@example.com", PASSWORD)["AuthenticationResult"]
    assert pool.idp.get_user(AccessToken=tokens["AccessToken"])["Username"] == ann["Username"]
    assert ann["Username"] != "ann@example.com"
    with refused("InvalidParameterException"):
        pool.user("not an address".replace(" ", "-"))


def test_a_verified_alias_signs_in(make_pool):
    pool = make_pool(AliasAttributes=["email"])
    app = pool.app()
    user = pool.user(email="alias@example.com", email_verified="true")
    tokens = app.start("alias@example.com", PASSWORD)["AuthenticationResult"]
    assert pool.idp.get_user(AccessToken=tokens["AccessToken"])["Username"] == user.username


def test_case_of_names_follows_the_pool(make_pool):
    relaxed = make_pool(UsernameConfiguration={"CaseSensitive": False})
    relaxed.user("Ann")
    assert relaxed.app().start("aNN", PASSWORD)["AuthenticationResult"]
    strict = make_pool(UsernameConfiguration={"CaseSensitive": True})
    strict.user("Ann")
    strict.user("ann")
    with refused("UserNotFoundException"):
        strict.app().start("ANN", PASSWORD)


# --- a second factor: test_mfa.py ---


def test_a_pool_that_demands_a_second_factor_signs_nobody_in_without_it(make_pool, idp):
    pool = make_pool()
    app, ann = pool.app(ExplicitAuthFlows=EVERY_FLOW), pool.user()
    idp.set_user_pool_mfa_config(
        UserPoolId=pool.id, MfaConfiguration="ON", SoftwareTokenMfaConfiguration={"Enabled": True}
    )
    answer = app.start(ann.username, ann.password)
    assert answer["ChallengeName"] == "MFA_SETUP" and "AuthenticationResult" not in answer
