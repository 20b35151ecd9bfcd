"""Pools, clients, domains: what was set is read back, what was not has Cognito's default, what is wrong is refused."""

import datetime
import re

import pytest

from support import PASSWORD, by_name, pairs, refused, unique

STANDARD_ATTRIBUTES = {
    "address", "birthdate", "email", "email_verified", "family_name", "gender", "given_name", "locale", "middle_name",
    "name", "nickname", "phone_number", "phone_number_verified", "picture", "preferred_username", "profile", "sub",
    "updated_at", "website", "zoneinfo",
}  # fmt: skip

POLICY = {
    "MinimumLength": 10,
    "RequireUppercase": True,
    "RequireLowercase": True,
    "RequireNumbers": False,
    "RequireSymbols": False,
    "TemporaryPasswordValidityDays": 3,
}

FULL_POOL = {
    "Policies": {"PasswordPolicy": POLICY},
    "DeletionProtection": "INACTIVE",
    "AutoVerifiedAttributes": ["email"],
    "AliasAttributes": ["email", "preferred_username"],
    "SmsVerificationMessage": "Your code: {####}",
    "EmailVerificationMessage": "Your code is {####}.",
    "EmailVerificationSubject": "Your code",
    "SmsAuthenticationMessage": "Sign in with {####}",
    "MfaConfiguration": "OFF",
    "UserAttributeUpdateSettings": {"AttributesRequireVerificationBeforeUpdate": ["email"]},
    "DeviceConfiguration": {"ChallengeRequiredOnNewDevice": True, "DeviceOnlyRememberedOnUserPrompt": True},
    "EmailConfiguration": {"EmailSendingAccount": "COGNITO_DEFAULT", "ReplyToEmailAddress": "help@example.com"},
    "UserPoolTags": {"team": "identity"},
    "AdminCreateUserConfig": {
        "AllowAdminCreateUserOnly": True,
        "InviteMessageTemplate": {
            "EmailSubject": "Welcome",
            "EmailMessage": "{username}, your password is {####}",
            "SMSMessage": "{username} {####}",
        },
    },
    "UsernameConfiguration": {"CaseSensitive": False},
    "AccountRecoverySetting": {"RecoveryMechanisms": [{"Priority": 1, "Name": "verified_email"}]},
    "UserPoolTier": "ESSENTIALS",
}

FULL_CLIENT = {
    "RefreshTokenValidity": 90,
    "AccessTokenValidity": 30,
    "IdTokenValidity": 45,
    "TokenValidityUnits": {"AccessToken": "minutes", "IdToken": "minutes", "RefreshToken": "days"},
    "ReadAttributes": ["email", "name"],
    "WriteAttributes": ["name"],
    "ExplicitAuthFlows": ["ALLOW_REFRESH_TOKEN_AUTH", "ALLOW_USER_SRP_AUTH"],
    "SupportedIdentityProviders": ["COGNITO"],
    "CallbackURLs": ["https://app.example.com/callback", "http://localhost:3000/callback", "myapp://callback"],
    "LogoutURLs": ["https://app.example.com/bye"],
    "DefaultRedirectURI": "https://app.example.com/callback",
    "AllowedOAuthFlows": ["code"],
    "AllowedOAuthScopes": ["openid", "email"],
    "AllowedOAuthFlowsUserPoolClient": True,
    "PreventUserExistenceErrors": "ENABLED",
    "EnableTokenRevocation": True,
    "EnablePropagateAdditionalUserContextData": False,
    "AuthSessionValidity": 5,
}


def is_recent(date: datetime.datetime) -> bool:
    return abs(datetime.datetime.now(datetime.timezone.utc) - date) < datetime.timedelta(minutes=5)


def contains(actual, expected):
    """Everything set is there, at every depth; the server may say more."""
    if isinstance(expected, dict):
        for key, value in expected.items():
            assert key in actual, key
            contains(actual[key], value)
    elif isinstance(expected, list):
        assert len(actual) == len(expected)
        unordered = all(isinstance(item, str) for item in expected)
        for one, other in zip(*(map(sorted, (actual, expected)) if unordered else (actual, expected)), strict=True):
            contains(one, other)
    else:
        assert actual == expected


