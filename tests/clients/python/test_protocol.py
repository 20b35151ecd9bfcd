"""The wire itself, without any AWS library: headers, errors, limits, and what a web page may do."""

import json
import re

import pytest

from support import PASSWORD, Pool, unique

UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
JSON = "application/x-amz-json-1.1"
AMPLIFY_ASKS_FOR = "amz-sdk-invocation-id,amz-sdk-request,cache-control,content-type,x-amz-target,x-amz-user-agent"
EXPOSED = {"x-amzn-requestid", "x-amzn-errortype", "x-amzn-errormessage"}


def listed(header: str | None) -> set[str]:
    return {item.strip().lower() for item in (header or "").split(",")}


def test_an_answer_has_the_headers_of_the_protocol(server):
    response, body = server.call("ListUserPools", {"MaxResults": 1})
    assert response.status == 200
    assert response.headers["Content-Type"] == JSON
    assert UUID.fullmatch(response.headers["x-amzn-RequestId"])
    assert "UserPools" in body


def test_every_request_has_its_own_id(server):
    ids = {server.call("ListUserPools", {"MaxResults": 1})[0].headers["x-amzn-RequestId"] for _ in range(3)}
    assert len(ids) == 3


def test_an_error_has_the_form_of_the_protocol(server):
    response, body = server.request(
        "POST",
        "/",
        json.dumps({"ClientId": "0" * 26, "AuthFlow": "USER_PASSWORD_AUTH", "AuthParameters": {"USERNAME": "a"}}),
        {"Content-Type": JSON, "X-Amz-Target": "AWSCognitoIdentityProviderService.InitiateAuth"},
    )
    message = f"User pool client {'0' * 26} does not exist."
    assert response.status == 400
    assert response.headers["Content-Type"] == JSON
    assert response.headers["x-amzn-ErrorType"] == "ResourceNotFoundException:"
    assert response.headers["x-amzn-ErrorMessage"] == message
    assert UUID.fullmatch(response.headers["x-amzn-RequestId"])
    assert body == f'{{"__type":"ResourceNotFoundException","message":"{message}"}}'.encode()


def test_dates_are_numbers_of_seconds(server, pool, ann):
    for operation, request, path in (
        ("DescribeUserPool", {"UserPoolId": pool.id}, ("UserPool", "CreationDate")),
        ("AdminGetUser", ann.named(), ("UserCreateDate",)),
    ):
        _, value = server.call(operation, request)
        for member in path:
            value = value[member]
        assert isinstance(value, int | float) and 1.5e9 < value < 1e10


def test_operations_without_an_answer_answer_an_empty_object_or_nothing(server, app, ann):
    token = app.sign_in(ann)["AccessToken"]
    response, body = server.call("GlobalSignOut", {"AccessToken": token})
    assert (response.status, body) == (200, {})


# --- what is refused ---


@pytest.mark.parametrize("operation", ["Nonsense", "", "AdminDeleteSoftwareTokens", "InitiateAuth.InitiateAuth"])
def test_an_unknown_operation_is_refused(server, operation):
    response, body = server.call(operation, {})
    assert response.status == 400
    assert body["__type"] == "UnknownOperationException"


@pytest.mark.parametrize("target", [None, "", "InitiateAuth", "OtherService.InitiateAuth"])
def test_an_unknown_target_is_refused(server, target):
    headers = {"Content-Type": JSON, **({} if target is None else {"X-Amz-Target": target})}
    response, body = server.request("POST", "/", "{}", headers)
    assert response.status == 400
    assert json.loads(body)["__type"] == "UnknownOperationException"


@pytest.mark.parametrize("operation", ["GetDerivedToken", "CreateUserPoolReplica"])
def test_an_operation_that_is_not_built_is_named(server, operation):
    """Remove a name from this list when its operation is built."""
    response, body = server.call(operation, {})
    assert response.status == 400
    assert body["__type"] == "UnknownOperationException"
    assert operation in body["message"]


@pytest.mark.parametrize("body", ["{", "[]", "null", '"text"', '{"ClientId":}', "\xff", "{}{}", '{"a":1,}'])
def test_a_body_that_is_no_object_is_refused(server, body):
    response, answer = server.call("InitiateAuth", body.encode("latin-1"))
    assert response.status == 400
    assert answer["__type"] == "SerializationException"


@pytest.mark.parametrize(
    "request_",
    [
        {"ClientId": 7, "AuthFlow": "USER_PASSWORD_AUTH"},
        {"ClientId": {"a": 1}, "AuthFlow": "USER_PASSWORD_AUTH"},
        {"ClientId": "0" * 26, "AuthFlow": "USER_PASSWORD_AUTH", "AuthParameters": "text"},
        {"ClientId": "0" * 26, "AuthFlow": ["USER_PASSWORD_AUTH"]},
    ],
)
def test_a_member_of_the_wrong_type_is_refused(server, request_):
    response, answer = server.call("InitiateAuth", request_)
    assert response.status == 400
    assert answer["__type"] == "SerializationException"


