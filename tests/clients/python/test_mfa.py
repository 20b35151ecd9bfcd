"""Second factors through boto3: an authenticator app that knows nothing but RFC 6238, text messages, mail, and the pool's modes."""

import base64
import hmac
import json
import struct
import time

import pytest

from support import EVERY_FLOW, OTHER_PASSWORD, PASSWORD, refused, unique

TOKEN = {"SoftwareTokenMfaConfiguration": {"Enabled": True}}
EMAIL = {"EmailMfaConfiguration": {"Message": "Your code is {####}", "Subject": "Code"}}
SMS = {"SmsMfaConfiguration": {"SmsConfiguration": {"SnsCallerArn": "arn:aws:iam::123456789012:role/sms"}}}


def totp(secret: str, step: int) -> str:
    """RFC 6238 with SHA-1, six digits and steps of 30 seconds."""
    key = base64.b32decode(secret + "=" * (-len(secret) % 8))
    digest = hmac.digest(key, struct.pack(">Q", step), "sha1")
    at = digest[-1] & 15
    return f"{(struct.unpack('>I', digest[at:at + 4])[0] & 0x7FFFFFFF) % 1_000_000:06d}"


class Phone:
    """An app that never shows a code twice: the next step's is taken as well, so that no test waits."""

    def __init__(self, secret: str):
        self.secret, self.last = secret, int(time.time()) // 30 - 2

    def code(self) -> str:
        now = int(time.time()) // 30
        self.last = max(self.last + 1, now - 1)
        if self.last > now + 1:
            time.sleep((self.last - 1) * 30 - time.time())
        return totp(self.secret, self.last)

    def wrong(self) -> str:
        now = int(time.time()) // 30
        near = {totp(self.secret, now + by) for by in range(-3, 4)}
        return next(code for code in (f"{n:06d}" for n in range(10)) if code not in near)


@pytest.fixture
def optional(make_pool):
    pool = make_pool()
    pool.idp.set_user_pool_mfa_config(UserPoolId=pool.id, MfaConfiguration="OPTIONAL", **TOKEN, **EMAIL, **SMS)
    return pool


def answer(app, challenge, username, **responses):
    return app.idp.respond_to_auth_challenge(
        ClientId=app.id,
        ChallengeName=challenge["ChallengeName"],
        Session=challenge["Session"],
        ChallengeResponses=app._parameters(username, USERNAME=username, **responses),
    )


def enrol(idp, tokens) -> Phone:
    """Sets up an app with an access token and prefers it."""
    secret = idp.associate_software_token(AccessToken=tokens["AccessToken"])["SecretCode"]
    phone = Phone(secret)
    verified = idp.verify_software_token(
        AccessToken=tokens["AccessToken"], UserCode=phone.code(), FriendlyDeviceName="phone"
    )
    assert verified["Status"] == "SUCCESS"
    idp.set_user_mfa_preference(
        AccessToken=tokens["AccessToken"], SoftwareTokenMfaSettings={"Enabled": True, "PreferredMfa": True}
    )
    return phone


def test_an_app_is_set_up_asked_for_and_taken_away(optional):
    app, ann, idp = optional.app(), optional.user(), optional.idp
    phone = enrol(idp, app.sign_in(ann))
    user = ann.describe()
    assert (user["UserMFASettingList"], user["PreferredMfaSetting"]) == (["SOFTWARE_TOKEN_MFA"], "SOFTWARE_TOKEN_MFA")

    challenge = app.start(ann.username, ann.password)
    assert challenge["ChallengeName"] == "SOFTWARE_TOKEN_MFA"
    assert challenge["ChallengeParameters"] == {"USER_ID_FOR_SRP": ann.username, "FRIENDLY_DEVICE_NAME": "phone"}
    with refused("CodeMismatchException", "Invalid code received for user"):
        answer(app, challenge, ann.username, SOFTWARE_TOKEN_MFA_CODE=phone.wrong())
    code = phone.code()
    tokens = answer(app, challenge, ann.username, SOFTWARE_TOKEN_MFA_CODE=code)["AuthenticationResult"]
    again = app.start(ann.username, ann.password)
    with refused("ExpiredCodeException", "Your software token has already been used once."):
        answer(app, again, ann.username, SOFTWARE_TOKEN_MFA_CODE=code)
    assert app.refresh(tokens)["AccessToken"], "refreshing never asks"

    idp.admin_delete_software_token(**ann.named())
    app.sign_in(ann)


