"""Signing up, recovering, changing and finding accounts. Codes are read from the server's outbox."""

import datetime

import pytest

from support import OTHER_PASSWORD, PASSWORD, Pool, by_name, pairs, refused, unique


@pytest.fixture(scope="module")
def pool(idp):
    """As `conftest.pool`, and addresses must be verified."""
    pool = Pool(idp, AutoVerifiedAttributes=["email"])
    yield pool
    pool.delete()


@pytest.fixture
def address():
    """An address that nobody has written to."""
    return f"{unique('ann')}@example.com"


@pytest.fixture
def newcomer(app, idp, address):
    """Signed up, not confirmed."""
    username = unique("newcomer")
    idp.sign_up(ClientId=app.id, Username=username, Password=PASSWORD, UserAttributes=pairs({"email": address}))
    return username


@pytest.fixture
def member(pool, address):
    """A confirmed user with a verified address."""
    return pool.user(email=address, email_verified="true")


# --- sign-up ---


def test_sign_up_sends_a_code_and_says_where_to(app, unsigned, server, address):
    answer = unsigned.sign_up(
        ClientId=app.id, Username=unique("new"), Password=PASSWORD, UserAttributes=pairs({"email": address})
    )
    assert answer["UserConfirmed"] is False
    assert len(answer["UserSub"]) == 36
    delivery = answer["CodeDeliveryDetails"]
    assert (delivery["DeliveryMedium"], delivery["AttributeName"]) == ("EMAIL", "email")
    assert delivery["Destination"] == "a***@e***"
    [message] = server.outbox(address)
    assert set(message) >= {"id", "pool", "channel", "to", "subject", "body", "code", "created_at"}
    assert (message["channel"], message["to"], message["pool"]) == ("email", address, app.pool.id)
    assert message["code"].isdigit() and message["code"] in message["body"]


def test_the_code_confirms_the_account_and_the_address(app, idp, server, newcomer, address):
    idp.confirm_sign_up(ClientId=app.id, Username=newcomer, ConfirmationCode=server.code_for(address))
    user = idp.admin_get_user(UserPoolId=app.pool.id, Username=newcomer)
    assert user["UserStatus"] == "CONFIRMED"
    assert by_name(user["UserAttributes"])["email_verified"] == "true"
    assert app.start(newcomer, PASSWORD)["AuthenticationResult"]


def test_a_wrong_code_confirms_nothing(app, idp, server, newcomer, address):
    wrong = "000000" if server.code_for(address) != "000000" else "111111"
    with refused("CodeMismatchException", "Invalid verification code provided, please try again."):
        idp.confirm_sign_up(ClientId=app.id, Username=newcomer, ConfirmationCode=wrong)
    with refused("UserNotConfirmedException", "User is not confirmed."):
        app.start(newcomer, PASSWORD)


def test_a_code_confirms_once(app, idp, server, newcomer, address):
    code = server.code_for(address)
    idp.confirm_sign_up(ClientId=app.id, Username=newcomer, ConfirmationCode=code)
    with refused("NotAuthorizedException", "User cannot be confirmed. Current status is CONFIRMED"):
        idp.confirm_sign_up(ClientId=app.id, Username=newcomer, ConfirmationCode=code)


def test_a_new_code_can_be_asked_for(app, idp, server, newcomer, address):
    answer = idp.resend_confirmation_code(ClientId=app.id, Username=newcomer)
    assert answer["CodeDeliveryDetails"]["Destination"] == "a***@e***"
    assert len(server.outbox(address)) == 2
    idp.confirm_sign_up(ClientId=app.id, Username=newcomer, ConfirmationCode=server.code_for(address))


def test_an_administrator_confirms_without_a_code(app, idp, newcomer):
    idp.admin_confirm_sign_up(UserPoolId=app.pool.id, Username=newcomer)
    assert app.start(newcomer, PASSWORD)["AuthenticationResult"]


def test_a_name_is_taken_once(app, idp, newcomer):
    with refused("UsernameExistsException", "User already exists"):
        idp.sign_up(ClientId=app.id, Username=newcomer, Password=PASSWORD)