# --- pools ---


def test_a_new_pool_has_cognitos_defaults(idp, make_pool):
    name = unique("plain")
    pool = idp.describe_user_pool(UserPoolId=make_pool(PoolName=name).id)["UserPool"]
    assert re.fullmatch(r"us-east-1_[0-9A-Za-z]{9}", pool["Id"])
    assert pool["Arn"] == f"arn:aws:cognito-idp:us-east-1:123456789012:userpool/{pool['Id']}"
    assert pool["Name"] == name
    assert is_recent(pool["CreationDate"]) and is_recent(pool["LastModifiedDate"])
    contains(
        pool["Policies"]["PasswordPolicy"],
        {
            "MinimumLength": 8,
            "RequireUppercase": True,
            "RequireLowercase": True,
            "RequireNumbers": True,
            "RequireSymbols": True,
            "TemporaryPasswordValidityDays": 7,
        },
    )
    assert pool["MfaConfiguration"] == "OFF"
    assert pool["EstimatedNumberOfUsers"] == 0
    assert pool["LambdaConfig"] == {}
    assert pool["DeletionProtection"] == "INACTIVE"
    assert pool["AdminCreateUserConfig"]["AllowAdminCreateUserOnly"] is False
    assert pool["EmailConfiguration"]["EmailSendingAccount"] == "COGNITO_DEFAULT"
    assert {attribute["Name"] for attribute in pool["SchemaAttributes"]} == STANDARD_ATTRIBUTES


def test_standard_attributes_are_described_as_in_cognito(idp, make_pool):
    pool = idp.describe_user_pool(UserPoolId=make_pool().id)["UserPool"]
    schema = {attribute["Name"]: attribute for attribute in pool["SchemaAttributes"]}
    assert schema["sub"] == {
        "Name": "sub",
        "AttributeDataType": "String",
        "DeveloperOnlyAttribute": False,
        "Mutable": False,
        "Required": True,
        "StringAttributeConstraints": {"MinLength": "1", "MaxLength": "2048"},
    }
    assert schema["email_verified"]["AttributeDataType"] == "Boolean"
    assert schema["updated_at"]["AttributeDataType"] == "Number"
    assert schema["birthdate"]["StringAttributeConstraints"] == {"MinLength": "10", "MaxLength": "10"}
    assert all(attribute["Mutable"] for name, attribute in schema.items() if name != "sub")
    assert not any(attribute["Required"] for name, attribute in schema.items() if name != "sub")


def test_every_setting_of_a_pool_is_read_back(idp, make_pool):
    pool = idp.describe_user_pool(UserPoolId=make_pool(**FULL_POOL).id)["UserPool"]
    contains(pool, FULL_POOL)


def test_creating_a_pool_answers_what_describing_does(idp):
    created = idp.create_user_pool(PoolName=unique("pool"), **FULL_POOL)["UserPool"]
    try:
        assert created == idp.describe_user_pool(UserPoolId=created["Id"])["UserPool"]
    finally:
        idp.delete_user_pool(UserPoolId=created["Id"])


def test_an_update_resets_what_it_does_not_name(idp, make_pool):
    pool = make_pool(**FULL_POOL)
    policy = {**POLICY, "MinimumLength": 12}
    idp.update_user_pool(UserPoolId=pool.id, Policies={"PasswordPolicy": policy}, UserPoolTags={"team": "other"})
    read = idp.describe_user_pool(UserPoolId=pool.id)["UserPool"]
    contains(read["Policies"]["PasswordPolicy"], policy)
    assert read["UserPoolTags"] == {"team": "other"}
    assert read["AdminCreateUserConfig"]["AllowAdminCreateUserOnly"] is False
    assert not read.get("AutoVerifiedAttributes")
    assert sorted(read["AliasAttributes"]) == ["email", "preferred_username"], "fixed for life"
    assert read["UsernameConfiguration"] == {"CaseSensitive": False}, "fixed for life"