def test_a_required_factor_is_set_up_on_the_way_in(make_pool):
    pool = make_pool()
    pool.idp.set_user_pool_mfa_config(UserPoolId=pool.id, MfaConfiguration="ON", **TOKEN)
    app, employee, idp = pool.app(GenerateSecret=True), pool.new_employee(), pool.idp
    challenge = app.start(employee.username, PASSWORD)
    assert challenge["ChallengeName"] == "NEW_PASSWORD_REQUIRED"
    challenge = answer(app, challenge, employee.username, NEW_PASSWORD=OTHER_PASSWORD)
    assert challenge["ChallengeName"] == "MFA_SETUP"
    assert json.loads(challenge["ChallengeParameters"]["MFAS_CAN_SETUP"]) == ["SOFTWARE_TOKEN_MFA"]

    associated = idp.associate_software_token(Session=challenge["Session"])
    phone = Phone(associated["SecretCode"])
    with refused("EnableSoftwareTokenMFAException", "Code mismatch"):
        idp.verify_software_token(Session=associated["Session"], UserCode=phone.wrong())
    verified = idp.verify_software_token(Session=associated["Session"], UserCode=phone.code())
    challenge["Session"] = verified["Session"]
    assert "AccessToken" in answer(app, challenge, employee.username)["AuthenticationResult"]

    challenge = app.start(employee.username, OTHER_PASSWORD)
    done = answer(app, challenge, employee.username, SOFTWARE_TOKEN_MFA_CODE=phone.code())
    assert "AccessToken" in done["AuthenticationResult"]


def test_a_user_with_several_factors_chooses(optional, server):
    address = f"{unique('choice')}@example.com"
    app, idp = optional.app(), optional.idp
    ann = optional.user(email=address, email_verified="true", phone_number="+12065550123")
    on = {"Enabled": True, "PreferredMfa": False}
    idp.admin_set_user_mfa_preference(**ann.named(), SMSMfaSettings=on, EmailMfaSettings=on)
    choice = app.start(ann.username, ann.password)
    assert choice["ChallengeName"] == "SELECT_MFA_TYPE"
    assert json.loads(choice["ChallengeParameters"]["MFAS_CAN_CHOOSE"]) == ["SMS_MFA", "EMAIL_OTP"]
    challenge = answer(app, choice, ann.username, ANSWER="EMAIL_OTP")
    assert challenge["ChallengeName"] == "EMAIL_OTP"
    assert challenge["ChallengeParameters"]["CODE_DELIVERY_DELIVERY_MEDIUM"] == "EMAIL"
    done = answer(app, challenge, ann.username, EMAIL_OTP_CODE=server.code_for(address))
    assert "AccessToken" in done["AuthenticationResult"]
    with refused("NotAuthorizedException", "Invalid session for the user, session can only be used once."):
        answer(app, choice, ann.username, ANSWER="SMS_MFA")


def test_administrators_flows_ask_too(optional):
    app, ann, idp = optional.app(ExplicitAuthFlows=EVERY_FLOW), optional.user(), optional.idp
    phone = enrol(idp, app.sign_in(ann))
    client = {"UserPoolId": optional.id, "ClientId": app.id}
    challenge = idp.admin_initiate_auth(
        **client,
        AuthFlow="ADMIN_USER_PASSWORD_AUTH",
        AuthParameters={"USERNAME": ann.username, "PASSWORD": ann.password},
    )
    done = idp.admin_respond_to_auth_challenge(
        **client,
        ChallengeName=challenge["ChallengeName"],
        Session=challenge["Session"],
        ChallengeResponses={"USERNAME": ann.username, "SOFTWARE_TOKEN_MFA_CODE": phone.code()},
    )
    assert "AccessToken" in done["AuthenticationResult"]


def test_a_factor_needs_what_it_is_made_of(optional):
    app, ann, idp = optional.app(), optional.user(), optional.idp
    token = app.sign_in(ann)["AccessToken"]
    on = {"Enabled": True}
    for settings, name in [
        ({"SoftwareTokenMfaSettings": on}, "SOFTWARE_TOKEN_MFA"),
        ({"SMSMfaSettings": on}, "SMS_MFA"),
        ({"EmailMfaSettings": on}, "EMAIL_OTP"),
    ]:
        with refused("InvalidParameterException", f"User does not have delivery config set to turn on {name}"):
            idp.set_user_mfa_preference(AccessToken=token, **settings)
    with refused("SoftwareTokenMFANotFoundException"):
        idp.verify_software_token(AccessToken=token, UserCode="123456")
    idp.set_user_pool_mfa_config(UserPoolId=optional.id, MfaConfiguration="OPTIONAL", **EMAIL)
    with refused("SoftwareTokenMFANotFoundException", "Software Token MFA has not been enabled by the userPool"):
        idp.associate_software_token(AccessToken=token)