def test_a_pool_for_administrators_takes_no_sign_ups(make_pool, idp):
    app = make_pool(AdminCreateUserConfig={"AllowAdminCreateUserOnly": True}).app()
    with refused("NotAuthorizedException", "SignUp is not permitted for this user pool"):
        idp.sign_up(ClientId=app.id, Username=unique("new"), Password=PASSWORD)


def test_a_required_attribute_must_be_given(make_pool, idp):
    schema = [{"Name": "email", "AttributeDataType": "String", "Required": True, "Mutable": True}]
    app = make_pool(Schema=schema).app()
    with refused("InvalidParameterException"):
        idp.sign_up(ClientId=app.id, Username=unique("new"), Password=PASSWORD)


def test_an_unknown_attribute_is_refused(app, idp):
    with refused("InvalidParameterException"):
        idp.sign_up(
            ClientId=app.id, Username=unique("new"), Password=PASSWORD, UserAttributes=pairs({"custom:nowhere": "1"})
        )


# --- passwords ---


@pytest.mark.parametrize(
    ("password", "missing"),
    [
        ("Short-7", "Password not long enough"),
        ("lower-case-7", "Password must have uppercase characters"),
        ("UPPER-CASE-7", "Password must have lowercase characters"),
        ("No-number-here", "Password must have numeric characters"),
        ("NoSymbolHere7", "Password must have symbol characters"),
    ],
)
def test_the_policy_says_what_a_password_lacks(app, idp, password, missing):
    with refused("InvalidPasswordException", f"Password did not conform with policy: {missing}"):
        idp.sign_up(ClientId=app.id, Username=unique("new"), Password=password)


def test_the_policy_is_the_pools(make_pool, idp):
    policy = {
        "MinimumLength": 12,
        "RequireUppercase": False,
        "RequireLowercase": False,
        "RequireNumbers": False,
        "RequireSymbols": False,
    }
    app = make_pool(Policies={"PasswordPolicy": policy}).app()
    idp.sign_up(ClientId=app.id, Username=unique("new"), Password="only-letters")
    with refused("InvalidPasswordException", "Password did not conform with policy: Password not long enough"):
        idp.sign_up(ClientId=app.id, Username=unique("new"), Password="elevenchars")


def test_an_administrator_is_held_to_the_policy_too(idp, member):
    with refused("InvalidPasswordException"):
        idp.admin_set_user_password(**member.named(), Password="weak", Permanent=True)


def test_a_password_can_be_changed(app, member, unsigned):
    tokens = app.sign_in(member)
    unsigned.change_password(
        AccessToken=tokens["AccessToken"], PreviousPassword=PASSWORD, ProposedPassword=OTHER_PASSWORD
    )
    with refused("NotAuthorizedException", "Incorrect username or password."):
        app.start(member.username, PASSWORD)
    assert app.start(member.username, OTHER_PASSWORD)["AuthenticationResult"]


def test_changing_needs_the_present_password(app, member, idp):
    tokens = app.sign_in(member)
    with refused("NotAuthorizedException", "Incorrect username or password."):
        idp.change_password(
            AccessToken=tokens["AccessToken"], PreviousPassword=OTHER_PASSWORD, ProposedPassword="Third-pass-9"
        )
    assert app.sign_in(member)


def test_a_temporary_password_set_by_an_administrator_asks_for_a_new_one(app, member, idp):
    idp.admin_set_user_password(**member.named(), Password=OTHER_PASSWORD, Permanent=False)
    assert member.describe()["UserStatus"] == "FORCE_CHANGE_PASSWORD"
    assert app.start(member.username, OTHER_PASSWORD)["ChallengeName"] == "NEW_PASSWORD_REQUIRED"


# --- recovery ---