def test_deep_nesting_is_refused(server):
    for depth in (200, 100_000):
        response, answer = server.call("InitiateAuth", '{"a":' * depth + "1" + "}" * depth)
        assert response.status == 400
        assert answer["__type"] == "SerializationException"


def test_a_member_that_the_model_does_not_know_is_ignored(server, app, ann):
    response, body = server.call(
        "InitiateAuth",
        {
            "ClientId": app.id,
            "AuthFlow": "USER_PASSWORD_AUTH",
            "AuthParameters": {"USERNAME": ann.username, "PASSWORD": ann.password},
            "Tomorrow": {"new": True},
        },
    )
    assert response.status == 200 and body["AuthenticationResult"]


def test_a_body_of_more_than_a_mebibyte_is_refused(server):
    padding = "x" * (1024 * 1024)
    response, _ = server.call("InitiateAuth", {"ClientId": padding})
    assert response.status in (400, 413)
    assert server.call("ListUserPools", {"MaxResults": 1})[0].status == 200


def test_other_methods_are_refused(server):
    for method in ("PUT", "DELETE", "PATCH"):
        response, _ = server.request(method, "/", "{}", {"Content-Type": JSON})
        assert response.status == 405


# --- validation ---


@pytest.mark.parametrize(
    ("operation", "request_", "message"),
    [
        (
            "InitiateAuth",
            {"AuthFlow": "USER_PASSWORD_AUTH"},
            "1 validation error detected: Value at 'clientId' failed to satisfy constraint: Member must not be null",
        ),
        (
            "InitiateAuth",
            {},
            "2 validation errors detected: Value null at 'authFlow' failed to satisfy constraint: Member must not be null; "
            "Value at 'clientId' failed to satisfy constraint: Member must not be null",
        ),
        (
            "SignUp",
            {"ClientId": "0" * 26, "Username": "a" * 129, "Password": PASSWORD},
            "1 validation error detected: Value at 'username' failed to satisfy constraint: "
            "Member must have length less than or equal to 128",
        ),
        (
            "SignUp",
            {"ClientId": "0" * 26, "Username": "a b", "Password": PASSWORD},
            "1 validation error detected: Value at 'username' failed to satisfy constraint: "
            r"Member must satisfy regular expression pattern: [\p{L}\p{M}\p{S}\p{N}\p{P}]+",
        ),
        (
            "DescribeUserPool",
            {"UserPoolId": "nowhere"},
            "1 validation error detected: Value 'nowhere' at 'userPoolId' failed to satisfy constraint: "
            r"Member must satisfy regular expression pattern: [\w-]+_[0-9a-zA-Z]+",
        ),
        (
            "ListUserPools",
            {"MaxResults": 0},
            "1 validation error detected: Value '0' at 'maxResults' failed to satisfy constraint: "
            "Member must have value greater than or equal to 1",
        ),
        (
            "ListUserPools",
            {"MaxResults": 61},
            "1 validation error detected: Value '61' at 'maxResults' failed to satisfy constraint: "
            "Member must have value less than or equal to 60",
        ),
        (
            "CreateUserPoolClient",
            {"UserPoolId": "us-east-1_Nowhere00", "ClientName": "a", "AuthSessionValidity": 2},
            "1 validation error detected: Value '2' at 'authSessionValidity' failed to satisfy constraint: "
            "Member must have value greater than or equal to 3",
        ),
    ],
)
def test_a_faulty_request_is_told_every_fault(server, operation, request_, message):
    response, body = server.call(operation, request_)
    assert response.status == 400
    assert body["__type"] == "InvalidParameterException"
    assert sorted(re.split(r"; |: (?=Value)", body["message"])) == sorted(re.split(r"; |: (?=Value)", message))


def test_an_enumeration_lists_its_values(server, pool):
    _, body = server.call("SetUserPoolMfaConfig", {"UserPoolId": pool.id, "MfaConfiguration": "MAYBE"})
    start = (
        "1 validation error detected: Value 'MAYBE' at 'mfaConfiguration' failed to satisfy constraint: "
        "Member must satisfy enum value set: ["
    )
    assert body["message"].startswith(start)
    assert set(body["message"].removeprefix(start).removesuffix("]").split(", ")) == {"OFF", "ON", "OPTIONAL"}