def test_a_custom_attribute_is_added_and_used(idp, make_pool):
    pool = make_pool()
    idp.add_custom_attributes(
        UserPoolId=pool.id,
        CustomAttributes=[
            {
                "Name": "team",
                "AttributeDataType": "String",
                "Mutable": True,
                "StringAttributeConstraints": {"MinLength": "2", "MaxLength": "5"},
            }
        ],
    )
    schema = idp.describe_user_pool(UserPoolId=pool.id)["UserPool"]["SchemaAttributes"]
    [team] = [attribute for attribute in schema if attribute["Name"] == "custom:team"]
    contains(
        team,
        {
            "AttributeDataType": "String",
            "DeveloperOnlyAttribute": False,
            "Mutable": True,
            "Required": False,
            "StringAttributeConstraints": {"MinLength": "2", "MaxLength": "5"},
        },
    )
    user = pool.user(**{"custom:team": "blue"})
    assert user.attributes()["custom:team"] == "blue"
    for wrong in ("x", "too long"):
        with refused("InvalidParameterException"):
            idp.admin_update_user_attributes(**user.named(), UserAttributes=pairs({"custom:team": wrong}))
    with refused("InvalidParameterException"):
        idp.add_custom_attributes(
            UserPoolId=pool.id, CustomAttributes=[{"Name": "team", "AttributeDataType": "String"}]
        )


def test_a_deleted_pool_is_gone(idp, make_pool):
    pool = make_pool()
    app, user = pool.app(), pool.user()
    token = app.sign_in(user)["AccessToken"]
    idp.delete_user_pool(UserPoolId=pool.id)
    with refused("ResourceNotFoundException", f"User pool {pool.id} does not exist."):
        idp.describe_user_pool(UserPoolId=pool.id)
    with refused("ResourceNotFoundException"):
        app.start(user.username, user.password)
    with refused(("NotAuthorizedException", "ResourceNotFoundException")):
        idp.get_user(AccessToken=token)


def test_a_protected_pool_is_not_deleted(idp, make_pool):
    pool = make_pool(DeletionProtection="ACTIVE")
    with refused("InvalidParameterException"):
        idp.delete_user_pool(UserPoolId=pool.id)
    idp.update_user_pool(UserPoolId=pool.id, DeletionProtection="INACTIVE")
    idp.delete_user_pool(UserPoolId=pool.id)


def test_pools_come_in_pages(idp, make_pool):
    ours = {make_pool().id for _ in range(3)}
    seen = []
    for page in idp.get_paginator("list_user_pools").paginate(MaxResults=2):
        assert len(page["UserPools"]) <= 2
        seen += page["UserPools"]
    ids = [pool["Id"] for pool in seen]
    assert len(ids) == len(set(ids)) and ours <= set(ids)
    assert {"Id", "Name", "LambdaConfig", "CreationDate", "LastModifiedDate"} <= set(seen[0])


@pytest.mark.parametrize(
    "settings",
    [
        {"Policies": {"PasswordPolicy": {"MinimumLength": 100}}},
        {"AliasAttributes": ["email"], "UsernameAttributes": ["email"]},
        {"Schema": [{"Name": "custom:twice", "AttributeDataType": "Nothing"}]},
        {"VerificationMessageTemplate": {"EmailMessage": "no code here"}},
    ],
    ids=["policy", "alias and username", "type", "template"],
)
def test_a_pool_that_makes_no_sense_is_refused(idp, settings):
    with refused("InvalidParameterException"):
        idp.create_user_pool(PoolName=unique("wrong"), **settings)


# --- clients ---


def test_a_new_client_has_cognitos_defaults(idp, pool):
    client = idp.create_user_pool_client(UserPoolId=pool.id, ClientName="plain")["UserPoolClient"]
    assert re.fullmatch(r"[a-z0-9]{26}", client["ClientId"])
    assert "ClientSecret" not in client
    assert client["RefreshTokenValidity"] == 30
    assert client["EnableTokenRevocation"] is True
    assert client["AuthSessionValidity"] == 3
    assert client["AllowedOAuthFlowsUserPoolClient"] is False
    assert client["EnablePropagateAdditionalUserContextData"] is False
    assert is_recent(client["CreationDate"]) and is_recent(client["LastModifiedDate"])