def test_a_forgotten_password_is_replaced_with_a_code(app, member, unsigned, server, address):
    answer = unsigned.forgot_password(ClientId=app.id, Username=member.username)
    assert answer["CodeDeliveryDetails"] == {
        "Destination": "a***@e***",
        "DeliveryMedium": "EMAIL",
        "AttributeName": "email",
    }
    assert app.sign_in(member), "asking alone changes nothing"
    code = server.code_for(address)
    unsigned.confirm_forgot_password(
        ClientId=app.id, Username=member.username, ConfirmationCode=code, Password=OTHER_PASSWORD
    )
    with refused("NotAuthorizedException", "Incorrect username or password."):
        app.start(member.username, PASSWORD)
    assert app.start(member.username, OTHER_PASSWORD)["AuthenticationResult"]
    with refused(("ExpiredCodeException", "CodeMismatchException")):
        unsigned.confirm_forgot_password(
            ClientId=app.id, Username=member.username, ConfirmationCode=code, Password="Third-pass-9"
        )


def test_a_wrong_recovery_code_changes_nothing(app, member, idp, server, address):
    idp.forgot_password(ClientId=app.id, Username=member.username)
    wrong = "000000" if server.code_for(address) != "000000" else "111111"
    with refused("CodeMismatchException", "Invalid verification code provided, please try again."):
        idp.confirm_forgot_password(
            ClientId=app.id, Username=member.username, ConfirmationCode=wrong, Password=OTHER_PASSWORD
        )
    assert app.sign_in(member)


def test_a_recovery_that_nobody_asked_for_is_refused(app, member, idp):
    with refused("ExpiredCodeException", "Invalid code provided, please request a code again."):
        idp.confirm_forgot_password(
            ClientId=app.id, Username=member.username, ConfirmationCode="123456", Password=OTHER_PASSWORD
        )


def test_a_user_without_an_address_cannot_recover(app, pool, idp):
    message = "Cannot reset password for the user as there is no registered/verified email or phone_number"
    with refused("InvalidParameterException", message):
        idp.forgot_password(ClientId=app.id, Username=pool.user().username)


def test_recovery_does_not_tell_who_exists(pool, idp):
    app = pool.app(PreventUserExistenceErrors="ENABLED")
    answer = idp.forgot_password(ClientId=app.id, Username=unique("nobody"))
    assert answer["CodeDeliveryDetails"]["DeliveryMedium"] == "EMAIL"
    with refused(("CodeMismatchException", "ExpiredCodeException")):
        idp.confirm_forgot_password(
            ClientId=app.id, Username=unique("nobody"), ConfirmationCode="123456", Password=OTHER_PASSWORD
        )


def test_recovery_names_an_unknown_user_where_the_client_allows_it(app, idp):
    with refused("UserNotFoundException"):
        idp.forgot_password(ClientId=app.id, Username=unique("nobody"))


def test_an_administrators_reset_sends_a_code(app, member, idp, server, address):
    idp.admin_reset_user_password(**member.named())
    assert member.describe()["UserStatus"] == "RESET_REQUIRED"
    idp.confirm_forgot_password(
        ClientId=app.id, Username=member.username, ConfirmationCode=server.code_for(address), Password=OTHER_PASSWORD
    )
    assert app.start(member.username, OTHER_PASSWORD)["AuthenticationResult"]
    assert member.describe()["UserStatus"] == "CONFIRMED"


# --- attributes ---


def test_a_user_reads_and_changes_attributes(app, member, unsigned, address):
    token = app.sign_in(member)["AccessToken"]
    unsigned.update_user_attributes(AccessToken=token, UserAttributes=pairs({"name": "Ann", "nickname": "A"}))
    user = unsigned.get_user(AccessToken=token)
    assert user["Username"] == member.username
    attributes = by_name(user["UserAttributes"])
    assert attributes["email"] == address
    assert (attributes["name"], attributes["nickname"]) == ("Ann", "A")
    assert len(attributes["sub"]) == 36
    unsigned.delete_user_attributes(AccessToken=token, UserAttributeNames=["nickname"])
    assert "nickname" not in by_name(unsigned.get_user(AccessToken=token)["UserAttributes"])


def test_a_new_address_must_be_verified_again(app, member, idp, server):
    token = app.sign_in(member)["AccessToken"]
    new = f"{unique('new')}@example.com"
    answer = idp.update_user_attributes(AccessToken=token, UserAttributes=pairs({"email": new}))
    assert answer["CodeDeliveryDetailsList"][0]["AttributeName"] == "email"
    assert member.attributes()["email_verified"] == "false"
    idp.verify_user_attribute(AccessToken=token, AttributeName="email", Code=server.code_for(new))
    assert (member.attributes()["email"], member.attributes()["email_verified"]) == (new, "true")