def test_a_secret_is_never_quoted(server):
    _, body = server.call("SignUp", {"ClientId": "0" * 26, "Username": "ann", "Password": "se cret "})
    assert body["__type"] == "InvalidParameterException"
    assert "se cret " not in body["message"]
    assert "Value at 'password' failed to satisfy constraint" in body["message"]


# --- web pages ---


def test_a_web_page_may_call_the_operations_of_users(server, app, ann):
    """The preflight that Amplify makes, and the call after it."""
    response, _ = server.request(
        "OPTIONS",
        "/",
        headers={
            "Origin": "https://app.example.com",
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": AMPLIFY_ASKS_FOR,
        },
    )
    assert response.status in (200, 204)
    assert response.headers["Access-Control-Allow-Origin"] == "*"
    assert "post" in listed(response.headers["Access-Control-Allow-Methods"])
    assert listed(AMPLIFY_ASKS_FOR) <= listed(response.headers["Access-Control-Allow-Headers"])
    request = {
        "ClientId": app.id,
        "AuthFlow": "USER_PASSWORD_AUTH",
        "AuthParameters": {"USERNAME": ann.username, "PASSWORD": ann.password},
    }
    response, body = server.call("InitiateAuth", request, Origin="https://app.example.com")
    assert response.status == 200 and body["AuthenticationResult"]
    assert response.headers["Access-Control-Allow-Origin"] == "*"
    assert EXPOSED <= listed(response.headers["Access-Control-Expose-Headers"])


def test_a_web_page_reads_the_error_too(server):
    response, body = server.call("InitiateAuth", {}, Origin="https://app.example.com")
    assert body["__type"] == "InvalidParameterException"
    assert response.headers["Access-Control-Allow-Origin"] == "*"


def test_a_web_page_may_not_administrate(server, pool):
    """Any page can reach a developer's loopback."""
    victim = pool.user()
    response, _ = server.call("AdminDeleteUser", victim.named(), Origin="https://evil.example.com")
    assert response.status in (400, 403)
    assert "Access-Control-Allow-Origin" not in response.headers
    assert victim.describe()["Enabled"]


def test_a_web_page_may_not_read_the_outbox(server):
    headers = {"Accept": "application/json", "Origin": "https://evil.example.com"}
    response, _ = server.request("GET", "/dev/outbox?to=a@example.com", headers=headers)
    assert response.status == 403
    assert "Access-Control-Allow-Origin" not in response.headers


@pytest.mark.parametrize("host", ["evil.example.com", "evil.example.com:80", "localhost.evil.example.com"])
def test_a_name_that_points_here_from_elsewhere_is_refused(server, host):
    """DNS rebinding: the page's own name, resolved to loopback."""
    headers = {"Host": host, "Content-Type": JSON, "X-Amz-Target": "AWSCognitoIdentityProviderService.ListUserPools"}
    response, body = server.request("POST", "/", '{"MaxResults": 1}', headers)
    assert response.status >= 400
    assert b"UserPools" not in body


# --- the rest of the server ---


def test_the_server_says_that_it_is_healthy(server):
    for path in ("/healthz", "/readyz"):
        assert server.request("GET", path)[0].status == 200


def test_the_ready_file_is_complete(server):
    assert set(server.values) >= {
        "endpoint", "tls_endpoint", "ca_file", "region", "user_pool_id", "issuer", "domain_url", "client_id",
        "confidential_client_id", "confidential_client_secret", "username", "password",
    }  # fmt: skip
    assert server.issuer == f"{server.endpoint}/{server.user_pool_id}"
    assert server.domain_url.startswith(f"{server.tls_endpoint}/")
    assert server.user_pool_id.startswith(f"{server.region}_")
    assert not any(server.values[name].endswith("/") for name in ("endpoint", "tls_endpoint", "issuer", "domain_url"))


def test_a_signature_is_taken_from_anybody_in_dev(server):
    authorization = (
        "AWS4-HMAC-SHA256 Credential=AKID/20260101/us-east-1/cognito-idp/aws4_request, "
        "SignedHeaders=host;x-amz-date, Signature=" + "0" * 64
    )
    headers = {"Authorization": authorization, "X-Amz-Date": "20260101T000000Z"}
    assert server.call("ListUserPools", {"MaxResults": 1}, **headers)[0].status == 200


def test_a_pool_survives_strange_names(idp):
    pool = Pool(idp, PoolName=unique("a b+=,.@-"))
    try:
        for name in ("ann';DROP_TABLE_users;--", "猫", "%5f", "a" * 128, "ann\\"):
            user = pool.user(name)
            assert user.describe()["Username"] == name
            assert [u["Username"] for u in idp.list_users(UserPoolId=pool.id)["Users"]].count(name) == 1
    finally:
        pool.delete()