def test_every_setting_of_a_client_is_read_back(idp, pool):
    created = idp.create_user_pool_client(UserPoolId=pool.id, ClientName="full", **FULL_CLIENT)["UserPoolClient"]
    read = idp.describe_user_pool_client(UserPoolId=pool.id, ClientId=created["ClientId"])["UserPoolClient"]
    assert created == read
    contains(read, {"ClientName": "full", "UserPoolId": pool.id, **FULL_CLIENT})


def test_rotation_is_read_back(idp, pool):
    rotation = {"Feature": "ENABLED", "RetryGracePeriodSeconds": 7}
    app = pool.app(ExplicitAuthFlows=["ALLOW_USER_SRP_AUTH"], RefreshTokenRotation=rotation)
    read = idp.describe_user_pool_client(UserPoolId=pool.id, ClientId=app.id)["UserPoolClient"]
    assert read["RefreshTokenRotation"] == rotation


def test_a_clients_update_resets_what_it_does_not_name(idp, pool):
    created = idp.create_user_pool_client(UserPoolId=pool.id, ClientName="full", **FULL_CLIENT)["UserPoolClient"]
    updated = idp.update_user_pool_client(
        UserPoolId=pool.id, ClientId=created["ClientId"], ClientName="renamed", RefreshTokenValidity=5
    )["UserPoolClient"]
    assert (updated["ClientName"], updated["RefreshTokenValidity"]) == ("renamed", 5)
    assert not updated.get("CallbackURLs")
    assert updated["AuthSessionValidity"] == 3
    assert updated == idp.describe_user_pool_client(UserPoolId=pool.id, ClientId=created["ClientId"])["UserPoolClient"]


def test_a_secret_is_generated_and_read_back(idp, pool):
    app = pool.app(GenerateSecret=True)
    assert re.fullmatch(r"[\w+]{24,64}", app.secret)
    read = idp.describe_user_pool_client(UserPoolId=pool.id, ClientId=app.id)["UserPoolClient"]
    assert read["ClientSecret"] == app.secret


def test_clients_come_in_pages(idp, make_pool):
    pool = make_pool()
    ours = {pool.app().id for _ in range(3)}
    pages = list(idp.get_paginator("list_user_pool_clients").paginate(UserPoolId=pool.id, MaxResults=2))
    assert [len(page["UserPoolClients"]) for page in pages] == [2, 1]
    listed = [client for page in pages for client in page["UserPoolClients"]]
    assert {client["ClientId"] for client in listed} == ours
    assert all(set(client) == {"ClientId", "UserPoolId", "ClientName"} for client in listed)


def test_a_deleted_client_is_gone(idp, pool):
    app = pool.app()
    idp.delete_user_pool_client(UserPoolId=pool.id, ClientId=app.id)
    with refused("ResourceNotFoundException", f"User pool client {app.id} does not exist."):
        idp.describe_user_pool_client(UserPoolId=pool.id, ClientId=app.id)


def test_a_client_of_another_pool_is_not_found(idp, make_pool, app):
    with refused("ResourceNotFoundException"):
        idp.describe_user_pool_client(UserPoolId=make_pool().id, ClientId=app.id)


@pytest.mark.parametrize(
    "url",
    [
        "http://app.example.com/callback",
        "https://app.example.com/callback#part",
        "javascript:alert(1)",
        "data:text/html,hello",
        "vbscript:x",
        "file:///etc/passwd",
        "blob:https://app.example.com/1",
        "/callback",
        "app.example.com",
    ],
)
@pytest.mark.parametrize("member", ["CallbackURLs", "LogoutURLs"])
def test_a_dangerous_address_is_refused(pool, member, url):
    settings = {**FULL_CLIENT, member: [url]}
    if member == "CallbackURLs":
        del settings["DefaultRedirectURI"]
    with refused("InvalidParameterException"):
        pool.app(**settings)


@pytest.mark.parametrize("url", ["http://localhost:1/x", "http://127.0.0.1:1/x", "http://[::1]:1/x", "com.app:/x"])
def test_a_local_or_private_address_is_accepted(pool, url):
    settings = {key: value for key, value in FULL_CLIENT.items() if key != "DefaultRedirectURI"}
    assert pool.app(**{**settings, "CallbackURLs": [url], "LogoutURLs": [url]}).id