def test_a_verification_code_can_be_asked_for(app, pool, idp, server, address):
    user = pool.user(email=address)
    token = app.sign_in(user)["AccessToken"]
    answer = idp.get_user_attribute_verification_code(AccessToken=token, AttributeName="email")
    assert answer["CodeDeliveryDetails"]["Destination"] == "a***@e***"
    with refused("CodeMismatchException"):
        wrong = "000000" if server.code_for(address) != "000000" else "111111"
        idp.verify_user_attribute(AccessToken=token, AttributeName="email", Code=wrong)
    idp.verify_user_attribute(AccessToken=token, AttributeName="email", Code=server.code_for(address))
    assert user.attributes()["email_verified"] == "true"


def test_nobody_changes_sub(app, member, idp):
    token = app.sign_in(member)["AccessToken"]
    with refused(("InvalidParameterException", "NotAuthorizedException")):
        idp.update_user_attributes(AccessToken=token, UserAttributes=pairs({"sub": "me"}))
    with refused(("InvalidParameterException", "NotAuthorizedException")):
        idp.admin_update_user_attributes(**member.named(), UserAttributes=pairs({"sub": "me"}))


def test_a_client_writes_only_the_attributes_it_may(pool, member, idp):
    app = pool.app(WriteAttributes=["nickname"])
    token = app.sign_in(member)["AccessToken"]
    idp.update_user_attributes(AccessToken=token, UserAttributes=pairs({"nickname": "A"}))
    with refused("NotAuthorizedException"):
        idp.update_user_attributes(AccessToken=token, UserAttributes=pairs({"name": "Ann"}))


def test_an_immutable_attribute_stays(make_pool, idp):
    pool = make_pool(Schema=[{"Name": "badge", "AttributeDataType": "String", "Mutable": False}])
    user = pool.user(**{"custom:badge": "7"})
    with refused("InvalidParameterException"):
        idp.admin_update_user_attributes(**user.named(), UserAttributes=pairs({"custom:badge": "8"}))
    assert user.attributes()["custom:badge"] == "7"


# --- administrators ---


def test_an_administrator_reads_a_user_whole(member):
    user = member.describe()
    assert (user["Username"], user["UserStatus"], user["Enabled"]) == (member.username, "CONFIRMED", True)
    for date in ("UserCreateDate", "UserLastModifiedDate"):
        assert abs(datetime.datetime.now(datetime.timezone.utc) - user[date]) < datetime.timedelta(minutes=5)
    assert by_name(user["UserAttributes"])["sub"]


def test_a_created_user_is_given_back(pool, idp, address):
    username = unique("created")
    user = idp.admin_create_user(
        UserPoolId=pool.id, Username=username, MessageAction="SUPPRESS", UserAttributes=pairs({"email": address})
    )["User"]
    assert (user["Username"], user["UserStatus"], user["Enabled"]) == (username, "FORCE_CHANGE_PASSWORD", True)
    assert by_name(user["Attributes"])["email"] == address
    with refused("UsernameExistsException"):
        idp.admin_create_user(UserPoolId=pool.id, Username=username, MessageAction="SUPPRESS")


def test_an_invitation_carries_the_temporary_password(app, pool, idp, server, address):
    username = unique("invited")
    idp.admin_create_user(
        UserPoolId=pool.id,
        Username=username,
        TemporaryPassword=PASSWORD,
        DesiredDeliveryMediums=["EMAIL"],
        UserAttributes=pairs({"email": address, "email_verified": "true"}),
    )
    [message] = server.outbox(address)
    assert username in message["body"] and PASSWORD in message["body"]
    assert app.start(username, PASSWORD)["ChallengeName"] == "NEW_PASSWORD_REQUIRED"


def test_an_unknown_user_is_named_to_an_administrator(pool, idp):
    for call in (idp.admin_get_user, idp.admin_delete_user, idp.admin_disable_user, idp.admin_enable_user):
        with refused("UserNotFoundException", "User does not exist."):
            call(UserPoolId=pool.id, Username="nobody")


