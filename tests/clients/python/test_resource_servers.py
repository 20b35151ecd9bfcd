"""Resource servers and client credentials, as infrastructure code and a program without a user come by them."""

import base64
import json
import urllib.parse

import pytest

from support import refused, unique


def scope(name: str) -> dict:
    return {"ScopeName": name, "ScopeDescription": f"may {name}"}


@pytest.fixture
def pool(make_pool):
    return make_pool()


def program(idp, pool, scopes, **settings) -> dict:
    settings = {
        "AllowedOAuthFlows": ["client_credentials"],
        "AllowedOAuthFlowsUserPoolClient": True,
        **settings,
    }
    return idp.create_user_pool_client(
        UserPoolId=pool.id, ClientName=unique("program"), GenerateSecret=True, AllowedOAuthScopes=scopes, **settings
    )["UserPoolClient"]


def claims(token: str) -> dict:
    payload = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))


def test_a_resource_server_is_read_back_changed_listed_and_deleted(idp, pool):
    named = {"UserPoolId": pool.id, "Identifier": "https://photos.example.com"}
    made = idp.create_resource_server(**named, Name="Photos", Scopes=[scope("read"), scope("write")])
    expected = {**named, "Name": "Photos", "Scopes": [scope("read"), scope("write")]}
    assert made["ResourceServer"] == expected
    assert idp.describe_resource_server(**named)["ResourceServer"] == expected
    with refused("InvalidParameterException"):
        idp.create_resource_server(**named, Name="Photos")
    idp.update_resource_server(**named, Name="Pictures", Scopes=[scope("read")])
    for number in range(3):
        idp.create_resource_server(UserPoolId=pool.id, Identifier=f"api-{number}", Name="An API")
    pages = idp.get_paginator("list_resource_servers").paginate(
        UserPoolId=pool.id, PaginationConfig={"PageSize": 2}
    )
    listed = [server["Identifier"] for page in pages for server in page["ResourceServers"]]
    assert listed == ["api-0", "api-1", "api-2", "https://photos.example.com"]
    idp.delete_resource_server(**named)
    with refused("ResourceNotFoundException"):
        idp.describe_resource_server(**named)


def test_a_client_names_only_scopes_that_exist(idp, pool):
    idp.create_resource_server(UserPoolId=pool.id, Identifier="api", Name="An API", Scopes=[scope("read")])
    assert program(idp, pool, ["api/read"])["AllowedOAuthScopes"] == ["api/read"]
    with refused("ScopeDoesNotExistException", "Invalid scope requested: api/write"):
        program(idp, pool, ["api/write"])


def test_client_credentials_give_a_token_at_both_doors(idp, server, pool):
    idp.create_resource_server(UserPoolId=pool.id, Identifier="api", Name="An API", Scopes=[scope("read")])
    client = program(idp, pool, ["api/read"])
    form = {
        "grant_type": "client_credentials",
        "client_id": client["ClientId"],
        "client_secret": client["ClientSecret"],
        "scope": "api/read",
    }
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    response, body = server.request("POST", f"/{pool.id}/oauth2/token", urllib.parse.urlencode(form), headers)
    assert response.status == 200, body
    told = claims(json.loads(body)["access_token"])
    assert (told["sub"], told["client_id"], told["scope"]) == (client["ClientId"], client["ClientId"], "api/read")

    client = program(
        idp,
        pool,
        ["api/read"],
        ExplicitAuthFlows=["ALLOW_CLIENT_TOKEN_AUTH"],
        AllowedOAuthFlows=[],
        AllowedOAuthFlowsUserPoolClient=False,
    )
    result = idp.get_client_token(ClientId=client["ClientId"], Secret=client["ClientSecret"])
    assert claims(result["ClientAuthenticationResult"]["AccessToken"])["scope"] == "api/read"
