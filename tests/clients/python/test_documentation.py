"""docs/clients.md: the blocks for Python and the shell, run as they stand. ../js/documentation.test.js sees that none is forgotten."""

import os
import pathlib
import re
import subprocess
import sys

import pytest

from support import PASSWORD, unique

PAGE = pathlib.Path(__file__).resolve().parents[3] / "docs/clients.md"


@pytest.fixture(scope="module")
def reader(idp, server):
    """A user of the ready pool: these programs sign out everywhere."""
    name = unique("reader")
    named = {"UserPoolId": server.user_pool_id, "Username": name}
    idp.admin_create_user(**named, MessageAction="SUPPRESS")
    idp.admin_set_user_password(**named, Password=PASSWORD, Permanent=True)
    yield name
    idp.admin_delete_user(**named)


@pytest.fixture
def run(server, reader, tmp_path):
    """Runs a block to its end and answers what it printed. Only what belongs to the reader's own server is replaced."""

    def run(file: str, *command: str) -> tuple[str, str]:
        [text] = re.findall(rf"^```\w+ file={re.escape(file)}\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
        text = text.replace("http://localhost:9229", server.endpoint).replace("us-east-1_CenoteDev", server.user_pool_id)
        text = text.replace("cenotedevpublicclient00001", server.client_id)
        path = tmp_path / file
        path.write_text(re.sub(r"\bann\b", reader, text))
        path_of_tools = f"{pathlib.Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        env = {**os.environ, "PATH": path_of_tools}
        result = subprocess.run([*command, path], capture_output=True, text=True, timeout=120, cwd=tmp_path, env=env)
        assert result.returncode == 0, result.stderr
        return result.stdout, result.stderr

    return run


def test_boto3(run, reader):
    said, _ = run("boto3_client.py", sys.executable)
    lines = said.splitlines()
    assert lines[0] == f"signed in: {reader}"
    assert lines[1].startswith("refused: ") and lines[1].endswith("Access Token has been revoked")
    assert lines[2] == "status: CONFIRMED"


def test_pycognito(run, reader):
    said, _ = run("pycognito_client.py", sys.executable)
    assert said == f"signed in: {reader}\n"


def test_aws_cli(run, reader):
    said, complaint = run("cli.sh", "bash", "-eu")
    assert said.count(f'"Username": "{reader}"') == 2
    assert "as it should be" in said
    assert "(NotAuthorizedException) when calling the GetUser operation: Access Token has been revoked" in complaint