def test_an_unknown_pool_is_named_to_an_administrator(idp):
    with refused("ResourceNotFoundException", "User pool us-east-1_Nowhere00 does not exist."):
        idp.admin_get_user(UserPoolId="us-east-1_Nowhere00", Username="ann")


def test_a_deleted_user_is_gone(app, member, idp):
    idp.delete_user(AccessToken=app.sign_in(member)["AccessToken"])
    with refused("UserNotFoundException", "User does not exist."):
        member.describe()
    with refused("UserNotFoundException", "User does not exist."):
        app.start(member.username, PASSWORD)


# --- lists ---


@pytest.fixture(scope="module")
def crowd(idp):
    """Five users: bob is disabled, eve must change her password."""
    pool = Pool(idp)
    for name in ("ann", "anna", "bob", "carl"):
        pool.user(name, email=f"{name}@example.com", name=name.title(), phone_number=f"+1555000{len(name)}")
    idp.admin_disable_user(UserPoolId=pool.id, Username="bob")
    idp.admin_create_user(UserPoolId=pool.id, Username="eve", TemporaryPassword=PASSWORD, MessageAction="SUPPRESS")
    yield pool
    pool.delete()


def found(idp, pool, condition):
    return sorted(user["Username"] for user in idp.list_users(UserPoolId=pool.id, Filter=condition)["Users"])


@pytest.mark.parametrize(
    ("condition", "names"),
    [
        ('username = "ann"', ["ann"]),
        ('username ^= "ann"', ["ann", "anna"]),
        ('email = "bob@example.com"', ["bob"]),
        ('email ^= "an"', ["ann", "anna"]),
        ('name = "Carl"', ["carl"]),
        ('phone_number = "+15550004"', ["anna", "carl"]),
        ('status = "Disabled"', ["bob"]),
        ('status = "Enabled"', ["ann", "anna", "carl", "eve"]),
        ('cognito:user_status = "FORCE_CHANGE_PASSWORD"', ["eve"]),
        ('email = "nobody@example.com"', []),
        ('email="ann@example.com"', ["ann"]),
    ],
)
def test_users_are_found_by_filter(idp, crowd, condition, names):
    assert found(idp, crowd, condition) == names


def test_a_user_is_found_by_sub(idp, crowd):
    sub = by_name(idp.admin_get_user(UserPoolId=crowd.id, Username="ann")["UserAttributes"])["sub"]
    assert found(idp, crowd, f'sub = "{sub}"') == ["ann"]


@pytest.mark.parametrize("condition", ["email", 'email > "a"', 'custom:x = "1"', 'email = "a', 'locale = "en"'])
def test_a_filter_that_makes_no_sense_is_refused(idp, crowd, condition):
    with refused("InvalidParameterException"):
        idp.list_users(UserPoolId=crowd.id, Filter=condition)


def test_users_come_in_pages(idp, crowd):
    pages = list(
        idp.get_paginator("list_users").paginate(UserPoolId=crowd.id, PaginationConfig={"PageSize": 2})
    )
    assert [len(page["Users"]) for page in pages] == [2, 2, 1]
    assert sorted(user["Username"] for page in pages for user in page["Users"]) == ["ann", "anna", "bob", "carl", "eve"]
    assert "PaginationToken" not in pages[-1]


def test_only_the_asked_attributes_are_listed(idp, crowd):
    users = idp.list_users(UserPoolId=crowd.id, AttributesToGet=["email"], Filter='username = "ann"')["Users"]
    assert users[0]["Attributes"] == [{"Name": "email", "Value": "ann@example.com"}]


def test_a_listed_user_is_described_as_when_asked_for(idp, crowd):
    [listed] = idp.list_users(UserPoolId=crowd.id, Filter='username = "ann"')["Users"]
    read = idp.admin_get_user(UserPoolId=crowd.id, Username="ann")
    assert by_name(listed["Attributes"]) == by_name(read["UserAttributes"])
    for member in ("Enabled", "UserStatus", "UserCreateDate", "UserLastModifiedDate"):
        assert listed[member] == read[member]