@pytest.mark.parametrize(
    "settings",
    [
        {"AccessTokenValidity": 4, "TokenValidityUnits": {"AccessToken": "minutes"}},
        {"AccessTokenValidity": 25, "TokenValidityUnits": {"AccessToken": "hours"}},
        {"IdTokenValidity": 299, "TokenValidityUnits": {"IdToken": "seconds"}},
        {"RefreshTokenValidity": 59, "TokenValidityUnits": {"RefreshToken": "minutes"}},
        {"RefreshTokenValidity": 3651},
        {"AuthSessionValidity": 16},
        {"ExplicitAuthFlows": ["ALLOW_USER_SRP_AUTH", "ADMIN_NO_SRP_AUTH"]},
        {"RefreshTokenRotation": {"Feature": "ENABLED", "RetryGracePeriodSeconds": 61}},
        {"DefaultRedirectURI": "https://elsewhere.example.com/", "CallbackURLs": ["https://app.example.com/"]},
    ],
)
def test_a_client_that_makes_no_sense_is_refused(pool, settings):
    with refused("InvalidParameterException"):
        pool.app(**settings)


# --- client secrets ---


def test_a_second_secret_lets_a_client_rotate(idp, pool):
    app, user = pool.app(GenerateSecret=True), pool.user()
    added = idp.add_user_pool_client_secret(UserPoolId=pool.id, ClientId=app.id)["ClientSecretDescriptor"]
    assert added["ClientSecretId"].startswith(f"{app.id}--")
    new = added["ClientSecretValue"]

    def start(secret):
        parameters = {"USERNAME": user.username, "PASSWORD": PASSWORD}
        parameters["SECRET_HASH"] = app.secret_hash(user.username, secret)
        return idp.initiate_auth(ClientId=app.id, AuthFlow="USER_PASSWORD_AUTH", AuthParameters=parameters)

    assert start(app.secret)["AuthenticationResult"] and start(new)["AuthenticationResult"]
    with refused("LimitExceededException"):
        idp.add_user_pool_client_secret(UserPoolId=pool.id, ClientId=app.id)

    listed = idp.list_user_pool_client_secrets(UserPoolId=pool.id, ClientId=app.id)["ClientSecrets"]
    assert len(listed) == 2 and not any("ClientSecretValue" in secret for secret in listed)
    [old] = [secret["ClientSecretId"] for secret in listed if secret["ClientSecretId"] != added["ClientSecretId"]]
    idp.delete_user_pool_client_secret(UserPoolId=pool.id, ClientId=app.id, ClientSecretId=old)
    with refused("NotAuthorizedException", f"Unable to verify secret hash for client {app.id}"):
        start(app.secret)
    assert start(new)["AuthenticationResult"]
    with refused(("InvalidParameterException", "LimitExceededException")):
        idp.delete_user_pool_client_secret(
            UserPoolId=pool.id, ClientId=app.id, ClientSecretId=added["ClientSecretId"]
        )


# --- domains ---


def test_a_domain_lives_and_dies(idp, make_pool):
    pool, name = make_pool(), unique("signin")
    idp.create_user_pool_domain(Domain=name, UserPoolId=pool.id)
    described = idp.describe_user_pool_domain(Domain=name)["DomainDescription"]
    contains(described, {"Domain": name, "UserPoolId": pool.id, "Status": "ACTIVE", "ManagedLoginVersion": 1})
    assert idp.describe_user_pool(UserPoolId=pool.id)["UserPool"]["Domain"] == name
    idp.update_user_pool_domain(Domain=name, UserPoolId=pool.id, ManagedLoginVersion=2)
    assert idp.describe_user_pool_domain(Domain=name)["DomainDescription"]["ManagedLoginVersion"] == 2
    idp.delete_user_pool_domain(Domain=name, UserPoolId=pool.id)
    assert idp.describe_user_pool_domain(Domain=name)["DomainDescription"] == {}
    assert "Domain" not in idp.describe_user_pool(UserPoolId=pool.id)["UserPool"]


