"""Against a real server: the one that CENOTE_READY names, or a fresh `cenote dev` (CENOTE_BIN, or the debug build)."""

import asyncio
import json
import os
import pathlib
import re
import socket
import statistics
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request

import jwt
import pytest

from cenote_verifier import CenoteVerifier, RevokedError
from cenote_verifier.pyjwt import CenoteJWT

PASSWORD = "Correct-horse-7"
REPOSITORY = pathlib.Path(__file__).resolve().parents[4]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    if "CENOTE_READY" in os.environ:
        yield json.loads(pathlib.Path(os.environ["CENOTE_READY"]).read_text())
        return
    ready = tmp_path_factory.mktemp("cenote") / "ready.json"
    binary = os.environ.get("CENOTE_BIN", REPOSITORY / "target/debug/cenote")
    ports = ["--port", free_port(), "--tls-port", free_port()]
    process = subprocess.Popen(
        [binary, "dev", "--ephemeral", *ports, "--ready-file", ready],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        until(ready.exists, 30)
        yield json.loads(ready.read_text())
    finally:
        process.terminate()
        process.wait(15)


@pytest.fixture(scope="module")
def api(server):
    def api(operation, **members):
        target = f"AWSCognitoIdentityProviderService.{operation}"
        headers = {"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": target}
        request = urllib.request.Request(server["endpoint"], json.dumps(members).encode(), headers)
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.loads(answer.read() or b"{}")

    return api


@pytest.fixture(scope="module")
def pool(api):
    return api("CreateUserPool", PoolName=f"verifier-python-{os.getpid()}")["UserPool"]["Id"]


@pytest.fixture(scope="module")
def client(api, pool):
    flows = ["ALLOW_USER_PASSWORD_AUTH", "ALLOW_REFRESH_TOKEN_AUTH"]
    return api("CreateUserPoolClient", UserPoolId=pool, ClientName="app", ExplicitAuthFlows=flows)["UserPoolClient"][
        "ClientId"
    ]


@pytest.fixture(scope="module")
def machine_of(api):
    def machine_of(pool):
        return api(
            "CreateUserPoolClient",
            UserPoolId=pool,
            ClientName="machine",
            GenerateSecret=True,
            AllowedOAuthFlowsUserPoolClient=True,
            AllowedOAuthFlows=["client_credentials"],
            AllowedOAuthScopes=["revocations/read"],
        )["UserPoolClient"]

    return machine_of


@pytest.fixture(scope="module")
def machine(machine_of, pool):
    return machine_of(pool)


@pytest.fixture(scope="module")
def follow(machine, server, pool):
    verifiers = []

    def follow(**options):
        named = {"client_id": machine["ClientId"], "client_secret": machine["ClientSecret"], "consumer": "e2e-python"}
        named["ca_file"] = server["ca_file"]
        issuer = f"{server['endpoint']}/{options.pop('pool', pool)}"
        verifiers.append(CenoteVerifier(issuer, **{**named, **options}))
        return verifiers[-1]

    yield follow
    for verifier in verifiers:
        verifier.stop()


@pytest.fixture(scope="module")
def verifier(follow):
    problems = []
    verifier = follow(on_problem=problems.append)
    assert verifier.ready(), problems
    return verifier


@pytest.fixture
def sign_in_to(api):
    def sign_in_to(pool, client):
        name = f"ann-{os.getpid()}-{time.monotonic_ns()}"
        api("AdminCreateUser", UserPoolId=pool, Username=name, MessageAction="SUPPRESS")
        api("AdminSetUserPassword", UserPoolId=pool, Username=name, Password=PASSWORD, Permanent=True)

        def sign_in():
            given = {"USERNAME": name, "PASSWORD": PASSWORD}
            told = api("InitiateAuth", ClientId=client, AuthFlow="USER_PASSWORD_AUTH", AuthParameters=given)
            return told["AuthenticationResult"]

        return sign_in

    return sign_in_to


@pytest.fixture
def sign_in(sign_in_to, pool, client):
    return sign_in_to(pool, client)


def is_alive(verifier, token):
    try:
        verifier.verify(token)
    except RevokedError:
        return False
    return True


def test_global_sign_out_access_and_id_token_are_refused_and_who_signs_in_again_is_let_in(
    verifier, api, sign_in, capsys
):
    took = []
    for _ in range(20):
        tokens = sign_in()
        assert verifier.verify(tokens["AccessToken"]).verdict.by == "feed"
        verifier.verify(tokens["IdToken"], token_use="id")
        api("GlobalSignOut", AccessToken=tokens["AccessToken"])
        took.append(until(lambda: not is_alive(verifier, tokens["AccessToken"]), 1) * 1000)
        with pytest.raises(RevokedError):
            verifier.verify(tokens["IdToken"], token_use="id")
    with capsys.disabled():
        p50, worst = statistics.median(took), max(took)
        print(f"\nfrom the answer of GlobalSignOut to refusal, 20 times: p50 {p50:.1f} ms, worst {worst:.1f} ms")


def test_revoke_token_ends_one_session_and_pyjwt_refuses_it_only_with_the_hook(verifier, api, client, sign_in):
    ended, other = sign_in(), sign_in()
    keys = jwt.PyJWKClient(f"{verifier.issuer}/.well-known/jwks.json")
    token = ended["AccessToken"]
    key = keys.get_signing_key_from_jwt(token)
    live = CenoteJWT(verifier)
    live.decode(token, key, algorithms=["RS256"])
    api("RevokeToken", Token=ended["RefreshToken"], ClientId=client)
    until(lambda: not is_alive(verifier, token), 1)
    assert jwt.decode(token, key, algorithms=["RS256"])["token_use"] == "access"
    with pytest.raises(jwt.InvalidTokenError, match="sign-out"):
        live.decode(token, key, algorithms=["RS256"])
    live.decode(other["AccessToken"], key, algorithms=["RS256"])


def test_a_guard_outlives_a_refresh_and_fires_within_a_second_of_the_sign_out(verifier, api, client, sign_in):
    tokens = sign_in()
    verified = verifier.verify(tokens["AccessToken"])

    async def wait():
        guard = verifier.guard(verified.claims, verified.header)
        await asyncio.to_thread(api, "GetTokensFromRefreshToken", RefreshToken=tokens["RefreshToken"], ClientId=client)
        await asyncio.sleep(0.5)
        assert not guard.is_revoked
        threading.Thread(target=api, args=("GlobalSignOut",), kwargs={"AccessToken": tokens["AccessToken"]}).start()
        return await asyncio.wait_for(guard.revoked, 1)

    assert asyncio.run(wait()).reason == "session_revoked"


def test_a_verifier_cut_off_from_the_feed_asks_the_server_about_tokens_of_other_clients(
    follow, api, sign_in, monkeypatch
):
    cut_off = follow(consumer="e2e-python-cut-off")
    monkeypatch.setattr(cut_off, "start", lambda: cut_off)
    live, ended = sign_in()["AccessToken"], None
    assert cut_off.verify(live).verdict.by == "introspection"
    ended = sign_in()["AccessToken"]
    api("GlobalSignOut", AccessToken=ended)
    with pytest.raises(RevokedError):
        cut_off.verify(ended)


def test_the_tokens_of_a_pool_that_is_deleted_are_refused_at_once(follow, api, machine_of, sign_in_to):
    other = api("CreateUserPool", PoolName=f"verifier-python-gone-{os.getpid()}")["UserPool"]["Id"]
    its = machine_of(other)
    flows = ["ALLOW_USER_PASSWORD_AUTH"]
    app = api("CreateUserPoolClient", UserPoolId=other, ClientName="app", ExplicitAuthFlows=flows)["UserPoolClient"]
    gone = follow(pool=other, client_id=its["ClientId"], client_secret=its["ClientSecret"])
    assert gone.ready()
    token = sign_in_to(other, app["ClientId"])()["AccessToken"]
    gone.verify(token, policy="closed")
    api("DeleteUserPool", UserPoolId=other)
    until(lambda: not is_alive(gone, token), 1)


def test_the_lines_of_the_readme_work_as_they_stand(verifier, machine, server, api, sign_in, tmp_path):
    readme = (REPOSITORY / "verifiers/python/README.md").read_text()
    [text] = re.findall(r"^```python\n(.*?)^```$", readme, re.MULTILINE | re.DOTALL)
    (tmp_path / "readme.py").write_text(text)
    port = free_port()
    named = {"ISSUER": verifier.issuer, "CLIENT_ID": machine["ClientId"], "CLIENT_SECRET": machine["ClientSecret"]}
    path = os.pathsep.join([str(tmp_path), str(REPOSITORY / "verifiers/python/src")])
    env = {**os.environ, **named, "PYTHONPATH": path, "SSL_CERT_FILE": server["ca_file"]}
    command = [sys.executable, "-m", "uvicorn", "readme:app", "--port", port, "--log-level", "warning"]
    program = subprocess.Popen(command, env=env)
    token = sign_in()["AccessToken"]

    def status():
        request = urllib.request.Request(
            f"http://127.0.0.1:{port}/orders", headers={"Authorization": f"Bearer {token}"}
        )
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return answer.status
        except urllib.error.HTTPError as error:
            with error:
                return error.code
        except urllib.error.URLError:
            return 0

    try:
        until(lambda: status() == 200, 10)
        api("GlobalSignOut", AccessToken=token)
        until(lambda: status() == 401, 1)
    finally:
        program.terminate()
        program.wait(10)


def until(holds, seconds):
    began = time.monotonic()
    while not holds():
        assert time.monotonic() - began < seconds, f"not within {seconds} s"
        time.sleep(0.0005)
    return time.monotonic() - began


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return str(probe.getsockname()[1])
