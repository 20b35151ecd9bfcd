"""The AWS CLI, unchanged but for --endpoint-url, as a newcomer types it."""

import json
import os
import pathlib
import subprocess
import sys

import pytest

from support import PASSWORD, unique

AWS = pathlib.Path(sys.executable).with_name("aws")


@pytest.fixture(scope="module")
def aws(server):
    def run(*arguments: str, signed: bool = True) -> subprocess.CompletedProcess:
        command = [AWS, "cognito-idp", *arguments, "--endpoint-url", server.endpoint, "--output", "json"]
        if not signed:
            command.append("--no-sign-request")
        return subprocess.run(command, capture_output=True, text=True, timeout=120, env=os.environ)

    return run


def answered(result: subprocess.CompletedProcess) -> dict:
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout) if result.stdout else {}


def test_a_pool_a_user_a_sign_in_and_a_sign_out(aws):
    pool = answered(aws("create-user-pool", "--pool-name", unique("cli")))["UserPool"]["Id"]
    client = answered(
        aws(
            "create-user-pool-client",
            "--user-pool-id", pool,
            "--client-name", "cli",
            "--explicit-auth-flows", "ALLOW_USER_PASSWORD_AUTH", "ALLOW_REFRESH_TOKEN_AUTH",
        )
    )["UserPoolClient"]["ClientId"]  # fmt: skip
    answered(
        aws(
            "admin-create-user",
            "--user-pool-id", pool,
            "--username", "ann",
            "--message-action", "SUPPRESS",
            "--user-attributes", "Name=email,Value=ann@example.com", "Name=email_verified,Value=true",
        )
    )  # fmt: skip
    answered(
        aws("admin-set-user-password", "--user-pool-id", pool, "--username", "ann", "--password", PASSWORD, "--permanent")
    )

    tokens = answered(
        aws(
            "initiate-auth",
            "--client-id", client,
            "--auth-flow", "USER_PASSWORD_AUTH",
            "--auth-parameters", f"USERNAME=ann,PASSWORD={PASSWORD}",
            signed=False,
        )
    )["AuthenticationResult"]  # fmt: skip
    user = answered(aws("get-user", "--access-token", tokens["AccessToken"], signed=False))
    assert user["Username"] == "ann"

    assert answered(aws("global-sign-out", "--access-token", tokens["AccessToken"], signed=False)) == {}
    refused = aws("get-user", "--access-token", tokens["AccessToken"], signed=False)
    assert refused.returncode != 0
    assert (
        "An error occurred (NotAuthorizedException) when calling the GetUser operation: Access Token has been revoked"
        in refused.stderr
    )
    refused = aws(
        "initiate-auth",
        "--client-id", client,
        "--auth-flow", "REFRESH_TOKEN_AUTH",
        "--auth-parameters", f"REFRESH_TOKEN={tokens['RefreshToken']}",
        signed=False,
    )  # fmt: skip
    assert refused.returncode != 0
    assert "NotAuthorizedException" in refused.stderr and "Refresh Token has been revoked" in refused.stderr

    answered(aws("delete-user-pool", "--user-pool-id", pool))


def test_a_list_is_paged_by_the_cli(aws, make_pool):
    pool = make_pool()
    names = sorted(pool.user(f"user{number}").username for number in range(5))
    listed = answered(aws("list-users", "--user-pool-id", pool.id, "--page-size", "2"))["Users"]
    assert sorted(user["Username"] for user in listed) == names


def test_a_query_and_a_wrong_pool(aws):
    result = aws("describe-user-pool", "--user-pool-id", "us-east-1_Nowhere00", "--query", "UserPool.Id")
    assert result.returncode != 0
    assert "(ResourceNotFoundException)" in result.stderr
    assert "User pool us-east-1_Nowhere00 does not exist." in result.stderr