def test_a_domain_is_taken_once(idp, make_pool):
    name, pool = unique("signin"), make_pool()
    idp.create_user_pool_domain(Domain=name, UserPoolId=pool.id)
    with refused("InvalidParameterException"):
        idp.create_user_pool_domain(Domain=name, UserPoolId=make_pool().id)
    idp.delete_user_pool_domain(Domain=name, UserPoolId=pool.id)


def test_a_domain_that_was_never_made_is_empty(idp):
    assert idp.describe_user_pool_domain(Domain=unique("nowhere"))["DomainDescription"] == {}


# --- second factors, tags ---


def test_second_factors_are_off_and_can_be_set_so(idp, pool):
    assert idp.get_user_pool_mfa_config(UserPoolId=pool.id)["MfaConfiguration"] == "OFF"
    assert idp.set_user_pool_mfa_config(UserPoolId=pool.id, MfaConfiguration="OFF")["MfaConfiguration"] == "OFF"


def test_second_factor_settings_are_read_back(idp, make_pool):
    pool = make_pool()
    settings = {"MfaConfiguration": "OPTIONAL", "SoftwareTokenMfaConfiguration": {"Enabled": True}}
    contains(idp.set_user_pool_mfa_config(UserPoolId=pool.id, **settings), settings)
    contains(idp.get_user_pool_mfa_config(UserPoolId=pool.id), settings)
    assert idp.describe_user_pool(UserPoolId=pool.id)["UserPool"]["MfaConfiguration"] == "OPTIONAL"


def test_tags_are_set_listed_and_removed(idp, make_pool):
    pool = make_pool(UserPoolTags={"team": "identity"})
    arn = idp.describe_user_pool(UserPoolId=pool.id)["UserPool"]["Arn"]
    idp.tag_resource(ResourceArn=arn, Tags={"cost": "7", "team": "platform"})
    assert idp.list_tags_for_resource(ResourceArn=arn)["Tags"] == {"cost": "7", "team": "platform"}
    idp.untag_resource(ResourceArn=arn, TagKeys=["cost"])
    assert idp.list_tags_for_resource(ResourceArn=arn)["Tags"] == {"team": "platform"}
    assert idp.describe_user_pool(UserPoolId=pool.id)["UserPool"]["UserPoolTags"] == {"team": "platform"}


def test_tags_of_nothing_are_refused(idp):
    with refused("ResourceNotFoundException"):
        idp.list_tags_for_resource(
            ResourceArn="arn:aws:cognito-idp:us-east-1:123456789012:userpool/us-east-1_Nowhere00"
        )


def test_the_number_of_users_is_counted(idp, make_pool):
    pool = make_pool()
    pool.user()
    pool.user()
    assert idp.describe_user_pool(UserPoolId=pool.id)["UserPool"]["EstimatedNumberOfUsers"] == 2


def test_a_schema_of_ones_own_is_read_back_and_kept(idp, make_pool):
    schema = [
        {"Name": "email", "AttributeDataType": "String", "Required": True, "Mutable": True},
        {
            "Name": "age",
            "AttributeDataType": "Number",
            "Mutable": True,
            "NumberAttributeConstraints": {"MinValue": "18", "MaxValue": "120"},
        },
        {"Name": "since", "AttributeDataType": "DateTime", "Mutable": False},
        {"Name": "note", "AttributeDataType": "String", "DeveloperOnlyAttribute": True, "Mutable": True},
    ]
    pool = make_pool(Schema=schema)
    read = {a["Name"]: a for a in idp.describe_user_pool(UserPoolId=pool.id)["UserPool"]["SchemaAttributes"]}
    assert read["email"]["Required"] is True
    assert read["custom:age"]["NumberAttributeConstraints"] == {"MinValue": "18", "MaxValue": "120"}
    assert (read["custom:since"]["AttributeDataType"], read["custom:since"]["Mutable"]) == ("DateTime", False)
    assert read["dev:custom:note"]["DeveloperOnlyAttribute"] is True
    user = pool.user(email="ann@example.com", **{"custom:age": "18"})
    assert by_name(user.describe()["UserAttributes"])["custom:age"] == "18"
    with refused("InvalidParameterException"):
        idp.admin_update_user_attributes(**user.named(), UserAttributes=pairs({"custom:age": "17"}))
