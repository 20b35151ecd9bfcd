"""Pools, app clients and users as the tests speak of them, on top of plain boto3."""

import base64
import contextlib
import hashlib
import hmac
import http.client
import itertools
import json
import os
import ssl
import urllib.parse

import jwt
import pytest
from botocore.exceptions import ClientError

PASSWORD = "Correct-horse-7"
OTHER_PASSWORD = "Battery-staple-8"
TARGET = "AWSCognitoIdentityProviderService"
EVERY_FLOW = [
    "ALLOW_USER_SRP_AUTH",
    "ALLOW_USER_PASSWORD_AUTH",
    "ALLOW_ADMIN_USER_PASSWORD_AUTH",
    "ALLOW_REFRESH_TOKEN_AUTH",
]

_numbers = itertools.count(1)


def unique(word: str) -> str:
    """A name that no other test uses, also not one on another run against the same server."""
    return f"{word}-{os.getpid()}-{next(_numbers)}"


class Ready:
    """The ready file."""

    def __init__(self, values: dict):
        self.values = values

    def __getattr__(self, name: str) -> str:
        return self.values[name]

    def request(self, method: str, path: str, body: bytes | str | None = None, headers: dict | None = None):
        """One request without any AWS library; answers (response, body)."""
        url = urllib.parse.urlsplit(self.endpoint)
        connection = http.client.HTTPConnection(url.hostname, url.port, timeout=30)
        with contextlib.closing(connection):
            connection.request(method, path, body, headers or {})
            response = connection.getresponse()
            return response, response.read()

    def call(self, operation: str, body: dict | bytes | str, **headers: str):
        """`POST /` as an SDK sends it; answers (response, parsed body)."""
        raw = json.dumps(body) if isinstance(body, dict) else body
        headers = {"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": f"{TARGET}.{operation}", **headers}
        response, answer = self.request("POST", "/", raw, headers)
        return response, json.loads(answer) if answer else None

    def outbox(self, to: str) -> list[dict]:
        """What the server would have sent to this address, newest first."""
        path = "/dev/outbox?" + urllib.parse.urlencode({"to": to})
        response, body = self.request("GET", path, headers={"Accept": "application/json"})
        assert response.status == 200, body
        return json.loads(body)["messages"]

    def code_for(self, to: str) -> str:
        messages = self.outbox(to)
        assert messages, f"nothing was sent to {to}"
        return messages[0]["code"]

    def trust(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=self.ca_file)


class Pool:
    def __init__(self, idp, **settings):
        self.idp = idp
        self.id = idp.create_user_pool(**{"PoolName": unique("pool"), **settings})["UserPool"]["Id"]

    def app(self, **settings) -> "App":
        return App(self, **settings)

    def user(self, username: str | None = None, password: str = PASSWORD, **attributes: str) -> "User":
        """A confirmed user; attributes with a colon or a dot can be given as `**{"custom:x": ".."}`."""
        username = username or unique("ann")
        self.idp.admin_create_user(
            UserPoolId=self.id, Username=username, MessageAction="SUPPRESS", UserAttributes=pairs(attributes)
        )
        self.idp.admin_set_user_password(UserPoolId=self.id, Username=username, Password=password, Permanent=True)
        return User(self, username, password)

    def new_employee(self, **attributes: str) -> "User":
        """A user who must choose a password at the first sign-in."""
        username = unique("employee")
        self.idp.admin_create_user(
            UserPoolId=self.id,
            Username=username,
            TemporaryPassword=PASSWORD,
            MessageAction="SUPPRESS",
            UserAttributes=pairs(attributes),
        )
        return User(self, username, PASSWORD)

    def track_sessions(self, most: int = 20):
        self.idp.set_user_pool_session_configuration(
            UserPoolId=self.id, UserSessionTracking="ENABLED", TokenSession={"MaxPerUser": most}
        )

    def delete(self):
        with contextlib.suppress(self.idp.exceptions.ResourceNotFoundException):
            self.idp.delete_user_pool(UserPoolId=self.id)


class App:
    """An app client and what a program that uses it does."""

    def __init__(self, pool: Pool, **settings):
        settings = {"ClientName": unique("app"), "ExplicitAuthFlows": EVERY_FLOW, **settings}
        client = pool.idp.create_user_pool_client(UserPoolId=pool.id, **settings)["UserPoolClient"]
        self.pool, self.idp, self.id, self.secret = pool, pool.idp, client["ClientId"], client.get("ClientSecret")

    def secret_hash(self, username: str, secret: str | None = None) -> str:
        key = (secret or self.secret).encode()
        return base64.b64encode(hmac.digest(key, (username + self.id).encode(), hashlib.sha256)).decode()

    def _parameters(self, username: str, **parameters: str) -> dict:
        return {**parameters, "SECRET_HASH": self.secret_hash(username)} if self.secret else parameters

    def start(self, username: str, password: str) -> dict:
        """USER_PASSWORD_AUTH: the whole answer, tokens or challenge."""
        parameters = self._parameters(username, USERNAME=username, PASSWORD=password)
        return self.idp.initiate_auth(ClientId=self.id, AuthFlow="USER_PASSWORD_AUTH", AuthParameters=parameters)

    def sign_in(self, user: "User") -> dict:
        """The tokens of a sign-in that asks nothing more."""
        answer = self.start(user.username, user.password)
        assert "AuthenticationResult" in answer, answer
        return answer["AuthenticationResult"]

    def refresh(self, tokens: dict, username: str | None = None, flow: str = "REFRESH_TOKEN_AUTH") -> dict:
        parameters = self._parameters(username or "", REFRESH_TOKEN=tokens["RefreshToken"])
        answer = self.idp.initiate_auth(ClientId=self.id, AuthFlow=flow, AuthParameters=parameters)
        return answer["AuthenticationResult"]

    def exchange(self, refresh_token: str) -> dict:
        """GetTokensFromRefreshToken."""
        secret = {"ClientSecret": self.secret} if self.secret else {}
        answer = self.idp.get_tokens_from_refresh_token(ClientId=self.id, RefreshToken=refresh_token, **secret)
        return answer["AuthenticationResult"]

    def revoke(self, tokens: dict, **more):
        secret = {"ClientSecret": self.secret} if self.secret else {}
        return self.idp.revoke_token(ClientId=self.id, Token=tokens["RefreshToken"], **secret, **more)


class User:
    def __init__(self, pool: Pool, username: str, password: str):
        self.pool, self.username, self.password = pool, username, password

    def named(self) -> dict:
        """The two members that every Admin operation asks for."""
        return {"UserPoolId": self.pool.id, "Username": self.username}

    def describe(self) -> dict:
        return self.pool.idp.admin_get_user(**self.named())

    def attributes(self) -> dict:
        return by_name(self.describe()["UserAttributes"])


def pairs(attributes: dict) -> list[dict]:
    return [{"Name": name, "Value": value} for name, value in attributes.items()]


def by_name(attributes: list[dict]) -> dict:
    return {attribute["Name"]: attribute["Value"] for attribute in attributes}


def claims(token: str) -> dict:
    """What a token says, unverified; `test_tokens.py` verifies."""
    return jwt.decode(token, options={"verify_signature": False})


@contextlib.contextmanager
def refused(code: str | tuple[str, ...], message: str | None = None):
    """The block must be answered with this error, as status 400: the model gives no error of a caller another one."""
    codes = (code,) if isinstance(code, str) else code
    with pytest.raises(ClientError) as caught:
        yield caught
    error = caught.value.response["Error"]
    assert error["Code"] in codes, error
    assert message is None or error["Message"] == message, error
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400


def is_signed_out(idp, app: App, tokens: dict):
    """Both tokens are refused, in Cognito's words."""
    with refused("NotAuthorizedException", "Access Token has been revoked"):
        idp.get_user(AccessToken=tokens["AccessToken"])
    with refused("NotAuthorizedException", "Refresh Token has been revoked"):
        app.refresh(tokens)


def is_signed_in(idp, app: App, tokens: dict):
    idp.get_user(AccessToken=tokens["AccessToken"])
    assert app.refresh(tokens)["AccessToken"]
